"""The tables of options in docs/cli.md, made of the rows in the command line's own table.

`python -m tests.helpers.option_tables` writes them anew after a row was added or changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, get_args

from datagym_async.cli import DOWNLOAD, UPLOAD, download, own_parameters, split_usage, upload

if TYPE_CHECKING:
    from datagym_async.cli import Option, OptionTable

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
TABLES: dict[str, tuple[OptionTable, Callable[..., int]]] = {
    "upload": (UPLOAD, upload),
    "download": (DOWNLOAD, download),
}


def block(name: str) -> str:
    """Return the tables of a command: one for each group of its help."""
    table, function = TABLES[name]
    parameters = table.parameters({each.name: each for each in own_parameters(function)})
    parts = []
    for title, rows in table.groups.items():
        lines = [f"**{title}**", "", "| option | |", "|---|---|"]
        both = zip(rows, parameters, strict=False)  # which go on with the next group
        lines += [_line(row, parameter) for row, parameter in both if not row.hidden]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Option, parameter: Parameter) -> str:
    kind, _ = get_args(parameter.annotation)
    choices = [
        word
        for part in (kind, *get_args(kind))
        for word in get_args(part)
        if isinstance(word, str) and word
    ]
    value = "|".join(dict.fromkeys(choices)) or split_usage(row.usage)[1]
    first, *others = row.flags
    flags = [f"`{first} {value}`" if value else f"`{first}`", *(f"`{each}`" for each in others)]
    default = parameter.default
    if isinstance(default, float):
        default = f"{default:g}"
    if default and not isinstance(default, NoneType | bool):
        return f"| {_cell(', '.join(flags))} | {_cell(row.help)} Default: `{default}`. |"
    return f"| {_cell(', '.join(flags))} | {_cell(row.help)} |"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def with_tables(text: str) -> str:
    """Return the document with its tables made anew."""
    for name in TABLES:
        begin, end = f"<!-- options of {name} -->\n", "\n<!-- end of options -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        new = f"{begin}{block(name)}{end}"
        text, count = pattern.subn(lambda _, new=new: new, text)  # type: ignore[misc]
        if count != 1:
            msg = f"docs/cli.md has {count} places for the options of {name}"
            raise ValueError(msg)
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
