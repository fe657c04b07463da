"""Recorded ids and the real ones they stand for."""

import re

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

_TIME = re.compile(r"\b\d{13}\b")


class Ids:
    """A one-to-one map of recorded ids to real ones, learned as the replay goes.

    Ids compare without case, and a recorded id in capitals stands for the real one in capitals.
    """

    def __init__(self, parent: "Ids | None" = None) -> None:
        self._parent = parent
        self._real: dict[str, str] = {}
        self._recorded: dict[str, str] = {}
        self._times: dict[str, str] = {}

    def trial(self) -> "Ids":
        """Return a map on top of this one, to be kept with `keep` or thrown away."""
        return Ids(self)

    def keep(self, trial: "Ids") -> None:
        """Take over what `trial` learned."""
        self._real.update(trial._real)
        self._recorded.update(trial._recorded)

    def real(self, recorded: str) -> str | None:
        """Return the real id of `recorded`, in the recorded id's case."""
        found = self._real.get(recorded.lower())
        if found is None:
            return self._parent.real(recorded) if self._parent else None
        return found.upper() if recorded.isupper() else found

    def recorded(self, real: str) -> str | None:
        """Return the recorded id that `real` stands for."""
        found = self._recorded.get(real.lower())
        return self._parent.recorded(real) if found is None and self._parent else found

    def learn(self, recorded: str, real: str) -> bool:
        """Remember the pair; False where either of the two is already paired otherwise."""
        if known := self.real(recorded):
            return known == real
        if self.recorded(real) is not None:
            return False
        self._real[recorded.lower()] = real.lower()
        self._recorded[real.lower()] = recorded.lower()
        return self.real(recorded) == real

    def learn_time(self, recorded: int, real: int) -> None:
        """Remember which time stands for a recorded one that requests repeat."""
        self._times[str(recorded)] = str(real)

    def translate(self, text: str) -> str:
        """Put real ids and times in the place of the recorded ones that are known."""
        text = _TIME.sub(lambda match: self._times.get(match[0], match[0]), text)
        return _ID.sub(lambda match: self.real(match[0]) or match[0], text)


def is_id(text: str) -> bool:
    """Tell whether `text` is an id of the service."""
    return _ID.fullmatch(text) is not None
