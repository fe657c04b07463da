"""Send one piece of work, and return what happened to each of its items.

Also here: the check for dead links, which the service accepts.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

import attrs

from datagym_async._limits import Admission
from datagym_async._runs._engine import MediaUploads
from datagym_async._transport import LinkProber
from datagym_async.exceptions import AlreadyExistsError, APIError, DataGymError
from datagym_async.models import UrlStatus
from datagym_async.resources._base import for_each
from datagym_async.uploads._config import UploadConfig
from datagym_async.uploads._settling import SharedListing
from datagym_async.uploads._tally import Tally
from datagym_async.uploads._target import SEVERAL, SEVERAL_HOMES, NoDatasetError, Target
from datagym_async.uploads._values import Outcome, UploadResult
from datagym_async.uploads._verdicts import of_error, of_url
from datagym_async.uploads.plan._plan import Planned

_UPLOADED: Final = Outcome.UPLOADED  # looking up a member of an enum costs as much as a call


Sent: TypeAlias = tuple[int, UploadResult, bool]
"""An item's number in the plan, its result, and whether its answer was lost and not found again.

A plain tuple, as it is made for each file: a named one takes several times as long.
"""


@attrs.define
class Sender:
    """Send work, one request after the other for each caller."""

    _media: MediaUploads
    _target: Target
    _listing: SharedListing
    _config: UploadConfig
    _tally: Tally
    _judge: Callable[[Exception | None], None]  # with each error, or None for an answer
    _prober: LinkProber | None = None  # requests links before they are sent
    in_flight: set[int] = attrs.field(factory=set, init=False)
    """Items that are being sent; those that are left there were cut off."""
    _bytes: Admission = attrs.field(init=False)  # of the bytes in flight
    _clock: Callable[[], float] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._bytes = Admission(self._config.max_bytes_in_flight or sys.maxsize)

    async def send_file(self, work: Planned) -> Sent | None:
        """Send an image; None if no dataset can be made for it."""
        # Looked up once: in Python 3.11 this is a system call.
        clock = self._clock = self._clock or asyncio.get_running_loop().time
        began, item, body, seq = clock(), work.item, work.body, work.seq
        if body is None:
            return None
        dataset_id, size, is_admitted = "", body.size, False
        self.in_flight.add(seq)
        self._tally.in_flight += 1
        # A name that the target has already says nothing of this upload.
        settle = _unknown if work.home else partial(self._listing.find, item.name)
        try:
            if not self._bytes.take(size):
                await self._bytes.acquire(size)
            is_admitted = True
            # Room in a dataset comes after the bytes: an image that waits for the bytes of others
            # must not make a dataset full.
            home = self._target.index_of(work.home) if work.home else None
            room = self._target.room(1, home) or await self._target.room_made()
            dataset_id = room.dataset_id
            try:
                media = await self._media.upload_body(dataset_id, item.name, body, settle=settle)
            except AlreadyExistsError:
                # Perhaps an attempt of an earlier run has stored it meanwhile.
                room.kept = 1
                if not work.doubt or (found := await settle()) is None:
                    raise
                media = found
            except APIError as error:
                if error.unknown:
                    room.kept = 1  # it may be there
                raise
            else:
                room.kept = 1
            finally:
                room.leave()
        except NoDatasetError as error:
            self._judge(error)
            sent = None
        except (DataGymError, OSError) as error:
            sent = self._refused(work, error, dataset_id, clock() - began)
        except asyncio.CancelledError:
            self._tally.unsettled += 1
            raise
        else:
            self._judge(None)
            sent = (
                seq,
                UploadResult(
                    item=item,
                    outcome=_UPLOADED,
                    dataset_id=dataset_id,
                    media_id=media.id,
                    size=size,
                    seconds=clock() - began,
                    attempts=1,
                    warnings=work.warnings,
                ),
                False,
            )
        finally:
            self._tally.in_flight -= 1
            if is_admitted:
                self._bytes.release(size)
        self.in_flight.discard(seq)
        return sent

    def _refused(self, work: Planned, error: Exception, dataset_id: str, seconds: float) -> Sent:
        self._judge(error)
        if work.body is not None and work.body.pages is not None:
            work.body.pages.drop()  # if no attempt has come to its body
        skips = self._config.skip_existing
        result = of_error(work, error, dataset_id, seconds=seconds, skip_existing=skips)
        is_lost = work.body is not None and isinstance(error, APIError) and error.unknown
        return work.seq, result, is_lost

    async def send_links(self, links: tuple[Planned, ...]) -> list[Sent]:
        """Send links, each to its dataset, except dead ones."""
        seqs = [each.seq for each in links]
        self.in_flight.update(seqs)
        self._tally.in_flight += len(seqs)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            urls = [str(each.item.content) for each in links]
            dead = await dead_links(self._prober, urls)
            took, first = clock() - began, self._target.members[0].dataset_id
            sent = [
                _rejected(links[at], reason, first, took) for at, reason in sorted(dead.items())
            ]
            homes: dict[int | None, list[Planned]] = {}
            for at, link in enumerate(links):
                if at not in dead:
                    # A link that cannot have been sent before may go anywhere.
                    is_known = link.is_held or link.doubt
                    home = self._target.home_of(urls[at]) if is_known else None
                    homes.setdefault(home, []).append(link)
            for home, some in homes.items():
                if home == SEVERAL:
                    sent += [_rejected(each, SEVERAL_HOMES, first) for each in some]
                    continue
                while some and (part := await self._send_part(some, home, began)):
                    sent += part
                    del some[: len(part)]
        except asyncio.CancelledError:
            self._tally.unsettled += len(seqs)
            raise
        finally:
            self._tally.in_flight -= len(seqs)
        self.in_flight.difference_update(seqs)
        return sent

    async def _send_part(self, links: list[Planned], home: int | None, began: float) -> list[Sent]:
        """Send as many links as one dataset has room for; none if there is no dataset."""
        dataset_id, clock = "", asyncio.get_running_loop().time
        try:
            room = self._target.room(len(links), home) or await self._target.room_made(len(links))
            try:
                dataset_id, links = room.dataset_id, links[: room.count]
                urls = [str(each.item.content) for each in links]
                answers = await self._media.upload_urls(dataset_id, urls, batch_size=len(urls))
                seconds, sent = clock() - began, []
                for link, said in zip(links, answers, strict=True):
                    # An address is stored once, so DUPLICATE may be our own: if the target did not
                    # hold the name before, an attempt of ours has arrived whose answer was lost.
                    is_ours = said.status is UrlStatus.DUPLICATE and not link.is_held
                    answer = attrs.evolve(said, status=UrlStatus.SUCCESS) if is_ours else said
                    result = of_url(link.item, answer, dataset_id=dataset_id, seconds=seconds)
                    sent.append((link.seq, result, False))
                room.kept = sum(result.outcome is Outcome.UPLOADED for _, result, _ in sent)
            finally:
                room.leave()
        except NoDatasetError as error:
            self._judge(error)
            return []
        except DataGymError as error:
            return [self._refused(each, error, dataset_id, clock() - began) for each in links]
        self._judge(None)
        return sent


async def _unknown() -> None:
    """Find nothing out about an upload whose answer was lost."""


def _rejected(link: Planned, reason: str, dataset_id: str, seconds: float = 0.0) -> Sent:
    outcome = Outcome.REJECTED
    result = UploadResult(
        item=link.item, outcome=outcome, dataset_id=dataset_id, seconds=seconds, reason=reason
    )
    return link.seq, result, False


WORKERS = 16  # links of one batch that are requested at once; the prober limits all batches


async def dead_links(prober: LinkProber | None, urls: Sequence[str]) -> dict[int, str]:
    """Return the reasons against dead links, by their index; none without a prober."""
    reasons: dict[int, str] = {}
    if prober is None:
        return reasons

    async def ask(link: tuple[int, str]) -> None:
        if reason := await prober.probe(link[1]):
            reasons[link[0]] = reason

    await for_each(enumerate(urls), ask, concurrency=WORKERS)
    return reasons


def prober_of(config: UploadConfig) -> LinkProber | None:
    """Return who requests links before they are sent; None if the options do not want it."""
    return LinkProber(allow_private=config.allow_private_links) if config.check_links else None
