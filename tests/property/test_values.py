"""Label values written value by value come back as they were, down to the last digit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datagym_async import DataGymClient
from datagym_async.labels import (
    Annotation,
    Classification,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)
from datagym_async.server import SeedDataset, SeedMedia, SeedProject, Server

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from datagym_async.labels import Shape

OPTIONS = {"a": "A", "b": "B", "c": "C"}
KINDS = ("POINT", "LINE", "POLYGON", "RECTANGLE", "IMAGE_SEGMENTATION")


def question(mark: str) -> dict[str, object]:
    """Return a select with two questions below it; keys are unique within a tree."""
    below: list[dict[str, object]] = [
        {"entryKey": f"tick {mark}", "type": "CHECKLIST", "options": OPTIONS},
        {"entryKey": f"say {mark}", "type": "FREETEXT", "maxLength": 99},
    ]
    select = {"entryKey": f"pick {mark}", "type": "SELECT", "options": OPTIONS}
    return {
        **select,
        "entryValue": "Q",
        "children": [{**each, "entryValue": "Q"} for each in below],
    }


def geometry(kind: str) -> dict[str, object]:
    """Return an entry of a kind with a question and entries in it; a segmentation has neither."""
    inside = [
        {"entryKey": f"in {each}", "entryValue": "G", "type": each, "children": [question(each)]}
        for each in KINDS[:-1]
    ]
    children = [] if kind == KINDS[-1] else [question("root"), *inside]
    return {"entryKey": f"a {kind}", "entryValue": "G", "type": kind, "children": children}


ENTRIES = [*map(geometry, KINDS), question("whole")]

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
POINTS = st.builds(Point, NUMBERS, NUMBERS)
SIDES = st.floats(0, 1e6)
RINGS = st.lists(POINTS, min_size=3, max_size=4)
SHAPES: dict[str, SearchStrategy[Shape]] = {
    "POINT": POINTS,
    "LINE": st.builds(Line, st.lists(POINTS, min_size=2, max_size=4)),
    "POLYGON": st.builds(Polygon, RINGS),
    "RECTANGLE": st.builds(Rectangle, NUMBERS, NUMBERS, SIDES, SIDES),
    "IMAGE_SEGMENTATION": st.builds(Segmentation, st.lists(RINGS, min_size=1, max_size=3)),
}
CHOICES = st.lists(st.sampled_from(sorted(OPTIONS)), unique=True)
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=99)


@st.composite
def answers(draw: st.DrawFn, mark: str) -> Classification:
    """Return an answer with two answers below it, in the order of the configuration."""
    return Classification.select(
        f"pick {mark}",
        draw(st.none() | st.sampled_from(sorted(OPTIONS))),
        Classification.checklist(f"tick {mark}", draw(CHOICES)),
        Classification.freetext(f"say {mark}", draw(TEXTS)),
    )


@st.composite
def nested_annotations(draw: st.DrawFn) -> Annotation:
    """Return an annotation that goes into another one."""
    kind = draw(st.sampled_from(KINDS[:-1]))
    return Annotation(f"in {kind}".lower(), draw(SHAPES[kind]), [draw(answers(kind.lower()))])


@st.composite
def drawn_annotations(draw: st.DrawFn) -> Annotation:
    """Return an annotation under the key of its kind."""
    kind = draw(st.sampled_from(KINDS))
    key, shape = f"a {kind}".lower(), draw(SHAPES[kind])
    if kind == KINDS[-1]:
        return Annotation(key, shape)
    nested = draw(st.lists(nested_annotations(), max_size=2))
    return Annotation(key, shape, [draw(answers("root"))], nested)


@pytest.fixture
def written() -> Iterator[Callable[[LabeledImage], LabeledImage]]:
    """Write an image's labels to a fresh task of a server, and read them."""
    media = [SeedMedia(f"{n}.jpg", url=f"http://127.0.0.1:9/{n}.jpg") for n in range(500)]
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        client, tasks = runner.run(_opened(stack, media))

        async def there_and_back(image: LabeledImage) -> LabeledImage:
            task_id = next(tasks)
            assert (await client.values.write(task_id, image)).ok
            return await client.values.read(task_id)

        yield lambda image: runner.run(there_and_back(image))
        runner.run(stack.aclose())


async def _opened(
    stack: AsyncExitStack, media: list[SeedMedia]
) -> tuple[DataGymClient, Iterator[str]]:
    server = await stack.enter_async_context(Server())
    (project,) = await server.seed(SeedProject("p", [SeedDataset("d", media)]))
    client = DataGymClient(server.token, server.base_url, rate_limit=None)
    await stack.enter_async_context(client)
    await client.label_configs.upload(project.label_configuration_id, ENTRIES)
    return client, iter(project.task_ids.values())


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    image=st.builds(
        LabeledImage,
        annotations=st.lists(drawn_annotations(), max_size=2),
        classifications=st.tuples(answers("whole")),
    )
)
def test_values_come_back(
    written: Callable[[LabeledImage], LabeledImage], image: LabeledImage
) -> None:
    """Values to the server and back are the same values: shapes, answers, nesting, order."""
    read = written(image)
    assert (read.annotations, read.classifications) == (image.annotations, image.classifications)
