"""Which names the service holds to be the same.

Its database compares with the collation utf8mb4_general_ci: without case, without accents, without
trailing blanks. Observed: OK.jpg = ok.jpg, tast2 = täst2, "ds2 " = ds2, straß = stras (one letter
for one letter, so not strass).
"""

import unicodedata
from functools import lru_cache

__all__ = ["fold"]


def fold(name: str) -> str:
    """Return the form under which two names are the same name to the service."""
    if name.isascii():
        return name.upper().rstrip(" ")
    return "".join(map(_weight, name)).rstrip(" ")


@lru_cache(maxsize=4096)
def _weight(character: str) -> str:
    if character == "ß":
        return "S"
    if ord(character) > 0xFFFF:
        # The collation gives every character beyond the basic plane one weight.
        return "\ufffd"
    base = unicodedata.normalize("NFD", character)[0]
    upper = base.upper()
    return upper if len(upper) == 1 else base
