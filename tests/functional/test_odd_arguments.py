"""Every public call with arguments that cannot be: a sentence of ours, and nothing is sent."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from datagym_async import (
    DataGymClient,
    DownloadConfig,
    Timeout,
    UploadConfig,
    formats,
    look,
    uploads,
)
from datagym_async.data import LoaderConfig
from datagym_async.exceptions import ConfigurationError, DataGymError, FileWriteError
from datagym_async.formats import coco
from datagym_async.labels import (
    Annotation,
    Classification,
    ConfigEntry,
    Incomplete,
    Keyframe,
    LabelConfig,
    LabeledImage,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
    VideoLabels,
    VideoObject,
    diff,
    to_prediction,
)
from datagym_async.server import Server
from tests.helpers.photos import SOUND_JPEG
from tests.helpers.sentinel import TOKEN

NOUNS = ("datasets", "projects", "media", "labels", "label_configs", "tasks", "values")
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(formats.read, formats.label_config, formats.sniff, formats.match, formats.write),
    *(coco.to_document, coco.write, coco.sdk_items, to_prediction),
    *(look.stats, look.gallery, look.svg, look.draw, look.compare),
    *(uploads.list_jobs, uploads.show_job, uploads.clean_jobs, uploads.failed_items),
)
OTHERS = (
    "with_options",
    "predict",
    "loader",
    "upload_body",
)  # which take values of classes of ours
# What no annotation of these kinds can mean.
ODD: dict[str, tuple[object, ...]] = {
    "bool": (None, "", "no", [], np.zeros((2, 2)), object(), Decimal, ()),
    "int": ("", "4", 1.5, True, [], float("nan"), np.zeros((2, 2)), np.array(3), int, 10**5000),
    "float": (
        *("", "4", True, [], float("nan"), float("inf"), -float("inf")),
        *(Decimal("1.5"), 10**400, np.zeros((2, 2)), np.array(3.5)),
    ),
    "str": (0, b"x", [], {}, object(), 1.5),
    "str | os.PathLike[str]": (
        *(None, "", 0, b"x", [], "a\0b", "\ud800", object()),
        *("a" * 256, "ü" * 256, Path("a", "b" * 256, "c"), "a/" * 2048),
    ),
    "Callable": ("x", 0, [], object(), inspect.getmodule),
    "Iterable": (0, 1.5, "text", b"x", object(), print, np.array(3)),
    **dict.fromkeys(
        ("FormatName", "WrittenFormat", "Placing"),
        (0, b"x", [], object(), np.array(["coco", "yolo"])),
    ),
}


def given(each: inspect.Parameter) -> tuple[object, ...]:
    """Return odd values for a parameter, by its annotation; none where a rule of its own has it."""
    said = str(each.annotation).removesuffix(" | None")
    head = said.partition("[")[0] if said.startswith(("Callable", "Iterable")) else said
    if "Awaitable" in said or " | AsyncIterable" in said:
        return ()
    odd = ODD.get(head, ())
    wanted = odd[:-1] if head == "Callable" else odd
    return tuple(value for value in wanted if value is not None or said == str(each.annotation))


async def said_of(call: Callable[..., Any], name: str, value: object) -> str:
    """Return what is said of an argument when the others are right enough."""
    parameters = inspect.signature(call).parameters.values()
    needed = [each for each in parameters if each.default is each.empty and each.name != name]
    right: dict[str, Any] = {each.name: "5d0f1d4e-2c6b-4c59-9a2e-0123456789ab" for each in needed}
    right |= {each.name: [] for each in needed if "Iterable" in str(each.annotation)}
    right |= {each.name: True for each in needed if each.annotation == "bool"}
    right |= {each.name: LabeledImage() for each in needed if each.annotation == "LabeledImage"}
    try:
        answer = call(**right, **{name: value})
        if inspect.isawaitable(answer):
            await answer
        else:
            async for _ in answer:
                pass
    except DataGymError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:  # what must not come out
        return f"raw {error!r}"
    return "taken"


async def test_no_argument_gives_a_raw_error() -> None:
    """Whatever the kind of the parameter: the sentence names it and its rule."""
    wrong = []
    async with DataGymClient(TOKEN, "http://127.0.0.1:9", dialect="media") as client:
        holders: list[object] = [client, *(getattr(client, noun) for noun in NOUNS)]
        methods: list[Callable[..., Any]] = [
            call
            for holder in holders
            for name, call in inspect.getmembers(holder, inspect.ismethod)
            if not name.startswith("_") and name not in OTHERS
        ]
        tried = 0
        methods += FUNCTIONS
        for call in methods:
            for each in inspect.signature(call).parameters.values():
                for value in given(each):
                    tried += 1
                    said = await said_of(call, each.name, value)
                    if not said.startswith(f"ConfigurationError: {each.name} is "):
                        wrong.append((str(call), each.name, type(value), said))

        assert (wrong, client.statistics().requests) == ([], 0)
    assert tried > 1000


SPOT = Point(1, 2)


@pytest.mark.parametrize(
    ("make", "args", "named", "words"),
    [
        (Point, ("1", 2), {}, "x of a Point is '1'; it must be a number"),
        (Point, (1, None), {}, "y of a Point is None; it must be a number"),
        (Rectangle, (1, 2, True, 4), {}, "width of a Rectangle is True; it must be a number"),
        (Polygon, ([(1, 2), ("a", "b")],), {}, "x of a Point is 'a'"),
        (Annotation, (None, SPOT), {}, "key is None; it must be of the type str"),
        (Annotation, ("car", (1, 2)), {}, r"shape is \(1, 2\); it must be of the type"),
        (Annotation, ("car", SPOT, "red"), {}, "classifications is 'red'; it must be a list"),
        (Annotation, ("car", SPOT, ["red"]), {}, "one of the classifications is 'red'"),
        (Annotation, ("car", SPOT, [], [SPOT]), {}, "one of the annotations is Point"),
        (Classification, ("w", "sun"), {}, "values is 'sun'; it must be a list"),
        (Classification.select, ("w", 5), {}, "one of the values is 5; it must be of the type s"),
        (Classification.checklist, ("w", "sun"), {}, "values is 'sun'; it must be a list"),
        (Classification, ("w", ("s",), (), "SELECT"), {}, r"type is 'SELECT'; .* EntryType"),
        (Incomplete, ("x", []), {}, "type is 'x'; it must be of the type EntryType or None"),
        (LabeledImage, (), {"media_name": 5}, "media_name is 5; it must be of the type str"),
        (LabeledImage, (), {"width": "640"}, "width is '640'; it must be a whole number"),
        (LabeledImage, (), {"height": 640.5}, "height is 640.5; it must be a whole number"),
        (LabeledImage, (), {"height": math.inf}, "height is inf; it must be a whole number"),
        (LabeledImage, (), {"annotations": [SPOT]}, "one of the annotations is Point"),
        (LabelConfig, ("car",), {}, "entries is 'car'; it must be a list"),
        (
            LabelConfig,
            ([{"key": "car"}],),
            {},
            "one of the entries is .*; it must be of",
        ),
        (LabelConfig().add_rectangle, (5, "Car"), {}, "entry_key is 5; it must be a text"),
        (
            LabelConfig().add_select,
            ("k", "K", ["a"]),
            {},
            r"options is .*; it must be a mapping",
        ),
        (ConfigEntry, ("k", None, "LINE"), {}, "value is None; it must be a text"),
        (ConfigEntry, ("k", "K", 5), {}, "type is 5; it must be of the type str"),
        (ConfigEntry, ("k", "K", "LINE"), {"color": 5}, "color is 5; it must be a text or None"),
        (ConfigEntry, ("k", "K", "LINE"), {"shortcut": [5]}, r"shortcut is \[5\]; it must be a w"),
        (ConfigEntry, ("k", "K", "LINE"), {"shortcut": 10**5000}, "shortcut is a number too large"),
        (diff, ([], 5), {}, "entries is 5; it must be a list"),
        (formats.LabelMapping, (), {"shape": "box"}, "shape is 'box'; it must be one of"),
        (formats.LabelMapping, (), {"sdk": "no"}, "sdk is 'no'; it must be True or False"),
        (look.GalleryOptions, (), {"size": "480"}, "size is '480'; it must be a whole number"),
        (Keyframe, ("1",), {}, "frame is '1'; it must be a whole number"),
        (Keyframe, (1, 5), {}, "shape is 5; it must be of the type Point"),
        (Keyframe, (1, None, ["red"]), {}, "one of the classifications is 'red'"),
        (Keyframe, (1,), {"extra": 5}, "extra is 5; it must be a mapping"),
        (VideoObject, (5,), {}, "id is 5; it must be a text"),
        (VideoObject, ("a", None, 5), {}, "keyframes is 5; it must be a list"),
        (VideoObject, ("a", None, [5]), {}, "one of the keyframes is 5; it must be of the type K"),
        (VideoObject, ("a", None, [], 5), {}, "visible is 5; it must be a list"),
        (
            VideoObject,
            ("a", None, [], [(1, 2, 3)]),
            {},
            "visible is .*; it must be a pair of whole",
        ),
        (VideoLabels, (5,), {}, "frames is 5; it must be a mapping"),
        (formats.Category, ("1", "car"), {}, "id is '1'; it must be a whole number"),
        (formats.Category, (1, 5), {}, "name is 5; it must be a text"),
        (formats.Category, (1, "car", None), {}, "supercategory is None; it must be a text"),
        (formats.Category, (1, "car", "", "nose"), {}, "keypoints is 'nose'; it must be a list"),
        (formats.Category, (1, "car", "", ["a"], [5]), {}, "one of the skeleton is 5"),
        (formats.Category, (1, "car", "", ["a"], [("a", 1)]), {}, "it must be a pair of whole"),
        (formats.classes_from, ([5],), {}, "one of the classes is 5; it must be of the type str"),
    ],
)
def test_labels_are_checked_when_they_are_made(
    make: Callable[..., object], args: tuple[Any, ...], named: dict[str, Any], words: str
) -> None:
    """A slip shows where it is made, and not where the labels are used."""
    with pytest.raises(ConfigurationError, match=words):
        make(*args, **named)


async def test_a_client_and_its_jobs_cannot_be_copied_or_pickled(tmp_path: Path) -> None:
    """A copy would share the connections, and warn of them at its end."""
    async with DataGymClient(TOKEN, "http://127.0.0.1:9") as client:
        jobs = (
            client.uploader("d", tmp_path),
            client.downloader("d", tmp_path / "out"),
            client.loader("d"),
        )
        for each in (client, *jobs):
            words = f"{type(each).__name__} cannot be copied or pickled; create one where"
            for use in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match=words):
                    use(each)


async def test_half_a_character_in_an_id(tmp_path: Path) -> None:
    """It is no id, which a downloader says before it makes a folder."""
    async with DataGymClient(TOKEN, "http://127.0.0.1:9") as client:
        for of in (client.downloader, client.project_downloader):
            with pytest.raises(ConfigurationError, match="cannot be part of a path"):
                of("\ud800", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 10**400], ids=["nan", "inf", "huge"])
@pytest.mark.parametrize("at", [0, 1])
def test_corners_that_are_nowhere_are_not_drawn(bad: float, at: int) -> None:
    """Wherever such a corner stands, its shape is left out and counted."""
    corners: list[tuple[float, float]] = [(1, 2), (3, 4), (5, 6)]
    corners[at] = (bad, 4)
    shapes = (Polygon(corners), Line(corners), Segmentation([corners]), Rectangle(1, bad, 2, 3))
    image = LabeledImage(annotations=[Annotation("k", each) for each in shapes])

    drawn = look.svg(image)

    assert "4 incomplete, not drawn" in drawn
    assert 'class="mark"' not in drawn


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), np.float32("nan")])
@pytest.mark.parametrize("name", ["width", "height", "pen", "scale"])
def test_pictures_have_sizes_above_zero(name: str, wrong: float) -> None:
    """Others gave raw errors of Python or Pillow."""
    given: dict[str, Any] = {name: wrong}
    drawn = partial(look.draw, np.zeros((9, 9), np.uint8))
    call = drawn if name in {"pen", "scale"} else look.svg
    with pytest.raises(ConfigurationError, match=f"^{name} is .*; it must be a number"):
        call(LabeledImage(), **given)


def test_a_pen_as_wide_as_the_image_draws_as_much_as_a_wider_one() -> None:
    """Pillow would draw for hours what nobody sees."""
    image = LabeledImage(annotations=[Annotation("k", Line([SPOT, Point(5, 5)]))])
    canvas = np.zeros((9, 9), np.uint8)
    widest = look.draw(canvas, image, pen=1e300, text=False)
    assert widest.tobytes() == look.draw(canvas, image, pen=1e6, text=False).tobytes()


@pytest.mark.parametrize("odd", [-5, 0])
def test_the_size_of_labels_is_one_or_unknown(odd: int) -> None:
    """Labels of a program may have any; where it can be none, the area of the labels counts."""
    labels = LabeledImage(annotations=[Annotation("k", SPOT)], width=odd, height=4)
    assert 'viewBox="0 0 1 2"' in look.svg(labels)


@pytest.mark.parametrize("wrong", [1.5, float("nan"), float("inf"), 10**400, True, "4"])
def test_the_size_of_labels_is_whole(wrong: Any) -> None:
    """Writers divide by it, which a number beyond all floats would end."""
    with pytest.raises(
        ConfigurationError, match=r"^height is .*; it must be a whole number or None"
    ):
        LabeledImage(width=np.int16(4), height=wrong)  # type: ignore[arg-type]
    assert json.dumps(LabeledImage(width=np.int16(4), height=3.0).width) == "4"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["format", "images"])
async def test_an_array_is_no_word_of_an_export(tmp_path: Path, name: str) -> None:
    """It has several truths, which is not said in Python's words."""
    named: dict[str, Any] = {"format": "yolo", name: np.array(["yolo", "copy"])}
    async with DataGymClient(TOKEN, "http://127.0.0.1:9", dialect="media") as client:
        with pytest.raises(ConfigurationError, match=r"array\(\['yolo', 'copy'\]"):
            await client.export_labels("p", tmp_path / "out", **named)


def test_images_are_matched_with_media_only() -> None:
    """Values of another kind are named."""
    with pytest.raises(ConfigurationError, match="one of the media is 5; it must have the id"):
        formats.match([], [5])  # type: ignore[list-item]  # the mistake
    with pytest.raises(ConfigurationError, match="one of the images is 5; it must be of the type"):
        formats.match([5], [])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", [UploadConfig, DownloadConfig, LoaderConfig, look.GalleryOptions])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_setting_takes_a_number_that_python_cannot_write(kind: type[Any], sign: int) -> None:
    """More than 4,300 digits: a journal of such options, or a message, ended with a raw error."""
    for field in attrs.fields(kind):
        with pytest.raises(DataGymError) as raised:
            kind(**{field.name: sign * 10**5000})
        assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (DownloadConfig, {"shards": "1" * 5000}),
        (DownloadConfig, {"shards": f"{'1' * 5000}G"}),
        (UploadConfig, {"prepare": f"resize={'1' * 5000}"}),
    ],
)
def test_so_many_digits_in_a_text_are_refused_in_words(
    kind: type[Any], wrong: dict[str, str]
) -> None:
    """They were Python's own error."""
    with pytest.raises(
        ConfigurationError, match=rf"^{next(iter(wrong))} .*1{{60}}.*\.\.\.; "
    ) as raised:
        kind(**wrong)
    assert len(str(raised.value)) < 300


def test_numbers_of_numpy_are_numbers() -> None:
    """Models give them. Small ones overflow without an error, and none of them are JSON."""
    size: Any = np.float32(1)
    corners: Any = np.array([200, 9, 100, 255], dtype=np.uint8)
    pair: Any = np.array([60_000, 7], dtype=np.float16)
    box = Rectangle(size, np.int64(2), 3, 4)  # type: ignore[arg-type]  # on purpose
    small, point = Rectangle.from_corners(*corners), Point(*pair)

    assert [*box.bounds] == [1, 2, 4, 6]
    assert [*small.bounds, small.area] == [200, 9, 100, 255, -24_600]
    assert json.dumps(attrs.asdict(box)) == '{"x": 1.0, "y": 2, "width": 3, "height": 4}'
    assert Line([point, point]).points == (Point(60_000.0, 7.0),) * 2
    assert {type(each) for each in (point.x, small.x, box.x, box.y)} == {int, float}


def test_options_that_are_numbers_of_numpy_are_numbers() -> None:
    """A journal keeps options as JSON, and a loader computes with its seed in 64 bits."""
    upload = UploadConfig(
        concurrency=np.int64(4),  # type: ignore[arg-type]  # on purpose, also below
        max_per_dataset=np.int16(1000),  # type: ignore[arg-type]
        max_duration=np.float32(90),  # type: ignore[arg-type]
    )
    loader = LoaderConfig(shuffle=np.int64(3), batch_size=np.int8(2))  # type: ignore[arg-type]

    chosen = [upload.concurrency, upload.max_per_dataset, upload.max_duration]
    assert json.dumps([*chosen, loader.shuffle, loader.batch_size]) == "[4, 1000, 90.0, 3, 2]"


def test_signatures_show_the_types_of_options() -> None:
    """`help` and notebooks show them, also of options that may be numbers of numpy."""
    upload, loader = (inspect.signature(each).parameters for each in (UploadConfig, LoaderConfig))
    assert str(upload["max_files"]) == "max_files: 'int | None' = None"
    assert str(loader["shuffle"]) == "shuffle: 'int | None' = None"


@pytest.mark.parametrize(
    "wrong", [{"token": 5}, {"host": None}, {"port": "80"}, {"max_allowed_packet": 1.5}]
)
def test_a_server_is_refused_at_once(wrong: dict[str, Any]) -> None:
    """It imports nothing of the client, so that the error is Python's; a token is not shown."""
    (name,) = wrong
    with pytest.raises(TypeError, match=rf"^{name} is of the type \w+; it must be of the type"):
        Server(**wrong)


@pytest.mark.parametrize("port", [-1, 65_536, 10**5000], ids=["below", "above", "huge"])
def test_a_port_is_one(port: int) -> None:
    """Not an `OverflowError` when the server begins."""
    with pytest.raises(ValueError, match=r"^port must be from 0 to 65535\.$"):
        Server(port=port)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"fetch_links": "Public"}, "fetch_links must be one of public, any, local, never"),
        ({"dialect": "old"}, "dialect must be one of current, legacy"),
        ({"host": ""}, "host must not be empty"),
    ],
)
def test_a_word_for_a_server_is_a_known_one(wrong: dict[str, Any], said: str) -> None:
    """A policy that no comparison knows would fetch any link, and no host would be every host."""
    with pytest.raises(ValueError, match=rf"^{said}\.$"):
        Server(**wrong)


def test_arrays_of_values_are_lists() -> None:
    """Programs keep labels and names in arrays, which have no truth of their own."""
    (spot, name) = (Annotation("car", SPOT), Classification("w", ("sun",)))
    image = LabeledImage(
        annotations=np.array([spot], dtype=object),
        classifications=np.array([name], dtype=object),
    )
    assert (image.annotations, image.classifications) == ((spot,), (name,))
    assert UploadConfig(include=np.array(["*.jpg"])).include == ("*.jpg",)
    with pytest.raises(ConfigurationError, match=r"include"):
        UploadConfig(include=np.array(3))


@pytest.mark.parametrize("wrong", [np.array(["png", "bmp"]), 10**5000, None], ids=type)
async def test_words_and_functions_are_shown_whatever_they_are(wrong: Any, tmp_path: Path) -> None:
    """An array has several truths, and Python writes no number of so many digits."""
    async with DataGymClient(TOKEN, "http://127.0.0.1:9", dialect="media") as client:
        with pytest.raises(ConfigurationError, match=r"^format is .*; it must be one of 'png', 'b"):
            await client.download_bitmaps("p", tmp_path, format=wrong)
        if wrong is not None:
            with pytest.raises(ConfigurationError, match=r"^on_answer is .*; it must be a plain"):
                client.with_options(on_answer=wrong)
    with pytest.raises(ConfigurationError, match=r"^auth is .*; it must be one of 'header', 'par"):
        DataGymClient(TOKEN, auth=wrong)
    with pytest.raises(ConfigurationError, match=r"^folder is .*; it must be a path"):
        uploads.FolderWatch(wrong)


@pytest.mark.parametrize("folder", [".", Path("/")], ids=["here", "root"])
def test_a_folder_is_no_file_to_write(folder: str | Path) -> None:
    """It has no name to put the file under, which pathlib says in its own words."""
    with pytest.raises(FileWriteError, match=r"^[./] cannot be written \(Is a directory\); use an"):
        coco.write([], folder)


async def test_no_limit_of_time_is_a_limit_too(tmp_path: Path) -> None:
    """Infinite seconds to connect ended each request with an `OverflowError` of aiohttp."""
    endless = Timeout(*[float("inf")] * 3)
    async with (
        Server(tmp_path / "data", token=TOKEN) as server,
        DataGymClient(TOKEN, server.base_url, timeout=endless) as client,
    ):
        dataset = await client.datasets.create("Photos")
        media = await client.media.upload_file(dataset.id, SOUND_JPEG, name="a.jpg")
        assert await client.media.download(media.id) == SOUND_JPEG
        assert client.statistics().retries == 0
