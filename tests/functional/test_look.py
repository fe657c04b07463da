"""To look at what the embedded service holds: previews, statistics, galleries, contact sheets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from datagym_async import ConfigurationError, NotFoundError
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Rectangle,
    Segmentation,
)
from datagym_async.server import SeedMedia
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

MEDIA = ("a.jpg", "b.jpg", "new.jpg")
HOLED = Segmentation([[(0, 0), (20, 0), (20, 20), (0, 20)], [(5, 5), (9, 5), (9, 9), (5, 9)]])


def config() -> LabelConfig:
    """Return a label configuration with a colour."""
    made = LabelConfig()
    made.add_rectangle("car", "Car", color="#00ff00").add_select("kind", "Kind", {"bus": "Bus"})
    made.add_image_segmentation("road", "Road", color="#ff0000")
    made.add_checklist("weather", "Weather", {"rain": "Rain"})
    return made


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Two finished tasks, one of them with a segment, and one that nobody has opened."""
    async with world(*(SeedMedia(name, jpeg(3000)) for name in MEDIA)) as made:
        tasks, client = made.project.task_ids, made.client
        await client.label_configs.upload(made.project.label_configuration_id, config())
        car = Annotation("car", Rectangle(2, 3, 10, 8), [Classification.select("kind", "bus")])
        await client.values.write(tasks["a.jpg"], [car, Annotation("road", HOLED)])
        await client.values.write(tasks["b.jpg"], [car])
        await client.tasks.complete_many([tasks["a.jpg"], tasks["b.jpg"]])
        yield made


async def test_a_preview_shows_the_labels_of_a_task(here: World) -> None:
    """Shapes, segments and colours are those of the task, also of one that is not exported."""
    project, media = here.project, here.project.datasets[0].media_ids

    plain = await here.client.preview(media["a.jpg"])
    drawn = await here.client.preview(media["a.jpg"], project_id=project.id, text=False)
    untouched = await here.client.preview(media["new.jpg"], project_id=project.id)

    assert plain.size == drawn.size
    assert drawn.getpixel((7, 3)) == (0, 255, 0)  # the upper edge of the car
    assert drawn.getpixel((15, 15)) != plain.getpixel((15, 15))  # half covered by the road
    assert drawn.getpixel((15, 25)) == plain.getpixel((15, 25))
    assert untouched.tobytes() == (await here.client.preview(media["new.jpg"])).tobytes()


async def test_previews_of_what_is_not_there(here: World) -> None:
    """Unknown media and projects without it are said to be so."""
    with pytest.raises(NotFoundError):
        await here.client.preview("00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotFoundError, match="has no task of the media"):
        await here.client.preview(
            "00000000-0000-0000-0000-000000000000", project_id=here.project.id
        )
    with pytest.raises(ConfigurationError):
        await here.client.preview(LabeledImage())  # type: ignore[arg-type]
