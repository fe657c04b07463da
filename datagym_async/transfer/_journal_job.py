"""What a journal is of: a service, a dataset and sources; and where it lies."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import attrs

from datagym_async.transfer._items import UploadItem, is_url, printable
from datagym_async.transfer._watch import FolderWatch

SUFFIX = ".journal"
_SHOWN = 3


@attrs.frozen
class Job:
    """The key of a journal.

    Args:
        base_url: Address of the service.
        dataset_id: The dataset that the upload is named after.
        sources: The sources in short, for people.
        digest: Hash of all of it.
    """

    base_url: str
    dataset_id: str
    sources: str
    digest: str

    @classmethod
    def of(cls, base_url: str, dataset_id: str, sources: object) -> Job:
        """Return the key; a long list of sources is read through, an iterator is left alone."""
        base_url, dataset_id = base_url.rstrip("/"), dataset_id.lower()
        digest = hashlib.sha256("\0".join((base_url, dataset_id)).encode())
        shown: list[str] = []
        count = 0
        for count, each in enumerate(_described(sources), 1):  # noqa: B007 -- the last one counts
            digest.update(b"\0" + each.encode("utf-8", "surrogatepass"))
            if len(shown) < _SHOWN:
                shown.append(printable(each))
        more = [f"and {count - _SHOWN:,} more"] if count > _SHOWN else []
        return cls(base_url, dataset_id, ", ".join(shown + more), digest.hexdigest())

    def path(self, folder: Path) -> Path:
        """Return the place of its journal in the state folder."""
        return folder / f"{self.digest[:24]}{SUFFIX}"


def jobs_folder() -> Path:
    """Return the folder of journals that have no path of their own.

    It is ``$DATAGYM_STATE_DIR``, else ``$XDG_STATE_HOME/datagym-async``, else
    ``~/.local/state/datagym-async``; on Windows the folder of local application data.
    """
    if given := os.environ.get("DATAGYM_STATE_DIR"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "datagym-async"
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "datagym-async"
    return Path.home() / ".local" / "state" / "datagym-async"


def journal_path(journal: str | os.PathLike[str] | bool, job: Job) -> Path:
    """Return where the journal of a job lies.

    Args:
        journal: The option: a path, or True for the state folder.
        job: What it is of.
    """
    if isinstance(journal, bool):
        return job.path(jobs_folder())
    return Path(journal).expanduser().absolute()


def _described(source: object) -> Iterator[str]:
    if isinstance(source, str | os.PathLike):
        yield _place(str(os.fspath(source)))
    elif isinstance(source, UploadItem):
        where = "" if isinstance(source.content, bytes) else _place(source.content)
        yield f"{source.name}={where}"
    elif isinstance(source, FolderWatch):
        yield _place(source.folder)
    elif isinstance(source, set | frozenset):
        yield from sorted(each for one in source for each in _described(one))
    elif isinstance(source, Collection) and isinstance(source, Iterable):
        for each in source:
            yield from _described(each)
    else:  # what can be read only once
        yield f"<{type(source).__name__}>"


def _place(text: str) -> str:
    if text == "-" or is_url(text):
        return text
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 -- takes any text
