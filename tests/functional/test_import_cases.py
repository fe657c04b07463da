"""The 50 import cases: what the embedded server says of each, and what our own check says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from datagym_async.labels import Severity, check_prediction
from datagym_async.models import EntryType, LabelEntry
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers.examples import example
from tests.helpers.photos import jpeg
from tests.helpers.service import Service, service

CASES: list[dict[str, Any]] = example("07_import_cases")
NAMES = [case["case"] for case in CASES]
MEDIA = "3c1d6f0a-5f0e-4c52-9a3b-0d6a1f2b7c01"

# What the schema lets pass although the service then ignores, breaks or refuses something: here our
# check is stricter, for this reason.
STRICTER = {
    "empty item": "no internal_media_ID",
    "old id name only": "no internal_media_ID",
    "label_classes element": "list of classes",
    "one child object with two keys": "drops this without an error",
    "empty child object": "ex_system",
    "rectangle with extra member": "nothing else",
    "geometry empty": "no coordinates",
    "no geometry member": "no coordinates",
    "image_segmentation": "cannot import segmentations",
    "unknown member in nested geometry": "no coordinates",
    "nested in nested": "one level deep",
    "nested_geometries as array": "no coordinates",
    "nested_geometries null": "no coordinates",
}
# What only the label configuration shows: `vehicle` is a rectangle, `daytime` a select of two.
STRICTER_BY_CONFIGURATION = {
    "three strings": "takes one value",
    "two rectangles in geometry": "exactly 1",
    "geometry with 2 points": "exactly 1",
    "digit strings": "not a point",
    "unknown member in root geometry": "does not know this member",
    "one string": "not an option",
}
# Faults of the document as a whole, which the client cannot send: it makes the array itself.
OF_THE_DOCUMENT = {"empty root array", "root object instead of array"}


def entry(key: str, kind: EntryType, *children: LabelEntry, **more: Any) -> LabelEntry:
    return LabelEntry(id=key, key=key, value=key, type=kind, children=children, **more)


LAMP = entry("lamp_state", EntryType.SELECT, options={"on": "On", "off": "Off"})
TEXT = entry("plate_text", EntryType.FREETEXT, max_length=20)
PLATE = entry("plate", EntryType.POLYGON, TEXT)
ENTRIES = (
    entry("daytime", EntryType.SELECT, LAMP, options={"day": "Day", "x": "X"}),
    entry("vehicle", EntryType.RECTANGLE, PLATE),
)


def reasons(case: dict[str, Any], entries: tuple[LabelEntry, ...] | None = None) -> list[str]:
    """Our errors about a case's items."""
    items = case["payload"]
    found = [finding for item in items for finding in check_prediction(item, entries)]
    return [str(each) for each in found if each.severity is Severity.ERROR]


ITEM_CASES = [case for case in CASES if case["case"] not in OF_THE_DOCUMENT]
of_items = pytest.mark.parametrize("case", ITEM_CASES, ids=[case["case"] for case in ITEM_CASES])


def test_all_fifty_cases_are_here() -> None:
    """Every case is of an item or of the document, and what is listed above is a case."""
    assert len(CASES) == 50
    assert set(NAMES) >= STRICTER.keys() | STRICTER_BY_CONFIGURATION.keys() | OF_THE_DOCUMENT


@of_items
def test_our_check_is_equal_or_stricter(case: dict[str, Any]) -> None:
    """What the schema refuses we refuse; what it lets pass we refuse for a reason alone."""
    found = reasons(case)
    if case["schema_valid"] and case["case"] not in STRICTER:
        assert found == []
    else:
        assert STRICTER.get(case["case"], "") in " ".join(found)
        assert found != []


@of_items
def test_a_configuration_makes_it_no_laxer(case: dict[str, Any]) -> None:
    """With the label configuration there are the same faults, and those that it alone shows."""
    found = " ".join(reasons(case, ENTRIES))
    if not case["schema_valid"] or case["case"] in STRICTER:
        assert found
    assert STRICTER_BY_CONFIGURATION.get(case["case"], "") in found


# --- the embedded server -------------------------------------------------------------------------


@attrs.frozen
class Bench:
    """A server with one image, whose media stands for the one in the cases."""

    client: Service
    project_id: str
    media_id: str

    async def predict(self, payload: object) -> tuple[int, dict[str, object]]:
        """Import a case's payload for this bench's image."""
        text = json.dumps(payload).replace(MEDIA, self.media_id)
        path = f"/project/{self.project_id}/prediction"
        reply = await self.client.ask("POST", path, body=text.encode())
        return reply.status, reply.fields


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    media = [SeedMedia("a.jpg", content=jpeg(2000))]
    async with Server() as server, service(server) as client:
        (project,) = await server.seed(SeedProject("P", [SeedDataset("D", media)]))
        note = {"entryKey": "a", "entryValue": "A", "type": "FREETEXT", "maxLength": 9}
        plate = {"entryKey": "plate", "entryValue": "P", "type": "POINT"}
        options = {"x": "X"}
        config: list[dict[str, object]] = [
            {"entryKey": "daytime", "entryValue": "D", "type": "SELECT"},
            {"entryKey": "vehicle", "entryValue": "V", "type": "RECTANGLE", "children": [plate]},
        ]
        config[0] |= {"options": options, "children": [note]}
        path = f"/config/{project.label_configuration_id}"
        assert (await client.ask("PUT", path, value=config)).status == 200
        yield Bench(client, project.id, project.datasets[0].media_ids["a.jpg"])


async def test_the_embedded_server_gives_the_verdicts_of_the_schema(bench: Bench) -> None:
    """All 50: refused by the schema at the same places, or not by the schema."""
    said = {}
    for case in CASES:
        status, fields = await bench.predict(case["payload"])
        text = str(fields.get("errorMessages", fields.get("key")))
        places = [line for line in text.split("\n") if line.startswith("#")]
        said[case["case"]] = ("Schema validation" not in text, status, sorted(places))
    expected = {
        case["case"]: sorted(place.removesuffix("/") for place in case["error_at"])
        for case in CASES
        if case["case"] != "root object instead of array"
    }
    assert said.pop("root object instead of array") == (True, 500, [])
    assert {case: places for case, (_, _, places) in said.items()} == expected
    assert [case["case"] for case in CASES if case["case"] in said
            and said[case["case"]][0] is not case["schema_valid"]] == []  # fmt: skip


AFTER_THE_SCHEMA = {
    "empty child object": "ex_system",
    "rectangle with extra member": "ex_gen_entry_type_not_found",
}


@pytest.mark.parametrize("name", AFTER_THE_SCHEMA)
async def test_what_the_schema_lets_pass_can_fail_after_it(bench: Bench, name: str) -> None:
    """These pass the schema and then fail the whole request."""
    case = CASES[NAMES.index(name)]
    status, fields = await bench.predict(case["payload"])
    assert (status, fields["key"]) == (500, AFTER_THE_SCHEMA[name])
