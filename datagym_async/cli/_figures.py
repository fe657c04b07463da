"""Numbers as people read them. Pure functions."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Return a number of bytes in decimal units, for example ``"17.4 MB"``."""
    scale = _scale(count)
    return f"{_in_units(count, scale)} {_UNITS[scale]}"


def share_of_bytes(done: float, total: float) -> str:
    """Return how much of how much, for example ``"210.5/331.2 MB"``."""
    scale = _scale(total)
    return f"{_in_units(done, scale)}/{_in_units(total, scale)} {_UNITS[scale]}"


def _scale(count: float) -> int:
    """Return the place of the unit in which a number has one to three digits."""
    scale = 0
    while count >= 999.5 and scale < len(_UNITS) - 1:
        count, scale = count / 1000, scale + 1
    return scale


def _in_units(count: float, scale: int) -> str:
    return f"{count / 1000**scale:,.1f}" if scale else f"{count:.0f}"


def clock(seconds: float | None) -> str:
    """Return a length of time as ``H:MM:SS``, or ``-:--:--`` where it is not known."""
    if seconds is None or seconds != seconds or seconds >= 100 * 3600:
        return "-:--:--"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its word, for example ``"1 retry"`` or ``"1,200 files"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
