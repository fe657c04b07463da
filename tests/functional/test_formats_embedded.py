"""A COCO file of thousands of annotations into the embedded service and out again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async import DataGymClient, RetryPolicy, formats
from datagym_async.formats import coco, match
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server
from tests.helpers.coco_files import NUMPY_2, coco_files
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.labels import Annotation, LabeledImage

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(NUMPY_2)]

PICTURE = jpeg(3000)


@pytest.mark.parametrize(
    ("shape", "by"),
    [("rectangle", "supercategory"), ("polygon", "category")],
)
async def test_coco_into_the_service_and_out_again(shape: formats.Shape, by: formats.By) -> None:
    """Counts and geometry are as before, but for fractions of pixels, which are cut off."""
    instances, captions = coco_files(images=60, annotations=1200)
    mapping = formats.LabelMapping(shape=shape, by=by)
    read = await asyncio.to_thread(coco.read, instances, captions, mapping=mapping)
    media = tuple(SeedMedia(each["file_name"].upper(), PICTURE) for each in instances["images"])
    async with Server(token=TOKEN) as server:
        seed = SeedProject("Street scenes", datasets=(SeedDataset("Photos", media=media),))
        (project,) = await server.seed(seed)
        async with DataGymClient(
            TOKEN, server.base_url, rate_limit=None, retry=RetryPolicy(max_retries=0)
        ) as client:
            config = await asyncio.to_thread(
                coco.label_config, instances, captions, mapping=mapping
            )
            await client.label_configs.upload(project.label_configuration_id, config)
            dataset = await client.datasets.get(project.datasets[0].id)
            found = match(read.images, dataset.media)
            assert (found.unmatched, len(found.unannotated)) == ((), 6)
            report = await client.labels.import_predictions(
                project.id, found.images, keep_data=False, sizes=False
            )
            assert report.stored == len(found.images)
            await client.tasks.complete_many(project.task_ids.values())
            exported = [task async for task in client.labels.iter_export(project.id)]
    assert _labels(exported) == _labels(read.images)
    back = await asyncio.to_thread(
        coco.to_document, exported, mapping=mapping, categories=instances
    )
    assert len(back.instances["images"]) == len(instances["images"])
    assert len(back.captions["annotations"]) == len(captions["annotations"])
    if shape == "rectangle":
        assert _boxes(back.instances) == _boxes(instances)
    else:
        assert len(back.instances["annotations"]) > len(instances["annotations"])


def _labels(images: Iterable[LabeledImage]) -> Counter[object]:
    """Return how often there is what: image, key, class, whole pixels of all points."""
    return Counter(
        (image.media_name.casefold(), *_one(each), *map(_one, each.nested))
        for image in images
        for each in image.annotations
    )


def _one(annotation: Annotation) -> tuple[object, ...]:
    answers = tuple(each.options for each in annotation.classifications)
    return annotation.key, answers, type(annotation.shape), tuple(_numbers(annotation.shape))


def _numbers(shape: Any) -> Iterator[int]:
    for each in getattr(shape, "points", None) or [shape]:
        yield from (int(each.x), int(each.y))
    if hasattr(shape, "width"):
        yield from (int(shape.width), int(shape.height))


def _boxes(document: dict[str, Any]) -> Counter[object]:
    names = {each["id"]: each["file_name"].casefold() for each in document["images"]}
    return Counter(
        (
            names[each["image_id"]],
            each["category_id"],
            *map(int, each["bbox"]),
            *(int(number) for number in each.get("keypoints", ())[0::3]),
            *(int(number) for number in each.get("keypoints", ())[1::3]),
        )
        for each in document["annotations"]
    )
