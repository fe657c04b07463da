"""The photographs of the demo, and labels of them made by hand."""

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from datagym_async._client import DataGymClient
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)

# Photographs alone, of which its folder also holds drawings, masks and test patterns.
_NAMES: Final = (
    "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png "
    "grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png "
    "motorcycle_right.png page.png retina.jpg rocket.jpg text.png"
)


def photographs() -> tuple[Path, ...]:
    """Return the photographs that the installed scikit-image (extra `demo`) holds."""
    # Looked for but not imported: importing it takes longer than the whole demo, and its own
    # functions may download.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'skimage'", name="skimage")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return tuple(path for name in _NAMES.split() if (path := folder / name).is_file())


def _ellipse(x: float, y: float, wide: float, high: float) -> list[tuple[float, float]]:
    turns = [2 * math.pi * step / 32 for step in range(32)]
    return [(x + wide * math.cos(turn), y + high * math.sin(turn)) for turn in turns]


_COINS: Final = "23 33 44 44|82 38 40 37|132 28 48 45|192 29 49 43|255 33 44 39|306 15 61 57"
_PERSON: Final = (
    "0 300 45 170 160 105 170 72 225 65 268 105 262 195 285 270 215 270 150 370 150 511 20 511"
)
_HELMET: Final = "280 495 304 410 350 363 396 346 449 363 489 410 509 456 511 511 284 511"
_CAT: Final = "57 26 166 0 306 0 351 51 351 192 268 287 192 275 77 166"


def _corners(text: str) -> list[tuple[float, float]]:
    numbers = [float(word) for word in text.split()]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


LABELS: Final[Mapping[str, tuple[Annotation, ...]]] = {
    "astronaut.png": (
        Annotation("face", Rectangle(180, 55, 95, 130)),
        Annotation("shuttle", Rectangle(356, 2, 100, 276)),
        Annotation("helmet", Polygon(_corners(_HELMET))),
    ),
    "camera.png": (
        Annotation("person", Polygon(_corners(_PERSON))),
        Annotation("camera", Rectangle(259, 139, 69, 60)),
        Annotation("tripod", Line([(242, 508), (298, 310), (400, 508)])),
    ),
    "chelsea.png": (
        Annotation(
            "cat",
            Polygon(_corners(_CAT)),
            nested=[Annotation("eye", Point(169, 117)), Annotation("eye", Point(323, 134))],
        ),
    ),
    "coffee.png": (
        Annotation(
            "saucer", Segmentation([_ellipse(278, 216, 200, 160), _ellipse(290, 150, 115, 80)])
        ),
        Annotation(
            "cup", Rectangle(170, 15, 240, 217), [Classification.select("content", "coffee")]
        ),
        Annotation("spoon", Line([(414, 77), (394, 170), (363, 286)])),
    ),
    "coins.png": tuple(
        Annotation("coin", Rectangle(*map(float, box.split()))) for box in _COINS.split("|")
    ),
    "motorcycle_left.png": (
        Annotation(
            "motorcycle",
            Rectangle(80, 76, 604, 378),
            nested=[
                Annotation("wheel", Rectangle(124, 233, 147, 168)),
                Annotation("wheel", Rectangle(544, 264, 138, 190)),
            ],
        ),
    ),
    "rocket.jpg": (
        Annotation("rocket", Rectangle(310, 128, 25, 282)),
        Annotation("tower", Line([(195, 129), (170, 405)])),
        Annotation("tower", Line([(449, 129), (465, 405)])),
    ),
}
"""What is on some of the photographs of scikit-image, by their names."""


def config() -> LabelConfig:
    made = LabelConfig()
    for key in ("face", "shuttle", "camera", "coin", "rocket"):
        made.add_rectangle(key, key.capitalize())
    made.add_rectangle("motorcycle", "Motorcycle").add_rectangle("wheel", "Wheel")
    made.add_rectangle("cup", "Cup").add_select(
        "content", "What is in it?", {"coffee": "Coffee", "tea": "Tea"}
    )
    for key in ("helmet", "person"):
        made.add_polygon(key, key.capitalize())
    made.add_polygon("cat", "Cat").add_point("eye", "Eye")
    for key in ("tripod", "spoon", "tower"):
        made.add_line(key, key.capitalize())
    made.add_image_segmentation("saucer", "Saucer")
    return made


async def label_photographs(client: DataGymClient, project_id: str, config_id: str) -> int:
    """Label the photographs of a project without labels, and return how many were labelled."""
    tasks = await client.tasks.list(project_id, state="all")
    wanted = [each for each in tasks if each.media_name in LABELS]
    if not wanted or any(each.state.value in {"COMPLETED", "REVIEWED"} for each in tasks):
        return sum(each.state.value == "COMPLETED" for each in tasks)
    await client.label_configs.upload(config_id, config())
    for each in wanted:
        await client.values.write(each.id, LABELS[each.media_name])
    return (await client.tasks.complete_many([each.id for each in wanted])).done
