"""`AiSegmentationResource`: assisted segmentation, which few services have installed."""

from __future__ import annotations

from collections.abc import Iterable

from datagym_async._checks import checked
from datagym_async._wire import _routes as routes
from datagym_async.models import AiSegResult, MediaId
from datagym_async.models._ids import id_of
from datagym_async.resources._base import AnyPoint, Resource, points_body


@checked
class AiSegmentationResource(Resource):
    """Outlines proposed by the service's AI: prepare an image, calculate, finish.

    Ids are UUIDs. If this part of the service is not installed, every call raises
    `ServiceUnavailableError`; another `APIError` is raised if the service cannot be reached or
    refuses.
    """

    async def prepare(self, media_id: MediaId) -> None:
        """Let the service load an image; `LimitReachedError` if the plan does not allow more."""
        await self._do(routes.prepare_segmentation(media_id))

    async def calculate(
        self,
        media_id: MediaId,
        *,
        positive_points: Iterable[AnyPoint],
        negative_points: Iterable[AnyPoint] = (),
        num_points: int = 20,
        frame_number: int | None = None,
    ) -> AiSegResult:
        """Return the outline that the AI proposes for an object.

        Args:
            positive_points: Points on the object, in pixels.
            negative_points: Points beside the object, in pixels.
            num_points: How many points the outline should have.
            frame_number: Number of the frame of a video, counted from 0.

        Raises:
            RequestRefusedError: It is busy, or did not answer.
        """
        fields: dict[str, object] = {
            "imageId": id_of(media_id, "media id"),
            "positivePoints": points_body(positive_points),
            "negativePoints": points_body(negative_points),
            "numPoints": num_points,
        }
        if frame_number is not None:
            fields["frameNumber"] = frame_number
        return await self._fetch(routes.calculate_segmentation(fields), AiSegResult)

    async def finish(self, media_id: MediaId) -> None:
        """Let the service release an image."""
        await self._do(routes.finish_segmentation(media_id))
