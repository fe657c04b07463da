"""Whatever the sources name: every item once, in a stable order, one owner a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagym_async._printable import printable
from datagym_async.models._names import encode_name, fold_name
from datagym_async.uploads import UploadItem
from datagym_async.uploads._screening import Screening, looks_like, screen_name
from datagym_async.uploads.plan import Plan, Planned
from datagym_async.uploads.sources import Candidate

# Few letters, so that names clash; among them what folds, what is encoded and what is no text.
NAMES = st.text(st.sampled_from("aAbBéÉ%☃ .\udce9"), min_size=1, max_size=4)
ENTRIES = st.lists(st.tuples(st.integers(0, 3), NAMES, NAMES), max_size=40)
HELD = st.sets(NAMES.map(encode_name), max_size=4)


def planned(entries: list[tuple[int, str, str]], held: set[str], portions: int) -> list[Planned]:
    """Return the plan of some (part, place, name), given in one portion or in several."""
    found: list[Planned] = []
    size = max(1, -(-len(entries) // portions))
    with Plan() as plan:
        plan.hold(held)
        for start in range(0, len(entries), size):
            plan.add(
                (part, Candidate(UploadItem(name, f"{number}"), place=place))
                for number, (part, place, name) in enumerate(entries[start : start + size], start)
            )
            plan.settle()
            while some := plan.take(7):
                found.extend(some)
    return found


@given(ENTRIES, HELD, st.integers(1, 4))
def test_every_item_comes_once_and_every_name_has_one_owner(
    entries: list[tuple[int, str, str]], held: set[str], portions: int
) -> None:
    """What is sent has distinct folded names, none of them held, and is the first of each."""
    found = planned(entries, held, portions)

    assert sorted(int(str(each.item.content)) for each in found) == list(range(len(entries)))
    folded_held = {fold_name(name) for name in held}
    seen: set[str] = set()
    for each in found:
        if screen_name(each.item.name):
            assert each.verdict
            assert each.verdict.outcome == "rejected"
            continue
        key = fold_name(encode_name(each.item.name))
        expected = "rejected" if key in seen else "skipped" if key in folded_held else "send"
        seen.add(key)
        assert (each.verdict.outcome if each.verdict else "send") == expected


@given(ENTRIES)
def test_the_order_is_that_of_parts_and_places(entries: list[tuple[int, str, str]]) -> None:
    """In one portion, the disk's order does not matter."""
    found = planned(entries, set(), 1)

    def turn(number: int) -> tuple[int, bytes, int]:
        part, place, _ = entries[number]
        return part, place.encode("utf-8", "surrogatepass"), number

    numbers = [int(str(each.item.content)) for each in found]
    assert numbers == sorted(range(len(entries)), key=turn)


@given(st.text())
def test_any_name_is_shown_and_screened(name: str) -> None:
    """No name crashes, and what is shown can be written as UTF-8 on one line."""
    shown = printable(name)

    assert shown.encode().decode().isprintable()
    assert screen_name(name) or len(encode_name(name)) <= 255


@given(st.binary(max_size=64))
def test_any_bytes_are_told_what_they_look_like(head: bytes) -> None:
    """No bytes crash, and each rejection has its words."""
    reason = Screening().of_head(len(head), head)

    assert looks_like(head)
    assert reason == "" or reason.endswith(".")
