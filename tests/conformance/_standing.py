"""Which cases are known not to hold, how many may be, and which depend on others' data."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_NOT_MET = Path(__file__).parent / "not_met.toml"

LARGEST_SHARE = 0.05
"""The largest share of the covered cases that may be listed as not met."""

SHAPE_ON_LIVE = frozenset(
    {
        *("auth/1", "auth/2", "GET_dataset/2"),
        *(f"GET_project/{index}" for index in (0, 6, 10, 11, 12, 13)),
    }
)
"""Cases whose lists show what else a live service holds: there, their items' shape counts."""


@cache
def listed() -> Mapping[str, str]:
    """Read the list: the reasons by the cases' ids."""
    tables = tomllib.loads(_NOT_MET.read_text(encoding="utf-8"))
    return {str(key): str(reason) for key, reason in tables["covered"].items()}
