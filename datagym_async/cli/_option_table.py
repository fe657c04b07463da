"""A table of options: its rows, and what is derived from them.

An option of `upload` or `download` is a row in `_job_options`, one of `export` or `import` a row in
the module of that command. Its flag, its help, the field of the configuration that it sets, the
command that `jobs show` prints, hints in the library's sentences and the row in docs/cli.md come
from it.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from inspect import Parameter
from pkgutil import resolve_name
from typing import Annotated, Any, cast, get_type_hints

import attrs

from datagym_async.cli._options import (
    flag,
    parse_bytes,
    parse_number_or_auto,
    parse_seconds,
    split_usage,
)


@attrs.frozen
class Option:
    """An option of a bulk job.

    Its value goes to the parameter of the command that has its name, if there is one; else to the
    client, if `client` says as what; else to the configuration of the job. Type and default are
    those of the place it goes to, unless they are given. An option for a field that is True by
    default makes it False. A SIZE and a TIME are read as such.
    """

    usage: str  # the flags and the placeholder of the value: "--dataset -d NAME|ID"
    help: str  # in help and docs/cli.md, where the default is added to it
    field: str = ""  # of the configuration, if it has another name than the option
    client: str = ""  # the option of `DataGymClient` that it sets
    type: Any = None  # of the value, if a shell cannot give that of the field
    default: Any = None  # counts if `type` is given
    least: float | None = None
    most: float | None = None
    convert: Callable[[Any], Any] | None = None  # makes what the library wants of the value
    hidden: bool = False  # whether help leaves it out

    @property
    def flags(self) -> list[str]:
        return split_usage(self.usage)[0]

    @property
    def name(self) -> str:
        return self.flags[0].partition("/")[0].lstrip("-").replace("-", "_")

    @property
    def library_name(self) -> str:
        return self.field or self.client or self.name


@attrs.frozen
class Given:
    """The given options of a table: fields of the configuration, options of the client."""

    config: dict[str, Any] = attrs.field(factory=dict)
    client: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class OptionTable:
    """All options of a bulk job, in the order of its help, by the titles of their groups.

    Without a title they stand among the options of the command.
    """

    config_name: str  # "package:class" of the configuration: a command loads only its own
    groups: Mapping[str, tuple[Option, ...]]

    @cached_property
    def config(self) -> type[attrs.AttrsInstance]:
        return cast("type[attrs.AttrsInstance]", resolve_name(self.config_name))

    @property
    def rows(self) -> Iterator[Option]:
        return itertools.chain.from_iterable(self.groups.values())

    def parameters(self, own: Mapping[str, Parameter]) -> Iterator[Parameter]:
        """Yield the parameters for typer; `own` are those of the command itself."""
        hints = get_type_hints(self.config)
        parsers = {
            "SIZE": parse_bytes,
            "TIME": parse_seconds,
            "SECONDS": parse_seconds,
            "N|auto": parse_number_or_auto,
        }
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
            if isinstance(default, float) and default.is_integer():
                default = int(default)  # help says 200, and not 200.0
            shown = flag(
                row.usage,
                row.help,
                panel=title or None,
                parser=parsers.get(split_usage(row.usage)[1] or ""),
                min=row.least,
                max=row.most,
                hidden=row.hidden,
                show_default=True,
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
