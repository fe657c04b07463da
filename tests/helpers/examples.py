"""The example documents of the service's formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent.parent / "data" / "examples"


def example(name: str, *keys: str) -> Any:
    """Return a document, or the part of it that the keys lead to."""
    document = json.loads((_FOLDER / f"{name}.json").read_bytes())
    for key in keys:
        document = document[key]
    return document
