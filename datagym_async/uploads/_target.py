"""Where the images of a run go: one dataset, or a family of datasets of a bounded size.

How it works:

* Opening reads the dataset, and with `max_per_dataset` all datasets once, to find its family
  (`_places`). What any of them holds counts as held, and goes into the plan part by part.
* An item takes a place before it is sent, so that workers together never send more than fit, and
  gives it back unless something was stored. Items go to the first dataset that has room.
* Where none has, the next one is created under a lock, attached to the projects, and only then
  used. A run that was killed in between finds it by the listing and attaches it.
* The datasets are for one run at a time: two runs into one family both count for themselves.

Read what datasets hold: part by part, so that none of them is ever in memory as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from datagym_async._runs._needs import DatasetLookup
from datagym_async._threads import in_thread
from datagym_async.exceptions import AlreadyExistsError, APIError, ConfigurationError, DataGymError
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType, MediaType
from datagym_async.models._names import fold_name
from datagym_async.uploads._family import (
    MAX_GAP,
    Places,
    check_base,
    family_of,
    is_of_family,
    link_homes,
    name_in_family,
)
from datagym_async.uploads._values import DatasetShare, url_name
from datagym_async.uploads.plan._rows import Listed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from datagym_async.models import DatasetMedia, Project
    from datagym_async.uploads._config import UploadConfig


@runtime_checkable
class DatasetFamily(DatasetLookup, Protocol):
    """Say what datasets hold, and create them; `DatasetsResource` does."""

    async def ensure(self, name: str) -> Dataset:
        """Return the dataset of a name, created if there is none."""
        ...


class Attachments(Protocol):
    """Attach datasets to projects; `ProjectsResource` does."""

    async def list(self) -> list[Project]:
        """Return all projects."""
        ...

    async def add_dataset(self, project_id: str, dataset_id: str) -> None:
        """Attach a dataset, unless it is attached."""
        ...


class NoDatasetError(APIError):
    """The next dataset cannot be made: no further item has a place to go to.

    The cause is in ``__cause__``; it ends the run.
    """

    ends_run = True  # the next item would meet it as well


@attrs.frozen
class Member:
    """One dataset of a target.

    Args:
        dataset_id: Its UUID.
        name: Its name.
        number: Its number in the family, from 1.
    """

    dataset_id: str
    name: str
    number: int = 1


@attrs.define
class Place:
    """Room for some images in one dataset, for the length of a block: ``async with place: ...``.

    What was not kept is given back at the end.

    Args:
        target: Has the datasets.
        count: How many images: those wanted, and once entered those that there is room for.
        home: Index of the dataset that they have to go to, or None for any.

    Attributes:
        dataset_id: The dataset, once entered.
    """

    _target: Target
    count: int = 1
    _home: int | None = None
    dataset_id: str = attrs.field(default="", init=False)
    kept: int = attrs.field(default=0, init=False)
    stored: int = attrs.field(default=0, init=False)
    _index: int = attrs.field(default=-1, init=False)

    def keep(self, count: int = 1, *, stored: bool = True) -> None:
        """Keep some of the room.

        Args:
            count: For how many images.
            stored: Whether this run stored them; else they are there all the same, or may be.
        """
        self.kept += count
        self.stored += count if stored else 0

    async def __aenter__(self) -> Place:
        target = self._target
        if self._home is not None:
            self._index = self._home
            target.places.reserve_in(self._home, self.count)
        else:
            reserved = target.places.reserve(self.count) or await target.make_room(self.count)
            self._index, self.count = reserved
        self.dataset_id = target.filled[self._index].member.dataset_id
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._index >= 0:
            self._target.places.give_back(self._index, self.count - self.kept)
            self._target.filled[self._index].uploaded += self.stored


@attrs.define
class Filled:
    """One dataset, and what this run does with it."""

    member: Member
    held: int
    created: bool = False
    uploaded: int = 0


@attrs.frozen
class _Attaching:
    """Attach datasets to projects, unless they are."""

    projects: Attachments | None
    attach_to: Sequence[str]

    async def all_of(self, datasets: Iterable[Dataset]) -> None:
        if not self.attach_to:
            return
        attached = {
            (project.id.lower(), dataset.id.lower())
            for project in await self._projects().list()
            for dataset in project.datasets
        }
        for dataset in datasets:
            await self.one(dataset.id, attached)

    async def one(self, dataset_id: str, attached: Iterable[tuple[str, str]] = ()) -> None:
        for project_id in self.attach_to:
            if (project_id.lower(), dataset_id.lower()) not in attached:
                await self._projects().add_dataset(project_id, dataset_id)

    def _projects(self) -> Attachments:
        if self.projects is None:
            raise ConfigurationError("attach_to needs a client; an Uploader alone has no projects.")
        return self.projects


@attrs.define
class Target:
    """Give each item its dataset.

    Args:
        datasets: Looks datasets up; with `most` it must be able to create them (`DatasetFamily`).
        projects: Attaches them; needed with `attach_to` alone.
        dataset_id: The dataset, the first one of its family.
        most: Media that one dataset may hold; None for one dataset without a bound.
        attach_to: Projects that every dataset of the target is attached to.
        on_created: Called with each dataset that this run adds.
    """

    _datasets: DatasetLookup
    _projects: Attachments | None
    _dataset_id: str
    _most: int | None = None
    _attach_to: Sequence[str] = ()
    _on_created: Callable[[Member], None] | None = None
    filled: list[Filled] = attrs.field(factory=list, init=False)
    _homes: dict[str, int] = attrs.field(factory=dict, init=False)
    places: Places = attrs.field(init=False)
    _attaching: _Attaching = attrs.field(init=False)
    _growing: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _failure: Exception | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.places = Places(self._most)
        self._attaching = _Attaching(self._projects, self._attach_to)

    @classmethod
    def of(
        cls,
        config: UploadConfig,
        datasets: DatasetLookup,
        projects: Attachments | None,
        dataset_id: str,
        on_created: Callable[[Member], None],
    ) -> Target:
        """Return the target that the options ask for; the arguments are those of the class."""
        most, attach_to = config.max_per_dataset, config.attach_to
        return cls(datasets, projects, dataset_id, most, attach_to, on_created)

    @property
    def name(self) -> str:
        """Return the name of the first dataset; empty before the target is open."""
        return self.filled[0].member.name if self.filled else ""

    @property
    def members(self) -> tuple[Member, ...]:
        """Return the datasets so far, in order; none before the target is open."""
        return tuple(each.member for each in self.filled)

    @property
    def shares(self) -> tuple[DatasetShare, ...]:
        """Return what was done in each dataset so far."""
        return tuple(
            DatasetShare(
                each.member.dataset_id, each.member.name, each.held, each.uploaded, each.created
            )
            for each in self.filled
        )

    async def open(self, listed: Listed) -> None:
        """Find the datasets, attach them, and enter what they hold.

        Args:
            listed: Takes what they hold.

        Raises:
            NotFoundError: The dataset or a project is unknown.
            ConfigurationError: The dataset cannot be the first one of a family.
            APIError: The service cannot be asked, or refuses.
        """
        datasets = self._datasets if self._most is None else self._family
        holdings = Holdings(datasets, listed, with_links=self._most is not None)
        await in_thread(listed.begin)
        base = await holdings.enter(self._dataset_id)
        family = [(1, base)]
        if self._most is not None:
            family = await self._find_family(base, holdings)
            self._homes = link_homes([held.links for _, held in family])
        for number, held in family:
            self._enter(held.dataset, number, held.count)
        await self._attaching.all_of([held.dataset for _, held in family])
        await in_thread(listed.end, self.name)

    async def _find_family(self, base: Holding, holdings: Holdings) -> list[tuple[int, Holding]]:
        check_base(base.dataset)
        others = await holdings.enter_all(
            lambda each: each.id != base.dataset.id and is_of_family(base.dataset, each)
        )
        found = {each.dataset.id: each for each in (base, *others)}
        family = family_of(base.dataset, (each.dataset for each in others))
        for dataset_id in found.keys() - {dataset.id for _, dataset in family}:
            await holdings.drop(dataset_id)
        return [(number, found[dataset.id]) for number, dataset in family]

    async def list_again(self, listed: Listed) -> None:
        """Enter what the datasets hold now.

        Raises:
            APIError: One of them cannot be listed; what was listed before then counts on.
        """
        holdings = Holdings(self._datasets, listed)
        await in_thread(listed.begin)
        for member in self.members:
            await holdings.enter(member.dataset_id)
        await in_thread(listed.end, self.name)

    async def find(self, wanted: Collection[str]) -> dict[str, DatasetMedia]:
        """Return the oldest media of each wanted name, as it is stored, folded; none are links.

        Raises:
            APIError: A dataset cannot be listed.
        """
        ids = [member.dataset_id for member in self.members]
        return await find_media(self._datasets, ids, wanted)

    def _enter(self, dataset: Dataset, number: int, held: int, *, created: bool = False) -> Member:
        member = Member(dataset.id, dataset.name, number)
        self.filled.append(Filled(member, held, created))
        self.places.add(held)
        return member

    @property
    def _family(self) -> DatasetFamily:
        if not isinstance(self._datasets, DatasetFamily):
            raise ConfigurationError("max_per_dataset needs datasets that can be created.")
        return self._datasets

    def place(self, count: int = 1, *, home: int | None = None) -> Place:
        """Hold room for images in one dataset; a new one is made where there is none.

        Args:
            count: Images wanted; the place may have room for fewer, but for one at least.
            home: The dataset that they have to go to, whether it has room or not.

        Returns:
            An async context manager. Entering it raises `NoDatasetError` if there is no room, and
            the next dataset cannot be made.
        """
        return Place(self, count, home)

    def home_of(self, url: str) -> int | None:
        """Return the dataset that a link has to go to, None for any, or `SEVERAL` for none."""
        return self._homes.get(fold_name(url_name(url))) if self._homes else None

    async def make_room(self, count: int) -> tuple[int, int]:
        """Make the next dataset, and reserve room in it; return its index and how much there is.

        Raises:
            NoDatasetError: It cannot be made.
        """
        while (reserved := self.places.reserve(count)) is None:
            async with self._growing:
                # Whoever held the lock before has made room, or has found that there is no more.
                if (reserved := self.places.reserve(count)) is not None:
                    return reserved
                await self._grow()
        return reserved

    async def _grow(self) -> None:
        try:
            if self._failure is not None:
                raise self._failure
            dataset, number = await self._next_dataset()
            await self._attaching.one(dataset.id)
        except DataGymError as error:
            self._failure = error
            text = f"The next dataset after {self.filled[-1].member.name!r} cannot be made: {error}"
            raise NoDatasetError(text) from error
        held = len(dataset.media)
        member = self._enter(dataset, number, held, created=not held)
        if self._on_created is not None:
            self._on_created(member)

    async def _next_dataset(self) -> tuple[Dataset, int]:
        """Return the next dataset; a number that only a deleted dataset has is left out."""
        last = self.filled[-1].member.number
        for number in range(last + 1, last + MAX_GAP + 1):
            try:
                dataset = await self._family.ensure(name_in_family(self.name, number))
            except AlreadyExistsError:
                continue
            if dataset.media_type is MediaType.IMAGE:
                return dataset, number
        taken = name_in_family(self.name, last + 1)
        raise ConfigurationError(
            f"{taken!r} and the next names after it are taken by datasets that are deleted, or not "
            "for images; begin with a dataset of another name."
        )


SEVERAL_HOMES = (
    "Several datasets of the job hold an image of this link's name, and the service does not list "
    "addresses: it might be stored twice. Go on with the journal of the run that began it, or add "
    "it to one of the datasets without max_per_dataset."
)


_SMALL = 1000  # media whose names are compared without a thread: about 2 ms


@attrs.define
class Holding:
    """What a dataset holds, in numbers.

    Args:
        dataset: What it says of itself, without its media.

    Attributes:
        count: Its media.
        links: Names of those that are links, folded, if they are wanted.
    """

    dataset: Dataset
    count: int = 0
    links: set[str] = attrs.field(factory=set)

    def add(self, part: Dataset, *, with_links: bool) -> None:
        """Count some of its media."""
        self.dataset = attrs.evolve(part, media=())
        self.count += len(part.media)
        if with_links:
            self.links.update(
                fold_name(each.stored_name)
                for each in part.media
                if each.source_type is MediaSourceType.SHAREABLE_LINK
            )


@attrs.frozen
class Holdings:
    """Enter what datasets hold into a listing.

    Args:
        datasets: Lists them.
        listed: Takes what they hold; the caller begins and ends the listing.
        with_links: Whether the names of links are kept.
    """

    _datasets: DatasetLookup
    _listed: Listed
    _with_links: bool = False

    async def enter(self, dataset_id: str) -> Holding:
        """Enter a dataset.

        Raises:
            APIError: It cannot be listed.
        """
        (found,) = await self._enter(dataset_id, lambda _: True)
        return found

    async def enter_all(self, is_wanted: Callable[[Dataset], bool]) -> list[Holding]:
        """Enter some of all the datasets there are.

        Args:
            is_wanted: Says which, by what a dataset says of itself.

        Raises:
            APIError: They cannot be listed.
        """
        return await self._enter(None, is_wanted)

    async def drop(self, dataset_id: str) -> None:
        """Take a dataset back."""
        await in_thread(self._listed.drop, dataset_id)

    async def _enter(
        self, dataset_id: str | None, is_wanted: Callable[[Dataset], bool]
    ) -> list[Holding]:
        found: dict[str, Holding] = {}

        async def enter(parts: AsyncIterator[Dataset]) -> list[Holding]:
            for each in found:  # of an answer that broke off
                await self.drop(each)
            found.clear()
            async for part in parts:
                if is_wanted(part):
                    held = found.setdefault(part.id, Holding(part))
                    held.add(part, with_links=self._with_links)
                    await in_thread(self._listed.add, part)
            return list(found.values())

        return await self._datasets.read_parts(enter, dataset_id)


async def find_media(
    datasets: DatasetLookup, dataset_ids: Iterable[str], wanted: Collection[str]
) -> dict[str, DatasetMedia]:
    """Return the oldest media of each wanted name, but for links.

    Args:
        datasets: Lists the datasets.
        dataset_ids: Where to look.
        wanted: The names as they are stored, folded.

    Raises:
        APIError: A dataset cannot be listed.
    """
    found: dict[str, DatasetMedia] = {}

    async def look(parts: AsyncIterator[Dataset]) -> None:
        # What an answer held that broke off was there all the same: it needs no beginning anew.
        async for part in parts:
            if len(part.media) > _SMALL:
                await in_thread(_pick, part, wanted, found)
            else:
                _pick(part, wanted, found)

    for each in dataset_ids:
        await datasets.read_parts(look, each)
    return found


def _pick(part: Dataset, wanted: Collection[str], found: dict[str, DatasetMedia]) -> None:
    for media in part.media:
        key = fold_name(media.stored_name)
        if key in wanted and media.source_type != MediaSourceType.SHAREABLE_LINK:
            known = found.get(key)
            if known is None or media.timestamp < known.timestamp:
                found[key] = media
