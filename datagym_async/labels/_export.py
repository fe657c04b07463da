"""A whole export: the classes of a project and the labels of its finished tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from datagym_async.labels._classes import (
    ClassTypes,
    LabelClass,
    class_payload,
    class_types,
    parse_classes,
)
from datagym_async.labels._json import ShapeError, as_list, as_object
from datagym_async.labels._payload import parse_task, to_payload
from datagym_async.labels._values import Form, LabeledTask
from datagym_async.models._repr import count

if TYPE_CHECKING:
    from collections.abc import Iterable

_CLASSES = "label_classes"


def _tasks(given: Iterable[LabeledTask]) -> tuple[LabeledTask, ...]:
    return tuple(given)


@attrs.frozen
class LabelExport:
    """The labels of a project: every task that is completed, skipped or reviewed.

    Args:
        label_classes: The entries of the label configuration; empty if no task is exported.
        tasks: The labels of each task.
        form: How the file wrote it, or None; it does not count when two are compared.
    """

    label_classes: tuple[LabelClass, ...] = ()
    tasks: tuple[LabeledTask, ...] = attrs.field(default=(), converter=_tasks, repr=count)
    form: Form | None = attrs.field(default=None, eq=False, repr=False)

    def to_payload(self) -> list[dict[str, Any]]:
        """Return it as the service writes it; an export that was read gives what was read."""
        classes: dict[str, Any] = {_CLASSES: [class_payload(each) for each in self.label_classes]}
        for name, (raw, _) in (self.form.raw if self.form else {}).items():
            classes[name] = raw
        is_shown = bool(self.form.members) if self.form else bool(self.tasks or self.label_classes)
        return [*([classes] if is_shown else []), *(to_payload(task) for task in self.tasks)]


@attrs.define
class ExportReader:
    """Read the elements of an export one after the other.

    Attributes:
        classes: The classes, once the element that lists them was read; older exports may have
            none.
        types: Their types.
        form: How the file wrote the classes.
    """

    classes: tuple[LabelClass, ...] = ()
    types: ClassTypes = attrs.field(factory=dict)
    form: Form = attrs.field(factory=Form)

    def read(self, element: object) -> LabeledTask | None:
        """Return the task that an element holds, or None if it lists the classes.

        Raises:
            ConfigurationError: It is neither; the text says where it is not.
        """
        if isinstance(element, dict) and _CLASSES in element:
            self._read_classes(as_object(element))
            return None
        return parse_task(element, self.types)

    def _read_classes(self, element: dict[str, Any]) -> None:
        try:
            self.classes += parse_classes(element[_CLASSES])
        except ShapeError as error:
            raise error.below(f".{_CLASSES}") from None
        self.types = class_types(self.classes)
        unknown = {name: (value, value) for name, value in element.items() if name != _CLASSES}
        self.form = Form(tuple(element), raw=unknown)


def parse_export(document: object) -> LabelExport:
    """Return a whole export as values.

    Args:
        document: The JSON values of an export's file.

    Raises:
        ConfigurationError: It is no export; the text says where it is not, for example
            ``[3].labels.car[0].polygon[1].x``.
    """
    reader = ExportReader()
    tasks = []
    for index, element in enumerate(as_list(document)):
        try:
            task = reader.read(element)
        except ShapeError as error:
            raise error.below(f"[{index}]") from None
        if task is not None:
            tasks.append(task)
    return LabelExport(reader.classes, tasks, reader.form)
