"""`stats`: statistics of the labels of a project, a dataset or a file."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, cast, get_args

from datagym_async._client import DataGymClient
from datagym_async._files import write_file
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import with_client
from datagym_async.cli._errors import SOME_FAILED, WELL, CommandError, hint_in_shell_words
from datagym_async.cli._lookup import lies_here, subject_of
from datagym_async.cli._options import argument, flag
from datagym_async.cli._screen import Output
from datagym_async.look import LabelStatistics
from datagym_async.look import stats as stats_of_file
from datagym_async.look._pages import few, statistics_page, statistics_svg
from datagym_async.look._stats import FindingKind, Histogram
from datagym_async.models import Project

_BAR = 40  # characters of the longest bar
_FORMATS: Final[Mapping[str, Callable[[LabelStatistics], str]]] = {
    ".html": statistics_page,
    ".svg": statistics_svg,
    ".json": lambda found: json.dumps(found.to_dict(), indent=2),
}

app = group("stats")


@command(app, "stats")
def stats(
    invocation: Invocation,
    subject: Annotated[
        str,
        argument(
            "PROJECT|DATASET|FILE",
            "Name or id at the service, or a file or folder of labels, in any format that `import` "
            "takes. A path that exists on disk is used first.",
        ),
    ],
    output: Annotated[
        list[Path] | None,
        flag(
            "--output -o FILE",
            "Write the result as a page (.html), as charts (.svg) or as .json. May be repeated.",
        ),
    ] = None,
    tiny: Annotated[
        float,
        flag("--tiny PIXELS", "An object with a side shorter than this counts as tiny.", min=0),
    ] = 4.0,
    images: Annotated[
        Path | None,
        flag(
            "--images PATH",
            "For a file or folder: where the images are, if not beside the labels. For COCO "
            "results: the file that lists images and categories.",
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        flag(
            "--fail-on KINDS",
            "Exit with 1 if any of these are found, joined by commas: tiny, edge, double, "
            "incomplete, unlabelled, unanswered.",
        ),
    ] = None,
) -> int:
    """Count what labels hold: classes, sizes, states and problems.

    An export is read as it arrives, however large it is.
    """
    shown, files = invocation.output, output or []
    wanted = [word.strip() for word in (fail_on or "").split(",") if word.strip()]
    if unknown := [word for word in wanted if word not in get_args(FindingKind)]:
        raise CommandError(
            f"--fail-on does not know {unknown[0]!r}; it takes {', '.join(get_args(FindingKind))}."
        )
    for file in files:
        if file.suffix.lower() not in _FORMATS:
            raise CommandError(f"The file {file} must end in .html, .svg or .json.")
    path = Path(subject)
    if lies_here(invocation, subject):
        found = asyncio.run(stats_of_file(path, tiny=tiny, images=images))
    elif images is not None:
        raise CommandError("--images is for files and folders only.")
    else:

        async def work(client: DataGymClient) -> LabelStatistics:
            of = await subject_of(client, subject)
            if isinstance(of, Project):
                return await client.stats(project_id=of.id, tiny=tiny)
            return await client.stats(dataset_id=of.id, tiny=tiny)

        found = with_client(invocation, work)
    for file in files:
        write_file(file, _FORMATS[file.suffix.lower()](found).encode())
    if shown.as_json:
        shown.document(found.to_dict())
    elif not shown.quiet:
        _tell(shown, found)
    for file in files:
        shown.message(f"The statistics are in {file}.")
    findings = [found.finding(cast("FindingKind", kind)) for kind in wanted]
    bad = [each for each in findings if each.count]
    for each in bad:
        shown.warning(f"--fail-on {each.kind}: {each.count:,} ({each.text}).")
    return SOME_FAILED if bad else WELL


def _tell(output: Output, found: LabelStatistics) -> None:
    output.result(str(found))
    for note in found.notes:
        output.result(hint_in_shell_words(note))
    if found.classes:
        output.result("")
        columns = ("Class", ">Images", ">Objects", ">Smallest", ">Mean", ">Largest")
        output.table(
            columns,
            [
                (
                    each.key,
                    *(f"{count:,}" for count in (each.images, each.objects)),
                    *(f"{side:,.1f} px" for side in (each.smallest, each.mean, each.largest)),
                )
                for each in found.classes
            ],
        )
    states = tuple((state.lower(), count) for state, count in found.states.items())
    _bars(output, "State", states)
    _bars(output, "Objects by size", found.sizes)
    _bars(output, "Images by objects", found.per_image)
    _bars(output, "Images by size", found.image_sizes)
    if found.answers:
        output.result("")
        output.table(
            ("Question", "Answers", ">Without"),
            [
                (
                    each.key,
                    ", ".join(f"{key} {count:,}" for key, count in each.answers.items()),
                    f"{each.unanswered:,}",
                )
                for each in found.answers
            ],
        )
    output.result("")
    rows = [
        (each.kind, f"{each.count:,}", each.text, "; ".join(each.examples[:1]))
        for each in found.findings
    ]
    output.table(("Findings", ">", "", "First"), rows)


def _bars(output: Output, title: str, rows: Histogram) -> None:
    if not rows:
        return
    shown, mark = few(rows), "█" if output.can_say("█") else "#"
    most = max(count for _, count in shown)
    output.result("")
    output.table(
        (title, ">", ""),
        [(label, f"{count:,}", mark * round(_BAR * count / (most or 1))) for label, count in shown],
    )
