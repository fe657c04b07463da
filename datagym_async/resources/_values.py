"""`ValuesResource`: single label values, on routes that the public documentation does not list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._wire import _routes as routes
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.labels import LabeledImage
from datagym_async.models import LabelValue, MediaType, TaskDetail
from datagym_async.resources._base import Resource, points_body
from datagym_async.resources._value_reading import labels_of
from datagym_async.resources._value_writing import ValueWriter, plan_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datagym_async.labels import Annotation
    from datagym_async.resources._base import AnyPoint
    from datagym_async.resources._value_writing import WriteReport


class ValuesResource(Resource):
    """The label values of tasks: the only way to write image segmentations."""

    async def create(
        self,
        entry_id: str,
        *,
        iteration_id: str,
        media_id: str,
        task_id: str,
        parent_id: str | None = None,
    ) -> LabelValue:
        """Create an empty value, with the empty values nested in it, and return it.

        A call whose answer is lost is not repeated; the error's `unknown` is then True.

        Args:
            entry_id: UUID of the entry of the label configuration.
            iteration_id: UUID of the project's labelling iteration.
            media_id: UUID of the media.
            task_id: UUID of the task.
            parent_id: UUID of the value it is nested in, or None.

        Raises:
            NotFoundError: One of the ids is unknown.
            RequestRefusedError: The ids do not belong together.
            APIError: The service cannot be asked, or refuses.
        """
        fields = {
            "iterationId": iteration_id,
            "mediaId": media_id,
            "labelTaskId": task_id,
            "lcEntryValueParentId": parent_id,
        }
        return await self._fetch(routes.create_value(entry_id, _said(fields)), LabelValue)

    async def update(
        self,
        value_id: str,
        *,
        entry_id: str,
        task_id: str,
        parent_id: str | None = None,
        comment: str | None = None,
        valid: bool | None = None,
        x: float | None = None,
        y: float | None = None,
        width: float | None = None,
        height: float | None = None,
        points: Iterable[AnyPoint] | None = None,
        rings: Iterable[Iterable[AnyPoint]] | None = None,
        select_key: str | None = None,
        checked_values: Sequence[str] | None = None,
        text: str | None = None,
    ) -> LabelValue:
        """Replace what a value says and return it. The service checks it at completion only.

        Args:
            value_id: UUID of the value.
            entry_id: UUID of its entry.
            task_id: UUID of its task.
            parent_id: UUID of the value it is nested in, or None.
            comment: A remark of at most 128 characters.
            valid: What to store as its validity; None is the service's default, False.
            x: Pixels from the left: a point, or the left edge of a rectangle.
            y: Pixels from the top: a point, or the top edge of a rectangle.
            width: Width of a rectangle in pixels.
            height: Height of a rectangle in pixels.
            points: The points of a line or polygon.
            rings: The rings of an image segmentation: outline first, then holes.
            select_key: Key of the chosen option of a select.
            checked_values: Keys of the ticked options of a checklist.
            text: A free text.

        Raises:
            NotFoundError: The value is unknown.
            RequestRefusedError: The ids do not belong together.
            APIError: The service cannot be asked, or refuses.
        """
        fields = {
            "lcEntryId": entry_id,
            "labelTaskId": task_id,
            "lcEntryValueParentId": parent_id,
            "comment": comment,
            "valid": valid,
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "points": None if points is None else points_body(points),
            "pointsCollection": None if rings is None else _rings(rings),
            "selectKey": select_key,
            "checkedValues": None if checked_values is None else list(checked_values),
            "text": text,
        }
        return await self.put(value_id, _said(fields))

    async def put(self, value_id: str, fields: Mapping[str, object]) -> LabelValue:
        """Replace what a value says, in the members of the request itself, and return it.

        Args:
            value_id: UUID of the value.
            fields: ``lcEntryId``, ``labelTaskId`` and the members of the type; see `update`, which
                has them as arguments.

        Raises:
            APIError: See `update`.
        """
        return await self._fetch(routes.update_value(value_id, fields), LabelValue)

    async def read(self, task_id: str) -> LabeledImage:
        """Return the labels of a task in any state, with every digit of their coordinates.

        An export has finished tasks alone, and cuts coordinates to whole pixels. The service
        creates the empty classification values of a task at its first reading.

        Args:
            task_id: UUID of the task, of an image project.

        Raises:
            NotFoundError: The task is unknown.
            APIError: The service cannot be asked, or refuses.
        """
        return labels_of(await self._fetch(routes.get_task(task_id), TaskDetail))

    async def write(self, task_id: str, labels: LabeledImage | Iterable[Annotation]) -> WriteReport:
        """Add annotations to a task, and answer the questions about its image.

        This writes what an import cannot: segmentations with holes, several answers below one
        answer, and fractions of pixels. It takes several requests for each annotation, one after
        the other. An annotation is written as a whole, or what was created of it is deleted again,
        also where the call is cancelled, which can take some seconds for that. Answers take the
        place of earlier ones, annotations are added to those that are there: to write twice is to
        draw twice.

        Args:
            task_id: UUID of the task, in any state; its state stays.
            labels: The labels, or annotations alone. The media they name is not looked at.

        Returns:
            What became of each, and the ids of what may be left behind. An annotation that fails
            does not stop the others, unless the service cannot be reached any more.

        Raises:
            ConfigurationError: A key is unknown, a shape is not that of its key, or an option is
                not in the list, or it is a video's task; nothing was written.
            NotFoundError: The task is unknown.
            APIError: The task cannot be read; nothing was written.
        """
        given = (
            labels if isinstance(labels, LabeledImage) else LabeledImage(annotations=tuple(labels))
        )

        before = await self._fetch(routes.get_task(task_id), TaskDetail)
        if before.project_type is MediaType.VIDEO:
            raise ConfigurationError(
                "The labels of a video are keyframes, which no route of the service writes."
            )
        plan = plan_values(given, before.label_config.entries)
        return await ValueWriter(self._session, before).write(plan)

    async def delete(self, value_id: str) -> bool:
        """Delete a geometry's value with what is nested in it.

        Args:
            value_id: UUID of the value.

        Returns:
            True if this call deleted it, False if it was gone already: unknown, deleted before, or
            deleted by an attempt of this call whose answer was lost.

        Raises:
            RequestRefusedError: It is the value of a classification of the whole image.
            APIError: The service cannot be asked, or refuses.
        """
        try:
            await self._do(routes.delete_value(value_id))
        except NotFoundError as error:
            if not error.key:  # the route is unknown, not the value
                raise
            return False
        return True

    async def change_type(self, value_id: str, new_entry_id: str) -> LabelValue:
        """Move a geometry's value to another entry of the same geometry type and return it.

        Args:
            value_id: UUID of the value.
            new_entry_id: UUID of the entry it goes to.

        Raises:
            NotFoundError: The value or the entry is unknown.
            RequestRefusedError: The types differ, or it belongs to that entry already.
            APIError: The service cannot be asked, or refuses.
        """
        return await self._fetch(routes.change_value_type(value_id, new_entry_id), LabelValue)


def _said(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _rings(rings: Iterable[Iterable[AnyPoint]]) -> list[dict[str, object]]:
    return [{"points": points_body(ring)} for ring in rings]
