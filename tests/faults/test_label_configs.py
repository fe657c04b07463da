"""A label configuration is replaced while the service fails, or the caller gives up.

Whatever happens, the project has the old or the new configuration afterwards, and labels that are
gone from the service are on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import orjson
import pytest

from datagym_async import DataGymClient, RetryPolicy
from datagym_async.exceptions import APIError, LabelConfigError, RequestRefusedError
from datagym_async.labels import LabelConfig, diff
from datagym_async.server import (
    SeedDataset,
    SeededProject,
    SeedMedia,
    SeedProject,
    SeedVideo,
    Server,
)
from datagym_async.testing import (
    CommitThenDrop,
    Drop,
    DropMidBody,
    FaultPlan,
    Hang,
    Html,
    ServiceError,
    Status,
    Truncate,
    WrongShape,
)
from tests.helpers.cancelling import cancelled_at
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from datagym_async.models import ConfigBackup
    from datagym_async.testing import Action

PHOTO = jpeg(2000)
QUICK = RetryPolicy(max_retries=2, initial_delay=0.001, max_delay=0.002, settle_after=0.01)
CONFIG = "/config/"
ALWAYS = 1000


def old() -> LabelConfig:
    config = LabelConfig()
    config.add_rectangle("car", "Car").add_select("kind", "Kind", {"bus": "Bus", "van": "Van"})
    return config


def new() -> LabelConfig:
    config = LabelConfig()
    config.add_rectangle("car", "Car")
    config.add_freetext("remark", "Remark")
    return config


@attrs.define
class Held:
    """Hold a request before the service sees it, until its sender leaves."""

    reached: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.reached.set()
        return await Hang().apply(request, handler)


@attrs.frozen
class World:
    server: Server
    client: DataGymClient
    project: SeededProject
    plan: FaultPlan
    folder: Path

    @property
    def config_id(self) -> str:
        return self.project.label_configuration_id

    async def replace(self) -> None:
        await self.client.label_configs.upload(
            self.config_id, new(), replace=True, backup=self.folder
        )

    async def present(self) -> LabelConfig:
        """What the project has once the service works again."""
        self.plan.clear()
        view = await self.client.label_configs.read(self.project.id)
        assert view is not None
        return LabelConfig.from_entries(view)

    async def labels(self) -> int:
        """How many labels the service has."""
        stakes = await self.client.label_configs.at_stake(self.project.id)
        return stakes.labels

    def saved(self) -> list[Path]:
        """The backups on the disk."""
        return sorted(self.folder.iterdir())

    async def check(self) -> None:
        """Make sure that nothing is lost."""
        present = await self.present()
        assert present in (old(), new()), diff(old(), present)
        if await self.labels() == 0 or present == new():
            (backup,) = self.saved()
            assert labels_in(backup) == 1
            assert LabelConfig.from_json((backup / "label-config.json").read_bytes()) == old()
        assert list(self.folder.rglob("*.part")) == []


def labels_in(backup: Path) -> int:
    """How many boxes the saved export has."""
    items = orjson.loads((backup / "labels.json").read_bytes())
    return sum(len(item.get("labels", {}).get("car", ())) for item in items)


@contextlib.asynccontextmanager
async def labelled(folder: Path) -> AsyncIterator[World]:
    """A project of two images with a label each, one of them completed."""
    plan = FaultPlan()
    images = (SeedMedia("a.jpg", content=PHOTO), SeedMedia("b.jpg", content=PHOTO))
    async with Server(token=TOKEN, middlewares=[plan.middleware]) as server:
        (project,) = await server.seed(
            SeedProject("Streets / day", datasets=(SeedDataset("Day", media=images),))
        )
        async with DataGymClient(TOKEN, server.base_url, retry=QUICK, rate_limit=None) as client:
            world = World(server, client, project, plan, folder)
            await client.label_configs.upload(world.config_id, old())
            box = [{"rectangle": [{"x": 1, "y": 2, "w": 3, "h": 4}]}]
            ids = project.datasets[0].media_ids.values()
            await client.labels.import_predictions(
                project.id,
                [{"internal_media_ID": each, "labels": {"car": box}} for each in ids],
                keep_data=False,
            )
            task = project.task_ids["a.jpg"]
            changed = (await client.tasks.get(task)).last_changed_config
            await client.tasks.complete(task, last_changed_config=changed)
            plan.requests.clear()
            yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    folder = tmp_path / "backups"
    folder.mkdir()
    async with labelled(folder) as here:
        yield here


async def test_without_a_fault_the_new_one_is_stored(world: World) -> None:
    """The old configuration, the finished labels and the begun tasks are saved before."""
    await world.replace()
    assert await world.present() == new()
    (backup,) = world.saved()
    assert backup.name.startswith("Streets-day-")
    assert labels_in(backup) == 1
    (begun,) = (backup / "unfinished-tasks.jsonl").read_bytes().splitlines()
    assert orjson.loads(begun)["media"]["mediaName"] == "b.jpg"


async def test_the_caller_is_told_of_the_backup(world: World) -> None:
    """Before anything is cleared, with each file; and it can be made alone."""
    told: list[tuple[ConfigBackup, int]] = []

    def note(backup: ConfigBackup) -> None:
        told.append((backup, world.plan.count("DELETE")))

    await world.client.label_configs.upload(
        world.config_id, new(), replace=True, backup=world.folder, on_backup=note
    )
    ((backup, cleared),) = told
    assert (cleared, backup.folder.parent) == (0, world.folder)
    assert all(each.is_file() for each in (backup.config, backup.labels, backup.unfinished))
    alone = await world.client.label_configs.backup(world.project.id, world.folder)
    assert (alone.folder != backup.folder, labels_in(alone.folder)) == (True, 0)


async def test_what_was_stored_once_is_restored(world: World) -> None:
    """Restoring breaks rules where the service does: a key `line`, a segmentation that nests."""
    odd = LabelConfig()
    odd.add_image_segmentation("seg", "Segments").add_freetext("text", "Text", 9)
    odd.add_line("line", "Line")
    assert len(odd.problems()) == 2
    file = world.folder.parent / "odd.json"
    file.write_text(odd.to_json())
    await world.client.label_configs.restore(world.config_id, file, backup=world.folder)
    assert await world.present() == odd


async def test_videos_are_saved_one_by_one(world: World, tmp_path: Path) -> None:
    """An export of a video project holds no labels; each video has its own."""
    clip = SeedMedia("a.mp4", content=b"a clip", video=SeedVideo())
    dataset = SeedDataset("Clips", media=(clip,), media_type="VIDEO")
    (project,) = await world.server.seed(
        SeedProject("Films", datasets=(dataset,), media_type="VIDEO")
    )
    await world.client.label_configs.upload(project.label_configuration_id, old())
    saved = await world.client.label_configs.backup(project.id, tmp_path)
    (labels,) = saved.videos
    assert set(orjson.loads(labels.read_bytes())) == {"frames", "object"}


async def test_nothing_is_sent_where_nothing_differs(world: World) -> None:
    """The same configuration in another order keeps labels, and makes no backup."""
    same = LabelConfig.from_payload(old().to_payload()[::-1])
    await world.client.label_configs.upload(world.config_id, same, replace=True)
    assert world.plan.count("DELETE") + world.plan.count("PUT") == 0
    assert (await world.labels(), world.saved()) == (1, [])


async def test_a_wrong_configuration_is_not_sent(world: World) -> None:
    """All rules are looked at before anything is asked."""
    wrong = LabelConfig()
    wrong.add_select("line", "L.", {})
    with pytest.raises(LabelConfigError) as caught:
        await world.client.label_configs.upload(world.config_id, wrong, replace=True)
    assert (len(caught.value.problems), len(world.plan.requests)) == (3, 0)


@pytest.mark.parametrize(
    ("action", "method", "first"),
    [
        (ServiceError(500, "ex_gen_config_depth"), "PUT", 1),
        (ServiceError(500, "ex_system"), "PUT", 2),
        (ServiceError(404, "ex_notfound"), "PUT", 1),
        (Status(502), "PUT", 3),
        (Drop(), "PUT", 6),
        (Html(200), "PUT", 1),
        (CommitThenDrop(), "DELETE", 6),
    ],
    ids=["refused", "broken", "unknown", "proxy", "dropped", "page", "cleared"],
)
async def test_the_old_one_is_put_back(
    world: World, action: Action, method: str, first: int
) -> None:
    """It was cleared, the new one did not come: the old one is back, and the labels are named."""
    world.plan.add(action, method=method, path=CONFIG, first=first)
    with pytest.raises(LabelConfigError, match="The old one is in place") as caught:
        await world.replace()
    assert (caught.value.left, [caught.value.backup]) == ("old", world.saved())
    assert isinstance(caught.value.__cause__, APIError)
    assert await world.present() == old()
    await world.check()


@pytest.mark.parametrize(
    "action", [ServiceError(500, "ex_system"), Drop(), Status(403)], ids=["500", "drop", "403"]
)
async def test_what_was_not_cleared_is_untouched(world: World, action: Action) -> None:
    """The clearing failed: the labels are still at the service, and the text says so."""
    world.plan.add(action, method="DELETE", path=CONFIG)
    with pytest.raises(LabelConfigError, match="all labels are unchanged") as caught:
        await world.replace()
    assert (caught.value.left, caught.value.backup) == ("old", None)
    assert await world.present() == old()
    assert await world.labels() == 1


@attrs.define
class Meanwhile:
    """Let something else happen at the service, and refuse the request."""

    what: Callable[[], Awaitable[object]]

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await self.what()
        return await Status(400).apply(request, handler)


async def test_what_is_neither_the_old_nor_the_new_one_is_replaced(world: World) -> None:
    """As entries are that were stored twice: they are cleared, and the old one is put back."""
    third = LabelConfig()
    third.add_point("spot", "Spot")

    async def store() -> None:
        async with DataGymClient(TOKEN, world.server.base_url, retry=QUICK) as other:
            await other.label_configs.upload(world.config_id, third)

    world.plan.add(Meanwhile(store), method="PUT", path=CONFIG, first=1)
    with pytest.raises(LabelConfigError, match="The old one is in place") as caught:
        await world.replace()
    assert (caught.value.left, [caught.value.backup]) == ("old", world.saved())
    assert world.plan.count("DELETE", CONFIG) == 2
    await world.check()


async def test_the_old_one_is_put_back_unseen(world: World) -> None:
    """Without a task, nothing shows what the project has: it is cleared and filled all the same."""
    ids = world.project.id, world.project.datasets[0].id

    async def remove() -> None:
        await world.client.projects.remove_dataset(*ids)

    world.plan.add(Meanwhile(remove), method="PUT", path=CONFIG, first=1)
    with pytest.raises(LabelConfigError, match="The old one is in place") as caught:
        await world.replace()
    assert (caught.value.left, [caught.value.backup]) == ("old", world.saved())
    await world.client.projects.add_dataset(*ids)
    await world.check()


async def test_a_project_without_a_task_has_nothing_to_put_back(tmp_path: Path) -> None:
    """There is nothing to save, and if the new one does not come, nobody knows what there is."""
    async with labelled(tmp_path) as world:
        (project,) = await world.server.seed(SeedProject("Empty"))
        configs, config_id = world.client.label_configs, project.label_configuration_id
        with pytest.raises(LabelConfigError, match="so there is nothing to save"):
            await configs.backup(project.id, tmp_path)
        world.plan.add(ServiceError(500, "ex_gen_config_depth"), method="PUT", path=CONFIG)
        with pytest.raises(RequestRefusedError, match="nest"):
            await configs.upload(config_id, new(), replace=True, backup=tmp_path)
        assert world.plan.count("DELETE", CONFIG) == 0
        with pytest.raises(LabelConfigError, match=r"It is not known.* saved before") as caught:
            await configs.upload(config_id, new(), replace=True, backup=None)
        assert (caught.value.left, caught.value.backup, world.saved()) == ("unknown", None, [])


@pytest.mark.parametrize("times", [1, 2, 6, 7])
async def test_a_lost_answer_loses_nothing(world: World, times: int) -> None:
    """The service stored it each time, and the answer never came."""
    world.plan.add(CommitThenDrop(), method="PUT", path=CONFIG, first=times)
    with contextlib.suppress(LabelConfigError):
        await world.replace()
    await world.check()


@pytest.mark.parametrize(
    "action",
    [ServiceError(500, "ex_system"), Truncate(), DropMidBody(), WrongShape(), Html(200)],
    ids=["500", "truncated", "dropped", "shape", "page"],
)
async def test_without_a_backup_nothing_is_cleared(world: World, action: Action) -> None:
    """Labels that cannot be saved are not destroyed, and half a backup is none."""
    world.plan.add(action, method="GET", path="/export/")
    with pytest.raises(APIError):
        await world.replace()
    assert (world.plan.count("DELETE"), world.saved()) == (0, [])
    assert await world.present() == old()
    assert await world.labels() == 1


async def test_a_folder_that_cannot_be_written_to(world: World) -> None:
    """A disk that takes no backup clears nothing."""
    (world.folder / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        await world.client.label_configs.upload(
            world.config_id, new(), replace=True, backup=world.folder / "file"
        )
    assert world.plan.count("DELETE") == 0


async def test_a_service_that_stays_away(world: World) -> None:
    """It was cleared and nobody answers any more: the text names both files."""
    world.plan.add(Drop(), method="PUT")
    with pytest.raises(LabelConfigError, match="It is not known") as caught:
        await world.replace()
    assert caught.value.left == "unknown"
    (backup,) = world.saved()
    assert str(backup / "label-config.json") in str(caught.value)

    world.plan.clear()
    await world.client.label_configs.restore(world.config_id, backup, backup=world.folder)
    assert await world.present() == old()


@attrs.define
class Late:
    """Carry a request out a while after it came, whoever still waits for the answer."""

    reached: asyncio.Event = attrs.field(factory=asyncio.Event)
    may: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.reached.set()
        await self.may.wait()
        return await handler(request)


@pytest.mark.parametrize(("method", "expected"), [("DELETE", old()), ("PUT", new())])
async def test_cancelled_while_the_service_is_at_work(
    world: World, method: str, expected: LabelConfig
) -> None:
    """What is on its way is carried out all the same: it is waited for before anybody looks."""
    late = Late()
    world.plan.add(late, method=method, path=CONFIG, first=1)
    replacing = asyncio.create_task(world.replace())
    await late.reached.wait()
    replacing.cancel()
    await asyncio.wait([replacing], timeout=0.1)  # much longer than lost requests are waited for
    assert not replacing.done()
    late.may.set()
    with pytest.raises(asyncio.CancelledError):
        await replacing
    assert await world.present() == expected
    await world.check()


async def test_a_cancelled_replacement_says_where_the_labels_are(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled between the two calls, it is cancelled, and the old configuration is back."""
    monkeypatch.setattr("datagym_async.resources._label_configs.ANSWER", 0.02)
    held = Held()
    world.plan.add(held, method="PUT", path=CONFIG, first=1)
    replacing = asyncio.create_task(world.replace())
    await held.reached.wait()
    replacing.cancel()
    await asyncio.sleep(0)
    replacing.cancel()  # by somebody in a hurry
    with pytest.raises(asyncio.CancelledError):
        await replacing
    await world.check()
    (backup,) = world.saved()
    assert str(backup / "labels.json") in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True], ids=["well", "lost"])
@pytest.mark.uncounted
async def test_cancelled_at_any_await(lost: bool) -> None:
    """Wherever it is cancelled, the project has the old or the new one; nothing is left running."""
    reached, at = True, 0
    while reached:
        at += 1
        with tempfile.TemporaryDirectory() as folder:
            async with labelled(Path(folder)) as world:
                if lost:
                    world.plan.add(CommitThenDrop(), method="PUT", path=CONFIG, first=1)
                reached = await cancelled_at(world.replace(), at)
                await world.check()
    assert at > 25
