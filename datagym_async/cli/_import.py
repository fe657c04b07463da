"""`import`: predictions from a file into a project."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Final, Literal

import attrs

from datagym_async._runs._text import counted
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import client_for, waiting
from datagym_async.cli._errors import (
    INTERRUPTED,
    SOME_FAILED,
    STOPPED,
    WELL,
    CommandError,
    hint_in_shell_words,
    sentence_of,
)
from datagym_async.cli._lookup import project_of
from datagym_async.cli._options import argument, flag
from datagym_async.cli._progress import ProblemLines
from datagym_async.cli._screen import Output, plain
from datagym_async.cli._signals import ending_in_two_steps, run_in_loop
from datagym_async.exceptions import DataGymError
from datagym_async.formats import LabelMapping, PredictionFile, PredictionFormat
from datagym_async.resources import ImportOutcome, ImportResult
from datagym_async.resources._predictions import PredictionLike

_FINE: Final = {ImportOutcome.STORED, ImportOutcome.CHECKED}

app = group("import")


@attrs.frozen(kw_only=True)
class HowOptions:
    """What is done with the labels."""

    check: Annotated[bool, flag("--check", "Only tell what would be imported; import nothing.")] = (
        False
    )
    append: Annotated[
        bool,
        flag("--append", "Append to the labels of each image; twice imported, they are doubled."),
    ] = False
    replace: Annotated[
        bool, flag("--replace", "Replace all labels of each image that the file names.")
    ] = False
    partial: Annotated[
        bool,
        flag("--partial", "Leave out the labels that cannot be imported, and import the rest."),
    ] = False
    strict: Annotated[bool, flag("--strict", "Hold back predictions with warnings, too.")] = False
    batch_size: Annotated[
        int, flag("--batch-size", "Predictions in one request.", min=1, max=500)
    ] = 50


@attrs.frozen(kw_only=True)
class FileOptions:
    """How the file is read."""

    file_format: Annotated[
        PredictionFormat | None,
        flag("--format", "What the file is; else by its suffix and beginning."),
    ] = None
    by_name: Annotated[
        bool, flag("--by-name", "Find images without an id by their names; always so for COCO.")
    ] = False
    coco_shape: Annotated[
        Literal["rectangle", "polygon"], flag("--coco-shape", "What a COCO instance becomes.")
    ] = "rectangle"
    coco_by: Annotated[
        Literal["supercategory", "category"],
        flag("--coco-by", "Which name of a COCO category is the key of the entry."),
    ] = "supercategory"
    unannotated: Annotated[
        bool,
        flag("--unannotated", "Import COCO images without labels, too; --replace empties them."),
    ] = False


@attrs.define
class _Account:
    """What has become of the predictions so far, kept where an interruption cannot take it."""

    lines: ProblemLines
    counts: dict[ImportOutcome, int] = attrs.field(factory=lambda: dict.fromkeys(ImportOutcome, 0))
    told: list[ImportResult] = attrs.field(factory=list)
    is_stopping: bool = False
    is_complete: bool = False

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def note(self, output: Output, result: ImportResult) -> None:
        """Count a result, and say it if somebody should look at it."""
        self.counts[result.outcome] += 1
        if not result.ok or result.left_out or result.warnings:
            who = f"predictions[{result.index}] {result.media_id}".rstrip()
            sentences = (
                *((result.outcome.value, each) for each in result.reasons),
                *(("left out", each) for each in result.left_out),
                *(("warning", each) for each in result.warnings),
            )
            self.lines.say(*(f"{kind}: {who}: {hint_in_shell_words(it)}" for kind, it in sentences))
            if output.as_json:
                self.told.append(result)
        if self.total % 1000 == 0:
            output.message(f"{self.total:,} predictions")


@command(app, "import")
def import_(
    invocation: Invocation,
    how: HowOptions,
    reading: FileOptions,
    file: Annotated[Path, argument("FILE", "Predictions: .json, .jsonl, an export, or COCO.")],
    project: Annotated[str, flag("--project -p NAME|ID", "The project.", show_default=False)],
) -> int:
    """Import predictions into a project; each is checked first.

    Say --append or --replace, or --check to see what would be imported. What the service would
    drop, break or refuse is held back and told.
    """
    if how.append == how.replace and not how.check:
        raise CommandError("Say what becomes of the labels there are: --append or --replace.")
    if not file.is_file():
        raise CommandError(f"There is no file {file}.")
    output = invocation.output
    source = PredictionFile(
        file,
        format=reading.file_format,
        mapping=LabelMapping(shape=reading.coco_shape, by=reading.coco_by),
        unannotated=reading.unannotated,
    )
    source.format = source.found_format
    account = _Account(ProblemLines(output, kept_by="--json lists them all"))
    client = client_for(invocation)

    async def predictions() -> AsyncGenerator[PredictionLike, None]:
        """Give the predictions until the command is to stop: the batch begun then ends well."""
        async with aclosing(aiter(source)) as items:
            async for item in items:
                if account.is_stopping:
                    return
                yield item

    def stop() -> None:
        account.is_stopping = True
        output.warning("Stopping: what is on its way ends first. Ctrl-C again stops at once.")

    async def run() -> None:
        async with client, waiting(invocation, client):
            results = client.labels.iter_import_predictions(
                (await project_of(client, project)).id,
                predictions(),
                keep_data=how.append,
                partial=how.partial,
                strict=how.strict,
                by_name=reading.by_name or source.format is PredictionFormat.COCO,
                dry_run=how.check,
                batch_size=how.batch_size,
            )
            with ending_in_two_steps(stop):
                async with aclosing(results):
                    async for result in results:
                        account.note(output, result)
        account.is_complete = not account.is_stopping

    try:
        run_in_loop(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        account.is_stopping = True
    except DataGymError as error:
        if account.total:
            _close(output, account, source)
        status = SOME_FAILED if account.counts[ImportOutcome.STORED] else STOPPED
        raise CommandError(sentence_of(error), status=status) from error
    return _close(output, account, source)


def _close(output: Output, account: _Account, source: PredictionFile) -> int:
    """Say how a run ended; return the exit status."""
    counts = {outcome.value: count for outcome, count in account.counts.items()}
    all_fine = all(count == 0 or outcome in _FINE for outcome, count in account.counts.items())
    if output.as_json:
        output.document(
            {
                **counts,
                "ok": all_fine and account.is_complete,
                "complete": account.is_complete,
                "results": [plain(each) for each in account.told],
                "losses": [str(each) for each in source.losses.items],
            }
        )
    for loss in source.losses.items:
        output.warning(str(loss))
    parts = [f"{count:,} {outcome}" for outcome, count in counts.items() if count]
    sentence = f"{counted(account.total, 'prediction')}: {', '.join(parts) or 'none'}."
    if not all_fine or not account.is_complete:
        output.warning(sentence)
    elif not output.quiet:
        output.result(sentence)
    if account.is_stopping:
        output.warning("Interrupted; the predictions that were not named are not imported.")
        return INTERRUPTED
    return WELL if all_fine else SOME_FAILED
