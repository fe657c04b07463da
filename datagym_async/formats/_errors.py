"""What stops a conversion altogether; what only falls by the way is in a `LossReport`."""

from __future__ import annotations

import importlib
from typing import Any

from datagym_async._extras import missing_extra
from datagym_async.exceptions import ConfigurationError


class FormatError(ConfigurationError):
    """A file is not of the format it is taken for, or cannot be written as asked."""


class BrokenError(Exception):
    """One annotation of a file cannot be read; the others can. It ends as a loss."""


def extra_module(name: str) -> Any:
    """Return a module of the extra ``formats``.

    Raises:
        FormatError: It is not installed; the text names the extra.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise FormatError(missing_extra(error) or str(error)) from None
