"""Options: those of every command, the table of those of bulk jobs, and how values are read.

`Option` is a row of a table (`_job_options`): an option of `upload` or `download` is declared
there, once. Its flag, its help, the field of the configuration that it sets, the command that
`jobs show` prints, hints in the library's sentences and the row in docs/cli.md come from it.

This module is loaded at every start: it needs typer and nothing else of weight.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, get_type_hints

import attrs
import typer

_SHARED: Final = "Shared options (also before the command)"


def split_usage(usage: str) -> tuple[list[str], str | None]:
    """Return the flags of ``"--output -o PATH"``, and what stands for its value, if it has one."""
    words = usage.split()
    flags = [each for each in words if each.startswith("-")]
    return flags, None if words[-1].startswith("-") else words[-1]


def flag(usage: str, text: str, *, panel: str | None = None, **more: Any) -> Any:
    """Return what typer makes an option of: what is typed, what it does, and in which group."""
    flags, metavar = split_usage(usage)
    return typer.Option(*flags, metavar=metavar, help=text, rich_help_panel=panel, **more)


def argument(metavar: str, text: str) -> Any:
    """Return what typer makes an argument of: what stands for it, and what it is."""
    return typer.Argument(metavar=metavar, help=text, show_default=False)


BaseUrl: TypeAlias = Annotated[
    str | None,
    flag(
        "--base-url URL",
        "Address of the service, without `/api/v1`; else `DATAGYM_BASE_URL`, else "
        "`https://app.datagym.ai`.",
        panel=_SHARED,
    ),
]
TokenFile: TypeAlias = Annotated[
    Path | None,
    flag(
        "--token-file FILE",
        "File that holds the token; else `DATAGYM_TOKEN`, else you are asked. There is no "
        "option for the token itself: others can see arguments.",
        panel=_SHARED,
    ),
]
Json: TypeAlias = Annotated[
    bool,
    flag(
        "--json",
        "Print the result as one JSON document, and nothing else but errors.",
        panel=_SHARED,
    ),
]
Quiet: TypeAlias = Annotated[
    bool,
    flag(
        "--quiet", "Say only what somebody should look at; nothing if all is well.", panel=_SHARED
    ),
]
Debug: TypeAlias = Annotated[
    bool,
    flag(
        "--debug",
        "Log what happens to standard error, and show where errors come from.",
        panel=_SHARED,
    ),
]
OF_ALL: Final[Mapping[str, object]] = {"as_json": Json, "quiet": Quiet, "debug": Debug}
OF_CLIENTS: Final[Mapping[str, object]] = {"base_url": BaseUrl, "token_file": TokenFile, **OF_ALL}

ProjectArgument: TypeAlias = Annotated[str, argument("PROJECT", "Name or id of the project.")]
DatasetArgument: TypeAlias = Annotated[str, argument("DATASET", "Name or id of the dataset.")]
Yes: TypeAlias = Annotated[
    bool, flag("--yes", "Do not ask. Needed where standard input is no terminal.")
]


@attrs.frozen(kw_only=True)
class Shared:
    """The shared options, as given in one place."""

    base_url: str | None = None
    token_file: Path | None = None
    as_json: bool = False
    quiet: bool = False
    debug: bool = False

    def followed_by(self, later: "Shared") -> "Shared":
        """Return both together; what was given later wins."""
        both = {
            each.name: getattr(later, each.name) or getattr(self, each.name)
            for each in attrs.fields(Shared)
        }
        return Shared(**both)


@attrs.frozen
class Option:
    """An option of a bulk job.

    Its value goes to the parameter of the command that has its name, if there is one; else to the
    client, if `client` says as what; else to the configuration of the job. Type and default are
    those of the place it goes to, unless they are given. An option for a field that is True by
    default makes it False. A SIZE and a TIME are read as such.

    Args:
        usage: What is typed, with what stands for its value: ``"--dataset -d NAME|ID"``.
        help: What it does, in the words of help and docs/cli.md. The default is added to it.
        field: The field of the configuration, where it is not called like the option.
        client: The option of `DataGymClient` that it sets.
        type: The type of its value, where a shell cannot give what the field takes.
        default: Its default, together with `type`.
        least: The lowest number.
        most: The highest number.
        convert: Makes what the library takes of its value.
        hidden: Whether help is silent on it.
    """

    usage: str
    help: str
    field: str = ""
    client: str = ""
    type: Any = None
    default: Any = None
    least: float | None = None
    most: float | None = None
    convert: Callable[[Any], Any] | None = None
    hidden: bool = False

    @property
    def flags(self) -> list[str]:
        """Return its flags, the one that it is known by first."""
        return split_usage(self.usage)[0]

    @property
    def name(self) -> str:
        """Return what Python calls it in the command."""
        return self.flags[0].lstrip("-").replace("-", "_")

    @property
    def library_name(self) -> str:
        """Return what the library calls it."""
        return self.field or self.client or self.name


@attrs.frozen
class Given:
    """What was given of a table of options: fields of the configuration, options of the client."""

    config: dict[str, Any] = attrs.field(factory=dict)
    client: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class OptionTable:
    """All options of a bulk job, in the order of its help.

    Args:
        config: The class of its configuration.
        groups: The options, by the titles of their groups.
    """

    config: type[attrs.AttrsInstance]
    groups: Mapping[str, tuple[Option, ...]]

    @property
    def rows(self) -> Iterator[Option]:
        """Return all options."""
        return itertools.chain.from_iterable(self.groups.values())

    def parameters(self, own: Mapping[str, Parameter]) -> Iterator[Parameter]:
        """Yield what typer makes the options of.

        Args:
            own: The parameters of the command, without the options of its configuration.
        """
        hints = get_type_hints(self.config)
        parsers = {"SIZE": parse_bytes, "TIME": parse_seconds, "SECONDS": parse_seconds}
        for title, row in ((title, row) for title, rows in self.groups.items() for row in rows):
            if row.name in own:
                kind, default = own[row.name].annotation, own[row.name].default
            elif row.type is not None:
                kind, default = row.type, row.default
            else:
                kind, default = hints[row.library_name], self._default(row)
                if isinstance(default, tuple):
                    kind, default = list[str] | None, None
                elif default is True:
                    default = False
            shown = flag(
                row.usage,
                row.help,
                panel=title,
                parser=parsers.get(split_usage(row.usage)[1] or ""),
                min=row.least,
                max=row.most,
                hidden=row.hidden,
                show_default=f"{default:g}" if isinstance(default, float) else True,
            )
            yield Parameter(
                row.name, Parameter.KEYWORD_ONLY, annotation=Annotated[kind, shown], default=default
            )

    def take(self, values: dict[str, Any], own: Mapping[str, Parameter]) -> Given:
        """Take the options of configuration and client out of the values of a command."""
        given = Given()
        for row in self.rows:
            if row.name in own:
                continue
            value = values.pop(row.name)
            if row.convert is not None:
                value = row.convert(value)
            elif row.type is None and self._default(row) is True:
                value = not value
            elif row.type is None and isinstance(self._default(row), tuple):
                value = tuple(value or ())
            (given.client if row.client else given.config)[row.library_name] = value
        return given

    def _default(self, row: Option) -> Any:
        return getattr(attrs.fields(self.config), row.library_name).default


_SIZE: Final = re.compile(r"([0-9.]+) ?([kmgt]?)(i?)(?:b(?:ytes)?(?:/s)?)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TIME: Final = re.compile(r"(?:[0-9.]+[smhd])+", re.IGNORECASE)
_TIME_PART: Final = re.compile(r"(?<![0-9.])([0-9.]++)([smhd])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_bytes(text: str | int) -> int:
    """Return a number of bytes: ``"500k"`` is 500,000, ``"500Ki"`` is 512,000.

    A number is given back: defaults come through here as well.

    Raises:
        typer.BadParameter: The text is no such number.
    """
    found = _SIZE.fullmatch(str(text).strip())
    number = None if found is None else _number(found[1])
    if found is None or number is None:
        raise typer.BadParameter(f"{text!r} is no size; write for example 500k, 10M, 1.5G or 64Mi.")
    step = 1024 if found[3] else 1000
    return round(number * math.pow(step, _POWERS[found[2].lower()]))


def parse_seconds(text: str | float) -> float:
    """Return a length of time in seconds: ``"90"``, ``"90s"`` and ``"1m30s"`` are the same.

    A number is given back: defaults come through here as well.

    Raises:
        typer.BadParameter: The text is no length of time.
    """
    given = str(text).strip()
    if (plain := _number(given)) is not None:
        return plain
    parts = [(_number(part[1]), _SECONDS[part[2].lower()]) for part in _TIME_PART.finditer(given)]
    if not _TIME.fullmatch(given) or any(number is None for number, _ in parts):
        raise typer.BadParameter(
            f"{text!r} is no length of time; write for example 90 (seconds), 30m, 2h or 1h30m."
        )
    return sum((number or 0.0) * unit for number, unit in parts)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
