"""The label side of the embedded server, from a configuration to an export."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from typing import cast

import attrs
import pytest
from PIL import Image

from datagym_async.server import (
    Plan,
    SeedDataset,
    SeededProject,
    SeedMedia,
    SeedProject,
    SeedVideo,
    Server,
)
from tests.helpers.photos import jpeg
from tests.helpers.service import Reply, Service, service

ENTRIES: list[dict[str, object]] = [
    {"entryKey": "spot", "entryValue": "Spot", "type": "POINT", "color": "#f00", "shortcut": "1"},
    {"entryKey": "other spot", "entryValue": "Other", "type": "POINT"},
    {"entryKey": "seg", "entryValue": "Seg", "type": "IMAGE_SEGMENTATION"},
    {
        "entryKey": "area",
        "entryValue": "Area",
        "type": "POLYGON",
        "children": [
            {
                "entryKey": "kind",
                "entryValue": "Kind",
                "type": "SELECT",
                "required": True,
                "options": {"road": "Road", "roof": "Roof"},
            },
            {"entryKey": "box", "entryValue": "Box", "type": "RECTANGLE"},
        ],
    },
    {
        "entryKey": "weather",
        "entryValue": "Weather",
        "type": "SELECT",
        "options": {"sun": "Sun"},
        "children": [
            {"entryKey": "note", "entryValue": "Note", "type": "FREETEXT", "maxLength": 9}
        ],
    },
]
TRIANGLE = [{"x": 1, "y": 1}, {"x": 9, "y": 1}, {"x": 5, "y": 8}]


@attrs.frozen
class Bench:
    """A server with one labelled project of one image."""

    client: Service
    project: SeededProject

    @property
    def task_id(self) -> str:
        return self.project.task_ids["a.jpg"]

    @property
    def media_id(self) -> str:
        return self.project.datasets[0].media_ids["a.jpg"]

    async def configure(self) -> list[dict[str, object]]:
        """Fill the configuration and return its entries."""
        path = f"/config/{self.project.label_configuration_id}"
        filled = await self.client.ask("PUT", path, value=ENTRIES)
        assert filled.status == 200, filled
        return cast("list[dict[str, object]]", filled.fields["entries"])

    async def predict(self, **item: object) -> Reply:
        """Import one item for the image."""
        value = [{"internal_media_ID": self.media_id, **item}]
        return await self.client.ask("POST", f"/project/{self.project.id}/prediction", value=value)

    async def task(self) -> dict[str, object]:
        return (await self.client.ask("GET", f"/task/{self.task_id}")).fields

    async def values(self) -> list[dict[str, object]]:
        """The root values of the task."""
        iteration = cast("dict[str, object]", (await self.task())["labelIteration"])
        return cast("list[dict[str, object]]", iteration["entryValues"])

    async def complete(self) -> Reply:
        known = (await self.task())["lastChangedConfig"]
        path = f"/task/{self.task_id}/completeTask"
        return await self.client.ask("PUT", path, value={"lastChangedConfig": known})

    async def export(self) -> list[dict[str, object]]:
        return (await self.client.ask("GET", f"/export/{self.project.id}")).items

    async def create_value(self, entry: Mapping[str, object]) -> dict[str, object]:
        """Create an empty value of an entry."""
        body = {
            "iterationId": self.project.label_iteration_id,
            "mediaId": self.media_id,
            "labelTaskId": self.task_id,
            "lcEntryId": entry["id"],
        }
        return (await self.client.ask("POST", f"/lcValue/{entry['id']}", value=body)).fields

    async def change_value(self, value: Mapping[str, object], **members: object) -> Reply:
        body = {"id": value["id"], "lcEntryId": value["lcEntryId"], "labelTaskId": self.task_id}
        return await self.client.ask("PUT", f"/lcValue/{value['id']}", value={**body, **members})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    media = [SeedMedia("a.jpg", content=jpeg(5000), state="WAITING")]
    async with Server() as server, service(server) as client:
        (project,) = await server.seed(SeedProject("Street scenes", [SeedDataset("d", media)]))
        yield Bench(client, project)


async def test_from_configuration_to_export(bench: Bench) -> None:
    """Imported labels come out of the export as they went in, in whole pixels."""
    await bench.configure()
    nested = {"box": [{"rectangle": [{"x": 2, "y": 2, "w": 3, "h": 4}]}]}
    area = {
        "polygon": TRIANGLE,
        "classifications": {"kind": ["roof"]},
        "nested_geometries": nested,
    }
    reply = await bench.predict(
        global_classifications={"weather": ["sun", {"note": ["bright"]}]},
        labels={"spot": [{"point": [{"x": 3.7, "y": "4"}]}], "area": [area]},
    )
    assert reply.fields == {"errorMessages": ""}
    completed = await bench.complete()
    assert completed.fields == {"hasLabelConfigChanged": False, "currentTaskId": bench.task_id}
    classes, task = await bench.export()
    assert len(cast("list[object]", classes["label_classes"])) == 8
    assert task == {
        "internal_media_ID": bench.media_id,
        "external_media_ID": "a.jpg",
        "labeler": None,
        "status": "completed",
        "global_classifications": {"weather": ["sun", {"note": ["bright"]}]},
        "labels": {
            "spot": [{"point": [{"x": 3, "y": 4}], "classifications": {}, "nested_geometries": {}}],
            "area": [
                {
                    "polygon": TRIANGLE,
                    "classifications": {"kind": ["roof"]},
                    "nested_geometries": {
                        "box": [
                            {"rectangle": [{"x": 2, "y": 2, "w": 3, "h": 4}], "classifications": {}}
                        ]
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize(("keep", "points"), [([], 1), ([None, True], 3), ([None, False], 1)])
async def test_keep_data(bench: Bench, keep: list[bool | None], points: int) -> None:
    """An import adds to what is there, unless it says to replace it."""
    await bench.configure()
    spot = {"spot": [{"point": [{"x": 1, "y": 2}]}]}
    for flag in [None, *keep]:
        await bench.predict(labels=spot, **({} if flag is None else {"keepData": flag}))
    drawn = [value for value in await bench.values() if value["entryKeyLcEntry"] == "spot"]
    assert len(drawn) == points


async def test_the_old_service_calls_media_images() -> None:
    """In the legacy dialect an import names its media by the old field, and so does an export."""
    media = [SeedMedia("a.jpg", content=jpeg(5000), state="SKIPPED")]
    async with Server(dialect="legacy") as server, service(server) as client:
        (project,) = await server.seed(SeedProject("p", [SeedDataset("d", media)]))
        item = {"internal_image_ID": project.datasets[0].media_ids["a.jpg"]}
        reply = await client.ask("POST", f"/project/{project.id}/prediction", value=[item])
        assert reply.fields == {"errorMessages": ""}
        rows = (await client.ask("GET", f"/task/{project.id}/list?state=SKIPPED")).items
        assert [row["hasJsonUpload"] for row in rows] == [True]
        (_, task) = (await client.ask("GET", f"/export/{project.id}")).items
        assert task["internal_image_ID"] == item["internal_image_ID"]


async def test_an_import_is_all_or_nothing(bench: Bench) -> None:
    """One item that cannot be stored undoes those before it."""
    await bench.configure()
    good = {"internal_media_ID": bench.media_id, "labels": {"spot": [{"point": TRIANGLE[:1]}]}}
    items = [good, {"internal_media_ID": "nope"}]
    path = f"/project/{bench.project.id}/prediction"
    assert (await bench.client.ask("POST", path, value=items)).key == (
        "ex_gen_json_upload_not_found_task"
    )
    assert [value["entryTypeLcEntry"] for value in await bench.values()] == ["SELECT"]


async def test_a_schema_problem_is_said_with_200(bench: Bench) -> None:
    """A bad item is refused in a text, and nothing is stored."""
    await bench.configure()
    reply = await bench.predict(labels={"area": [{"polygon": TRIANGLE[:2]}]})
    assert reply.status == 200
    assert str(reply.fields["errorMessages"]).startswith("Schema validation failed with 1 error(s)")
    assert [value["entryTypeLcEntry"] for value in await bench.values()] == ["SELECT"]


async def test_completing_demands_required_answers(bench: Bench) -> None:
    """A task whose required question is open is not completed; the value is named."""
    await bench.configure()
    await bench.predict(labels={"area": [{"polygon": TRIANGLE}]})
    refused = await bench.complete()
    assert refused.key == "ex_gen_entry_value_validation"
    assert cast("list[str]", refused.fields["params"])[0] == "SELECT"
    assert (await bench.task())["labelTaskState"] == "WAITING"


async def test_a_stale_configuration_is_told(bench: Bench) -> None:
    """Completing with an older configuration does nothing but say so."""
    await bench.configure()
    path = f"/task/{bench.task_id}/completeTask"
    reply = await bench.client.ask("PUT", path, value={"lastChangedConfig": 1})
    assert reply.fields["hasLabelConfigChanged"] is True
    assert (await bench.task())["labelTaskState"] == "WAITING"


async def test_clearing_a_configuration_takes_the_labels(bench: Bench) -> None:
    """The values go with their entries, and a finished task is open again."""
    await bench.configure()
    await bench.predict(labels={"spot": [{"point": TRIANGLE[:1]}]})
    await bench.complete()
    path = f"/config/{bench.project.label_configuration_id}"
    assert (await bench.client.ask("DELETE", path)).fields == {
        "configId": bench.project.label_configuration_id
    }
    task = await bench.task()
    assert task["labelTaskState"] == "WAITING_CHANGED"
    assert cast("dict[str, object]", task["labelIteration"])["entryValues"] == []


async def test_a_value_is_drawn_and_removed(bench: Bench) -> None:
    """A value is created empty, takes what a PUT says, and goes with a DELETE."""
    entries = await bench.configure()
    value = await bench.create_value(entries[0])
    assert value["point"] == {"id": value["id"], "x": None, "y": None}
    changed = await bench.change_value(value, x=-5, y=2.5, zzz=1)
    assert changed.fields["point"] == {"id": value["id"], "x": -5.0, "y": 2.5}
    path = f"/lcValue/{value['id']}"
    assert (await bench.client.ask("DELETE", path)).status == 200
    assert (await bench.client.ask("DELETE", path)).status == 404


async def test_an_answer_cannot_be_removed(bench: Bench) -> None:
    """The value of a question stays as long as its question."""
    await bench.configure()
    (answer,) = await bench.values()
    refused = await bench.client.ask("DELETE", f"/lcValue/{answer['id']}")
    assert refused.key == "ex_gen_entry_value_delete"


@pytest.mark.parametrize(
    ("target", "key"),
    [
        (0, "ex_gen_entry_types_are_the_same"),
        (1, ""),
        (2, "ex_gen_entry_types_not_the_same"),
        (4, "ex_gen_entry_types_not_the_same"),
    ],
)
async def test_a_value_moves_to_an_entry_of_its_type(bench: Bench, target: int, key: str) -> None:
    """A drawing may become one of another entry that draws the same."""
    entries = await bench.configure()
    value = await bench.create_value(entries[0])
    path = f"/lcValue/{value['id']}/changeType"
    reply = await bench.client.ask("PUT", path, value={"newLcEntryId": entries[target]["id"]})
    assert reply.key == key
    if not key:
        assert reply.fields["entryKeyLcEntry"] == "other spot"


async def test_a_segmentation_as_a_bitmap(bench: Bench) -> None:
    """The bitmap is white where something was segmented, a hole in it excepted."""
    entries = await bench.configure()
    value = await bench.create_value(entries[2])
    rings = [_square(4, 16), _square(8, 12)]
    await bench.change_value(value, pointsCollection=[{"points": ring} for ring in rings])
    address = f"/export/bitmap/{bench.task_id}/seg"
    refused = await bench.client.ask("GET", address)
    assert refused.key == "ex_gen_wrong_label_task_state"
    await bench.complete()
    bitmap = await bench.client.ask("GET", address)
    assert bitmap.headers["Content-Type"] == "image/bmp"
    with Image.open(io.BytesIO(bitmap.body)) as image:
        assert image.mode == "L"
        assert [image.getpixel((n, n)) for n in (2, 6, 10, 14, 18)] == [0, 255, 0, 255, 0]
    (_, task) = await bench.export()
    (url,) = cast("list[str]", task["segmentations"])
    assert url == f"{bench.client.server.base_url}/api/v1{address}"
    missing = await bench.client.ask("GET", f"/export/bitmap/{bench.task_id}/nokey")
    assert missing.fields["params"] == ["lcEntry", "entry_key", "nokey"]


def _square(low: int, high: int) -> list[dict[str, int]]:
    corners = ((low, low), (high, low), (high, high), (low, high))
    return [{"x": x, "y": y} for x, y in corners]


async def test_skipping(bench: Bench) -> None:
    """A skipped task is exported as such, with no more than what is there."""
    assert (await bench.client.ask("PUT", f"/task/{bench.task_id}/skipTask")).body == b""
    (_, task) = await bench.export()
    assert (task["status"], task["labels"], task["global_classifications"]) == ("skipped", {}, {})


async def test_the_plan_limits_labels(bench: Bench) -> None:
    """When the plan's labels are used up, completing and skipping are 402."""
    bench.client.server.set_plan(Plan(label_limit=1))
    path = f"/task/{bench.task_id}/skipTask"
    assert (await bench.client.ask("PUT", path)).status == 200
    refused = await bench.client.ask("PUT", path)
    assert (refused.status, refused.fields["params"]) == (402, ["Label", "2", "1"])


async def test_the_first_export_makes_all_json_pretty(bench: Bench) -> None:
    """JSON is compact until the first export, and pretty from then on."""
    assert b"\n" not in (await bench.client.ask("GET", "/project")).body
    await bench.export()
    assert b"\n" in (await bench.client.ask("GET", "/project")).body


async def test_videos() -> None:
    """A video's task is shown with its address and exported by a link to its keyframes."""
    media = [SeedMedia("v.mp4", video=SeedVideo(), state="COMPLETED")]
    seed = SeedProject("Videos", [SeedDataset("d", media, "VIDEO")], media_type="VIDEO")
    async with Server() as server, service(server) as client:
        (project,) = await server.seed(seed)
        task_id = project.task_ids["v.mp4"]
        (_, task) = (await client.ask("GET", f"/export/{project.id}")).items
        assert task["task_export_url"] == f"{server.base_url}/api/v1/exportVideoTask/{task_id}/"
        assert (task["video_width"], task["video_frame_rate"]) == ("640", "25/1")
        frames = await client.ask("GET", f"/exportVideoTask/{task_id}/")
        assert frames.fields == {"frames": {}, "object": {}}
        shown = (await client.ask("GET", f"/task/{task_id}")).fields
        assert shown["projectType"] == "VIDEO"
