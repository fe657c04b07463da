"""Files of predictions, read piece by piece."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from datagym_async.exceptions import DataGymError
from datagym_async.formats import FormatError, LossKind, PredictionFile
from datagym_async.labels import LabeledImage
from tests.helpers.examples import example

ITEMS = [{"internal_media_ID": f"m{n}", "labels": {"k": [{"text": "ü" * 200}]}} for n in range(700)]
COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}


async def read(file: PredictionFile) -> list[Any]:
    return [each async for each in file]


ARRAY = json.dumps(ITEMS).encode()
LINES = b"\n\n".join(json.dumps(each).encode() for each in ITEMS)
FILES: dict[str, tuple[str, bytes, str]] = {
    "array": ("a.json", ARRAY, "json"),
    "indented": ("a.json", json.dumps(ITEMS, indent=2).encode(), "json"),
    "with a mark": ("a.json", b"\xef\xbb\xbf \n" + ARRAY, "json"),
    "in another encoding": ("a.json", json.dumps(ITEMS).encode("utf-16"), "json"),
    "lines with a mark": ("a.jsonl", b"\xef\xbb\xbf" + LINES, "jsonl"),
    "lines": ("a.jsonl", LINES, "jsonl"),
    "other suffix": ("a.ndjson", LINES + b"\n", "jsonl"),
}


@pytest.mark.parametrize(("name", "data", "expected"), FILES.values(), ids=FILES)
async def test_all_items_are_given(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    """Whatever the file looks like, its items come in order, and a second time, too."""
    path = tmp_path / name
    path.write_bytes(data)
    file = PredictionFile(path)
    assert await asyncio.to_thread(getattr, file, "found_format") is expected
    assert await read(file) == ITEMS
    assert await read(file) == ITEMS


async def test_an_overview_of_classes_is_no_prediction(tmp_path: Path) -> None:
    """It is the first element of an export, and holds no labels."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"label_classes": []}, ITEMS[0]]))
    assert await read(PredictionFile(path)) == ITEMS[:1]


async def test_tasks_as_the_service_shows_them(tmp_path: Path) -> None:
    """A backup holds unfinished tasks like this; they can be imported again."""
    path = tmp_path / "unfinished-tasks.jsonl"
    path.write_text(json.dumps(example("13_tasks", "detail")))
    (image,) = await read(PredictionFile(path))
    assert isinstance(image, LabeledImage)
    assert image.media_id == example("13_tasks", "detail", "media", "id")
    assert image.annotations


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("unannotated", "count"), [(False, 0), (True, 1)])
async def test_coco_images_without_labels(
    tmp_path: Path, unannotated: bool, count: int, mark: str
) -> None:
    """They are given on request alone, with and without a byte order mark."""
    path = tmp_path / "coco.json"
    path.write_text(mark + json.dumps(COCO))
    found = await read(PredictionFile(path, unannotated=unannotated))
    assert [type(each) for each in found] == [LabeledImage] * count


async def test_losses_are_counted_once(tmp_path: Path) -> None:
    """However often it is read; the first reading also tells what a configuration has lost."""
    path = tmp_path / "coco.json"
    names = [{"id": number, "name": name} for number, name in enumerate(("Car", "car", "кошка"))]
    broken = [{"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 2, -3, 4]}]
    path.write_text(json.dumps({**COCO, "annotations": broken, "categories": names}))
    file = PredictionFile(path, in_shares=True)
    of_names = {LossKind.COLLISION: 1, LossKind.SPELLED: 1}
    for _ in range(2):
        file.config = await asyncio.to_thread(file.label_config)
        assert await asyncio.to_thread(file.label_config) == file.config
        for others in (of_names, {}):
            await read(file)
            found = {each.kind: each.count for each in file.losses.items}
            assert found == {LossKind.BROKEN: 1, **others}


BROKEN: dict[str, tuple[bytes, str | None, str]] = {
    "cut short": (json.dumps(ITEMS).encode()[:-9], None, "not JSON"),
    "object": (b'{"a": 1}', "json", "no JSON array"),
    "empty": (b"", None, "is empty"),
    "a line": (b"{}\n\n{", "jsonl", "line 3"),
    "one item": (b'{"internal_media_ID": "M"}', None, "array of items"),
    "no task": (b'{"labelIteration": 5}', "jsonl", "task"),
}


@pytest.mark.parametrize(("data", "kind", "words"), BROKEN.values(), ids=BROKEN)
async def test_broken_files(tmp_path: Path, data: bytes, kind: Any, words: str) -> None:
    """The file is named, and what is wrong with it."""
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=words) as caught:
        await read(PredictionFile(path, format=kind))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("document", "split", "words"),
    [
        (ITEMS, "train", "without parts; leave out split"),
        (ITEMS, "", "without parts; leave out split"),
        (COCO, "train", "has no parts; leave out split"),
        (COCO, "", "split is empty"),
    ],
)
async def test_a_part_that_a_file_cannot_have(
    tmp_path: Path, document: Any, split: str, words: str
) -> None:
    """It is refused, also an empty name, where all labels would be read instead."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=words):
        await read(PredictionFile(path, split=split))


async def test_scores_that_a_file_cannot_have(tmp_path: Path) -> None:
    """A least one is refused, where all labels would be read."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ITEMS))
    with pytest.raises(FormatError, match="without scores; leave out min_score"):
        await read(PredictionFile(path, min_score=0.5))


@pytest.mark.parametrize("name", ["p.jsonl", "p.json"])
async def test_a_pipe_is_refused(tmp_path: Path, name: str) -> None:
    """A file is read twice, first for its format; a pipe can be read once."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataGymError, match=f"{name} is a pipe, and only regular files are read"):
        await read(PredictionFile(tmp_path / name))


async def test_left_early_it_is_closed(tmp_path: Path) -> None:
    """Nothing stays open: an open file would be a warning, and so an error, here."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ITEMS))
    async with aclosing(aiter(PredictionFile(path))) as items:
        assert await anext(items) == ITEMS[0]


class Reading:
    """Items that a thread waits for, and that nobody else may close meanwhile."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.was_closed_while_read = self.is_read = False

    def __iter__(self) -> Reading:
        return self

    def __next__(self) -> object:
        self.is_read = True
        self.has_begun.set()
        self.may_end.wait(30)
        self.is_read = False
        raise StopIteration

    def close(self) -> None:
        self.was_closed_while_read |= self.is_read


async def test_cancelled_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation gets through, whatever the thread is doing, and leaves the generator to it."""
    reading = Reading()
    monkeypatch.setattr(PredictionFile, "_items", lambda _: reading)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(read(PredictionFile("a.json")))
        await asyncio.to_thread(reading.has_begun.wait)
        task.cancel()
    assert task.cancelled()
    assert reading.is_read
    assert not reading.was_closed_while_read
    reading.may_end.set()
