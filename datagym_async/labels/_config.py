"""`LabelConfig`: a label configuration, from its making to the body of its upload."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from datagym_async._extras import extra_module
from datagym_async.exceptions import LabelConfigError
from datagym_async.labels._config_building import EntryList
from datagym_async.labels._config_diff import diff, entries_of
from datagym_async.labels._config_documents import read_entries, read_json
from datagym_async.labels._config_rules import problems_of, warnings_of

if TYPE_CHECKING:
    from datagym_async.labels._config_diff import Entries

_NAMED = 10


class LabelConfig(EntryList):
    """A label configuration being made: what labellers draw and answer in a project.

    ::

        config = LabelConfig()
        car = config.add_rectangle("car", "Car", color="#3333FF", shortcut=1)
        car.add_select("kind", "Kind", {"bus": "Bus", "van": "Van"}, required=True)
        config.validate()

    Args:
        entries: Root entries to begin with.
    """

    def __repr__(self) -> str:
        """Return the root keys."""
        return f"<LabelConfig {', '.join(each.key for each in self.entries) or 'without entries'}>"

    def __eq__(self, other: object) -> bool:
        """Return whether nothing differs; the order of entries and options is nothing."""
        return diff(self, other).is_empty if isinstance(other, LabelConfig) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it can change

    def problems(self) -> list[str]:
        """Return what the service would refuse, drop or trip over, each as a sentence."""
        return problems_of(self.entries)

    def warnings(self) -> list[str]:
        """Return what the service takes and its own editor does not, each as a sentence."""
        return warnings_of(self.entries)

    def validate(self) -> None:
        """Make sure that there are no problems.

        Raises:
            LabelConfigError: There are; its `problems` has them all.
        """
        if problems := self.problems():
            named = " ".join(problems[:_NAMED])
            more = f" ... and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            text = f"The label configuration breaks rules. {named}{more}"
            raise LabelConfigError(text, problems=problems)

    def to_payload(self) -> list[dict[str, object]]:
        """Return the entries as the service takes them."""
        return [entry.to_payload() for entry in self.entries]

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the entries as JSON, as the service and its editor take them.

        Args:
            indent: Blanks for each level; None for one line.
        """
        return json.dumps(self.to_payload(), indent=indent, ensure_ascii=False)

    def to_yaml(self) -> str:
        """Return the entries as YAML, with the names that JSON has for them.

        Raises:
            ConfigurationError: PyYAML is not installed.
        """
        text: str = _yaml().write_yaml(self.to_payload())
        return text

    @classmethod
    def from_entries(cls, entries: Entries) -> LabelConfig:
        """Return the configuration that something holds: entries, a configuration, or a view."""
        return cls(entries_of(entries))

    @classmethod
    def from_payload(cls, document: object) -> LabelConfig:
        """Return the configuration of a JSON value, already read.

        Args:
            document: A list of entries (the body of an upload, or the export file of the service's
                editor), or an object with ``entries`` (the service's view of a configuration) or
                ``labelConfig`` (its view of a task). Ids and times are left out.

        Raises:
            LabelConfigError: It is something else; the text says where.
        """
        return cls(read_entries(document))

    @classmethod
    def from_json(cls, text: str | bytes) -> LabelConfig:
        """Return the configuration of a JSON text (see `from_payload`).

        Raises:
            LabelConfigError: It is no JSON, or something else; the text says where.
        """
        return cls.from_payload(read_json(text))

    @classmethod
    def from_yaml(cls, text: str | bytes) -> LabelConfig:
        """Return the configuration of a YAML text (see `from_payload`).

        Words like ``on``, ``no`` or ``12:30`` are taken as they are written.

        Raises:
            LabelConfigError: It is no YAML, or something else; the text says where.
            ConfigurationError: PyYAML is not installed.
        """
        return cls.from_payload(_yaml().read_yaml(text))

    @classmethod
    def of(cls, given: Entries | Iterable[Mapping[str, object]]) -> LabelConfig:
        """Return the configuration that something is, holds, or would be as a body.

        Raises:
            LabelConfigError: It is none; the text says where.
        """
        if isinstance(given, LabelConfig):
            return given
        if not isinstance(given, Iterable):
            return cls.from_entries(given)
        members: list[Any] = [*given]
        if all(isinstance(member, Mapping) for member in members):
            return cls.from_payload(members)
        return cls.from_entries(members)


def _yaml() -> Any:
    return extra_module("datagym_async.labels._config_yaml")
