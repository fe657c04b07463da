"""Every block of Python in README and docs runs as it stands, against the embedded server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from datagym_async import DataGymClient
from datagym_async.labels import Annotation, LabelConfig, Rectangle
from datagym_async.server import (
    SeedDataset,
    SeededProject,
    SeedKeyframe,
    SeedMedia,
    SeedProject,
    SeedVideo,
    SeedVideoObject,
)
from tests.helpers.fresh_project import run_tests
from tests.helpers.pages import GIVEN, PAGES, ROOT, as_module, blocks
from tests.helpers.photos import jpeg, png
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

if TYPE_CHECKING:
    from blockbuster import BlockBuster

    from tests.helpers.pages import Block

WITH_PYTHON = [page for page in PAGES if blocks(page)]
A_JPG = jpeg(5000, seed=ord("a"))
PROGRAMS = [block for page in PAGES for block in blocks(page) if block.is_program]
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
    "categories": [{"id": 1, "name": "car"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 12], "iscrowd": 0}
    ],
}
CAPTIONS = {"images": COCO["images"], "annotations": [{"id": 1, "image_id": 1, "caption": "A car"}]}


@attrs.frozen
class Reader:
    """Who reads a page with a service of their own at hand."""

    thread: ServerThread
    project: SeededProject

    @property
    def ids(self) -> dict[str, str]:
        """Return the ids that blocks may name."""
        dataset = self.project.datasets[0]
        return {
            "dataset_id": dataset.id,
            "project_id": self.project.id,
            "media_id": dataset.media_ids["a.jpg"],
            "task_id": self.project.task_ids["a.jpg"],
        }


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Have a project with images and a video, the settings for it, and a folder with photos."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("photos", "more", "incoming"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.png").write_bytes(png(3000, seed=len(folder)))
    (tmp_path / "photos" / "b.jpg").write_bytes(jpeg(5000, seed=7))
    (tmp_path / "a.jpg").write_bytes(jpeg(5000))
    (tmp_path / "list.csv").write_text("path\nphotos/b.jpg\n")
    (tmp_path / "instances_train.json").write_text(json.dumps(COCO))
    (tmp_path / "captions_train.json").write_text(json.dumps(CAPTIONS))
    media = [SeedMedia(f"{name}.jpg", jpeg(5000, seed=ord(name))) for name in "abc"]
    seeds = [
        SeedProject("Street scenes", datasets=(SeedDataset("Photos", media=media),)),
        SeedProject("From COCO", datasets=(SeedDataset("COCO", media=media[:1]),)),
        SeedProject(
            "Street videos",
            datasets=(
                SeedDataset(
                    "Clips",
                    media=[SeedMedia("clip.mp4", video=SeedVideo())],
                    media_type="VIDEO",
                ),
            ),
            media_type="VIDEO",
        ),
    ]
    with ServerThread(token=TOKEN) as thread:
        project, _, videos = thread.call(thread.server.seed(*seeds))
        monkeypatch.setenv("DATAGYM_TOKEN", TOKEN)
        monkeypatch.setenv("DATAGYM_BASE_URL", thread.base_url)
        thread.call(_labelled(thread, project, videos))
        yield Reader(thread, project)


async def _labelled(thread: ServerThread, project: SeededProject, videos: SeededProject) -> None:
    config = LabelConfig()
    config.add_rectangle("car", "Car")
    async with DataGymClient(TOKEN, thread.base_url) as client:
        for each in (project, videos):
            await client.label_configs.upload(each.label_configuration_id, config)
        car_of_a = Annotation("car", Rectangle(1, 2, 30, 40))
        await client.values.write(project.task_ids["a.jpg"], [car_of_a])
    keyframes = [SeedKeyframe(0, (1, 2, 30, 40), "START"), SeedKeyframe(200, type="END")]
    car = SeedVideoObject("car", keyframes)
    await thread.server.add_video_objects(videos.task_ids["clip.mp4"], car)
    for task_id in (videos.task_ids["clip.mp4"], project.task_ids["a.jpg"]):
        await thread.server.set_task_state(task_id, "COMPLETED")


@attrs.frozen
class Worker:
    """What torch tells a worker process of itself."""

    id: int
    num_workers: int


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a little of torch where it would be: workers one after the other, in this process."""
    current: list[Worker] = []

    class IterableDataset:
        def __class_getitem__(cls, _: object) -> type:
            return cls

    @attrs.frozen
    class DataLoader:
        dataset: Iterable[object]
        num_workers: int
        collate_fn: Callable[[object], object]
        batch_size: int | None
        persistent_workers: bool

        def __iter__(self) -> Iterator[object]:
            for number in range(self.num_workers):
                worker = object.__new__(type(self.dataset))
                vars(worker).update(vars(self.dataset))
                current[:] = [Worker(number, self.num_workers)]
                values = iter(worker)
                while (value := next(values, None)) is not None:
                    current.clear()  # the consumer is in the main process
                    yield self.collate_fn(value)
                    current[:] = [Worker(number, self.num_workers)]
            current.clear()

    data = types.ModuleType("torch.utils.data")
    vars(data).update(
        IterableDataset=IterableDataset,
        get_worker_info=lambda: current[0] if current else None,
        DataLoader=DataLoader,
        default_collate=lambda batch: tuple(zip(*batch, strict=True)),
    )
    utils, whole = types.ModuleType("torch.utils"), types.ModuleType("torch")
    vars(utils)["data"], vars(whole)["utils"] = data, utils
    vars(whole)["from_numpy"] = lambda array: array
    for module in (whole, utils, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield
    sys.modules.pop("datagym_async.data.torch", None)


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
async def test_the_blocks_of_a_page_run(
    page: Path, reader: Reader, no_blocking_calls: BlockBuster, tmp_path: Path
) -> None:
    """From top to bottom, with a client and ids given, no block raises; tests are run as tests."""
    # Relative paths count from the working folder; asking for it waits for nothing.
    no_blocking_calls.functions["os.getcwd"].deactivate()
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        if block.is_program:
            continue
        if block.is_tests:
            ran = await asyncio.to_thread(run_tests, tmp_path / "fresh", block.text)
            assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
            continue
        async with DataGymClient() as client:
            names |= reader.ids | {"client": client}
            await block.run(names)


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.name)
async def test_a_program_runs(block: Block) -> None:
    """A block that starts an event loop ends well as a program, and complains of nothing."""
    if "opentelemetry" in block.text:
        pytest.importorskip("opentelemetry.instrumentation.aiohttp_client")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", block.text),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")


@pytest.mark.slow
async def test_the_services_of_the_guide_hand_out_an_image(reader: Reader) -> None:
    """What the guide only defines, for aiohttp and for FastAPI, answers a visitor."""
    guide = [each for each in blocks(ROOT / "docs" / "guide.md") if "def hand_out" in each.text]
    names: dict[str, object] = {}
    path = f"/images/{reader.ids['media_id']}"
    async with DataGymClient() as client:
        names["client"] = client
        for block in guide:
            await block.run(names)

        application = web.Application()
        application.add_routes(cast("list[web.RouteDef]", names["routes"]))
        async with TestClient(TestServer(application)) as visitor, visitor.get(path) as answer:
            assert (answer.status, await answer.read()) == (200, A_JPG)

        sent: list[dict[str, Any]] = []

        async def receive() -> None:
            await asyncio.Event().wait()  # a visitor without a body, who stays

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asgi = {"version": "3.0", "spec_version": "2.4"}
        scope = {
            "asgi": asgi,
            "query_string": b"",
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [],
        }
        await cast("Any", names["app"])(scope, receive, send)
        assert sent[0]["status"] == 200
        assert b"".join(each["body"] for each in sent[1:]) == A_JPG


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_no_name_comes_from_nowhere(page: Path) -> None:
    """What a block uses is defined on its page or one of the few names given, in functions too."""
    known = f"builtins = {sorted(GIVEN)}"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821", "--quiet"),
            *("--config", known, "--output-format=concise", "--stdin-filename", f"{page}.py", "-"),
        ],
        input=as_module(page),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_collector_misses_no_block() -> None:
    """Each line that begins a fence of Python begins a block, whatever it is indented by."""
    begun = {
        (page, number + 1)
        for page in PAGES
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        if line.lstrip(" >").lower().startswith(("```py", "~~~py"))
    }
    assert begun == {(page, block.line) for page in PAGES for block in blocks(page)}


def test_readme_and_guide_say_which_names_are_given() -> None:
    """A reader is told what blocks take for granted."""
    for name in ("README.md", "docs/guide.md"):
        paragraphs = (ROOT / name).read_text(encoding="utf-8").split("\n\n")
        told = [" ".join(each.split()) for each in paragraphs]
        (sentence,) = [each for each in told if "as in a notebook" in each]
        assert {each for each in GIVEN if f"`{each}`" in sentence} == GIVEN
