"""Whatever names images."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable
from typing import TypeAlias, Union

from datagym_async.transfer._items import UploadItem

Source: TypeAlias = Union[  # noqa: UP007 -- a recursive alias cannot be written with | at run time
    str, os.PathLike[str], UploadItem, Iterable["Source"], AsyncIterable["Source"]
]
