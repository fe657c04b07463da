"""What a journal is of: a service, a dataset and sources; where it lies, and how it goes on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from datagym_async._printable import printable
from datagym_async.transfer._items import UploadItem, is_url
from datagym_async.transfer._watch import FolderWatch

if TYPE_CHECKING:
    from datagym_async.transfer._config import UploadConfig

SUFFIX = ".journal"
_SHOWN = 3
_KEPT = 1000
"""Sources that a journal keeps by name, for the command that goes on with it."""
_OF_ONE_RUN: Final = frozenset(
    {
        *("journal", "fresh", "on_event", "max_problems"),
        *("max_files", "max_bytes_total", "max_failures", "max_duration"),
    }
)


@attrs.frozen
class Job:
    """The key of a journal.

    Args:
        base_url: Address of the service.
        dataset_id: The dataset that the upload is named after.
        sources: The sources in short, for people.
        digest: Hash of all of it.
        words: The first thousand sources as a command names them; None where no command can.
        count: How many sources there are.
        options: How the sources are uploaded: what differs from the defaults, as JSON takes it.
    """

    base_url: str
    dataset_id: str
    sources: str
    digest: str
    words: tuple[str, ...] | None = attrs.field(default=None, eq=False)
    count: int = attrs.field(default=0, eq=False)
    options: dict[str, object] = attrs.field(factory=dict, eq=False)

    @classmethod
    def of(
        cls,
        base_url: str,
        dataset_id: str,
        sources: object,
        *,
        config: UploadConfig | None = None,
    ) -> Job:
        """Return the key; a long list of sources is read through, an iterator is left alone."""
        base_url, dataset_id = base_url.rstrip("/"), dataset_id.lower()
        digest = hashlib.sha256("\0".join((base_url, dataset_id)).encode())
        kept: list[str] = []
        count, are_words = 0, config is None or not callable(config.name)
        for text, is_word in _described(sources):
            digest.update(b"\0" + text.encode("utf-8", "surrogatepass"))
            count += 1
            are_words &= is_word
            if len(kept) < _KEPT:
                kept.append(text)
        shown = [printable(each) for each in kept[:_SHOWN]]
        more = [f"and {count - _SHOWN:,} more"] if count > _SHOWN else []
        return cls(
            base_url,
            dataset_id,
            ", ".join(shown + more),
            digest.hexdigest(),
            tuple(kept) if are_words else None,
            count,
            _options(config, is_watched=isinstance(sources, FolderWatch)),
        )

    @property
    def key(self) -> dict[str, str]:
        """Return what a journal is known by."""
        names = ("base_url", "dataset_id", "sources", "digest")
        return {name: getattr(self, name) for name in names}

    @property
    def way(self) -> dict[str, str]:
        """Return how the last run went about it: what a journal keeps for the next one's command.

        A path that is no text is written with escapes, and comes back as it was.
        """
        return {
            "words": json.dumps(self.words),
            "count": str(self.count),
            "options": json.dumps(self.options),
        }

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


def _options(config: UploadConfig | None, *, is_watched: bool) -> dict[str, object]:
    """Return the options of a job, but for those of a single run and functions."""
    found: dict[str, object] = {"watch": True} if is_watched else {}
    for field in () if config is None else attrs.fields(type(config)):
        value = getattr(config, field.name)
        if not (field.name in _OF_ONE_RUN or callable(value) or value == field.default):
            found[field.name] = value
    return found


def _described(source: object) -> Iterator[tuple[str, bool]]:
    """Yield each source in short, and whether a command can name it so."""
    if isinstance(source, str | os.PathLike):
        yield _place(str(os.fspath(source))), True
    elif isinstance(source, UploadItem):
        where = "" if isinstance(source.content, bytes) else _place(source.content)
        yield f"{source.name}={where}", False
    elif isinstance(source, FolderWatch):
        yield _place(source.folder), True
    elif isinstance(source, set | frozenset):
        yield from sorted(each for one in source for each in _described(one))
    elif isinstance(source, Collection) and isinstance(source, Iterable):
        for each in source:
            yield from _described(each)
    else:  # what can be read only once
        yield f"<{type(source).__name__}>", False


def _place(text: str) -> str:
    if text == "-" or is_url(text):
        return text
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 -- takes any text
