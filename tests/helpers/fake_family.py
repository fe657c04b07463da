"""An organisation in memory: datasets that can be created, and projects to attach them to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

import attrs

from datagym_async.exceptions import AlreadyExistsError, DataGymError, NotFoundError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType, Project, ProjectDataset
from tests.helpers.parts import parts_of

T = TypeVar("T")

PROJECT_ID = "aaaa0000-0000-4000-8000-000000000001"

Datasets = list[Dataset]
Names = list[str]


@attrs.define
class FakeFamily:
    """Be the datasets and the projects that a target needs, and remember what it did.

    Args:
        refusal: Raised by the next creations.
        taken: Names that are refused and not listed: those of deleted datasets.
    """

    refusal: DataGymError | None = None
    taken: set[str] = attrs.Factory(set)
    datasets: Datasets = attrs.Factory(Datasets)
    created: Names = attrs.Factory(Names)
    attached: dict[str, Names] = attrs.Factory(lambda: defaultdict(Names))
    listings: int = 0

    def add(self, name: str, *held: str, links: tuple[str, ...] = ()) -> Dataset:
        """Let there be a dataset that holds some images and links."""
        media = [DatasetMedia(f"m-{one}", 0, MediaSourceType.LOCAL, one) for one in held]
        media += [DatasetMedia(f"u-{one}", 0, MediaSourceType.SHAREABLE_LINK, one) for one in links]
        number = len(self.datasets) + 1
        dataset = Dataset(f"d-{number}", name, number, media=tuple(media))
        self.datasets.append(dataset)
        return dataset

    def hold(self, counts: Mapping[str, int]) -> None:
        """Let datasets hold so many images each, by their ids."""
        for at, each in enumerate(self.datasets):
            held = (
                DatasetMedia("m", 0, MediaSourceType.LOCAL, "m") for _ in range(counts[each.id])
            )
            self.datasets[at] = attrs.evolve(each, media=tuple(held))

    async def read_parts(
        self,
        reading: Callable[[AsyncIterator[Dataset]], Awaitable[T]],
        dataset_id: str | None = None,
    ) -> T:
        """Read one dataset, or all."""
        self.listings += dataset_id is None
        found = [each for each in self.datasets if dataset_id in {None, each.id}]
        if dataset_id is not None and not found:
            raise NotFoundError(f"There is no dataset {dataset_id}.", status=404, key="ex_notfound")
        async with aclosing(parts_of(*found)) as parts:
            return await reading(parts)

    async def ensure(self, name: str) -> Dataset:
        """Return the dataset of a name, created if there is none."""
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        if name in self.taken:
            raise AlreadyExistsError(f"{name!r} is taken.", status=412, key="ex_alreadyexists")
        for dataset in self.datasets:
            if dataset.name.lower() == name.lower():
                return dataset
        self.created.append(name)
        return self.add(name)


@attrs.define
class FakeProjects:
    """The one project, over a family's datasets."""

    family: FakeFamily

    async def list(self) -> list[Project]:
        """Return it with what is attached to it."""
        attached = (
            ProjectDataset(each, each, 0) for each in self.family.attached[PROJECT_ID.upper()]
        )
        return [Project(PROJECT_ID.upper(), "Streets", 0, "c", "i", datasets=tuple(attached))]

    async def add_dataset(self, project_id: str, dataset_id: str) -> None:
        """Attach a dataset."""
        await asyncio.sleep(0)
        assert project_id.upper() == PROJECT_ID.upper()
        assert dataset_id not in self.family.attached[PROJECT_ID.upper()], "asked in vain"
        self.family.attached[PROJECT_ID.upper()].append(dataset_id)
