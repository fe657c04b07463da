"""Count the steps that a backtracking search takes, instead of timing it.

`re` does its work in C, where no test can count it. So a pattern is taken apart by the parser that
`re` itself uses, and run here by the rules of its engine: leftmost start, alternatives in their
order, greedy repeats that give back one turn at a time, possessive ones that give back nothing.
Each instruction is a step. `re` takes no more of them, so that what is linear here is linear there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from re import _constants as kind  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

Test = Callable[[str], bool]

_CATEGORIES: Final[dict[Any, Test]] = {
    kind.CATEGORY_SPACE: str.isspace,
    kind.CATEGORY_NOT_SPACE: lambda one: not one.isspace(),
    kind.CATEGORY_DIGIT: str.isdecimal,
    kind.CATEGORY_NOT_DIGIT: lambda one: not one.isdecimal(),
    kind.CATEGORY_WORD: lambda one: one.isalnum() or one == "_",
    kind.CATEGORY_NOT_WORD: lambda one: not (one.isalnum() or one == "_"),
}
_OF_A_CHARACTER: Final = {kind.LITERAL, kind.NOT_LITERAL, kind.ANY, kind.IN}
NEVER: Final = "\x00"
"""A character that ends what most sets take."""


class TooManyStepsError(Exception):
    """A search took more steps than it was allowed."""


class Steps:
    """A pattern whose searches are counted.

    Args:
        pattern: The pattern.
    """

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        source = pattern.pattern
        # Bytes are read as the characters of the same numbers.
        text = source.decode("latin-1") if isinstance(source, bytes) else source
        flags = pattern.flags & ~re.ASCII if isinstance(source, bytes) else pattern.flags
        self._tree = _parser.parse(text, flags)
        self._flags = pattern.flags
        self.pieces = sorted(set(_pieces(self._tree)))
        self._tests: dict[Any, Test] = {}
        self._taken = 0
        self._most = 0

    def spans(self, text: str, *, most: int, anchored: bool = False) -> list[tuple[int, int]]:
        """Return what `finditer` finds; with `anchored`, what `match` does.

        Raises:
            TooManyStepsError: It takes more than `most` steps.
        """
        self._taken, self._most = 0, most
        found: list[tuple[int, int]] = []
        at = 0
        while at <= len(text):
            end = self._run(self._tree, text, at)
            if end is None:
                at += 1
            else:
                found.append((at, end))
                at = end if end > at else at + 1
            if anchored:
                break
        return found

    @property
    def taken(self) -> int:
        """Return the steps of the last search."""
        return self._taken

    def _run(self, tree: Sequence[Any], text: str, start: int) -> int | None:
        """Return where a match ends that begins here, or None."""
        # Work that is left is a linked list (instruction, rest), so that a choice is kept for free.
        choices: list[tuple[int, Any]] = [(start, (tuple(tree), 0, None))]
        while choices:
            at, work = choices.pop()
            while work is not None:
                items, index, rest = work
                if index == len(items):
                    work = rest
                    continue
                self._taken += 1
                if self._taken > self._most:
                    raise TooManyStepsError
                following = (items, index + 1, rest)
                moved = self._step(items[index], text, at, following, choices)
                if moved is None:
                    break
                at, work = moved
            else:
                return at
        return None

    def _step(
        self, item: Any, text: str, at: int, following: Any, choices: list[tuple[int, Any]]
    ) -> tuple[int, Any] | None:
        """Return where the text and the work go on; None where this way ends."""
        code, given = item
        if (test := self._test(code, given)) is not None:
            return (at + 1, following) if at < len(text) and test(text[at]) else None
        if code is kind.AT:
            return (at, following) if _is_at(given, text, at, self._flags) else None
        if code is kind.SUBPATTERN:
            return at, (tuple(given[3]), 0, following)
        if code is kind.ATOMIC_GROUP:
            end = self._run(given, text, at)
            return None if end is None else (end, following)
        if code in (kind.ASSERT, kind.ASSERT_NOT):
            direction, inner = given
            begin = at if direction > 0 else at - inner.getwidth()[0]
            end = self._run(inner, text, begin) if begin >= 0 else None
            return (at, following) if (end is None) == (code is kind.ASSERT_NOT) else None
        if code is kind.BRANCH:
            ways = [(tuple(way), 0, following) for way in given[1]]
            choices.extend((at, way) for way in reversed(ways[1:]))
            return at, ways[0]
        if code in (kind.MAX_REPEAT, kind.MIN_REPEAT, kind.POSSESSIVE_REPEAT):
            return self._repeat(item, text, at, following, choices)
        raise NotImplementedError(f"{code} of {self._tree}")

    def _repeat(
        self, item: Any, text: str, at: int, following: Any, choices: list[tuple[int, Any]]
    ) -> tuple[int, Any] | None:
        code, (least, most, inner) = item
        if code is kind.POSSESSIVE_REPEAT:
            turns = 0
            while turns < most and (end := self._run(inner, text, at)) is not None:
                turns += 1
                if end == at:
                    break
                at = end
            return (at, following) if turns >= least else None
        if most == 0:
            return at, following
        left = most if most is kind.MAXREPEAT else most - 1
        again = (((code, (max(0, least - 1), left, inner)),), 0, following)
        turn = at, (tuple(inner), 0, again)
        if least > 0:
            return turn
        if code is kind.MIN_REPEAT:
            choices.append(turn)
            return at, following
        choices.append((at, following))
        return turn

    def _test(self, code: Any, given: Any) -> Test | None:
        """Return the test of one character, or None where the instruction is none."""
        if code not in _OF_A_CHARACTER:
            return None
        # Made once for each part of the tree, which lives as long as this.
        key = (code, given if isinstance(given, int) else id(given))
        if (known := self._tests.get(key)) is None:
            known = self._tests[key] = cache(self._made(code, given))
        return known

    def _made(self, code: Any, given: Any) -> Test:
        test: Test
        if code is kind.LITERAL:
            test = chr(given).__eq__
        elif code is kind.NOT_LITERAL:
            test = chr(given).__ne__
        elif code is kind.ANY:
            any_at_all = self._flags & re.DOTALL
            test = lambda one: bool(any_at_all) or one != "\n"  # noqa: E731
        else:
            test = _in(given)
        if self._flags & re.IGNORECASE:
            return lambda one: test(one.lower()) or test(one.upper())
        return test


def _in(members: Sequence[Any]) -> Test:
    is_negated = members[0][0] is kind.NEGATE
    tests: list[Test] = []
    for code, given in members:
        if code is kind.LITERAL:
            tests.append(chr(given).__eq__)
        elif code is kind.RANGE:
            tests.append(lambda one, given=given: given[0] <= ord(one) <= given[1])  # type: ignore[misc]
        elif code is kind.CATEGORY:
            tests.append(_CATEGORIES[given])
    return lambda one: any(test(one) for test in tests) != is_negated


def _is_at(where: Any, text: str, at: int, flags: int) -> bool:
    if where in (kind.AT_BEGINNING, kind.AT_BEGINNING_STRING):
        by_line = where is kind.AT_BEGINNING and flags & re.MULTILINE
        return at == 0 or bool(by_line and text[at - 1] == "\n")
    if where is kind.AT_END:
        return at == len(text) or (text[at] == "\n" and at == len(text) - 1)
    if where is kind.AT_END_STRING:
        return at == len(text)
    is_word = _CATEGORIES[kind.CATEGORY_WORD]
    sides = [is_word(one) for one in (text[at - 1 : at], text[at : at + 1])]
    return (sides[0] != sides[1]) == (where is kind.AT_BOUNDARY)


def _pieces(tree: Sequence[Any]) -> list[str]:
    """Return short texts that parts of a pattern take: what a hostile text is made of."""
    found: list[str] = []
    word = ""
    for code, given in tree:
        if code is kind.LITERAL:
            word += chr(given)
            continue
        found += [word, _sample(code, given)]
        word = ""
        for part in _inner(code, given):
            found += _pieces(part)
    return [piece for piece in [*found, word] if piece]


def _inner(code: Any, given: Any) -> list[Any]:
    if code is kind.SUBPATTERN:
        return [given[3]]
    if code is kind.ATOMIC_GROUP:
        return [given]
    if code in (kind.ASSERT, kind.ASSERT_NOT):
        return [given[1]]
    if code is kind.BRANCH:
        return list(given[1])
    if code in (kind.MAX_REPEAT, kind.MIN_REPEAT, kind.POSSESSIVE_REPEAT):
        return [given[2]]
    return []


def _sample(code: Any, given: Any) -> str:
    """Return a character that a set takes."""
    if code is not kind.IN:
        return ""
    return next(filter(_in(given), "a0 -/\t\\'\"?#@:;,.=~é"), "")


def hostile_texts(pattern: Steps) -> list[tuple[str, str]]:
    """Return what makes a pattern look far and in vain: beginnings, each with what is repeated.

    Both are what parts of the pattern take; what none of them takes is to stand at the end.
    """
    pieces = [*pattern.pieces, NEVER]
    pumps = {one + other for one in pieces for other in ["", *pieces]}
    return sorted((start, pump) for start in ["", *pieces] for pump in pumps)


def hostile_text(beginning: str, pump: str, size: int) -> str:
    """Return a text of a size."""
    return (beginning + pump * (size // len(pump) + 1))[: size - 1] + NEVER
