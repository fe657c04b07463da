"""A disk that gives all folders the inode 0."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def without_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the number of each folder be 0."""
    real = os.stat

    def unnumbered(path: Any, **options: Any) -> os.stat_result:
        status = real(path, **options)
        if not stat.S_ISDIR(status.st_mode):
            return status
        return os.stat_result((status.st_mode, 0, *tuple(status)[2:]))

    monkeypatch.setattr(os, "stat", unnumbered)
