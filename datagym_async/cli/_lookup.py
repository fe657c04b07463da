"""Datasets and projects by id or by name, as the service compares names."""

import contextlib
import difflib
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from datagym_async._client import DataGymClient
from datagym_async.cli._command import Invocation
from datagym_async.cli._errors import CommandError
from datagym_async.exceptions import NotFoundError
from datagym_async.models import Dataset, Project, ProjectDataset
from datagym_async.models._ids import is_id
from datagym_async.models._names import fold_name

N = TypeVar("N", Dataset, Project)


def choose(wanted: str, among: Sequence[N], *, kind: str) -> N | None:
    """Return the matching one, or None; if a race has left several of the name, ask for an id."""
    if by_id := [each for each in among if each.id == wanted.lower()]:
        return by_id[0]
    found = [each for each in among if fold_name(each.name) == fold_name(wanted)]
    exact = [each for each in found if each.name == wanted]
    found = exact if len(exact) == 1 else found
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise CommandError(f"{len(found)} {kind}s are named {wanted!r}; give one of the ids {ids}.")
    return found[0] if found else None


@attrs.frozen
class Outline:
    """A dataset without its media, of which there may be very many, and their number."""

    dataset: Dataset
    media_count: int


async def outlines(client: DataGymClient) -> list[Outline]:
    """Return all datasets without their media, which are never in memory at once."""
    return await client.datasets.read_parts(_outlined)


async def _outlined(parts: AsyncIterator[Dataset]) -> list[Outline]:
    found: dict[str, Outline] = {}
    async for part in parts:
        before = found[part.id].media_count if part.id in found else 0
        found[part.id] = Outline(attrs.evolve(part, media=()), before + len(part.media))
    return list(found.values())


async def find_dataset(client: DataGymClient, wanted: str) -> Dataset | None:
    """Return the dataset with this id or name, without its media, or None."""
    found, _ = await _search(client, wanted)
    return found


async def _search(client: DataGymClient, wanted: str) -> tuple[Dataset | None, list[Dataset]]:
    """Return a dataset as `find_dataset` does, and all others if they had to be listed."""
    if is_id(wanted):
        # Requested alone: a listing has all media of all datasets.
        with contextlib.suppress(NotFoundError):
            (found,) = await client.datasets.read_parts(_outlined, wanted)
            return found.dataset, []
    there = [each.dataset for each in await outlines(client)]
    return choose(wanted, there, kind="dataset"), there


async def dataset_of(client: DataGymClient, wanted: str, *, hint: str = "") -> Dataset:
    """Return the dataset with this id or name, without its media; `hint` is for the error."""
    found, there = await _search(client, wanted)
    if found is None:
        others = await client.projects.list()
        raise CommandError(_unknown(wanted, there, others, kind="dataset", hint=hint))
    return found


async def whole_dataset_of(client: DataGymClient, wanted: str) -> Dataset:
    if is_id(wanted):
        with contextlib.suppress(NotFoundError):
            return await client.datasets.get(wanted)
    return await client.datasets.get((await dataset_of(client, wanted)).id)


async def project_of(client: DataGymClient, wanted: str) -> Project:
    projects = await client.projects.list()
    found = choose(wanted, projects, kind="project")
    if found is None:
        others = [dataset for each in projects for dataset in each.datasets]
        raise CommandError(_unknown(wanted, projects, others, kind="project"))
    return found


async def subject_of(client: DataGymClient, wanted: str) -> Project | Dataset:
    """Return the project or else the dataset with this id or name, without its media."""
    projects = await client.projects.list()
    if (project := choose(wanted, projects, kind="project")) is not None:
        return project
    dataset, there = await _search(client, wanted)
    if dataset is not None:
        return dataset
    meant = _meant(wanted, [*projects, *there])
    raise CommandError(
        f"There is no file, project or dataset {wanted!r}.{meant} `datagym-async projects list` and"
        " `datagym-async datasets list` show what there is."
    )


def lies_here(invocation: Invocation, subject: str) -> bool:
    """Return whether a subject is a file or folder, which is preferred; an id never is."""
    is_here = not is_id(subject) and os.path.exists(subject)  # noqa: PTH110 -- any text is fine
    invocation.no_file = "" if is_here else subject
    return is_here


def refuse_to_overwrite(
    inputs: Iterable[Path | None], *outputs: Path, folder: Path | None = None
) -> None:
    """Refuse to write a result over what is read for it; all files in `folder` may be read."""
    read = {os.path.realpath(each) for each in inputs if each is not None}
    for each in outputs:
        place = Path(os.path.realpath(each))
        is_in_folder = folder and place.is_relative_to(os.path.realpath(folder)) and place.exists()
        if str(place) in read or is_in_folder:
            raise CommandError(f"{each} is what is read here; write to another file.")


def _meant(wanted: str, among: Sequence[Dataset | Project]) -> str:
    near = difflib.get_close_matches(wanted, [each.name for each in among], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _unknown(
    wanted: str,
    among: Sequence[Dataset | Project],
    others: Sequence[Project | ProjectDataset],
    *,
    kind: str,
    hint: str = "",
) -> str:
    meant = _meant(wanted, among)
    if any(wanted.lower() in {each.id, each.name.lower()} for each in others):
        meant = f" It is a {'project' if kind == 'dataset' else 'dataset'}."
    listed = f"`datagym-async {kind}s list` shows what there is"
    way = f"{listed}; {hint}" if hint else listed
    word = "with the id" if is_id(wanted) else "named"
    return f"There is no {kind} {word} {wanted!r}.{meant} {way}."
