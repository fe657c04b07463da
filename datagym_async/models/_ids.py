"""What may stand for an id wherever one is wanted: its text, a UUID, or a value that has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias
from uuid import UUID

from datagym_async.exceptions import ConfigurationError
from datagym_async.models._media import (
    Dataset,
    DatasetMedia,
    LabelConfiguration,
    LabelEntry,
    Media,
    Project,
    ProjectDataset,
)
from datagym_async.models._tasks import LabelValue, Task, TaskDetail

DatasetId: TypeAlias = str | UUID | Dataset | ProjectDataset
ProjectId: TypeAlias = str | UUID | Project
MediaId: TypeAlias = str | UUID | Media | DatasetMedia
TaskId: TypeAlias = str | UUID | Task | TaskDetail
ConfigId: TypeAlias = str | UUID | LabelConfiguration
EntryId: TypeAlias = str | UUID | LabelEntry
ValueId: TypeAlias = str | UUID | LabelValue

_HOLDERS: Final[Mapping[str, tuple[type, ...]]] = {
    "dataset id": (Dataset, ProjectDataset),
    "project id": (Project,),
    "media id": (Media, DatasetMedia),
    "task id": (Task, TaskDetail),
    "configuration id": (LabelConfiguration,),
    "entry id": (LabelEntry,),
    "value id": (LabelValue,),
}

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_id(text: str) -> bool:
    """Return whether a text can only be meant as an id."""
    return _UUID.fullmatch(text) is not None


def id_of(value: object, what: str) -> str:
    """Return the text of an id, given as a text, a UUID or the value of the service that has it.

    Anything else, or the value of another noun than `what` names ("dataset id"), is a
    `ConfigurationError`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, UUID):
        return str(value)
    holders = _HOLDERS.get(what, ())
    if isinstance(value, holders):
        return str(value.id)  # type: ignore[attr-defined]  # all of them have one
    given = "None" if value is None else f"of the type {type(value).__name__}"
    or_value = "".join(f", or a {holder.__name__}" for holder in holders[:1])
    raise ConfigurationError(f"The {what} is {given}; pass the id from the service{or_value}")


def id_or_none(value: object, what: str) -> str | None:
    """Return the text of an id that may be left out."""
    return None if value is None else id_of(value, what)
