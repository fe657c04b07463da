"""The reference of the site: a page for each public package, with all that it exports.

MkDocs calls the functions `on_...` (``hooks`` in mkdocs.yml). What is exported is read from the
source, so that no extra has to be installed; mkdocstrings then writes signatures and docstrings. A
name stands on the page of its home, the innermost package that exports it, and is named on the
others.

griffe, which reads the source, knows dataclasses and no attrs: `Attrs` tells it what these take.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import griffe
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "datagym_async"
INNER = {"cli", "uploads.plan", "uploads.sources", "server.routes"}
"""Packages for ours alone: what people need of them, the package around them exports."""


@attrs.frozen
class Page:
    """What a public package or module exports, each with its full name at home, and what it is.

    What comes from another distribution is at home there.
    """

    path: str
    about: str
    names: dict[str, str]
    built_on: set[str]
    """Names of classes whose methods stand in part in a class that nobody sees."""

    @property
    def file(self) -> str:
        """Return where the page is, below docs/."""
        return f"reference/{self.path.removeprefix(f'{PACKAGE}.')}.md"

    @property
    def anchors(self) -> set[str]:
        """Return the full names under which the page is linked to."""
        return {f"{self.path}.{name}" for name in self.names}

    def markdown(self) -> str:
        """Return the page, without what mkdocstrings writes."""
        lines = [f"# {self.path}", "", self.about, ""]
        for name, home in self.names.items():
            if home == f"{self.path}.{name}":
                lines += [f"::: {home}", ""]
                if name in self.built_on:
                    lines[-1:] = ["    options:", "      inherited_members: true", ""]
        other = {name: home for name, home in self.names.items() if home != f"{self.path}.{name}"}
        if other:
            lines += ["## From other packages", ""]
        for name, home in other.items():
            is_ours = home.startswith(f"{PACKAGE}.")
            shown = f"[`{home}`][{home}]" if is_ours else f"`{home}`"
            lines += [f'* <a id="{self.path}.{name}"></a>{shown}']
        return "\n".join(lines) + "\n"


@functools.cache
def pages() -> list[Page]:
    """Return the pages, by name."""
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    whole = loader.load(PACKAGE)
    if not isinstance(whole, griffe.Module):
        raise TypeError(f"{PACKAGE} is no module")
    modules, waiting = {PACKAGE: whole}, [whole]
    while waiting:
        for name, module in waiting.pop().modules.items():
            is_inner = module.path.removeprefix(f"{PACKAGE}.") in INNER
            if not (name.startswith("_") or module.is_alias or is_inner):
                waiting.append(module)
                modules[module.path] = module
    names = {path: [str(name) for name in module.exports or ()] for path, module in modules.items()}
    for path in (path for path, module in modules.items() if module.exports is None):
        names[path] = getattr(
            importlib.import_module(path), "__all__", []
        )  # made when it is loaded
    loader.expand_wildcards(whole)
    names[PACKAGE] = [*importlib.import_module(PACKAGE).__all__]  # loads none of them
    homes: dict[str, str] = {}
    for path in sorted(modules, key=len):  # inner packages come last, and have the last word
        for name in names[path]:
            target = _target(modules[path][name])
            if target.startswith(f"{path}.") or target not in homes:
                is_ours = target.startswith(f"{PACKAGE}.")
                homes[target] = f"{path}.{name}" if is_ours else target
    return [
        Page(
            path,
            module.docstring.lines[0] if module.docstring else "",
            {name: homes[_target(module[name])] for name in names[path]},
            {name for name in names[path] if _bases(module[name]) - homes.keys()},
        )
        for path, module in sorted(modules.items())
        if names[path]
    ]


def _bases(thing: griffe.Object | griffe.Alias) -> set[str]:
    """Return the classes of ours that a class is made of."""
    if isinstance(thing, griffe.Alias) and _target(thing).startswith(f"{PACKAGE}."):
        thing = thing.final_target
    return (
        {each.canonical_path for each in thing.mro()} if isinstance(thing, griffe.Class) else set()
    )


def _target(thing: griffe.Object | griffe.Alias) -> str:
    """Return where a thing is written."""
    try:
        return thing.canonical_path
    except griffe.AliasResolutionError as error:  # what is written elsewhere was not loaded
        return error.alias.target_path


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add what lists itself to ``nav``: the pages here, and the decisions."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    listed = {
        "Reference": {
            "Python": [{page.path.removeprefix(f"{PACKAGE}."): page.file} for page in pages()]
        },
        "Explanation": {"Decisions": [f"decisions/{each.name}" for each in decisions]},
    }
    for section in config.nav or ():
        for name in section.keys() & listed.keys():
            section[name].append(listed[name])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those in docs/."""
    for page in pages():
        files.append(File.generated(config, page.file, content=page.markdown()))
    return files


@event_priority(-100)
def on_post_build(config: MkDocsConfig) -> None:
    """Write the index of the search as a script, which is all that a page on the disk may load."""
    index = Path(config.site_dir) / "search" / "search_index.json"
    text = index.read_text(encoding="utf-8")
    index.with_suffix(".js").write_text(f"var __index = {text}", encoding="utf-8")


class Attrs(griffe.Extension):
    """Give each class of attrs the `__init__` that it has."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Ask the class itself: attrs has made its signature."""
        if not any(str(each.value).startswith("attrs.") for each in cls.decorators):
            return
        try:
            made = getattr(importlib.import_module(cls.module.path), cls.name)
        except ModuleNotFoundError:  # an extra that is not here
            return
        parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
        for each in inspect.signature(made).parameters.values():
            member = cls.members.get(each.name)
            default = "..." if each.default is attrs.NOTHING else repr(each.default)
            parameters.append(
                griffe.Parameter(
                    each.name,
                    annotation=member.annotation
                    if isinstance(member, griffe.Attribute)
                    else str(each.annotation),
                    kind=griffe.ParameterKind(each.kind.description),
                    default=None if each.default is each.empty else default,
                )
            )
        if "__init__" not in cls.members:
            init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
            cls.set_member("__init__", init)
