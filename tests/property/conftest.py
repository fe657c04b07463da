"""What holds for all tests of this folder."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have their lines not counted, which takes three times as long: other tests run them, too."""
    item.add_marker(pytest.mark.uncounted)
