"""Decide who has a name when several items want it: pure.

The service compares names without case, accents and trailing blanks, its check races with itself,
and link images count too (all observed). So of the items of a run with one folded name the first
is sent and the later ones are rejected, and never are two of them in flight. Links may share a
name with one another, but one address is sent once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from datagym_async._printable import printable
from datagym_async.transfer._items import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from datagym_async.transfer._items import UploadItem


@attrs.frozen
class Claim:
    """What an item wanted, and who has it.

    Args:
        seq: Number of the item in its run, from 1.
        refusal: Why it cannot be sent in any case, or empty.
        is_link: Whether it is a link image.
        name_holder: Number of the item that has its name, or None.
        name_holder_is_link: Whether that one is a link image.
        link_holder: Number of the item that has its address, or None.
        is_held: Whether the dataset held its name before the run.
    """

    seq: int
    refusal: str = ""
    is_link: bool = attrs.field(default=False, converter=bool)
    name_holder: int | None = None
    name_holder_is_link: bool = attrs.field(default=False, converter=bool)
    link_holder: int | None = None
    is_held: bool = attrs.field(default=False, converter=bool)


@attrs.frozen
class Holder:
    """The item that has the name: its name, its path or URL, and where it was named."""

    name: str
    content: str = ""
    origin: str = ""

    @property
    def shown(self) -> str:
        """Return it fit for a sentence."""
        return printable(self.content or self.origin or self.name)


@attrs.frozen
class Verdict:
    """An outcome that needs no sending, with its reason.

    Args:
        outcome: What became of the item.
        reason: Why, as a sentence.
        is_clash: Whether only its name is against it: that it is no image would be the better
            reason, as of the second README.txt of a folder.
    """

    outcome: Outcome
    reason: str
    is_clash: bool = False


def judge(item: UploadItem, claim: Claim, holder: Callable[[int], Holder]) -> Verdict | None:
    """Return what is decided against sending an item, or None if it may be sent.

    Args:
        item: The item.
        claim: What it wanted, and who has it.
        holder: Looks up the item of a number; asked only where there is a clash.
    """
    if claim.refusal:
        return Verdict(Outcome.REJECTED, claim.refusal)
    if claim.is_link:
        return _judge_link(item, claim, holder)
    if claim.name_holder is not None and claim.name_holder != claim.seq:
        # Also where the dataset holds the name: it is the first item that it holds, not this one.
        return _clash(item, holder(claim.name_holder))
    if claim.is_held:
        return Verdict(Outcome.SKIPPED, "The dataset holds this name already.")
    return None


def _judge_link(item: UploadItem, claim: Claim, holder: Callable[[int], Holder]) -> Verdict | None:
    if claim.link_holder is not None and claim.link_holder != claim.seq:
        return _named_twice(item, holder(claim.link_holder))
    # Whether the dataset holds the address is for the service to say: the listing has names alone.
    other = claim.name_holder if claim.name_holder != claim.seq else None
    if other is not None and not claim.name_holder_is_link:
        return _clash(item, holder(other))
    return None


def _named_twice(item: UploadItem, first: Holder) -> Verdict:
    where = f" (first in {first.origin})" if first.origin else ""
    reason = f"{item.source} is named twice in the sources; it is taken once{where}."
    return Verdict(Outcome.REJECTED, reason)


def _clash(item: UploadItem, first: Holder) -> Verdict:
    if item.content and item.content == first.content:
        return _named_twice(item, first)
    same = "" if item.name == first.name else f", which the service takes for {first.name!r}"
    return Verdict(
        Outcome.REJECTED,
        f"{item.source or 'This item'} clashes with {first.shown}: both would be named "
        f"{printable(item.name)!r}{printable(same)}, and the first is taken. Upload with "
        'name="relative", or name one of them yourself with UploadItem(name, path).',
        is_clash=True,
    )
