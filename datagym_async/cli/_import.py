"""`import`: labels of a file or folder into a project."""

import asyncio
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs

from datagym_async._printable import for_shell
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
    in_shell_words,
    sentence_of,
)
from datagym_async.cli._lookup import project_of
from datagym_async.cli._option_table import Given, Option, OptionTable
from datagym_async.cli._options import argument, flag
from datagym_async.cli._progress import LINES_OF_PROBLEMS
from datagym_async.cli._screen import Output, plain
from datagym_async.cli._signals import STOPPING, ending_in_two_steps, run_in_loop
from datagym_async.exceptions import DataGymError
from datagym_async.formats import LabelMapping, LossKind, PredictionFile
from datagym_async.formats._prediction_files import OWN_FORMATS
from datagym_async.formats._table import FORMATS
from datagym_async.imports import LabelImport
from datagym_async.labels import LabelConfig
from datagym_async.resources import ImportOutcome, ImportResult
from datagym_async.resources._predictions import said_of_import

_FINE: Final = {ImportOutcome.STORED, ImportOutcome.CHECKED}
_FORMATS: Final = (*OWN_FORMATS, *(each.name for each in FORMATS))
_NAMES: Final = 3  # names in a line about several images

app = group("import")


Outlined: TypeAlias = Literal["rectangle", "polygon", "segmentation"]
By: TypeAlias = Literal["supercategory", "category"]

_READ: Final = (
    Option("--format -f FORMAT", f"{', '.join(_FORMATS)}. Detected by default."),
    Option(
        "--shape", "What an object with an outline becomes in a configuration made from the file."
    ),
    Option(
        "--by",
        "Which name of a class becomes the entry; the other becomes the answer of its nested "
        "select.",
    ),
    Option(
        "--classes FILE",
        "Names of the classes, if labels have only numbers: a data.yaml, a COCO file, or a file "
        "with one name a line.",
        type=Path | None,
        convert=lambda file: file or (),
    ),
    Option("--split NAME", "The part to read, such as train or val. Default: all."),
    Option(
        "--images PATH",
        "Where the images are, if not beside the labels. For COCO results: the file that lists "
        "images and categories.",
    ),
    Option("--min-score N", "Leave out objects with a lower score (0 to 1).", least=0),
    Option("--zero-based", "For Pascal VOC files whose first pixel is 0. The format says 1."),
)
_FILE: Final = "datagym_async.formats:PredictionFile"
READING: Final = OptionTable(_FILE, {"": _READ})

_option: Final = partial(Option, type=bool, default=False)
_HOW: Final = (
    _option(
        "--check --dry-run -n",
        "Import nothing, only report what would be imported.",
        field="dry_run",
    ),
    _option("--partial", "Leave out the labels that cannot be imported, and import the rest."),
    _option("--strict", "Also hold back predictions with warnings."),
    _option("--by-name", "Find images by name if they have no id in the JSON."),
    _option(
        "--sizes/--no-sizes",
        "Compare width and height in the file with those of the image, one request for each image.",
        default=True,
    ),
    _option(
        "--rescale",
        "Scale labels to an image of another size, if the aspect ratio is exactly the same.",
    ),
    _option("--clip", "Cut shapes off at the edges of their image. The report counts them."),
    Option(
        "--batch-size N", "Predictions in one request.", type=int, default=50, least=1, most=500
    ),
)
IMPORT: Final = OptionTable(
    _FILE,
    {
        "": (
            Option(
                "--append",
                "Append to the labels of each image. If you import twice, they are there twice.",
            ),
            Option("--replace", "Replace all labels of each image that the file names."),
            *_HOW,
            Option(
                "--unannotated",
                "Also import images without labels; with --replace they lose the labels they have.",
            ),
            Option(
                "--lossy-ok",
                "Exit with 0 even if something of the file was left out, unless predictions were "
                "not stored. It is still reported.",
            ),
            Option(
                "--create-config",
                "Make a label configuration from the file if the project has none.",
            ),
            *_READ,
        )
    },
)


def source_of(file: Path, given: Given, shape: Outlined | None, by: By) -> PredictionFile:
    if not file.exists():
        raise CommandError(f"There is no file or folder {file}.")
    return PredictionFile(file, mapping=LabelMapping(shape=shape, by=by), **given.config)


@attrs.define
class _Kind:
    """Messages of one kind: how often, its sentence if there is only one, the first places."""

    count: int = 0
    only: str = ""
    names: list[str] = attrs.field(factory=list)


@attrs.define
class _Account:
    """The results so far, kept outside the run so that an interruption cannot lose them."""

    lossy_ok: bool
    is_check: bool
    counts: dict[ImportOutcome, int] = attrs.field(factory=lambda: dict.fromkeys(ImportOutcome, 0))
    kinds: dict[tuple[str, str], _Kind] = attrs.field(factory=dict)
    told: list[ImportResult] = attrs.field(factory=list)
    left_out: int = 0
    job: LabelImport | None = None  # once it has begun
    is_complete: bool = False

    @property
    def created(self) -> LabelConfig | None:
        return None if self.job is None else self.job.created

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def note(self, output: Output, result: ImportResult) -> None:
        """Count a result, and its messages, by kind."""
        self.counts[result.outcome] += 1
        name = result.media_name or result.media_id
        for remark in result.remarks:
            kind = self.kinds.setdefault((remark.word, remark.text), _Kind())
            where = f"predictions[{result.index}] {name}".rstrip()
            kind.only = f"{where}: {remark.first}"
            kind.count += remark.count
            if len(kind.names) <= _NAMES:
                kind.names.append(name or f"predictions[{result.index}]")
        self.left_out += bool(result.left_out)
        if output.as_json and result.remarks:
            self.told.append(result)
        if self.total % 1000 == 0:
            output.message(f"{self.total:,} predictions")

    def lines(self) -> list[str]:
        """Return a line for each kind: rejected ones first, then the most frequent."""
        ranks = {"warning": 2, "left out": 1}
        ordered = sorted(
            self.kinds.items(), key=lambda each: (ranks.get(each[0][0], 0), -each[1].count)
        )
        lines = []
        for (word, text), kind in ordered:
            names = _some(kind.names)
            said = kind.only if kind.count == 1 else f"{kind.count:,} x {text} ({names})"
            lines.append(f"{word}: {hint_in_shell_words(said)}")
        return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMES]) + ", ..." * (len(names) > _NAMES)


@command(app, "import", table=IMPORT)
def import_(
    invocation: Invocation,
    given: Given,
    file: Annotated[
        Path, argument("FILE", "A file or folder of labels: COCO, YOLO, an export and others.")
    ],
    project: Annotated[str, flag("--project -p NAME|ID", "The project to import into.")],
    append: bool = False,
    replace: bool = False,
    lossy_ok: bool = False,
    create_config: bool = False,
    shape: Outlined | None = None,
    by: By = "supercategory",
) -> int:
    """Import labels of a file or folder into a project.

    Use --append or --replace, or --check to see what would be imported. Each image is checked
    first: labels that the service would drop, damage or refuse are held back and reported. The exit
    status is 1 if something of the file was not imported.
    """
    how: Any = {row.library_name: given.config.pop(row.library_name) for row in _HOW}
    if append == replace and not how["dry_run"]:
        raise CommandError(
            "Choose --append or --replace: keep the labels that are there, or replace them."
        )
    output, source = invocation.output, source_of(file, given, shape, by)
    source.format = source.found_format
    account = _Account(lossy_ok=lossy_ok, is_check=how["dry_run"])
    client = client_for(invocation)

    async def run() -> None:
        async with (
            client,
            waiting(invocation, client, lambda: account.job is not None and account.job.is_reading),
        ):
            account.job = job = LabelImport(
                client.labels,
                client.label_configs,
                await project_of(client, project),
                source,
                keep_data=append,
                how=how,
                create_config=create_config,
            )

            def stop() -> None:
                job.is_stopping = True
                output.warning(f"{STOPPING}.")

            with ending_in_two_steps(stop):
                async with aclosing(job.results()) as results:
                    async for result in results:
                        account.note(output, result)
        account.is_complete = not job.is_stopping

    left = "predictions that are not listed were not imported"
    try:
        run_in_loop(run())
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        left = "; ".join(getattr(error, "__notes__", ())) or left  # some may have arrived
    except DataGymError as error:
        status = STOPPED  # it has not begun
        if account.total or account.created:
            status = SOME_FAILED
            _close(output, account, source)
        raise CommandError(sentence_of(error), status=status) from error
    status = _close(output, account, source)
    if not account.is_complete:
        output.warning(f"Interrupted; {left}.")
        return INTERRUPTED
    return status


def _close(output: Output, account: _Account, source: PredictionFile) -> int:
    losses, created = source.losses, account.created
    counts = {outcome.value: count for outcome, count in account.counts.items()}
    all_fine = all(count == 0 or outcome in _FINE for outcome, count in account.counts.items())
    is_whole = account.lossy_ok or not (account.left_out or losses.is_loss)
    ok = all_fine and is_whole and account.total > 0 and account.is_complete
    if output.as_json:
        document = {
            **counts,
            "ok": ok,
            "complete": account.is_complete,
            "created": None if created is None else created.to_payload(),
            "unannotated": source.skipped,
            "kinds": [
                {"word": word, "text": text, "count": kind.count, "names": kind.names[:_NAMES]}
                for (word, text), kind in account.kinds.items()
            ],
            "results": [plain(each) for each in account.told],
            "losses": [
                plain(each) | {"text": each.kind.text, "is_loss": each.kind.is_loss}
                for each in losses.items
            ],
        }
        output.document(in_shell_words(document))
    if created:
        entries = counted(len(created), "entry", "entries")
        keys = _some([each.key for each in created.entries])
        would = "would be" if account.is_check else "was"
        output.message(f"A label configuration of {entries} {would} made of the file ({keys}).")
    lines = account.lines()
    for line in lines[:LINES_OF_PROBLEMS]:
        output.warning(line)
    if (more := len(lines) - LINES_OF_PROBLEMS) > 0:
        output.warning(f"(and {counted(more, 'further kind')}; --json lists them all)")
    for loss in losses.items:
        said = hint_in_shell_words(str(loss))
        output.warning(f"{'lost' if loss.kind.is_loss else 'changed'}: {said}")
    if any(losses.count(kind) for kind in (LossKind.NO_ENTRY, LossKind.NO_POINT)):
        output.warning(
            f"`datagym-async config from {for_shell(str(source.path))} --add --upload PROJECT` "
            "adds what is missing. That deletes all labels of the project; they are saved first."
        )
    if source.skipped:
        images = counted(source.skipped, "image")
        stay = "stays as it is" if source.skipped == 1 else "stay as they are"
        output.message(f"{images} without labels {stay} (--unannotated imports such images).")
    sentence = said_of_import(account.counts, account.left_out)
    if not account.total:
        why = f": {source.path} has no labels for this project" if account.is_complete else ""
        sentence = f"Nothing was imported{why}."
    if not ok:
        output.warning(sentence)
    elif not output.quiet:
        output.result(sentence)
    return WELL if ok else SOME_FAILED
