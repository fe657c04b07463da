"""Send one piece of work, and say what became of each of its items.

Bound the bytes that are on their way at once.

Sort dead links out of a batch before it is sent: the service never looks, and takes them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from datagym_async._runs._needs import MediaUploads
from datagym_async._transport import LinkProber
from datagym_async._wire._messages import Body
from datagym_async.exceptions import AlreadyExistsError, APIError, DataGymError
from datagym_async.models import UrlStatus
from datagym_async.uploads._config import UploadConfig
from datagym_async.uploads._family import SEVERAL
from datagym_async.uploads._observer import Watcher
from datagym_async.uploads._settling import SharedListing
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import SEVERAL_HOMES, NoDatasetError, Place, Target
from datagym_async.uploads._values import Outcome, UploadItem, UploadResult
from datagym_async.uploads._verdicts import of_error, of_url
from datagym_async.uploads.plan._plan import Ticket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datagym_async.models import Media, UrlResult
    from datagym_async.uploads.plan._plan import Planned


@attrs.frozen
class FileWork:
    """One item with its bytes, for one request."""

    ticket: Ticket
    item: UploadItem
    body: Body
    warnings: tuple[str, ...] = ()


Work: TypeAlias = "FileWork | tuple[Planned, ...]"


@attrs.frozen
class Sent:
    """What became of one item that was sent.

    Args:
        ticket: What the plan knows of it.
        result: The result.
        is_lost: Whether its answer was lost, and could not be looked up.
    """

    ticket: Ticket
    result: UploadResult
    is_lost: bool = False


@attrs.define
class Sender:
    """Send work, one request after the other for each caller.

    Args:
        media: Stores images.
        target: Where they go.
        listing: Looks up what became of lost answers.
        config: The options.
        tally: Told of what is in flight.
        watcher: Told of what is sent.
        on_error: Called with each error, and with None after each answer.
        links: Finds dead links before they are sent, or None.

    Attributes:
        in_flight: Items that are being sent; those that are left there were cut off.
    """

    _media: MediaUploads
    _target: Target
    _listing: SharedListing
    _config: UploadConfig
    _tally: Tally
    _watcher: Watcher
    _on_error: Callable[[Exception | None], None]
    _links: LinkCheck | None = None
    in_flight: set[int] = attrs.field(factory=set, init=False)
    _bytes: BytesInFlight = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._bytes = BytesInFlight(self._config.max_bytes_in_flight)

    async def send(self, work: Work) -> list[Sent]:
        """Send a piece of work and return what became of its items."""
        seqs = _seqs(work)
        self.in_flight.update(seqs)
        self._tally.in_flight += len(seqs)
        try:
            sent = await self._send(work)
        except asyncio.CancelledError:
            self._tally.unsettled += len(seqs)
            raise
        finally:
            self._tally.in_flight -= len(seqs)
        self.in_flight.difference_update(seqs)
        return sent

    async def _send(self, work: Work) -> list[Sent]:
        began = asyncio.get_running_loop().time()
        if isinstance(work, tuple):
            for each in work:
                self._watcher.began(each.item, None)
            return await self._check_and_send_links(work, began)
        self._watcher.began(work.item, work.body.size)
        sent = await self._send_file(work, began)
        if work.warnings:
            sent = [
                attrs.evolve(each, result=attrs.evolve(each.result, warnings=work.warnings))
                for each in sent
            ]
        return sent

    async def _send_file(self, work: FileWork, began: float) -> list[Sent]:
        """Send an image; nothing comes of it where it has no place to go to."""
        dataset_id = ""
        try:
            # The place comes last: one that waits for others' bytes must not make a dataset full.
            async with self._bytes.hold(work.body.size), self._target.place() as place:
                dataset_id = place.dataset_id
                media = await self._keep(place, work)
        except NoDatasetError as error:
            self._on_error(error)
            return []
        except (DataGymError, OSError) as error:
            return [self._refused(work, error, dataset_id=dataset_id, began=began)]
        self._on_error(None)
        result = UploadResult(
            item=work.item,
            outcome=Outcome.UPLOADED,
            dataset_id=dataset_id,
            media_id=media.id,
            size=work.body.size,
            seconds=asyncio.get_running_loop().time() - began,
            attempts=1,
        )
        return [Sent(work.ticket, result)]

    async def _keep(self, place: Place, work: FileWork) -> Media:
        """Store an image, and keep its place if it is there, or may be."""
        try:
            media = await self._store(work, place.dataset_id)
        except APIError as error:
            if error.unknown or isinstance(error, AlreadyExistsError):
                place.keep(stored=False)
            raise
        place.keep()
        return media

    async def _store(self, work: FileWork, dataset_id: str) -> Media:
        """Store an image, or find what an attempt of an earlier run has stored meanwhile."""

        async def settle() -> Media | None:
            self._watcher.lost(work.item)
            return await self._listing.find(work.item.name)

        try:
            return await self._media.upload_body(
                dataset_id, work.item.name, work.body, settle=settle
            )
        except AlreadyExistsError:
            ours = work.ticket.doubt and not work.ticket.is_held
            if not ours or (found := await settle()) is None:
                raise
            return found

    def _refused(self, work: FileWork, error: Exception, *, dataset_id: str, began: float) -> Sent:
        self._on_error(error)
        result = of_error(
            work.item,
            error,
            dataset_id=dataset_id,
            size=work.body.size,
            seconds=asyncio.get_running_loop().time() - began,
            skip_existing=self._config.skip_existing,
        )
        return Sent(work.ticket, result, isinstance(error, APIError) and error.unknown)

    async def _check_and_send_links(self, links: tuple[Planned, ...], began: float) -> list[Sent]:
        urls = [str(each.item.content) for each in links]
        dead = await self._links.dead(urls) if self._links is not None else {}
        seconds = asyncio.get_running_loop().time() - began
        rejected = [
            Sent(links[at].ticket, _dead(links[at].item, reason, seconds))
            for at, reason in sorted(dead.items())
        ]
        alive = tuple(each for at, each in enumerate(links) if at not in dead)
        return rejected + (await self._send_links(alive, began) if alive else [])

    async def _send_links(self, links: tuple[Planned, ...], began: float) -> list[Sent]:
        homes: dict[int | None, list[Planned]] = {}
        for link in links:
            homes.setdefault(self._home_of(link), []).append(link)
        sent: list[Sent] = []
        for home, some in homes.items():
            if home == SEVERAL:
                sent += [self._rejected_link(each) for each in some]
                continue
            left = tuple(some)
            while left and (part := await self._send_part(left, home, began)):
                sent += part
                left = left[len(part) :]
        return sent

    def _home_of(self, link: Planned) -> int | None:
        """Return where a link has to go; one that cannot have been sent before may go anywhere."""
        is_known = link.ticket.is_held or link.ticket.doubt
        return self._target.home_of(str(link.item.content)) if is_known else None

    async def _send_part(
        self, links: tuple[Planned, ...], home: int | None, began: float
    ) -> list[Sent]:
        """Send as many links as one dataset has room for; none where there is no dataset."""
        dataset_id = ""
        try:
            async with self._target.place(len(links), home=home) as place:
                dataset_id, links = place.dataset_id, links[: place.count]
                urls = [str(each.item.content) for each in links]
                answers = await self._media.upload_urls(dataset_id, urls, batch_size=len(urls))
                sent = [
                    Sent(each.ticket, _of_link(each, answer, dataset_id, began))
                    for each, answer in zip(links, answers, strict=True)
                ]
                place.keep(sum(each.result.outcome is Outcome.UPLOADED for each in sent))
        except NoDatasetError as error:
            self._on_error(error)
            return []
        except DataGymError as error:
            self._on_error(error)
            return [self._refused_link(each, error, dataset_id, began) for each in links]
        self._on_error(None)
        return sent

    def _rejected_link(self, link: Planned) -> Sent:
        dataset_id = self._target.members[0].dataset_id
        result = UploadResult(
            item=link.item,
            outcome=Outcome.REJECTED,
            dataset_id=dataset_id,
            reason=SEVERAL_HOMES,
        )
        return Sent(link.ticket, result)

    def _refused_link(self, link: Planned, error: Exception, dataset_id: str, began: float) -> Sent:
        self._on_error(error)
        result = of_error(
            link.item,
            error,
            dataset_id=dataset_id,
            size=None,
            seconds=asyncio.get_running_loop().time() - began,
            skip_existing=self._config.skip_existing,
        )
        return Sent(link.ticket, result)


def _dead(item: UploadItem, reason: str, seconds: float) -> UploadResult:
    return UploadResult(
        item=item, outcome=Outcome.REJECTED, dataset_id="", seconds=seconds, reason=reason
    )


def _of_link(link: Planned, answer: UrlResult, dataset_id: str, began: float) -> UploadResult:
    """Return what an answer means: an address is sent once, so that DUPLICATE may be our own.

    The listing has names alone. Where the target held the name of a link before, its address may
    have been there; where it did not, an attempt of ours has arrived whose answer was lost.
    """
    if answer.status is UrlStatus.DUPLICATE and not link.ticket.is_held:
        answer = attrs.evolve(answer, status=UrlStatus.SUCCESS)
    seconds = asyncio.get_running_loop().time() - began
    return of_url(link.item, answer, dataset_id=dataset_id, seconds=seconds)


def _seqs(work: Work) -> list[int]:
    return [each.ticket.seq for each in work] if isinstance(work, tuple) else [work.ticket.seq]


@attrs.frozen
class _Held:
    """The bytes of one body, for the length of a block."""

    bound: BytesInFlight
    size: int

    async def __aenter__(self) -> None:
        if not self.bound.take(self.size):
            await self.bound.acquire(self.size)

    async def __aexit__(self, *_: object) -> None:
        self.bound.release(self.size)


class BytesInFlight:
    """Let bodies in while they have at most so many bytes together, in the order they came.

    One that is larger than the bound goes alone. Whoever waits is overtaken by nobody, so that a
    large body gets its turn.

    Open files need no bound of their own: a worker has one open at most, and what is read ahead is
    closed before it is handed over.

    Args:
        most: The bound; None for none.
    """

    __slots__ = ("_held", "_most", "_waiters")

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._held = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Return the bytes on their way now."""
        return self._held

    def hold(self, size: int) -> _Held:
        """Wait until a body may be sent, and keep its bytes: ``async with bound.hold(size)``."""
        return _Held(self, size)

    def _fits(self, size: int) -> bool:
        return self._most is None or self._held == 0 or self._held + size <= self._most

    def take(self, size: int) -> bool:
        """Let a body of this size in if it may be sent at once, and return whether it was so."""
        if self._waiters or not self._fits(size):
            return False
        self._held += size
        return True

    async def acquire(self, size: int) -> None:
        """Wait until a body of this size may be sent; `release` gives its bytes back."""
        if self.take(size):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # Let in and cancelled in the same turn of the loop: the bytes go on.
                self.release(size)
            else:
                # The one that left may have been the large one at the front.
                self._admit()
            raise

    def release(self, size: int) -> None:
        """Give the bytes of a body back."""
        self._held -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiters:
            size, waiter = self._waiters[0]
            if waiter.done():  # cancelled
                self._waiters.popleft()
            elif self._fits(size):
                self._waiters.popleft()
                self._held += size
                waiter.set_result(None)
            else:
                return


WORKERS = 16
"""Links of one batch that are asked at once; the prober bounds them over all batches."""


class Prober(Protocol):
    """Ask addresses; `LinkProber` does."""

    async def probe(self, url: str) -> str:
        """Return why no image can be had from an address, or an empty text."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@attrs.frozen
class LinkCheck:
    """Find dead links.

    Args:
        prober: Asks them; closed with this.
    """

    _prober: Prober

    @classmethod
    def of(cls, config: UploadConfig) -> LinkCheck | None:
        """Return the check that the options ask for, or None."""
        if not config.check_links:
            return None
        return cls(LinkProber(allow_private=config.allow_private_links))

    async def dead(self, urls: Sequence[str]) -> dict[int, str]:
        """Return what is wrong with links, by their places; nothing of those that are alive."""
        reasons: dict[int, str] = {}
        waiting = iter(enumerate(urls))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(WORKERS, len(urls))):
                group.create_task(self._ask(waiting, reasons))
        return reasons

    async def _ask(self, waiting: Iterator[tuple[int, str]], reasons: dict[int, str]) -> None:
        for place, url in waiting:
            if reason := await self._prober.probe(url):
                reasons[place] = reason

    async def aclose(self) -> None:
        """Close the prober."""
        await self._prober.aclose()
