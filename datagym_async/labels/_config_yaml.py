"""Label configurations as YAML; imported only if it is used, because PyYAML is an extra."""

from __future__ import annotations

import re
from typing import Any

import yaml

from datagym_async.exceptions import LabelConfigError
from datagym_async.labels._config_entries import given_twice


class _Loader(yaml.SafeLoader):
    """Read scalars as texts, except null, true and false.

    YAML reads ``on``, ``no``, ``12:30`` and ``1e3`` as other types; as keys and texts of options
    they are meant literally.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 -- the name and kind PyYAML reads

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; a repeated key is an error."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):  # another one may mean billions of words
                if key.value in seen:
                    raise given_twice(key.value)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_word(self, node: yaml.ScalarNode) -> object:
        """Return a tagged scalar as a text, as without its tag; a truth value as that."""
        text = str(self.construct_scalar(node))
        return self.bool_values.get(text.lower(), text) if node.tag.endswith(":bool") else text


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
for _tag in ("bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_word)


def read_yaml(text: str | bytes) -> object:
    """Return the value of a YAML text; `LabelConfigError` if it is invalid."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 -- it is a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        words = " ".join(str(error).split())
        if str(getattr(error, "encoding", "")).startswith("utf"):
            words = "it is not in UTF-8; save it as UTF-8"
        raise LabelConfigError(f"The label configuration is not YAML: {words}") from None


class _Dumper(yaml.SafeDumper):
    """Write unprintable characters as escapes: YAML has five more line breaks."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """Write a scalar in double quotes; only escapes keep its characters from a terminal."""
        self.allow_unicode = text.isprintable()
        super().write_double_quoted(text, split)
        self.allow_unicode = True


_Dumper.add_representer(str, _Dumper.represent_text)


def write_yaml(document: object) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False)
    return text
