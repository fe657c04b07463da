"""`datasets`: list them, look at one, create one."""

from typing import Annotated

from datagym_async._runs._text import counted
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import address_of, with_client
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._lookup import Outline, outlines, whole_dataset_of
from datagym_async.cli._options import DatasetArgument, argument, flag
from datagym_async.cli._screen import Output, local_time, plain
from datagym_async.exceptions import AlreadyExistsError
from datagym_async.models import Dataset, DatasetMedia

app = group("datasets")


@command(app, "list")
def list_datasets(invocation: Invocation) -> int:
    """List the datasets with the number of their media."""
    datasets = with_client(invocation, outlines)
    columns = ("Id!", "Name", ">Media", ">Projects")
    rows = [
        (
            each.dataset.id,
            each.dataset.name,
            f"{each.media_count:,}",
            f"{each.dataset.project_count:,}",
        )
        for each in datasets
    ]
    address = address_of(invocation)
    invocation.output.listing(
        [_summary(each) for each in datasets],
        columns,
        rows,
        empty=f"There are no datasets at {address}; `datasets create NAME` makes one.",
    )
    return WELL


@command(app, "show")
def show(
    invocation: Invocation,
    dataset: DatasetArgument,
    limit: Annotated[int, flag("--limit N", "Media to list; 0 lists all.", min=0)] = 20,
) -> int:
    """Show a dataset and its media, the newest first (all of them with --json)."""
    found = with_client(invocation, lambda client: whole_dataset_of(client, dataset))
    if invocation.output.as_json:
        invocation.output.document(plain(found))
    else:
        left_out = show_dataset(invocation.output, found, limit=limit)
        if left_out:
            invocation.output.message(f"... and {left_out:,} more; --limit 0 lists all.")
    return WELL


@command(app, "create")
def create(
    invocation: Invocation,
    name: Annotated[str, argument("NAME", "Name of the dataset.")],
    description: Annotated[str, flag("--description TEXT", "A line that describes it.")] = "",
    exist_ok: Annotated[
        bool, flag("--exist-ok", "It is no error if the dataset already exists.")
    ] = False,
) -> int:
    """Create a dataset; names are compared without case."""
    try:
        made = with_client(
            invocation,
            lambda client: client.datasets.create(
                name, short_description=description, exist_ok=exist_ok
            ),
        )
    except AlreadyExistsError:
        raise CommandError(
            f"A dataset named {name!r} already exists (names are compared without case); take "
            "another name, or add --exist-ok."
        ) from None
    document = _summary(Outline(made, len(made.media)))
    invocation.output.outcome(document, f"Dataset {made.name!r} has the id {made.id}.")
    return WELL


def show_dataset(output: Output, dataset: Dataset, *, limit: int) -> int:
    """Show a dataset and its `limit` newest media (0: all); return how many were left out."""
    facts = (
        ("Dataset", dataset.name),
        ("Id", dataset.id),
        ("Description", dataset.short_description or ""),
        ("Created", local_time(dataset.created_at)),
        ("Holds", f"{len(dataset.media):,} media ({dataset.media_type.value.lower()})"),
        ("Attached to", counted(dataset.project_count, "project")),
    )
    for title, value in facts:
        if value:
            output.result(f"{title:<11} {value}")
    listed, rows = newest(dataset, limit)
    if listed:
        output.result("")
        output.table(("Media id!", "Name", "Source"), rows)
    return len(dataset.media) - len(listed)


def newest(dataset: Dataset, limit: int) -> tuple[list[DatasetMedia], list[tuple[str, str, str]]]:
    """Return the media of a dataset, the newest first, and their rows; a limit of 0 is none."""
    media = sorted(dataset.media, key=lambda each: (-each.timestamp, each.name))[: limit or None]
    rows = [(it.id, it.name, it.source_type.value.lower().replace("_", " ")) for it in media]
    return media, rows


def _summary(found: Outline) -> dict[str, object]:
    document = plain(found.dataset)
    del document["media"]
    return {**document, "media_count": found.media_count}
