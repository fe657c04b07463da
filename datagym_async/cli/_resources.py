"""`projects`, `datasets` and `media`: listed, made, shown, attached, fetched and removed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import attrs

from datagym_async._client import DataGymClient
from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import address_of, with_client
from datagym_async.cli._errors import SOME_FAILED, WELL, CommandError, sentence_of
from datagym_async.cli._lookup import Outline, dataset_of, outlines, project_of, whole_dataset_of
from datagym_async.cli._options import DatasetArgument, ProjectArgument, Yes, argument, flag
from datagym_async.cli._screen import Output, local_time, plain
from datagym_async.exceptions import AlreadyExistsError, DataGymError
from datagym_async.models import Dataset, DatasetMedia, Project
from datagym_async.models._ids import is_id
from datagym_async.models._names import fold_written

projects_app = group("projects")


@command(projects_app, "list")
def list_projects(invocation: Invocation) -> int:
    """List the projects with their datasets."""
    projects = with_client(invocation, lambda client: client.projects.list())
    rows = [
        (
            project.id,
            project.name,
            project.media_type.value.lower(),
            f"{len(project.datasets):,}",
            f"{sum(each.media_count for each in project.datasets):,}",
        )
        for project in projects
    ]
    invocation.output.listing(
        [plain(each) for each in projects],
        ("Id!", "Name", "Type", ">Datasets", ">Media"),
        rows,
        empty=f"There are no projects at {address_of(invocation)}.",
    )
    return WELL


@command(projects_app, "attach")
def attach(invocation: Invocation, dataset: DatasetArgument, project: ProjectArgument) -> int:
    """Attach a dataset to a project, which gets one task for each of its images."""

    async def work(client: DataGymClient) -> tuple[Dataset, Project]:
        found = await _both(client, dataset, project)
        await client.projects.add_dataset(found[1].id, found[0].id)
        return found

    return _say(invocation, *with_client(invocation, work), attached=True)


@command(projects_app, "detach")
def detach(
    invocation: Invocation, dataset: DatasetArgument, project: ProjectArgument, yes: Yes = False
) -> int:
    """Detach a dataset from a project: deletes its tasks there, and all their labels.

    The images stay. It asks first; --yes skips the question.
    """
    invocation.require_consent(yes=yes, danger="Detaching deletes tasks and labels. ")
    found = with_client(invocation, lambda client: _both(client, dataset, project, whole=True))
    if not yes and not invocation.output.ask(
        f"Detaching {found[0].name!r} from {found[1].name!r} deletes its tasks there "
        f"(up to {len(found[0].media):,}) and all their labels. Detach it?"
    ):
        return WELL
    with_client(invocation, lambda client: client.projects.remove_dataset(found[1].id, found[0].id))
    return _say(invocation, *found, attached=False)


async def _both(
    client: DataGymClient, dataset: str, project: str, *, whole: bool = False
) -> tuple[Dataset, Project]:
    look = whole_dataset_of if whole else dataset_of
    return await look(client, dataset), await project_of(client, project)


def _say(invocation: Invocation, dataset: Dataset, project: Project, *, attached: bool) -> int:
    words = "is attached to" if attached else "is no longer attached to"
    invocation.output.outcome(
        {"dataset_id": dataset.id, "project_id": project.id, "attached": attached},
        f"Dataset {dataset.name!r} {words} project {project.name!r}.",
    )
    return WELL


datasets_app = group("datasets")


@command(datasets_app, "list")
def list_datasets(invocation: Invocation) -> int:
    """List the datasets with the number of their media."""
    datasets = with_client(invocation, outlines)
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
        ("Id!", "Name", ">Media", ">Projects"),
        rows,
        empty=f"There are no datasets at {address}; `datasets create NAME` makes one.",
    )
    return WELL


@command(datasets_app, "show")
def show(
    invocation: Invocation,
    dataset: DatasetArgument,
    limit: Annotated[int, flag("--limit N", "Media to list; 0 lists all.", min=0)] = 20,
) -> int:
    """Show a dataset and its media, the newest first (all of them with --json)."""
    found = with_client(invocation, lambda client: whole_dataset_of(client, dataset))
    if invocation.output.as_json:
        invocation.output.document(plain(attrs.evolve(found, media=tuple(newest(found, 0)[0]))))
    else:
        left_out = show_dataset(invocation.output, found, limit=limit)
        if left_out:
            invocation.output.message(f"... and {left_out:,} more; --limit 0 lists all.")
    return invocation.output.whole()


@command(datasets_app, "create")
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


media_app = group("media")

Wanted = Annotated[list[str], argument("MEDIA", "Names or ids of media in the dataset.")]


@command(media_app, "list")
def list_media(
    invocation: Invocation,
    dataset: DatasetArgument,
    limit: Annotated[int, flag("--limit N", "Media to list; 0 lists all.", min=0)] = 0,
) -> int:
    """List the media of a dataset, the newest first."""
    found = with_client(invocation, lambda client: whole_dataset_of(client, dataset))
    shown, rows = newest(found, limit)
    invocation.output.listing(
        [plain(each) for each in shown],
        ("Id!", "Name", "Source"),
        rows,
        empty=f"The dataset {found.name!r} holds no media.",
    )
    return WELL


@command(media_app, "get")
def get(
    invocation: Invocation,
    dataset: DatasetArgument,
    media: Wanted,
    output: Annotated[Path, flag("--output -o FOLDER", "Folder for them.")] = Path(),
) -> int:
    """Download single media of a dataset, under their names; `download` is for whole datasets."""

    chosen = with_client(invocation, lambda client: _chosen(client, dataset, media))
    paths = {each.id: output / each.name for each in chosen}
    if len({fold_written(each.name) for each in chosen}) < len(chosen):
        raise CommandError(
            "Two of them have the same name; download them one by one, into different folders."
        )
    for each in chosen:
        if Path(each.name).name != each.name:
            raise CommandError(f"{each.name!r} is not a file name; `download` finds one for it.")
        if paths[each.id].exists():
            raise CommandError(f"{paths[each.id]} already exists; nothing was downloaded.")
    output.mkdir(parents=True, exist_ok=True)

    async def work(client: DataGymClient) -> None:
        for each in chosen:
            await client.media.download_to(each.id, paths[each.id])

    with_client(invocation, work)
    if invocation.output.as_json:
        invocation.output.document([{"id": id_, "path": str(path)} for id_, path in paths.items()])
    else:
        for path in paths.values():
            invocation.output.result(f"{path} ({size(path.stat().st_size)})")
    return WELL


@command(media_app, "rm")
def remove(
    invocation: Invocation, dataset: DatasetArgument, media: Wanted, yes: Yes = False
) -> int:
    """Delete single media of a dataset permanently, with their tasks and labels.

    It asks first; --yes skips the question.
    """
    invocation.require_consent(yes=yes)
    output = invocation.output

    chosen = with_client(invocation, lambda client: _chosen(client, dataset, media))
    if not yes and not output.ask(f"Delete {counted(len(chosen), 'media', 'media')} permanently?"):
        return WELL

    async def work(client: DataGymClient) -> list[str]:
        failed = []
        for each in chosen:
            try:
                await client.media.delete(each.id)
            except DataGymError as error:
                failed.append(each.id)
                output.error(f"{each.name}: {sentence_of(error)}")
        return failed

    failed = with_client(invocation, work)
    deleted = [each.id for each in chosen if each.id not in failed]
    sentence = f"{counted(len(deleted), 'media', 'media')} deleted."
    output.outcome({"deleted": deleted, "failed": failed}, sentence)
    return SOME_FAILED if failed else WELL


async def _chosen(client: DataGymClient, dataset: str, wanted: Sequence[str]) -> list[DatasetMedia]:
    """Return the media of a dataset with these ids or names, each once."""
    media = (await whole_dataset_of(client, dataset)).media
    chosen: dict[str, DatasetMedia] = {}
    for each in wanted:
        key = each.lower() if is_id(each) else fold_written(each)
        found = [one for one in media if key == (one.id if is_id(each) else fold_written(one.name))]
        if not found:
            raise CommandError(
                f"The dataset has no media {each!r}; `datagym-async media list` shows them."
            )
        if len(found) > 1:
            ids = ", ".join(one.id for one in found)
            raise CommandError(f"{len(found)} media are named {each!r}; give one of the ids {ids}.")
        chosen[found[0].id] = found[0]
    return list(chosen.values())
