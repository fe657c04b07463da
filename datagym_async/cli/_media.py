"""`media`: list those of a dataset, get and remove single ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from datagym_async._client import DataGymClient
from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import with_client
from datagym_async.cli._datasets import newest
from datagym_async.cli._errors import SOME_FAILED, WELL, CommandError, sentence_of
from datagym_async.cli._lookup import whole_dataset_of
from datagym_async.cli._options import DatasetArgument, Yes, argument, flag
from datagym_async.cli._screen import plain
from datagym_async.exceptions import DataGymError
from datagym_async.models import DatasetMedia
from datagym_async.models._ids import is_id
from datagym_async.models._names import fold_written

app = group("media")

Wanted = Annotated[list[str], argument("MEDIA", "Names or ids of media in the dataset.")]


@command(app, "list")
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


@command(app, "get")
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
            raise CommandError(f"{each.name!r} is no file name; `download` finds one for it.")
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


@command(app, "rm")
def remove(
    invocation: Invocation, dataset: DatasetArgument, media: Wanted, yes: Yes = False
) -> int:
    """Delete single media of a dataset permanently, with their tasks and labels.

    It asks first; --yes skips the question.
    """
    invocation.require_consent(yes=yes)
    output = invocation.output

    chosen = with_client(invocation, lambda client: _chosen(client, dataset, media))
    if not yes and not output.ask(f"Delete {counted(len(chosen), 'medium', 'media')} permanently?"):
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
    sentence = f"{counted(len(deleted), 'medium', 'media')} deleted."
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
            raise CommandError(f"The dataset has no media {each!r}; `media list` shows them.")
        if len(found) > 1:
            ids = ", ".join(one.id for one in found)
            raise CommandError(f"{len(found)} media are named {each!r}; give one of the ids {ids}.")
        chosen[found[0].id] = found[0]
    return list(chosen.values())
