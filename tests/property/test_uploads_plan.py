"""Whatever the sources name: every item once, in a stable order, one owner a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datagym_async.uploads import UploadItem
from datagym_async.uploads.plan import Planned
from datagym_async.uploads.sources import Candidate
from tests.helpers.fake_service import FakeService, key_of, list_held, open_plan

# Few letters, so that names clash; among them what folds, what is encoded and what is no text.
NAMES = st.text(st.sampled_from("aAbBéÉ%☃ .\udce9"), min_size=1, max_size=4)
ENTRIES = st.lists(st.tuples(st.integers(0, 3), NAMES, NAMES), max_size=40)
HELD = st.sets(NAMES, max_size=4)


def planned(entries: list[tuple[int, str, str]], held: set[str], portions: int) -> list[Planned]:
    """Return the plan of some (part, place, name), given in one portion or in several."""
    found: list[Planned] = []
    service = FakeService()
    service.hold(*held)
    size = max(1, -(-len(entries) // portions))
    with open_plan() as plan:
        list_held(plan, service.stored)
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
    held_keys = set(map(key_of, held))
    seen: set[str] = set()
    for each in found:
        if not each.item.name.strip():
            assert each.verdict
            assert each.verdict.outcome == "rejected"
            continue
        key = key_of(each.item.name)
        expected = "rejected" if key in seen else "skipped" if key in held_keys else "send"
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
