"""Values into the embedded server and out again are the same, within whole pixels."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async import DataGymClient
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Severity,
    check_prediction,
    prepare_prediction,
)
from datagym_async.models import LabelConfiguration
from datagym_async.server import SeedDataset, SeededProject, SeedMedia, SeedProject, Server
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.labels import Shape

TREE: list[dict[str, Any]] = [
    {"type": "SELECT", "options": {"a": "A", "b": "B"}},
    {"type": "CHECKLIST", "options": {"c": "C", "d": "D"}},
    {"type": "FREETEXT", "maxLength": 40},
]


def entries() -> list[dict[str, Any]]:
    """A configuration with every type that can be imported, nested in all ways."""

    def questions(prefix: str, depth: int) -> list[dict[str, Any]]:
        return [
            {
                **each,
                "entryKey": f"{prefix}{n}",
                "entryValue": "Q",
                "children": questions(f"{prefix}{n}", depth - 1) if depth else [],
            }
            for n, each in enumerate(TREE)
        ]

    def drawn(prefix: str, *children: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "type": kind,
                "entryKey": f"{prefix}{kind.lower()}",
                "entryValue": "G",
                "children": [*questions(f"{prefix}{kind.lower()}", 1), *children],
            }
            for kind in ("POINT", "LINE", "POLYGON", "RECTANGLE")
        ]

    return [*questions("q", 2), *drawn("my", *drawn("in"))]


# --- values --------------------------------------------------------------------------------------

PIXELS = st.floats(0, 10_000, allow_nan=False) | st.integers(0, 10_000)
POINTS = st.builds(Point, PIXELS, PIXELS)
SHAPES: dict[str, st.SearchStrategy[Shape]] = {
    "point": POINTS,
    "line": st.builds(Line, st.lists(POINTS, min_size=2, max_size=4)),
    "polygon": st.builds(Polygon, st.lists(POINTS, min_size=3, max_size=5)),
    "rectangle": st.builds(Rectangle, PIXELS, PIXELS, PIXELS, PIXELS),
}
VALUES: list[st.SearchStrategy[tuple[str | None, ...]]] = [
    st.sampled_from([(None,), ("a",), ("b",)]),
    st.sampled_from([(None,), ("c",), ("d", "c")]),
    st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)),
]


@st.composite
def answers(draw: st.DrawFn, prefix: str, depth: int, most: int) -> list[Classification]:
    """Answers to some questions: one nested answer a level, none below several options."""
    found = []
    for n in draw(st.sets(st.integers(0, 2), max_size=most)):
        values = draw(VALUES[n])
        below = draw(answers(f"{prefix}{n}", depth - 1, 1)) if depth and len(values) < 2 else []
        found.append(Classification(f"{prefix}{n}", values, below))
    return found


@st.composite
def drawings(draw: st.DrawFn, prefix: str, *, nested: bool) -> list[Annotation]:
    """Geometries with answers, and others nested in them."""
    found = []
    for kind in draw(st.lists(st.sampled_from(sorted(SHAPES)), max_size=3)):
        key = f"{prefix}{kind}"
        inside = draw(drawings("in", nested=True)) if not nested else []
        found.append(Annotation(key, draw(SHAPES[kind]), draw(answers(key, 1, 3)), inside))
    return found


@st.composite
def images(draw: st.DrawFn) -> LabeledImage:
    """The labels of an image."""
    drawn = draw(drawings("my", nested=False))
    return LabeledImage(annotations=drawn, classifications=draw(answers("q", 2, 3)))


# --- comparing -----------------------------------------------------------------------------------


def told(given: Iterable[Classification]) -> dict[str, Any]:
    """Answers by key, without those that are unset."""
    found = {each.key: (each.values, told(each.children)) for each in given}
    return {key: each for key, each in found.items() if each != ((None,), {}) and each != ((), {})}


def cut(shape: Shape) -> Any:
    """A shape as plain numbers, cut to whole pixels as the service does."""
    plain = attrs.astuple(shape)
    return [type(shape).__name__, _cut(plain)]


def _cut(value: Any) -> Any:
    return [_cut(each) for each in value] if isinstance(value, tuple) else int(value)


def seen(given: Iterable[Annotation]) -> dict[str, list[Any]]:
    """Geometries by key, in order."""
    found: dict[str, list[Any]] = {}
    for each in given:
        one = [cut(each.shape), told(each.classifications), seen(each.nested)]
        found.setdefault(each.key, []).append(one)
    return found


# --- the service ---------------------------------------------------------------------------------


@attrs.frozen
class Bench:
    """A service with one image, in a loop that is run for each example."""

    runner: asyncio.Runner
    client: DataGymClient
    project: SeededProject
    config: LabelConfiguration = attrs.field(repr=False)

    def round_trip(self, image: LabeledImage) -> LabeledImage:
        """Import the labels of the image and export them."""
        return self.runner.run(self._round_trip(image))

    async def _round_trip(self, image: LabeledImage) -> LabeledImage:
        media_id = self.project.datasets[0].media_ids["a.jpg"]
        report = await self.client.labels.import_predictions(
            self.project.id,
            [attrs.evolve(image, media_id=media_id)],
            keep_data=False,
            config=self.config,
        )
        assert report.ok, report.results
        (task,) = (await self.client.labels.export(self.project.id)).tasks
        return task


async def _open(
    stack: AsyncExitStack,
) -> tuple[DataGymClient, SeededProject, LabelConfiguration]:
    media = SeedMedia("a.jpg", content=jpeg(2000))
    server = await stack.enter_async_context(Server(token=TOKEN))
    (project,) = await server.seed(SeedProject("P", [SeedDataset("D", [media])]))
    client = DataGymClient(TOKEN, server.base_url, rate_limit=None)
    await stack.enter_async_context(client)
    config = await client.label_configs.upload(project.label_configuration_id, entries())
    await client.tasks.skip(project.task_ids["a.jpg"])
    return client, project, config


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        yield Bench(runner, *runner.run(_open(stack)))
        runner.run(stack.aclose())


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(image=images())
def test_what_goes_in_comes_out(bench: Bench, image: LabeledImage) -> None:
    """Values, imported and exported, are equal within whole pixels."""
    back = bench.round_trip(image)
    assert seen(back.annotations) == seen(image.annotations)
    assert told(back.classifications) == told(image.classifications)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(image=images())
def test_what_comes_out_goes_in(bench: Bench, image: LabeledImage) -> None:
    """What was exported goes in again whole: its unset nested answers say nothing."""
    once = bench.round_trip(image)
    prepared = prepare_prediction(once, bench.config.entries)
    assert (prepared.errors, prepared.left_out) == ((), ())
    again = bench.round_trip(once)
    assert seen(again.annotations) == seen(once.annotations)
    assert told(again.classifications) == told(once.classifications)


WORDS = """
labels global_classifications classifications nested_geometries internal_media_ID keepData
q0 mypoint point geometry x y
"""
MEMBERS = st.sampled_from(WORDS.split())


def nested(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of what is below."""
    return st.lists(below, max_size=3) | st.dictionaries(MEMBERS, below, max_size=4)


LEAVES = st.none() | st.booleans() | st.floats() | st.integers(-9, 9) | st.text(max_size=4)
JSON = st.recursive(LEAVES, nested, max_leaves=12)
CONFIG = LabelConfig.from_payload(entries())


@settings(max_examples=50, deadline=None)
@given(item=JSON)
def test_any_json_is_told_apart(item: Any) -> None:
    """Whatever it is, checking and preparing it end, and what is left of it has no more faults."""
    if isinstance(item, dict):
        item = {**item, "internal_media_ID": "m"}
    found = prepare_prediction(item, CONFIG.entries, partial=True)
    left = check_prediction(found.prediction, CONFIG.entries) if found.ok else ()
    assert [each for each in left if each.severity is Severity.ERROR] == []
