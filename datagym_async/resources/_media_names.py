"""The media of a project by name, as the service compares names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from datagym_async._wire._media_index import MediaIndex
from datagym_async._wire._names import decode_name
from datagym_async.exceptions import NotFoundError
from datagym_async.labels import LabeledImage
from datagym_async.resources._datasets import DatasetsResource
from datagym_async.resources._projects import ProjectsResource

if TYPE_CHECKING:
    from datagym_async.resources._ports import Door
    from datagym_async.resources._prediction_screening import PredictionLike

_NAMES = ("external_media_ID", "external_image_ID")
_IDS = ("internal_media_ID", "internal_image_ID")


@attrs.define
class MediaNames:
    """Gives predictions the ids of their media."""

    _index: MediaIndex = attrs.field(factory=MediaIndex)
    _taken: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    async def of_project(cls, session: Door, project_id: str) -> MediaNames:
        """Return the names of all media in a project's datasets.

        Raises:
            NotFoundError: The project is unknown.
            APIError: The service cannot be asked, or refuses.
        """
        projects = await ProjectsResource(session).list()
        project = next((each for each in projects if each.id == project_id.lower()), None)
        if project is None:
            raise NotFoundError(f"there is no project {project_id}", status=404, key="ex_notfound")
        names = cls()
        for dataset in project.datasets:
            names._index.add((await DatasetsResource(session).get(dataset.id)).media)
        return names

    def give_id(self, prediction: PredictionLike) -> tuple[PredictionLike, str]:
        """Return a prediction with the id of its media, or why none was found.

        Args:
            prediction: One with an id stays as it is.
        """
        name = _name_to_find(prediction)
        if not name:
            return prediction, ""
        found = self._index.ids_of(name)
        if len(found) == 1:
            taken = self._taken.setdefault(found[0], name)
            if taken.casefold() != name.casefold():
                return prediction, f"{taken!r} has the only media that {name!r} could be, already"
            return _with_id(prediction, found[0]), ""
        if found:
            many = f"{len(found)} media of the project are named {name!r}: {', '.join(found)}"
            return prediction, f"{many}; set the id of the one that is meant"
        return prediction, f"no media of the project is named {name!r}"


def _name_to_find(prediction: object) -> str:
    """Return the name of a prediction's media if that is all that is known of it."""
    if isinstance(prediction, LabeledImage):
        return "" if prediction.media_id else prediction.media_name
    if not isinstance(prediction, Mapping) or any(prediction.get(each) for each in _IDS):
        return ""
    # Exports have names as they are stored, values as they are meant.
    return next((decode_name(str(prediction[each])) for each in _NAMES if prediction.get(each)), "")


def _with_id(prediction: PredictionLike, media_id: str) -> PredictionLike:
    if isinstance(prediction, LabeledImage):
        return attrs.evolve(prediction, media_id=media_id)
    return {**prediction, _IDS[0]: media_id}
