"""The part of a dataset for each image: by a hash, so that new images move no others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

from datagym_async._checks import checked, is_number, shown
from datagym_async.formats._losses import FormatError
from datagym_async.labels import LabeledImage

SPLITS: Final = ("train", "val", "test")
"""The parts that trainers know."""
PART_NAMES: Final = (*SPLITS, "valid", "validation", "validate", "training", "testing")
"""What their folders and lists are called."""


def usual_part(name: str) -> str:
    """Return the usual name of a part (``Validation`` is val), and any other name unchanged."""
    low = name.lower()
    return next((each for each in SPLITS if low in PART_NAMES and low.startswith(each)), name)


@checked
def shares_of(text: str) -> dict[str, float]:
    """Return shares of a dataset from a text: ``"train=0.8,val=0.1,test=0.1"``.

    Raises:
        FormatError: The text has another form.
    """
    shares = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            rule = "write it as train=0.8,val=0.1,test=0.1"
            raise FormatError(f"The split {shown(text)} holds {shown(part)}; {rule}") from None
    return _checked(shares)


def _checked(shares: Mapping[str, float]) -> dict[str, float]:
    """Return shares that add up to 1, in the order of `SPLITS`; `FormatError` if invalid."""
    strange = [name for name in shares if name not in SPLITS]
    if strange or "train" not in shares:
        what = f"holds {strange[0]!r}" if strange else "has no 'train'"
        raise FormatError(f"The split {what}; its parts are {', '.join(SPLITS)}")
    are_shares = all(is_number(share, 0) for share in shares.values())
    if not are_shares or not 0 < (total := sum(shares.values())) < float("inf"):
        raise FormatError(f"The shares of the split are {shown(shares)}; they must be above 0")
    return {name: shares[name] / total for name in SPLITS if name in shares}


@checked
def split_of(key: str, shares: Mapping[str, float]) -> str:
    """Return the part of a key, independently of other keys.

    Args:
        key: The id of a media, or the name of a group that stays together.
        shares: The share of each part, as `shares_of` returns them.

    Raises:
        FormatError: There are other parts, no ``train``, or shares that are not above 0.
    """
    return part_of(key, _checked(shares))


def part_of(key: str, shares: Mapping[str, float]) -> str:
    """Return the part of a key as `split_of` does, for shares of `parts_of`."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    at, below = int.from_bytes(digest) / 2**64, 0.0
    for name, share in shares.items():
        below += share
        if at < below:
            return name
    return next(name for name in reversed([*shares]) if shares[name])


def parts_of(
    split: str | Mapping[str, float] | None, group: str | None
) -> tuple[dict[str, float], Callable[[LabeledImage], str]]:
    """Return the shares of the parts, and a function from an image to its key.

    Without a split, all is in one part. Images with one key are in the same part. With `group=None`
    the key is the id of its media, or its name; with ``"folder"`` its folder. A regular expression
    is searched in the name: the key is its first group, or the whole match, and without a match as
    for None.

    Raises:
        FormatError: The split has another form, the group is not a regular expression, or there is
            a group and no split.
    """
    if group and split is None:
        raise FormatError(f"The group {group!r} has no effect without parts; add split=...")
    shares = shares_of(split) if isinstance(split, str) else _checked(split or {"train": 1})
    try:
        wanted = re.compile(r"(.*)[/\\]" if group == "folder" else group or r"(?!)")
    except re.error as error:
        raise FormatError(f"The group {group!r} is not a regular expression: {error}") from None

    def key(image: LabeledImage) -> str:
        found = wanted.search(image.media_name)
        if found is None:
            return image.media_id or image.media_name
        return next(filter(None, found.groups()), found[0])

    return shares, key
