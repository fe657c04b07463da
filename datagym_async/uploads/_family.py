"""Decide into which dataset of a family images go, and which datasets are a family; pure.

A family is a dataset "Photos" with "Photos 2", "Photos 3" and so on, which one job fills one after
the other, so that none has more than a limited number of media: the larger its dataset, the longer
an upload takes (observed).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from operator import attrgetter

import attrs

from datagym_async.exceptions import ConfigurationError
from datagym_async.models import Dataset, MediaType
from datagym_async.models._names import fold_name

MAX_GAP = 10
"""How far apart the numbers of a family may be, for one may be deleted: "Photos 2026" is none."""
_LONGEST_NAME = 128 - len(" 99999")  # from the service's rule for names, as is the pattern
_NAME = re.compile(r"[a-zA-Z0-9_ ]+")
SEVERAL = -1
"""Stands for the home of a link whose name several datasets of the family hold."""


def name_in_family(base: str, number: int) -> str:
    """Return the name of the n-th dataset of a family; the first has the plain name."""
    return base if number == 1 else f"{base.rstrip(' ')} {number}"


def check_base(base: Dataset) -> None:
    """Raise `ConfigurationError` for videos, and for a name without room for a number."""
    if base.media_type is not MediaType.IMAGE:
        raise ConfigurationError(
            f"The dataset {base.name!r} is not for images; max_per_dataset spreads over image "
            "datasets."
        )
    if len(base.name.rstrip(" ")) > _LONGEST_NAME or not _NAME.fullmatch(base.name):
        raise ConfigurationError(
            f"The dataset {base.name!r} cannot be spread: "
            f"max_per_dataset needs a name of at most {_LONGEST_NAME} letters, digits, blanks and "
            "underscores. Use a dataset with such a name."
        )


def family_of(base: Dataset, datasets: Iterable[Dataset]) -> list[tuple[int, Dataset]]:
    """Return the datasets of a family with their numbers, in order, the base first.

    Names are compared as the service does. If a race made two datasets of one name, both belong to
    the family. Datasets of videos do not.
    """
    by_name: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        by_name.setdefault(fold_name(dataset.name), []).append(dataset)
    family = [(1, base)]
    for number in count(2):
        if number - family[-1][0] > MAX_GAP:
            return family
        same = by_name.get(fold_name(name_in_family(base.name, number)), ())
        images = [each for each in same if each.media_type is MediaType.IMAGE]
        images.sort(key=attrgetter("timestamp", "id"))
        family += [(number, each) for each in images]
    return family


@attrs.define
class Capacity:
    """Count the room in the datasets of a family: an image reserves some before it is sent.

    Datasets are known by their index, in the order of the family.
    """

    most: int | None = None  # media that a dataset may hold
    taken: list[int] = attrs.field(factory=list, init=False)  # media in each, and reserved ones
    _first: int = attrs.field(default=0, init=False)  # those before it are full

    def reserve(self, wanted: int = 1) -> tuple[int, int] | None:
        """Reserve room in the first dataset that has any; None if all are full.

        Return the dataset, and the number of images that it has room for, at most those wanted.
        """
        if self.most is None:
            self.taken[0] += wanted
            return 0, wanted
        for index in range(self._first, len(self.taken)):
            room = self.most - self.taken[index]
            if room > 0:
                granted = min(room, wanted)
                self.taken[index] += granted
                return index, granted
            self._first = index + 1
        return None

    def give_back(self, index: int, count: int) -> None:
        self.taken[index] -= count
        self._first = min(self._first, index)


def is_of_family(base: Dataset, dataset: Dataset) -> bool:
    """Return whether a dataset may belong to a family by its name: it ends in a number."""
    plain, _, number = fold_name(dataset.name).rpartition(" ")
    is_number = number.isascii() and number.isdigit() and not number.startswith("0")
    return is_number and plain == fold_name(base.name)


def link_homes(links: Sequence[Collection[str]]) -> dict[str, int]:
    """Return which dataset of a family has each name of a link image, or `SEVERAL`.

    The service accepts an address once in each dataset, and lists only names. So if a dataset has
    the name of a link, the link is sent there, and the service says whether it is the same. Names
    are folded.
    """
    homes: dict[str, int] = {}
    for index, names in enumerate(links):
        for name in names:
            homes[name] = index if homes.get(name, index) == index else SEVERAL
    return homes
