"""The options of a bulk upload."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from datagym_async.exceptions import ConfigurationError

MAX_CONCURRENCY = 256
MAX_BATCH_SIZE = 500


def _within(low: int, high: int) -> Any:  # attrs' own type of a validator is not generic enough
    def check(_: object, attribute: attrs.Attribute[int], value: int) -> None:
        if not low <= value <= high:
            msg = f"{attribute.name} is {value}; it must be from {low} to {high}."
            raise ConfigurationError(msg)

    return check


def _naming(_: object, __: object, value: str) -> None:
    if value not in {"basename", "relative"}:
        msg = f'name is {value!r}; it must be "basename" or "relative".'
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class UploadConfig:
    """Hold the options of one bulk upload.

    Args:
        concurrency: Requests in flight at once, 1 to 256. The service keeps one of its ten
            database connections for as long as a body takes to arrive, so more than 8 seldom helps.
        batch_size: URLs in one request, 1 to 500.
        name: How files are named in the dataset: by their last part (``"basename"``), or by their
            path below the folder, glob or manifest that named them (``"relative"``, with ``/``).
        skip_existing: Whether a name that the dataset holds is ``skipped``; otherwise it is sent,
            and ``failed`` when the service refuses it.
        include_hidden: Whether files and folders that begin with a dot count in folders and globs.
        max_problems: How many rejected and failed results the report keeps in full; the counts
            are exact in any case.

    Raises:
        ConfigurationError: If an option is out of its range.
    """

    concurrency: int = attrs.field(default=8, validator=_within(1, MAX_CONCURRENCY))
    batch_size: int = attrs.field(default=50, validator=_within(1, MAX_BATCH_SIZE))
    name: Literal["basename", "relative"] = attrs.field(default="basename", validator=_naming)
    skip_existing: bool = True
    include_hidden: bool = False
    max_problems: int = attrs.field(default=10_000, validator=_within(0, 10_000_000))
