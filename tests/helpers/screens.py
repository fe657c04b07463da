"""Whole screens of a terminal, kept as text in tests/cli/screens, to be reviewed by reading them.

``REWRITE_SCREENS=1 python -m pytest tests/cli/test_screens.py`` writes them anew. Figures of the
moment, rates and times, are 0 there.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

# What limited a run is said if it took some seconds, which is a matter of the moment, too.
_ADVICE = re.compile(r"(?<=\n\n)(?:.+\n)+?(?=[\d,]+ items? for )")
_SUMMARY = re.compile(r"^[\d,]+ items? for .*?\.$", re.MULTILINE | re.DOTALL)
FOLDER = Path(__file__).parents[1] / "cli" / "screens"
_OF_THE_MOMENT = (
    (re.compile(r"\d+:\d\d:\d\d"), "0:00:00"),
    (re.compile(r"[\d.]+ (bytes|[kMG]B)/s"), "0.0 kB/s"),
    (re.compile(r"[\d.,]+ (images|links|media)/s"), r"0.0 \1/s"),
    (re.compile(r"in [\d.]+ s"), "in 0.0 s"),
)


def check_screen(name: str, columns: int, lines: Sequence[str]) -> None:
    """Compare a screen with the one that is kept for its width."""
    assert max(map(len, lines)) <= columns
    text = "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"
    # Where a long line is broken depends on the width of such figures.
    text = _SUMMARY.sub(lambda found: found[0].replace("\n", " "), text)
    text = _ADVICE.sub("", text)
    for pattern, said in _OF_THE_MOMENT:
        text = pattern.sub(said, text)
    text = "".join(f"{textwrap.fill(line, columns)}\n" for line in text.splitlines())
    file = FOLDER / f"{name}-{columns}.txt"
    if os.environ.get("REWRITE_SCREENS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), text
