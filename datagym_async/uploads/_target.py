"""Where the images of a run go: one dataset, or a family of datasets of limited size.

A family is a dataset "Photos" with "Photos 2", "Photos 3" and so on, which one job fills one after
the other, so that none has more than a limited number of media: the larger its dataset, the longer
an upload takes (observed). Names in any of them count as existing.

An item reserves room in the first dataset that has any before it is sent, and gives it back unless
something was stored. If none has room, the next one is created, attached to the projects, and only
then used. After a kill in between, the next run finds it in the listing and attaches it. Two runs
into one family at the same time count separately.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import Final, Protocol, runtime_checkable

import attrs

from datagym_async._runs._engine import DatasetLookup
from datagym_async._threads import in_thread
from datagym_async.exceptions import AlreadyExistsError, APIError, ConfigurationError, DataGymError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType, MediaType, Project
from datagym_async.models._names import fold_name, name_key
from datagym_async.uploads._advice import SIZES
from datagym_async.uploads._config import AUTO, MaxPerDataset
from datagym_async.uploads._values import DatasetShare, url_name
from datagym_async.uploads.plan._rows import Listed


@runtime_checkable
class DatasetFamily(DatasetLookup, Protocol):
    """List and create datasets; `DatasetsResource` does."""

    async def ensure(self, name: str) -> Dataset:
        """Return the dataset of a name, created if there is none."""


class Attachments(Protocol):
    """Attach datasets to projects; `ProjectsResource` does."""

    async def list(self) -> list[Project]: ...
    async def add_dataset(self, project_id: str, dataset_id: str) -> None: ...


class NoDatasetError(APIError):
    """The next dataset cannot be made, and no other has room; the cause is in ``__cause__``."""

    ends_run = True  # the next item would get the same error


@attrs.define
class Member:
    """One dataset of a target, and what this run does with it."""

    dataset_id: str
    name: str
    number: int = 1  # in the family
    held: int = 0  # media, before the run
    created: bool = False


_ENDLESS: Final = sys.maxsize  # room for all images


class Room:
    """Room for images in one dataset. `leave` gives back the part that was not kept."""

    __slots__ = ("_index", "_target", "count", "dataset_id", "kept")

    def __init__(self, target: Target, index: int, count: int) -> None:
        self._target, self._index = target, index
        self.count = count  # for how many images, at most those wanted
        self.kept = 0  # for how many it is kept: they are or may be stored
        self.dataset_id = target.members[index].dataset_id

    def leave(self) -> None:
        if self.count < _ENDLESS and (left := self.count - self.kept):
            self._target.capacity.give_back(self._index, left)


@attrs.define
class Target:
    """Give each item its dataset."""

    _datasets: DatasetLookup  # with `most` it must be able to create them (`DatasetFamily`)
    _projects: Attachments | None  # needed only with `attach_to`
    _dataset_id: str  # the first one of its family
    _most: MaxPerDataset = None
    """Media that one dataset may hold; None for one without a bound, "auto" if `bound` sets it."""
    _attach_to: Sequence[str] = ()
    _on_created: Callable[[Member], None] | None = None  # called with each that this run adds
    members: list[Member] = attrs.field(factory=list, init=False)  # none before it is open
    capacity: Capacity = attrs.field(init=False)
    _endless: Room | None = attrs.field(default=None, init=False)
    _homes: dict[str, int] = attrs.field(factory=dict, init=False)
    _growing: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _failure: Exception | None = attrs.field(default=None, init=False)
    _inherited: int | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.capacity = Capacity(self._most if isinstance(self._most, int) else None)

    @property
    def name(self) -> str:
        """Return the name of the first dataset; empty before the target is open."""
        return self.members[0].name if self.members else ""

    def shares(self, stored: Mapping[str, int]) -> tuple[DatasetShare, ...]:
        """Return what a run did in each dataset, which stored so many images in them, by id."""
        return tuple(
            DatasetShare(each.dataset_id, each.name, each.held, count, each.created)
            for each in self.members
            for count in (stored.get(each.dataset_id, 0),)
        )

    async def open(self, listed: Listed) -> None:
        """Find the datasets, attach them, and list their media.

        Unknown datasets or projects are a `NotFoundError`, a dataset that cannot be the first one
        of a family is a `ConfigurationError`.
        """
        spreads = self._most is not None
        datasets = self._family if spreads else self._datasets
        await in_thread(listed.begin)
        (base,) = await enter_held(datasets, listed, self._dataset_id, with_links=spreads)
        family = [(1, base.dataset)]
        found = {base.dataset.id: base}
        if spreads:
            check_base(base.dataset)
            others = await enter_held(
                self._family,
                listed,
                is_wanted=lambda each: each.id not in found and is_of_family(base.dataset, each),
                with_links=True,
            )
            family = family_of(base.dataset, (each.dataset for each in others))
            found |= {each.dataset.id: each for each in others}
            # Only now we know which of them have a number too far away.
            for dataset_id in found.keys() - {dataset.id for _, dataset in family}:
                await in_thread(listed.drop, dataset_id)
            # The service accepts an address once in each dataset, and lists only names. So a link
            # goes to the dataset that has its name, and the service says whether it is the same.
            for index, (_, dataset) in enumerate(family):
                for name in found[dataset.id].links:
                    is_first = self._homes.get(name, index) == index
                    self._homes[name] = index if is_first else SEVERAL
        for number, dataset in family:
            self._enter(dataset, number, found[dataset.id].count)
        if self._most == AUTO and family[1:]:
            # An earlier run has filled its datasets to the limit that it found.
            self._inherited = max(SIZES[0], min(each.held for each in self.members[:-1]))
            self.bound(self._inherited)
        if self._attach_to:
            attached = {
                (project.id.lower(), dataset.id.lower())
                for project in await self._attachments.list()
                for dataset in project.datasets
            }
            for each in self.members:
                await self._attach(each.dataset_id, attached)
        await in_thread(listed.end, self.name)

    def bound(self, most: int) -> None:
        """Limit each dataset from now on; a limit is never raised.

        The limit of an earlier run stays unless it is more than twice this one.
        """
        known = self.capacity.most
        if known is None or most * (2 if known == self._inherited else 1) < known:
            self.capacity.most = most

    def held_sum(self, stored: Mapping[str, int]) -> float:
        """Return the sum, over stored images, of the size of their dataset when each was stored."""
        return sum(each.uploaded * (each.held + each.uploaded / 2) for each in self.shares(stored))

    async def list_again(self, listed: Listed) -> None:
        """List the datasets again; after an `APIError` the earlier listing stays valid."""
        await in_thread(listed.begin)
        for member in self.members:
            await enter_held(self._datasets, listed, member.dataset_id)
        await in_thread(listed.end, self.name)

    async def find(self, wanted: Collection[str]) -> dict[str, DatasetMedia]:
        ids = [member.dataset_id for member in self.members]
        return await find_media(self._datasets, ids, wanted)

    def home_of(self, url: str) -> int | None:
        """Return the dataset that a link has to go to, None for any, or `SEVERAL` for none."""
        return self._homes.get(name_key(url_name(url))) if self._homes else None

    def index_of(self, dataset_id: str) -> int | None:
        ids = [each.dataset_id for each in self.members]
        return ids.index(dataset_id) if dataset_id in ids else None

    def room(self, count: int = 1, home: int | None = None) -> Room | None:
        """Reserve room in `home`, full or not, or in the first dataset that has any; else None."""
        if self._most is None:  # one room for all: nothing is counted, and nothing made for each
            self._endless = self._endless or Room(self, 0, _ENDLESS)
            return self._endless
        if home is not None:
            self.capacity.taken[home] += count
            return Room(self, home, count)
        reserved = self.capacity.reserve(count)
        return None if reserved is None else Room(self, *reserved)

    async def room_made(self, count: int = 1) -> Room:
        """Make the next dataset and reserve room in it, or raise `NoDatasetError`."""
        while (room := self.room(count)) is None:
            async with self._growing:
                # The previous owner of the lock has made room, or has found that there is none.
                if (room := self.room(count)) is not None:
                    return room
                await self._grow()
        return room

    async def _grow(self) -> None:
        try:
            if self._failure is not None:
                raise self._failure
            # Numbers that only a deleted dataset has are skipped.
            last = self.members[-1].number
            for number in range(last + 1, last + MAX_GAP + 1):
                try:
                    dataset = await self._family.ensure(name_in_family(self.name, number))
                except AlreadyExistsError:
                    continue
                if dataset.media_type is MediaType.IMAGE:
                    break
            else:
                raise ConfigurationError(
                    f"{name_in_family(self.name, last + 1)!r} and the next names after it are "
                    "taken by datasets that are deleted, or not for images; use a dataset with "
                    "another name."
                )
            await self._attach(dataset.id)
        except DataGymError as error:
            self._failure = error
            raise NoDatasetError(
                f"The next dataset after {self.members[-1].name!r} cannot be made: {error}"
            ) from error
        held = len(dataset.media)
        self._enter(dataset, number, held, created=not held)
        if self._on_created is not None:
            self._on_created(self.members[-1])

    def _enter(self, dataset: Dataset, number: int, held: int, *, created: bool = False) -> None:
        self.members.append(Member(dataset.id, dataset.name, number, held, created))
        self.capacity.taken.append(held)

    async def _attach(self, dataset_id: str, attached: Collection[tuple[str, str]] = ()) -> None:
        for project_id in self._attach_to:
            if (project_id.lower(), dataset_id.lower()) not in attached:
                await self._attachments.add_dataset(project_id, dataset_id)

    @property
    def _attachments(self) -> Attachments:
        if self._projects is None:
            raise ConfigurationError("attach_to needs a client; an Uploader alone has no projects.")
        return self._projects

    @property
    def _family(self) -> DatasetFamily:
        if not isinstance(self._datasets, DatasetFamily):
            raise ConfigurationError("max_per_dataset needs datasets that can be created.")
        return self._datasets


SEVERAL_HOMES = (
    "Several datasets of the job hold an image of this link's name, and the service does not list "
    "addresses: it might be stored twice. Go on with the journal of the run that began it, or add "
    "it to one of the datasets without max_per_dataset."
)


@attrs.define
class Held:
    """The size of a dataset."""

    dataset: Dataset  # its own fields, without its media
    count: int = 0
    links: set[str] = attrs.field(factory=set)  # names of links, folded, if they are wanted


async def enter_held(
    datasets: DatasetLookup,
    listed: Listed,
    dataset_id: str | None = None,
    *,
    is_wanted: Callable[[Dataset], bool] = lambda _: True,
    with_links: bool = False,
) -> list[Held]:
    """Add the media of datasets to a listing, which the caller begins and ends.

    That is one dataset or, without an id, all that `is_wanted` accepts. Raises an `APIError` if
    they cannot be listed.
    """
    found: dict[str, Held] = {}

    async def enter(parts: AsyncIterator[Dataset]) -> list[Held]:
        for each in found:  # of an answer that broke off
            await in_thread(listed.drop, each)
        found.clear()
        async for part in parts:
            if not is_wanted(part):
                continue
            held = found.setdefault(part.id, Held(part))
            held.dataset = attrs.evolve(part, media=())
            held.count += len(part.media)
            if with_links:
                held.links.update(name_key(m.stored_name) for m in part.media if _is_link(m))
            await in_thread(listed.add, part)
        return list(found.values())

    return await datasets.read_parts(enter, dataset_id)


async def find_media(
    datasets: DatasetLookup, dataset_ids: Iterable[str], wanted: Collection[str]
) -> dict[str, DatasetMedia]:
    """Return the oldest media of each wanted name, as it is stored, folded; links are left out."""
    found: dict[str, DatasetMedia] = {}

    def pick(part: Dataset) -> None:
        for media in part.media:
            key = fold_name(media.stored_name)
            if key in wanted and not _is_link(media):
                found[key] = min(found.get(key, media), media, key=attrgetter("timestamp"))

    async def look(parts: AsyncIterator[Dataset]) -> None:
        # Media listed in an answer that broke off exist anyway: nothing is undone.
        async for part in parts:
            await in_thread(pick, part)

    for each in dataset_ids:
        await datasets.read_parts(look, each)
    return found


def _is_link(media: DatasetMedia) -> bool:
    return media.source_type is MediaSourceType.SHAREABLE_LINK


# Which datasets are a family, and into which of them images go; pure.

MAX_GAP = 10
"""How far apart the numbers of a family may be, for one may be deleted: "Photos 2026" is none."""
_LONGEST_NAME = 128 - len(" 99999")  # from the service's rule for names, as is the pattern
_NAME = re.compile(r"[a-zA-Z0-9_ ]+")
SEVERAL = -1
"""Stands for the home of a link whose name several datasets of the family hold."""


def name_in_family(base: str, number: int) -> str:
    """Return the name of the n-th dataset of a family; the first has the plain name."""
    return base if number == 1 else f"{base.rstrip(' ')} {number}"


def check_base(base: Dataset) -> None:
    """Raise `ConfigurationError` for videos, and for a name without room for a number."""
    if base.media_type is not MediaType.IMAGE:
        raise ConfigurationError(
            f"The dataset {base.name!r} is not for images; max_per_dataset spreads over image "
            "datasets."
        )
    if len(base.name.rstrip(" ")) > _LONGEST_NAME or not _NAME.fullmatch(base.name):
        raise ConfigurationError(
            f"The dataset {base.name!r} cannot be spread: "
            f"max_per_dataset needs a name of at most {_LONGEST_NAME} letters, digits, blanks and "
            "underscores. Use a dataset with such a name."
        )


def family_of(base: Dataset, datasets: Iterable[Dataset]) -> list[tuple[int, Dataset]]:
    """Return the datasets of a family with their numbers, in order, the base first.

    Names are compared as the service does. If a race made two datasets of one name, both belong to
    the family. Datasets of videos do not.
    """
    by_name: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        by_name.setdefault(fold_name(dataset.name), []).append(dataset)
    family = [(1, base)]
    for number in count(2):
        if number - family[-1][0] > MAX_GAP:
            return family
        same = by_name.get(fold_name(name_in_family(base.name, number)), ())
        images = [each for each in same if each.media_type is MediaType.IMAGE]
        images.sort(key=attrgetter("timestamp", "id"))
        family += [(number, each) for each in images]
    return family


@attrs.define
class Capacity:
    """Count the room in a family's datasets, by index; images reserve it before they are sent."""

    most: int | None = None  # media that a dataset may hold
    taken: list[int] = attrs.field(factory=list, init=False)  # media in each, and reserved ones
    _first: int = attrs.field(default=0, init=False)  # those before it are full

    def reserve(self, wanted: int = 1) -> tuple[int, int] | None:
        """Reserve room in the first dataset that has any; return its index, and for how many."""
        if self.most is None:
            self.taken[0] += wanted
            return 0, wanted
        for index in range(self._first, len(self.taken)):
            room = self.most - self.taken[index]
            if room > 0:
                granted = min(room, wanted)
                self.taken[index] += granted
                return index, granted
            self._first = index + 1
        return None

    def give_back(self, index: int, count: int) -> None:
        self.taken[index] -= count
        self._first = min(self._first, index)


def is_of_family(base: Dataset, dataset: Dataset) -> bool:
    """Return whether a dataset may belong to a family by its name: it ends in a number."""
    plain, _, number = fold_name(dataset.name).rpartition(" ")
    is_number = number.isascii() and number.isdigit() and not number.startswith("0")
    return is_number and plain == fold_name(base.name)
