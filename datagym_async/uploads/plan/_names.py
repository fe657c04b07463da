"""Decide which items are sent: what earlier runs have left of them, and who gets a name.

**Earlier runs** of a job. Walking the sources again must be cheap: a portion of candidates is
looked up in one statement, by the names that they claim, and items that are done and unchanged are
only counted. Items without a name (clashes, names that cannot be sent) are forgotten at the
beginning and judged again.

**Names** that several want. The service compares names as they are sent, without case and trailing
blanks; its check has a race condition, and link images count too (all observed). So of the items of
a run with one folded name the first is sent and the later ones are rejected, and two of them are
never in flight together. Links may share a name with other links, but each address is sent once.

Numbers are given in the order of the run, among its own items only: the same sources get the same
names again. A journal records them, so that they stay even if new files come in between.

`judge` is pure. Everything else here blocks, inside a transaction of the plan.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from unicodedata import normalize

import attrs

from datagym_async._files import regular_only
from datagym_async._printable import counted, printable, quoted
from datagym_async.exceptions import ConfigurationError
from datagym_async.models._names import fold_written
from datagym_async.uploads._screening import HEAD_SIZE, IMAGE_ENDINGS, Screening, screen_name
from datagym_async.uploads._values import Outcome, UploadItem, is_elsewhere
from datagym_async.uploads.plan import _tables as sql
from datagym_async.uploads.plan._rows import Added, Row, blob, item_of, text
from datagym_async.uploads.plan._tables import Kind, State

_PORTION = 500  # every SQLite accepts 999 values in one statement


class _Known(NamedTuple):
    """An item of an earlier run, found by its name."""

    key: bytes
    seq: int
    name: bytes
    content: bytes | None
    size: int | None
    mtime: int | None
    sha: bytes | None
    state: int
    named: int | None
    is_listed: int

    def is_like(self, row: Row) -> bool:
        return (self.size, self.sha) == (row.size, row.sha)

    def kind(self, row: Row) -> Kind | None:
        """Return the kind of its turn, or None if it is done."""
        if self.state == State.SKIPPED and self.is_listed:
            return None
        if row.sha is not None and self.sha is not None:
            unchanged = row.sha == self.sha
        else:
            unchanged = (row.size, row.mtime) == (self.size, self.mtime)
        if self.state == State.UPLOADED and self.is_listed:
            return None if unchanged else Kind.CHANGED
        return Kind.NORMAL  # what was rejected is checked again: the file may be repaired


@attrs.define
class Resuming:
    last: int  # number of the last item that they wrote
    finds_equals: bool = False  # whether the hashes of finished items are noted

    def sort_out(
        self, database: sqlite3.Connection, rows: Sequence[Row], in_memory: dict[int, UploadItem]
    ) -> tuple[list[Row], Added]:
        """Return the new candidates, and the counts; give turns to the known ones."""
        new, counted, done = list[Row](), list[Row](), list[Row]()
        met: set[int] = set()
        turns: list[tuple[int, Kind]] = []
        again: list[tuple[object, ...]] = []
        held: list[tuple[bytes, int]] = []
        known: dict[bytes | None, _Known] = {}
        keys = [bytearray(row.link_key or row.name_key or b"") for row in rows]  # see `Row.bound`
        for start in range(0, len(keys), _PORTION):
            some = keys[start : start + _PORTION]
            values = ",".join("?" * len(some))
            for found in database.execute(f"{sql.KNOWN_ITEMS} ({values})", (self.last, *some)):
                known[found[0]] = _Known(*found)
        # Images in memory may have changed places: one with the bytes of the earlier run comes
        # before the others of its name, and one that was numbered then keeps its number.
        own = {
            match.seq
            for row in rows
            if row.content is None and (match := known.get(row.name_key)) and match.is_like(row)
        }
        for row in rows:
            match = known.get(row.link_key or row.name_key)
            is_same = match is not None and (match.name, match.content) == (row.name, row.content)
            if match is not None and row.content is None and not match.is_like(row):
                before = database.execute(sql.RENAMED_BEFORE, (_identity(row),)).fetchone()
                is_same = is_same and match.seq not in own and before is None
            # Named twice, it is a clash like any other.
            if match is None or not is_same or match.named == 1 or match.seq in met:
                new.append(row)
                continue
            met.add(match.seq)
            item = in_memory.pop(row.seq, None)
            if match.named == 0:  # it was counted, and has its turn
                continue
            counted.append(row)
            kind = match.kind(row)
            if kind is None:
                done.append(row)
                if self.finds_equals and row.sha is not None:
                    held.append((row.sha, match.seq))
                continue
            turns.append((match.seq, kind))
            if kind is Kind.NORMAL:
                again.append((row.part, row.size, row.mtime, row.sha, match.seq))
            if item is not None:
                in_memory[match.seq] = item
        database.executemany(sql.SEE, ((seq,) for seq in met))
        database.executemany(sql.GIVE_TURN, turns)
        database.executemany(sql.PLAN_AGAIN, again)
        database.executemany(sql.HOLD_BYTES, held)
        added, resumed = Added.of((*new, *counted)), Added.of(done)
        return new, attrs.evolve(added, resumed=resumed.count, resumed_bytes=resumed.bytes)


@attrs.frozen
class Claim:
    """The name that an item wants, and its owner; items have numbers in the run, from 1."""

    seq: int
    refusal: str = ""  # why it can never be sent
    is_link: bool = attrs.field(default=False, converter=bool)
    name_holder: int | None = None
    name_holder_is_link: bool = attrs.field(default=False, converter=bool)
    link_holder: int | None = None  # the item with its address
    is_held: bool = attrs.field(default=False, converter=bool)  # its name, before the run


@attrs.frozen
class Verdict:
    """An outcome that needs no sending, with its reason as a sentence."""

    outcome: Outcome
    reason: str
    is_clash: bool = False
    """Whether only its name is against it: that it is no image would be the better reason, as of
    the second README.txt of a folder."""


def judge(item: UploadItem, claim: Claim, holder: Callable[[int], UploadItem]) -> Verdict | None:
    """Return the verdict against sending an item, or None; `holder` is asked if names clash."""
    if claim.refusal:
        return Verdict(Outcome.REJECTED, claim.refusal)
    if claim.link_holder not in {None, claim.seq}:
        known = holder(claim.link_holder or 0)
        reason = f"{item.source} is {known.source} to the service, which ignores case."
        return Verdict(Outcome.REJECTED, reason)
    other = claim.name_holder if claim.name_holder != claim.seq else None
    # Also if the dataset has the name: it belongs to the first item, not to this one.
    if other is not None and not (claim.is_link and claim.name_holder_is_link):
        first = holder(other)
        shown = first.source or printable(first.name)
        is_same = normalize("NFC", item.name) == normalize("NFC", first.name)
        same = "" if is_same else f", which the service takes for {first.name!r}"
        return Verdict(
            Outcome.REJECTED,
            f"{item.source or 'This item'} clashes with {shown}: both would be named "
            f"{quoted(item.name)}{printable(same)}, and only the first is sent. Upload with "
            'name="relative", or name one of them yourself with UploadItem(name, path).',
            is_clash=True,
        )
    # Only the service knows whether the dataset has an address: the listing has only names.
    if claim.is_held and not claim.is_link:
        return Verdict(Outcome.SKIPPED, "The dataset holds this name already.")
    return None


def drop_repeats(database: sqlite3.Connection, after_turn: int) -> Added:
    """Drop repeated items since a turn; return how to correct the count.

    If a file has changed since it was named, it gets a warning if it was sent, and is tried again
    if it was refused.
    """
    count = size = 0
    repeats = database.execute(sql.REPEATS, (after_turn,)).fetchall()
    # Then those of one that clashes itself, which a second look would number once more.
    database.execute(sql.WANT, (after_turn,))
    repeats += database.execute(sql.WANTED_TWICE, (after_turn,)).fetchall()
    for turn, seq, part, *now, holder, old_size, old_mtime, state in repeats:
        is_changed = None not in {now[1], old_mtime} and (now[0], now[1]) != (old_size, old_mtime)
        if is_changed and state in {State.REJECTED, State.FAILED}:
            database.execute(sql.PLAN_AGAIN, (part, *now, holder))
            database.execute(sql.TURN_TO, (holder, Kind.NORMAL, turn))
        elif is_changed and state in {State.UPLOADED, State.SENDING}:
            database.execute(sql.TURN_TO, (holder, Kind.CHANGED, turn))
        else:
            count, size = count + 1, size + (now[0] or 0)
        for statement in sql.DROP_ITEM:
            database.execute(statement, (seq,))
    return Added(-count, -size, repeated=count)


PORTION = 256
SHOWN = 3  # clashes in the error message of a run


class _Clash(NamedTuple):
    """An item whose name another one has."""

    turn: int
    holder: str  # safe to print
    row: Row
    identity: bytes  # by which a journal knows it


def _clashes(database: sqlite3.Connection, after_turn: int) -> Iterator[_Clash]:
    while found := database.execute(sql.CLASHES, (after_turn, PORTION)).fetchall():
        for after_turn, name, content, origin, *values in found:
            holder = printable(text(content or origin or name))
            yield _Clash(after_turn, holder, row := Row(*values), _identity(row))


def _identity(row: Row) -> bytes:
    """Return by what a journal knows an item that it has numbered."""
    if row.content is not None:
        return b"p" + row.content
    return b"f%d " % (row.size or 0) + row.name if row.sha is None else b"h" + row.sha


def numbered(name: str, number: int) -> str:
    """Return a name with a number before its suffix, shortened in front of it if necessary."""
    suffix = PurePosixPath(name).suffix
    stem, tail = name[: len(name) - len(suffix)], f" ({number}){suffix}"
    while stem and screen_name(stem + tail):
        stem = stem[:-1]
    return stem + tail


def number_clashes(
    database: sqlite3.Connection,
    after_turn: int,
    resuming: Resuming | None,
    in_memory: dict[int, UploadItem],
) -> Added:
    """Give each clashing item its own name, or its earlier one; return how to correct the count."""
    count = size = resumed = resumed_bytes = 0
    for clash in _clashes(database, after_turn):
        if clash.row.link_key is not None:
            continue
        identity = None
        if resuming is not None:
            # Several may have the same: equal bytes, or a file under several names.
            (number,) = database.execute(sql.NEXT_NUMBER, (clash.identity,)).fetchone()
            database.execute(sql.SET_NUMBER, (clash.identity, number + 1))
            identity = clash.identity + (b"\0%d" % number if number > 2 else b"")
            known = database.execute(sql.RENAMED_BEFORE, (identity,)).fetchone()
            if known is not None and known[0] <= resuming.last:
                row = clash.row._replace(name=known[1], name_key=known[2])
                new, added = resuming.sort_out(database, [row], in_memory)
                if not new:
                    path, key = clash.row.content, clash.row.name_key
                    database.execute(sql.WANTED_BEFORE, (known[0], path, key))
                    for statement in sql.DROP_ITEM:
                        database.execute(statement, (clash.row.seq,))
                    count += added.count - 1
                    size += added.bytes - (clash.row.size or 0)
                    resumed += added.resumed
                    resumed_bytes += added.resumed_bytes
                    continue
        # The first name with a number that no item has claimed.
        row, name = clash.row, text(clash.row.name)
        (number,) = database.execute(sql.NEXT_NUMBER, (row.name_key,)).fetchone()
        while database.execute(
            sql.IS_CLAIMED, (key := blob(f"n{fold_written(numbered(name, number))}"),)
        ).fetchone():
            number += 1
        new_name = numbered(name, number)
        reason = f"It is named {quoted(new_name)}, since {quoted(name)} is taken by {clash.holder}."
        stored = blob(new_name)
        database.execute(sql.RENAME, (stored, key, reason, stored, row.seq))
        database.execute(sql.CLAIM, (key, row.seq))
        database.execute(sql.SET_NUMBER, (row.name_key, number + 1))
        database.execute(sql.SET_KIND, (Kind.RENAMED, clash.turn))
        if identity is not None:
            database.execute(sql.KEEP_RENAMED, (identity, row.seq))
    return Added(count, size, resumed, resumed_bytes)


def refuse_clashes(
    database: sqlite3.Connection, screening: Screening, in_memory: Mapping[int, UploadItem]
) -> None:
    """Refuse to begin if images clash; files that are not images get a better reason."""
    shown: list[str] = []
    count = 0
    for clash in _clashes(database, 0):
        row = clash.row
        item = in_memory.get(row.seq) or item_of(row.name, row.content, row.origin)
        if not _is_image(item, screening):
            continue
        count += 1
        if count <= SHOWN:
            named = item.source or item.name
            shown.append(f"{named} and {clash.holder} (both {quoted(item.name)})")
    if count:
        more = f", and {count - SHOWN:,} more" if count > SHOWN else ""
        raise ConfigurationError(
            f"Nothing was sent, since {counted(count, 'image has', 'images have')} the same "
            "name as another one: "
            f'{"; ".join(shown)}{more}. Upload with name="relative" or a name template, with '
            'on_clash="rename", or exclude some of them.'
        )


def _is_image(item: UploadItem, screening: Screening) -> bool:
    data = item.data
    if item.url or item.file is not None:
        return True
    if data is None and is_elsewhere(str(item.content)):  # read only when it is sent
        return item.name.lower().endswith(IMAGE_ENDINGS)
    if data is None:
        try:
            with open(str(item.content), "rb", buffering=0, opener=regular_only) as file:
                data = file.read(HEAD_SIZE)
        except (OSError, ValueError):
            return False
    return not screening.of_head(len(data), data[:HEAD_SIZE])
