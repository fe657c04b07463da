"""No regular expression of the package takes longer than the text is long."""

from __future__ import annotations

import ast
import importlib
import random
import re
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

import datagym_async
from tests.helpers.regex_steps import NEVER, Steps, TooManyStepsError, hostile_text, hostile_texts

# None of the package's code runs here, and to have each line counted takes three times as long.
pytestmark = pytest.mark.uncounted

PACKAGE: Final = Path(datagym_async.__file__).parent
SHORT, LONG = 60, 240
MOST: Final = 120
"""Steps a character at which counting ends."""
TOO_MUCH: Final = 1.5
"""Times as many steps a character, in a text of four times the length; a square has 4."""

# What the redaction looked like, and the names' blanks: each looked from every character again.
QUADRATIC: Final = {
    "query": r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*",
    "user": r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@\"'<>]+@",
    "blanks at the end": r"^ +| +$|[^ -$&-~]+",
    "a quote without an end": r'"(?:[^"\\]|\\.)*"',
    "query from its colon": r"(://[^\s?#]*)[?#]",
}
EXPONENTIAL: Final = r"(a+)+b"


@attrs.frozen
class Used:
    """A pattern of the package, and whether it looks at the beginning of a text alone."""

    where: str
    pattern: re.Pattern[Any]
    is_anchored: bool


def used_patterns() -> list[Used]:
    """Return every regular expression that the package compiles or gives to `re` as it stands."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if "import re" not in text:
            continue
        tree = ast.parse(text)
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
        methods = [each.func for each in calls if isinstance(each.func, ast.Attribute)]
        for known, value in vars(module).items():
            if isinstance(value, re.Pattern):
                ways = {each.attr for each in methods if ast.unparse(each.value) == known}
                found.append(Used(f"{name}.{known}", value, ways <= {"match", "fullmatch"}))
        for call in calls:
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re"), attr=way),
                    args=[ast.Constant(value=str(pattern)), *_],
                ) if way != "compile":
                    at = f"{name}:{call.lineno}"
                    found.append(Used(at, re.compile(pattern), way in {"match", "fullmatch"}))
    return found


def steps_of(pattern: Steps, text: str, *, is_anchored: bool = False) -> int:
    try:
        pattern.spans(text, most=MOST * len(text), anchored=is_anchored)
    except TooManyStepsError:
        return MOST * len(text)
    return pattern.taken


def worst_growth(pattern: re.Pattern[Any], *, is_anchored: bool = False) -> tuple[float, str, str]:
    """Return how much more than the text a search grows, and what the text is made of."""
    if is_anchored:
        pattern = re.compile(_all_of(pattern.pattern), pattern.flags & ~re.UNICODE)
    steps = Steps(pattern)
    worst = (0.0, "", "")
    # Several beginnings and pumps make one text, which says the same each time.
    texts = {hostile_text(*each, LONG): each for each in hostile_texts(steps)}
    for beginning, pump in texts.values():
        short, long = (
            steps_of(steps, hostile_text(beginning, pump, size), is_anchored=is_anchored)
            for size in (SHORT, LONG)
        )
        is_over = long == MOST * LONG
        growth = float("inf") if is_over else (long / LONG) / (max(short, SHORT) / SHORT)
        worst = max(worst, (growth, beginning, pump))
        if growth > TOO_MUCH:
            break
    return worst


def _all_of(pattern: str | bytes) -> Any:
    """Return what `fullmatch` looks for."""
    return rb"(?:%b)\Z" % pattern if isinstance(pattern, bytes) else rf"(?:{pattern})\Z"


PATTERNS: Final = used_patterns()


@pytest.mark.parametrize("used", PATTERNS, ids=[each.where for each in PATTERNS])
def test_every_pattern_is_linear(used: Used) -> None:
    """Four times the text takes at most four times the steps, whatever the text is made of."""
    growth, *text = worst_growth(used.pattern, is_anchored=used.is_anchored)

    assert growth < TOO_MUCH, text


def test_all_patterns_are_looked_at() -> None:
    """Patterns are found in each of the packages, compiled and given to `re` as they stand."""
    found = {each.where for each in PATTERNS}

    assert "datagym_async._wire._redact._URL" in found
    assert len(found) > 40
    assert any(":" in each for each in found)


@pytest.mark.parametrize("pattern", [*QUADRATIC.values(), EXPONENTIAL])
def test_patterns_that_are_not_linear_are_found(pattern: str) -> None:
    """What made the client slow would be found by the test above."""
    assert worst_growth(re.compile(pattern))[0] > TOO_MUCH


@pytest.mark.parametrize("name", ["_URL", "_USER", "_TOKEN", "_SCHEME"])
@pytest.mark.parametrize("text", ["a", "a://", "token ", "Basic \t"])
def test_redaction_of_100_kb_takes_ten_times_the_steps_of_10_kb(name: str, text: str) -> None:
    """The patterns that see texts of errors are linear as far as those texts can be long."""
    patterns = {each.where: each.pattern for each in PATTERNS}
    steps = Steps(patterns[f"datagym_async._wire._redact.{name}"])

    short, long = (steps_of(steps, hostile_text(text, text, size)) for size in (10_000, 100_000))

    assert short < 20 * 10_000
    assert long <= 10.01 * short


@pytest.mark.parametrize("used", PATTERNS, ids=[each.where for each in PATTERNS])
def test_the_steps_are_those_of_the_engine(used: Used) -> None:
    """What is counted finds what `re` finds, on texts made of what the pattern takes."""
    steps = Steps(used.pattern)
    chance = random.Random(7)
    for _ in range(100):
        parts = [
            chance.choice([*steps.pieces, NEVER, " ", "x"]) for _ in range(chance.randrange(9))
        ]
        text = "".join(parts)
        given: Any = text
        if isinstance(used.pattern.pattern, bytes):
            given = text.encode("latin-1")

        assert steps.spans(text, most=1_000_000) == [
            found.span() for found in used.pattern.finditer(given)
        ]
