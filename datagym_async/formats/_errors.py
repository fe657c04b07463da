"""What stops a conversion altogether; what only falls by the way is in a `LossReport`."""

from __future__ import annotations

from datagym_async.exceptions import ConfigurationError


class FormatError(ConfigurationError):
    """A file is not of the format it is taken for, or cannot be written as asked."""


class BrokenError(Exception):
    """One annotation of a file cannot be read; the others can. It ends as a loss."""
