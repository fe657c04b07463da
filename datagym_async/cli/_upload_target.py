"""Where an upload goes: the dataset and the projects that the options name."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

from datagym_async._client import DataGymClient
from datagym_async.cli._dry_run import Imagined
from datagym_async.cli._errors import CommandError
from datagym_async.cli._lookup import dataset_of, find_dataset, project_of
from datagym_async.cli._output import Output
from datagym_async.cli._upload_settings import Options
from datagym_async.models import Dataset, MediaType, Project


async def find_projects(client: DataGymClient, wanted: Iterable[str]) -> list[Project]:
    """Return the projects that a dataset is to be attached to.

    Raises:
        CommandError: One is unknown, or not for images.
    """
    return [await _image_project(client, each) for each in wanted]


async def find_target(client: DataGymClient, output: Output, options: Options) -> Dataset:
    """Return the dataset that the options name, made if they ask for it.

    Raises:
        CommandError: There is none.
    """
    found = await look_for_target(client, options)
    if isinstance(found, Dataset):
        return found
    made = await client.datasets.create(found.name, exist_ok=True)
    output.message(f"Created dataset {made.name!r} ({made.id}).")
    return made


async def look_for_target(client: DataGymClient, options: Options) -> Dataset | Imagined:
    """Return the dataset that the options name, or the one that would be made.

    Raises:
        CommandError: There is none, and it is not to be made.
    """
    wanted = options.where.dataset
    if wanted is None and options.going_on.retry_failed is not None:
        wanted = await asyncio.to_thread(_dataset_of_report, options.going_on.retry_failed)
    if wanted is None:
        raise CommandError("No dataset is named; add --dataset.")
    if not options.where.create:
        return await dataset_of(client, wanted, hint="--create makes it")
    return await find_dataset(client, wanted) or Imagined(wanted, client)


async def _image_project(client: DataGymClient, wanted: str) -> Project:
    project = await project_of(client, wanted)
    if project.media_type is MediaType.VIDEO:
        raise CommandError(f"Project {project.name!r} labels videos; name one that labels images.")
    return project


def _dataset_of_report(file: Path) -> str:
    """Return the dataset of a report; what else is wrong with it is said when it is read whole."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError):
        document = None
    found = document.get("dataset_id") if isinstance(document, dict) else None
    if not isinstance(found, str) or not found:
        raise CommandError(
            f"{file} is no report of an upload (--report FILE.json writes one); give it, or name "
            "the dataset with --dataset."
        )
    return found
