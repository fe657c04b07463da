"""The options of every command, how an option is made, and how values are read.

This module is loaded at every start: it needs typer and nothing else of weight.
"""

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, get_args, get_type_hints

import typer


def split_usage(usage: str) -> tuple[list[str], str | None]:
    """Return the flags of ``"--output -o PATH"``, and the placeholder of its value, if any."""
    words = usage.split()
    flags = [each for each in words if each.startswith("-")]
    return flags, None if words[-1].startswith("-") else words[-1]


def flag(usage: str, text: str, *, panel: str | None = None, **more: Any) -> Any:
    flags, metavar = split_usage(usage)
    return typer.Option(*flags, metavar=metavar, help=text, rich_help_panel=panel, **more)


_shared: Final = functools.partial(flag, panel="Shared options (also before the command)")


def argument(metavar: str, text: str) -> Any:
    return typer.Argument(metavar=metavar, help=text, show_default=False)


_SIZE: Final = re.compile(r"([0-9.]+) ?([kmgt]?)(i?)(?:b(?:ytes)?(?:/s)?)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TIME: Final = re.compile(r"(?:[0-9.]+[smhd])+", re.IGNORECASE)
_TIME_PART: Final = re.compile(r"(?<![0-9.])([0-9.]++)([smhd])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_BYTES, _MOST_SECONDS = 1 << 63, 1000 * 365 * 86_400  # what clocks and databases can hold


def parse_bytes(text: str | int) -> int:
    """Return a number of bytes: ``"500k"`` is 500,000, ``"500Ki"`` 512,000; a number is kept."""
    found = _SIZE.fullmatch(str(text).strip())
    number = None if found is None else _number(found[1])
    if found is not None and number is not None:
        step = 1024 if found[3] else 1000
        if (size := number * math.pow(step, _POWERS[found[2].lower()])) < _MOST_BYTES:
            return round(size)
    raise typer.BadParameter(f"{text!r} is not a size; use for example 500k, 10M, 1.5G or 64Mi.")


def parse_seconds(text: str | float) -> float:
    """Return a length of time in seconds: ``"90"``, ``"90s"`` and ``"1m30s"`` are the same."""
    given = str(text).strip()
    parts = [(_number(part[1]), _SECONDS[part[2].lower()]) for part in _TIME_PART.finditer(given)]
    if (seconds := _number(given)) is None and _TIME.fullmatch(given):
        seconds = sum(math.nan if number is None else number * unit for number, unit in parts)
    if seconds is not None and seconds < _MOST_SECONDS:
        return seconds
    raise typer.BadParameter(
        f"{text!r} is not a length of time; use for example 90 (seconds), 30m, 2h or 1h30m."
    )


def parse_number_or_auto(text: str | int) -> int | str:
    """Return a number above 0, or ``"auto"``, which has it found out."""
    from datagym_async._checks import above_zero_in  # not needed at start-up

    given = str(text).strip()
    if given.lower() == "auto":
        return "auto"
    if not (number := above_zero_in(given)):
        raise typer.BadParameter(f"{text!r} is neither a number above 0 nor `auto`.")
    return number


def parse_path(text: str | Path) -> Path:
    """Return the path that a text is; a text that can be none is refused at once."""
    from datagym_async._files import from_home  # not needed at start-up

    return from_home(text)


_AsPath: Final = type("path", (), {})  # an argument whose help shows `<path>`


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


Profile: TypeAlias = Annotated[
    str | None,
    _shared(
        "--profile NAME",
        "Use the address and token that `auth login` keeps under this name, even if the "
        "environment names others. Default: `DATAGYM_PROFILE`, else `default`.",
    ),
]
ProjectArgument: TypeAlias = Annotated[str, argument("PROJECT", "Name or id of the project.")]
DatasetArgument: TypeAlias = Annotated[str, argument("DATASET", "Name or id of the dataset.")]
Yes: TypeAlias = Annotated[
    bool, flag("--yes", "Do not ask. Needed if standard input is not a terminal.")
]


class Shared(NamedTuple):
    """The shared options, as given in one place; the last four are of all commands."""

    base_url: Annotated[
        str | None,
        _shared(
            "--base-url URL",
            "Address of the service, without `/api/v1`. Default: `DATAGYM_BASE_URL`, else that of "
            "the profile, else `https://app.datagym.ai`.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        _shared(
            "--token-file FILE",
            "File that holds the token. Without it `DATAGYM_TOKEN` is used, else a profile, else "
            "you are asked. There is no option for the token itself: others can see arguments.",
        ),
    ] = None
    profile: Profile = None
    retries: Annotated[
        int | None,
        _shared(
            "--retries N",
            "How often a failed request is tried again. Default: 5 in jobs such as `upload`; 2 in "
            "other commands, and before the first answer.",
            min=0,
        ),
    ] = None
    proxy: Annotated[
        str | None,
        _shared(
            "--proxy URL",
            "Proxy to use, such as `http://proxy.example:3128`. Default: that of the environment "
            "(`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).",
        ),
    ] = None
    no_proxy: Annotated[
        bool, _shared("--no-proxy", "Use no proxy, even if the environment names one.")
    ] = False
    ca_file: Annotated[
        Path | None,
        _shared(
            "--ca-file FILE",
            "Certificates (PEM) to trust besides the system's, such as those of a company.",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        _shared(
            "--timeout TIME",
            "How long to wait for a connection (at most 10 seconds) and then for each part of an "
            "answer, before a request is tried again. Default: 60 seconds.",
            parser=parse_seconds,
        ),
    ] = None
    auth: Annotated[
        Literal["header", "parameter"] | None,
        _shared(
            "--auth",
            "How the token is sent: in the Authorization header (default), or as a request "
            "parameter, for gateways that remove the header.",
        ),
    ] = None
    as_json: Annotated[
        bool,
        _shared("--json", "Print the result as one JSON document, and nothing else but errors."),
    ] = False
    quiet: Annotated[bool, _shared("--quiet", "Print problems only; nothing if all is well.")] = (
        False
    )
    debug: Annotated[
        bool,
        _shared("--debug", "Log each request to standard error, and show tracebacks of errors."),
    ] = False
    log_file: Annotated[
        Path | None,
        _shared(
            "--log-file FILE",
            "Append the log of each request to a file; what is printed stays the same.",
        ),
    ] = None

    def followed_by(self, later: "Shared") -> "Shared":
        """Return both together; later options win."""
        given = {
            name: value
            for name, value in later._asdict().items()
            if not (value is None or value is False)
        }
        return self._replace(**given)


OF_CLIENTS: Final[Mapping[str, object]] = get_type_hints(Shared, include_extras=True)
OF_ALL: Final[Mapping[str, object]] = {name: OF_CLIENTS[name] for name in Shared._fields[-4:]}


def sign(
    function: Callable[..., object], own: Iterable[Parameter], shared: Mapping[str, object]
) -> None:
    """Set the parameters of a function for typer: its own, and shared options."""
    options = (
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=getattr(Shared(), name))
        for name, kind in shared.items()
    )
    context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, *own, *options]
    for at, each in enumerate(parameters):
        kind, *said = get_args(each.annotation)[:2] or (None,)
        if kind in {bool, bool | None}:  # or help shows `--json <bool>`, as if it took a value
            said[0].metavar = ""
        if kind in {Path, Path | None, list[Path] | None}:
            said[0].parser = parse_path
        if kind is Path:  # help names the type beside an argument, here that of Python
            parameters[at] = each.replace(annotation=Annotated[_AsPath, said[0]])
    function.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in parameters}
