"""Send what the feeder hands out: N workers on one bounded queue, results through another.

The first error that every other item would meet as well (token revoked, dataset gone, service out
of reach) stops the run: nothing new is begun, what is in flight ends in its own way, so that
nothing is left half done, and the error is kept for the uploader to raise.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import attrs

from datagym_async._wire._messages import Body
from datagym_async.exceptions import DataGymError
from datagym_async.transfer._config import UploadConfig
from datagym_async.transfer._items import Outcome, UploadItem, UploadResult
from datagym_async.transfer._needs import MediaUploads
from datagym_async.transfer._tally import Tally
from datagym_async.transfer._verdicts import is_fatal, is_unreachable, of_error, of_url

if TYPE_CHECKING:
    from datagym_async.transfer._feeder import Feeder
    from datagym_async.transfer._reading import Ready

MAX_READY = 8
"""Files read ahead of the workers; with `SMALL` it bounds the memory they take."""
UNREACHABLE_AFTER = 8
"""Items in a row, at least, that met no answer after all their attempts: the service is gone."""


@attrs.frozen
class FileWork:
    """One item with its bytes, for one request."""

    item: UploadItem
    body: Body
    warnings: tuple[str, ...] = ()


Work: TypeAlias = FileWork | tuple[UploadItem, ...]


@attrs.define
class Pipeline:
    """Run the workers of one upload.

    Args:
        media: Stores images.
        dataset_id: The dataset to store them in.
        config: The options.
        tally: Told of what is sent and settled.
    """

    _media: MediaUploads
    _dataset_id: str
    _config: UploadConfig
    _tally: Tally
    error: Exception | None = None
    stopped: bool = False
    sending_since: float | None = None
    _unanswered: int = 0
    _feeding: asyncio.Task[None] | None = None
    _work: asyncio.Queue[Work | None] = attrs.field(init=False)
    _results: asyncio.Queue[UploadResult | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._work = asyncio.Queue(min(self._config.concurrency, MAX_READY))
        self._results = asyncio.Queue(2 * self._config.concurrency)

    async def run(self, feeder: Feeder, source: object) -> None:
        """Upload everything to the end, or until an error stops it; then end the results."""
        try:
            async with asyncio.TaskGroup() as group:
                self._feeding = group.create_task(self._feed(feeder, source))
                for _ in range(self._config.concurrency):
                    group.create_task(self._send_all())
        except ExceptionGroup as errors:  # a slip of ours, or of the media given to us
            self.error = _first(errors)
        await self._results.put(None)

    async def next_result(self) -> UploadResult | None:
        """Return the next result as it is known, or None at the end."""
        return await self._results.get()

    def stop(self) -> None:
        """Begin nothing new; what is in flight ends in its own way, and then the results do."""
        self.stopped = True
        if self._feeding is not None:
            self._feeding.cancel()

    # The feeder's side.

    async def _feed(self, feeder: Feeder, source: object) -> None:
        try:
            await feeder.feed(source)
        except asyncio.CancelledError:
            if not self.stopped:  # else we cancelled it ourselves
                raise
        except Exception as error:
            self.error = self.error or _first(error)
        self._feeding = None  # from here on it must not be cancelled, or the workers would wait
        for _ in range(self._config.concurrency):
            await self._work.put(None)

    async def send_file(self, item: UploadItem, body: Body, warnings: tuple[str, ...] = ()) -> None:
        """Hand an item to the next free worker."""
        await self._hand_over(FileWork(item, body, warnings))

    async def send_links(self, items: tuple[UploadItem, ...]) -> None:
        """Hand a batch of links to the next free worker."""
        await self._hand_over(items)

    async def _hand_over(self, work: Work) -> None:
        if self.sending_since is None:
            self.sending_since = asyncio.get_running_loop().time()
        await self._work.put(work)

    async def settle(self, ready: Ready) -> None:
        """Give out a result that needs no sending."""
        if ready.verdict is not None:
            await self._give_out(
                UploadResult(
                    item=ready.item,
                    outcome=ready.verdict.outcome,
                    dataset_id=self._dataset_id,
                    size=ready.size,
                    reason=ready.verdict.reason,
                    warnings=ready.warnings,
                )
            )

    async def _give_out(self, result: UploadResult) -> None:
        self._tally.settled(result)
        await self._results.put(result)

    # The workers' side.

    async def _send_all(self) -> None:
        while (work := await self._work.get()) is not None:
            if self.stopped:
                continue
            for result in await self._send(work):
                await self._give_out(result)

    async def _send(self, work: Work) -> list[UploadResult]:
        count = len(work) if isinstance(work, tuple) else 1
        self._tally.in_flight += count
        began = asyncio.get_running_loop().time()
        try:
            if isinstance(work, tuple):
                return await self._upload_links(work, began)
            result = await self._upload_file(work.item, work.body, began)
            return [attrs.evolve(result, warnings=work.warnings) if work.warnings else result]
        finally:
            self._tally.in_flight -= count

    async def _upload_file(self, item: UploadItem, body: Body, began: float) -> UploadResult:
        try:
            media = await self._media.upload_body(self._dataset_id, item.name, body)
        except (DataGymError, OSError) as error:
            return self._refused(item, error, size=body.size, began=began)
        self._unanswered = 0
        return UploadResult(
            item=item,
            outcome=Outcome.UPLOADED,
            dataset_id=self._dataset_id,
            media_id=media.id,
            size=body.size,
            seconds=asyncio.get_running_loop().time() - began,
            attempts=1,
        )

    async def _upload_links(
        self, items: tuple[UploadItem, ...], began: float
    ) -> list[UploadResult]:
        urls = [str(item.content) for item in items]
        try:
            answers = await self._media.upload_urls(self._dataset_id, urls, batch_size=len(urls))
        except DataGymError as error:
            return [self._refused(item, error, size=None, began=began) for item in items]
        self._unanswered = 0
        seconds = asyncio.get_running_loop().time() - began
        return [
            of_url(item, answer, dataset_id=self._dataset_id, seconds=seconds)
            for item, answer in zip(items, answers, strict=True)
        ]

    def _refused(
        self, item: UploadItem, error: Exception, *, size: int | None, began: float
    ) -> UploadResult:
        self._unanswered = self._unanswered + 1 if is_unreachable(error) else 0
        patience = max(UNREACHABLE_AFTER, self._config.concurrency)
        if is_fatal(error) or self._unanswered >= patience:
            self._stop(error)
        return of_error(
            item,
            error,
            dataset_id=self._dataset_id,
            size=size,
            seconds=asyncio.get_running_loop().time() - began,
            skip_existing=self._config.skip_existing,
        )

    def _stop(self, error: Exception) -> None:
        self.error = self.error or error
        self.stop()


def _first(error: Exception) -> Exception:
    """Return the error itself, out of the groups that task groups wrap errors in."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
