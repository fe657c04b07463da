"""Numbers as people read them. Pure functions."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Return a number of bytes in decimal units, for example ``"17.4 MB"``."""
    for unit in _UNITS[:-1]:
        if count < 999.5:
            return (
                f"{count:.0f} {unit}"
                if unit == "bytes" or count >= 99.95
                else f"{count:.1f} {unit}"
            )
        count /= 1000
    return f"{count:,.1f} {_UNITS[-1]}"


def clock(seconds: float | None) -> str:
    """Return a length of time as ``H:MM:SS``, or ``-:--:--`` where it is not known."""
    if seconds is None or seconds != seconds or seconds >= 100 * 3600:
        return "-:--:--"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its word, for example ``"1 retry"`` or ``"1,200 files"``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
