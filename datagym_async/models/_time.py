"""The service's instants: integer milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(timestamp: int) -> datetime:
    """Return the instant of a service timestamp, in UTC.

    Args:
        timestamp: Milliseconds since 1970.
    """
    return _EPOCH + timedelta(milliseconds=timestamp)
