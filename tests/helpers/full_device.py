"""A device that is always full, where this user may write to it."""

from __future__ import annotations

import os

import pytest

NEEDS_FULL_DEVICE = pytest.mark.skipif(
    not os.access("/dev/full", os.W_OK), reason="there is no full device to write to"
)
