"""Files: only regular ones are read, each is written completely or not at all, names for any disk.

**Reading** never blocks at the opening. A pipe may never end and cannot be read again for another
attempt; a device may have no end, or do something when it is opened. So the path of an image or a
list is checked first, and opened so that a pipe that takes its place in between does not block.
Files that the command line reads once, as a whole and in its main thread (a token file, a report, a
configuration) may be pipes: ``<(command)`` of a shell is one.

**Parts.** A file is first written beside its target, as ``.datagym-<mark>-<number>.part``. The mark
is a hash of the target's name, so that the next run finds the parts of its own target without
reading the folder. The writer holds a lock on its part, which ends with the process: a part without
a lock is dead, and the next writer to the same target deletes it.

**Modes.** This is the rule for all files:

* What the user asked for (an export, a downloaded image, labels beside it) has the mode that the
  umask gives any new file. While it is written, nobody else can read it.
* Our own files that can contain names or errors (journals, manifests, reports, states, cached
  media, backups, locks) are 0600, in folders of ours that are 0700.
* A file that is replaced, and a folder that exists, keep their modes.

**Names** of the service are turned into file names for any disk (`safe_name`): one part of a path
on every system, without separators, control characters and Windows' reserved names, at most 255
bytes. A name depends on that of the service only; if two give the same, one is numbered
(`numbered_file`).

If a target cannot be written, a `FileWriteError` names it. All functions that are not awaited
block: call them in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol, Self, TypeVar

import attrs

from datagym_async._checks import MAX_NAME, PATH, check
from datagym_async._locks import lock
from datagym_async._printable import printable
from datagym_async._threads import in_thread, opened_in_thread
from datagym_async.exceptions import ConfigurationError, DataGymError, FileWriteError

READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""For `os.open`: it does not wait for the other end of a pipe. Check the mode afterwards."""

_KINDS = (
    (stat.S_ISREG, ""),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularError(DataGymError, OSError):
    """Says that a path is no regular file, but of another `kind`."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


def kind_of(mode: int) -> str:
    """Return the kind of file of a mode in words; empty for a regular file."""
    return next((words for holds, words in _KINDS if holds(mode)), "of a kind unknown here")


def check_regular(path: str, mode: int) -> None:
    """Raise `NotRegularError` unless the mode is that of a regular file."""
    if stat.S_ISREG(mode):  # first, because this is called for every file
        return
    raise NotRegularError(
        f"{printable(path)} is {kind_of(mode)}, and only regular files are read; name a file, or "
        "read it yourself and pass what it gave",
        kind_of(mode),
    )


def changed_at(status: os.stat_result) -> int:
    """Return when a file was last changed, in nanoseconds, as a database stores it: in 64 bits.

    Only damaged times are after 2262 or before 1677; they give another time, which is as good to
    tell versions of a file apart.
    """
    return (status.st_mtime_ns + _HALF) % (2 * _HALF) - _HALF


def regular_only(path: str, flags: int) -> int:
    """Open a regular file, as an ``opener`` for `open`."""
    check_regular(path, os.stat(path).st_mode)  # noqa: PTH116 -- an opener is given a text
    descriptor = os.open(path, flags | READ_FLAGS)
    try:
        check_regular(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


PRIVATE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
USUAL: Final = 0o666  # where the umask decides
PART_SUFFIX: Final = ".part"
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})  # the disk is full
TOO_MANY_OPEN: Final = frozenset({errno.EMFILE, errno.ENFILE})  # no fault of the file

_MOST_AT_ONCE: Final = 256 << 20  # bytes of a report or configuration
_NUMBERS: Final = 8  # parts of one target that are searched for: so many runs may have been killed
_MOST: Final = 1000
_HALF: Final = 1 << 63
_OPEN: Final = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
_NEW: Final = _OPEN | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# Without following a link of somebody else, or waiting for the other end of a pipe.
_FOUND: Final = _OPEN | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_ADDRESS: Final = re.compile(r"[A-Za-z][\w+.-]+:/", re.ASCII)  # no drive; `Path` takes one / away


def from_home(
    path: str | os.PathLike[str], instead: str = "give a path without ~", what: str = "path"
) -> Path:
    """Return a path with its ``~`` expanded; without a home folder, raise `ConfigurationError`.

    An address is refused: as a path it is a folder ``s3:``, which nobody wants.
    """
    check(PATH, **{what: path})
    if _ADDRESS.match(os.fspath(path)):
        raise ConfigurationError(
            f"{printable(os.fspath(path))} is an address, and no path on this machine; only "
            "uploads and downloads use object stores (texts like s3://bucket/key)."
        )
    try:
        return Path(path).expanduser()
    except RuntimeError:  # in a container whose system does not know the user
        raise ConfigurationError(
            f"There is no home folder for {printable(os.fspath(path))}; set HOME, or {instead}."
        ) from None


def to_path(name: str, value: str | os.PathLike[str] | None) -> Path | None:
    """Convert the path of a field or argument by `from_home`; None stays."""
    return None if value is None else from_home(value, what=name)


def usual_folder(own: str, windows: str, xdg: str, usual: str) -> Path:
    """Return the folder of the variable `own`, or else ours among the user's data."""
    if given := os.environ.get(own):
        return from_home(given, f"correct {own}", own)
    is_windows = sys.platform == "win32"
    known = os.environ.get(other := windows if is_windows else xdg)
    return from_home(known or ("~" if is_windows else usual), f"set {own}", other) / "datagym-async"


def is_open_at(descriptor: int, path: Path) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def followed(path: Path) -> Path:
    """Return what a link leads to, so that it stays (/dev/stdout, to the file of a shell)."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def private_folder(path: Path) -> None:
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


class Placed(Protocol):
    """Something that is written first and then put at its target, or dropped."""

    def put(self) -> None: ...
    def drop(self) -> None: ...


P = TypeVar("P", bound=Placed)


@attrs.define
class Part:
    """A file that is being written."""

    path: Path  # where it is written
    file: BinaryIO
    target: Path
    _mode: int | None = None
    _is_put: bool = attrs.field(default=False, init=False)

    @classmethod
    def beside(cls, target: Path, *, mode: int = USUAL) -> Self:
        """Begin a locked part beside its target, and delete parts of it that killed runs left."""
        there = stat.S_IFREG | mode
        with contextlib.suppress(OSError):  # else there is no file to replace
            there = target.stat().st_mode
        if not (stat.S_ISREG(there) or stat.S_ISDIR(there)):  # /dev/null would be one no longer
            raise OSError(errno.EINVAL, f"it is {kind_of(there)}", str(target))
        mode &= there
        target = followed(target)
        for number in range(_MOST):
            swept(path := _aside(target, number))
            if (descriptor := _begun(path, mode)) is not None:
                sweep_beside(target, number + 1)
                mode = stat.S_IMODE(os.fstat(descriptor).st_mode)  # less the umask
                if sys.platform != "win32":
                    os.fchmod(descriptor, PRIVATE)
                return cls(path, os.fdopen(descriptor, "wb"), target, mode)
        raise FileExistsError(errno.EEXIST, "too many write to it at once", str(target))

    @classmethod
    def within(cls, folder: Path, target: Path, *, mode: int = USUAL) -> Self:
        """Begin a part in a folder of ours on the same disk; the folder's owner sweeps it."""
        path = folder / f"{secrets.token_hex(8)}{PART_SUFFIX}"
        return cls(path, os.fdopen(os.open(path, _NEW, mode), "wb"), target)

    def put(self) -> None:
        """Put it at its target, and replace what is there."""
        if not self.file.closed:
            self.file.flush()
            if self._mode is not None and sys.platform != "win32":
                with contextlib.suppress(OSError):  # else there is no file to replace
                    self._mode = stat.S_IMODE(self.target.stat().st_mode)
                os.fchmod(self.file.fileno(), self._mode)
        if sys.platform == "win32":  # which renames nothing that is open
            self.file.close()
        try:
            self.path.replace(self.target)
        except FileNotFoundError:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(self.target)
        self._is_put = True
        self.file.close()

    def drop(self) -> None:
        """Delete it, unless it is at its target."""
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self.file.close()
        if not self._is_put:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the rest of its buffer does not fit
            self.file.close()


@attrs.define
class FolderPart:
    """A folder that is being filled, inside a folder of ours beside a locked part."""

    filled: Path  # it has its final name already, which formats write into files
    target: Path
    _part: Part
    _keeps: Callable[[Path], bool]  # what stays in the folder that is replaced

    @classmethod
    def beside(
        cls,
        target: Path,
        *,
        mark: Path | None = None,
        mode: int = 0o777,
        keeps: Callable[[Path], bool] = lambda _: False,
    ) -> Self:
        """Begin one beside its target, and delete the dead ones, which have the same `mark`."""
        target = followed(target)
        part = Part.beside(mark or target)
        outer = _folder_of(part.path)
        try:
            outer.mkdir(mode=PRIVATE_FOLDER)
            (outer / "old").mkdir()
            (outer / "new").mkdir()
            (outer / "kept" / target.name).mkdir(parents=True)
            filled = outer / "new" / target.name
            filled.mkdir(mode=mode)
        except BaseException:
            shutil.rmtree(outer, ignore_errors=True)
            part.drop()
            raise
        return cls(filled, target, part, keeps)

    def put(self) -> None:
        """Put it at its target; a folder that is there is deleted, except for what it keeps."""
        if self.target.exists():
            # After a kill before the end, the next run puts back the old one and what is kept.
            outer = _folder_of(self._part.path)
            for each in filter(self._keeps, [*self.target.iterdir()]):
                if not (self.filled / each.name).exists():
                    each.rename(outer / "kept" / self.target.name / each.name)
            self.target.rename(outer / "old" / self.target.name)
        self.filled.rename(self.target)

    def drop(self) -> None:
        _remove_folder(self._part.path)
        self._part.drop()


def read_whole(path: Path) -> bytes:
    """Return the content of a file or pipe; one without an end is an `OSError`."""
    with path.open("rb") as file:
        content = file.read(_MOST_AT_ONCE + 1)
    if len(content) > _MOST_AT_ONCE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


@contextmanager
def placed(begin: Callable[[], P], target: Path) -> Iterator[P]:
    """Give a part, which is put at its target if the block succeeds, and else dropped."""
    with telling(target):
        part = begin()
        try:
            yield part
            part.put()
        finally:
            part.drop()


@asynccontextmanager
async def placed_beside_the_loop(begin: Callable[[], P], target: Path) -> AsyncIterator[P]:
    """Do the same in threads, for a block that awaits and may be cancelled anywhere.

    Beginning and end are one thread call each, and a cancellation waits for its end, so nothing is
    made after it was deleted.
    """
    with telling(target):
        async with opened_in_thread(begin, lambda part: part.drop()) as part:
            yield part
            await in_thread(part.put)


@asynccontextmanager
async def replaced_file(target: Path, *, mode: int = USUAL) -> AsyncIterator[BinaryIO]:
    """Give a new file that replaces its target if the block succeeds."""
    async with placed_beside_the_loop(partial(Part.beside, target, mode=mode), target) as part:
        yield part.file


@contextmanager
def telling(target: Path) -> Iterator[None]:
    """Turn errors of the system into a `FileWriteError` that names the target and a way out."""
    try:
        yield
    except OSError as error:
        # Nobody knows the names of parts: the target is named instead.
        if isinstance(error, DataGymError) and f"{PART_SUFFIX}.d{os.sep}" not in str(error):
            raise
        raise FileWriteError.of(target, error) from error


def write_private(target: Path, content: bytes) -> None:
    """Write a file of ours; a device or a pipe is written to, not replaced."""
    if target.exists() and not target.is_file():
        with telling(target), target.open("wb") as file:
            file.write(content)
        return
    with placed(partial(Part.beside, target, mode=PRIVATE), target) as part:
        part.file.write(content)


def write_file(target: Path, content: bytes) -> None:
    """Write a file for the user, with the folders above it."""
    with telling(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with placed(partial(Part.beside, target), target) as part:
        part.file.write(content)


def swept(path: Path) -> bool:
    """Delete a part that no process has locked, with its folder; return whether it is gone."""
    if sys.platform == "win32":  # which deletes nothing that is open
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            _remove_folder(path)
        return not path.exists()
    try:
        descriptor = os.open(path, _FOUND)
    except OSError as error:  # not found, a link, or of somebody else
        return isinstance(error, FileNotFoundError)
    try:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        is_dead = is_regular and lock(descriptor) is True and is_open_at(descriptor, path)
        if is_dead:
            _remove_folder(path)
            path.unlink(missing_ok=True)
        return is_dead
    except OSError:
        return False
    finally:
        os.close(descriptor)


def sweep_beside(target: Path, first: int = 0) -> None:
    """Delete the dead parts of one target, also those of a folder (see `FolderPart`)."""
    for number in range(first, _NUMBERS):
        swept(_aside(target, number))


def sweep(folder: Path) -> None:
    """Delete the dead parts in a folder and those below."""
    for path in folder.rglob(f".datagym-*{PART_SUFFIX}"):
        swept(path)


def _aside(target: Path, number: int) -> Path:
    if not target.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    mark = hashlib.blake2b(os.fsencode(target.name), digest_size=6).hexdigest()
    return target.with_name(f".datagym-{mark}-{number}{PART_SUFFIX}")


def _begun(path: Path, mode: int) -> int | None:
    """Return the descriptor of a new locked file, or None if there is one."""
    while True:
        try:
            descriptor = os.open(path, _NEW, mode)
        except FileExistsError:
            return None
        if lock(descriptor) is not False and is_open_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # another process deleted it before it was locked


def _folder_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.d")


def _remove_folder(part: Path) -> None:
    """Delete the folder of a part; what it was about to replace, or is kept, is put back."""
    outer = _folder_of(part)
    if not outer.is_dir():
        return
    with contextlib.suppress(OSError):
        for old in (outer / "old").iterdir():
            if not (part.parent / old.name).exists():
                old.rename(part.parent / old.name)
        for kept in [*(outer / "kept").glob("*/*")]:
            kept.rename(part.parent / kept.relative_to(outer / "kept"))
    if not any((outer / "kept").glob("*/*")):
        shutil.rmtree(outer, ignore_errors=True)


_MAX_SUFFIX: Final = 32
_STAND_IN: Final = "_"
_UNSAFE: Final = re.compile(r'[<>:"/\\|?*]')
# Controls, invisible marks that change the direction of writing, surrogates, private and unassigned
# characters, line separators.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN: Final = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
"""Nearly all names; they stay unchanged unless they are reserved."""
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])")
# Characters of `Cf` that are allowed, because they join the parts of emoji and letters.
_JOINERS: Final = frozenset("\u200c\u200d")
# Some file systems ignore these, and what chooses between forms of a character.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def safe_name(name: str, *, suffix: str = "") -> str:
    """Return any text as a file's name on any system, ending with the whole suffix."""
    text = name + suffix
    if not _PLAIN.fullmatch(text):
        text = "".join(map(_safe_character, _UNSAFE.sub(_STAND_IN, text)))
        text = text.strip(" ").rstrip(". ")  # Windows drops blanks and dots at the end
    if suffix and len(text) <= len(suffix):
        text = _STAND_IN + text
    if text.startswith(".") or not text:  # hidden, or one of the two that are folders
        text = _STAND_IN + text[1:]
    if _RESERVED.fullmatch(text.partition(".")[0].rstrip(" ").casefold()):
        text = _STAND_IN + text
    if not suffix:
        return text if text.isascii() and len(text) <= MAX_NAME else _cut(text, "")
    # Each character was replaced by one, so that the suffix is as long as before.
    return _cut_stem(text[: -len(suffix)], text[-len(suffix) :])


def with_room(name: str, suffix: str) -> str:
    """Return a safe name (with folders), cut so that its stem with another suffix fits as well."""
    path = PurePosixPath(name)
    if _length(path.stem) + _length(suffix) <= MAX_NAME:
        return name
    stem = _cut_stem(path.stem, suffix).removesuffix(suffix)
    return str(path.with_name(stem + path.suffix))


def numbered_file(name: str, number: int) -> str:
    """Return a safe name with a number before its suffix, for example ``"photo (2).jpg"``."""
    return _cut(name, f" ({number})")


def folded_name(name: str) -> str:
    """Return the form in which file systems that fold names compare a safe name.

    Each of them folds in its own way. Here all names are equal that are equal on one of them: in
    another case, written out (``ﬁ`` and ``fi``), composed or not, with and without invisible marks.
    An unneeded number is harmless, but a file must not replace another one. The service has another
    rule (`datagym_async.models`).
    """
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", _UNSEEN.sub("", decomposed))


def _safe_character(one: str) -> str:
    if one.isascii() and one.isprintable():
        return one
    is_unsafe = unicodedata.category(one) in _UNSAFE_CATEGORIES and one not in _JOINERS
    return _STAND_IN if is_unsafe else one


def _cut(name: str, mark: str) -> str:
    """Return a name with a mark before its suffix, with a stem that is cut if it is too long."""
    stem, dot, ending = name.rpartition(".")
    is_split = stem and _length(dot + ending) <= _MAX_SUFFIX
    if not is_split or not (mark or _length(name) > MAX_NAME):
        return _cut_stem(name, mark)
    return _cut_stem(stem, mark + dot + ending)


def _cut_stem(stem: str, ending: str) -> str:
    room = MAX_NAME - _length(ending)
    if _length(stem) > room:
        stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") or _STAND_IN
    return f"{stem}{ending}"


def _length(text: str) -> int:
    return len(text.encode())
