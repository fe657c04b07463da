"""A library without a service: media that are made up, each download as fast as a seed says."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from typing import TypeVar
from uuid import UUID

import attrs

from datagym_async.data._listing import Library
from datagym_async.labels import LabeledTask
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType, Project, ProjectDataset
from tests.helpers.parts import parts_of

T = TypeVar("T")
DATASET = "d"
PROJECT = "p"


def media_id(number: int) -> str:
    """Return the id of the n-th media; their order is that of the numbers."""
    return str(UUID(int=number))


@attrs.define
class FakeLibrary:
    """All parts of a client at once.

    Args:
        count: How many media the dataset has.
        size: Bytes of each.
        seed: Of the time that downloads take.
        errors: What the downloads of some media raise, by number.
        tasks: What the export has.
        source_type: Where the media lie.
    """

    count: int
    size: int = 8
    seed: int = 0
    errors: dict[int, Exception] = attrs.field(factory=dict)
    tasks: Sequence[LabeledTask] = ()
    source_type: MediaSourceType = MediaSourceType.LOCAL
    asked: list[int] = attrs.field(factory=list)
    in_flight: int = 0
    peak: int = 0
    pins: list[int] = attrs.field(factory=list)

    @property
    def library(self) -> Library:
        """Return what a loader takes."""
        return Library(_Media(self), _Datasets(self), _Projects(self), _Labels(self), _Lane(self))

    def media(self) -> tuple[DatasetMedia, ...]:
        """Return the media in an order that changes from call to call, as the service does."""
        media = [
            DatasetMedia(media_id(number), 0, self.source_type, f"{number}.jpg")
            for number in range(self.count)
        ]
        self.seed += 1
        random.Random(self.seed).shuffle(media)
        return tuple(media)


@attrs.frozen
class _Media:
    world: FakeLibrary

    async def download(self, media_id: str, *, link: bool = False, max_bytes: int = 0) -> bytes:
        del link, max_bytes
        number, world = UUID(media_id).int, self.world
        world.asked.append(number)
        world.in_flight += 1
        world.peak = max(world.peak, world.in_flight)
        try:
            for _ in range(random.Random(world.seed + number).randrange(6)):
                await asyncio.sleep(0)
        finally:
            world.in_flight -= 1
        if number in world.errors:
            raise world.errors[number]
        return number.to_bytes(world.size, "big")


@attrs.frozen
class _Datasets:
    world: FakeLibrary

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        found = Dataset(str(dataset_id), "Photos", 0, media=self.world.media())
        async with aclosing(parts_of(found, size=1000)) as parts:
            return await reading(parts)


@attrs.frozen
class _Projects:
    world: FakeLibrary

    async def list(self) -> list[Project]:
        attached = ProjectDataset(DATASET, "Photos", 0)
        return [Project(PROJECT, "Street scenes", 0, "c", "i", datasets=(attached,))]


@attrs.frozen
class _Labels:
    world: FakeLibrary

    async def iter_export(self, project_id: str) -> AsyncGenerator[LabeledTask, None]:
        del project_id
        for task in self.world.tasks:
            await asyncio.sleep(0)
            yield task


@attrs.frozen
class _Lane:
    world: FakeLibrary

    @property
    def most(self) -> int:
        return 16

    @contextlib.contextmanager
    def pin(self, places: int) -> Iterator[None]:
        self.world.pins.append(places)
        yield
        self.world.pins.remove(places)
