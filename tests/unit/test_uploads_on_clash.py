"""What becomes of images that want one name: rejected, numbered, or nothing is sent at all."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from datagym_async.uploads.plan import numbered
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import SOUND_JPEG

if TYPE_CHECKING:
    from datagym_async.uploads import Source, UploadReport, UploadResult

LONG = "ä" * 41 + ".jpg"


async def run(
    service: FakeService, sources: Source, **options: object
) -> tuple[list[UploadResult], UploadReport]:
    """Upload with some options; return the results and the report."""
    config = UploadConfig(**options)  # type: ignore[arg-type]  # a table of options
    async with Uploader(service, service, DATASET_ID, sources, config=config) as uploader:
        results = [result async for result in uploader]
    return results, uploader.report


def write(folder: Path, *paths: str) -> Path:
    """Write images, each with bytes of its own."""
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(SOUND_JPEG + path.encode())
    return folder


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose subfolders hold the same names, and one name that is numbered."""
    return write(
        tmp_path / "photos", "a/x.jpg", "b/X.JPG", "c/x.jpg", "c/x (2).jpg", "d/x.jpg", "d/y.jpg"
    )


async def test_later_ones_are_numbered_in_the_order_of_the_run(
    service: FakeService, folder: Path
) -> None:
    """A file that is called so by itself keeps its name, and each result tells of its new one."""
    results, report = await run(service, folder, on_clash="rename")

    stored = {name: data.removeprefix(SOUND_JPEG).decode() for name, data in service.stored.items()}
    assert stored == {
        "x.jpg": "a/x.jpg",
        "X (3).JPG": "b/X.JPG",
        "x (2).jpg": "c/x (2).jpg",
        "x (4).jpg": "c/x.jpg",
        "x (5).jpg": "d/x.jpg",
        "y.jpg": "d/y.jpg",
    }
    assert (report.uploaded, report.warned, report.complete) == (6, 3, True)
    told = {each.name: each.warnings for each in results if each.warnings}
    assert told["X (3).JPG"] == (
        f"It is named 'X (3).JPG', since 'X.JPG' is taken by {folder}/a/x.jpg.",
    )


async def test_a_second_run_gives_the_same_names(service: FakeService, folder: Path) -> None:
    """Nothing is stored twice, with no journal to remember anything."""
    await run(service, folder, on_clash="rename")
    _, again = await run(service, folder, on_clash="rename")

    assert (again.uploaded, again.skipped, len(service.stored)) == (0, 6, 6)


async def test_a_journal_remembers_the_names(
    service: FakeService, folder: Path, tmp_path: Path
) -> None:
    """Also where a file has come in between, which would shift the numbers."""
    journal = tmp_path / "run.journal"
    await run(service, folder, on_clash="rename", journal=journal)
    before = dict(service.stored)
    write(folder, "aa/x.jpg")

    results, report = await run(service, folder, on_clash="rename", journal=journal)

    assert {each.source for each in results if each.outcome == "uploaded"} == {f"{folder}/aa/x.jpg"}
    assert service.stored.items() >= before.items()
    assert (len(service.stored), report.planned, report.complete) == (7, 7, True)
    assert report.pending == 0


@pytest.mark.parametrize("kept", ["paths", "bytes"])
async def test_a_journal_remembers_the_last_name_that_it_gave(
    service: FakeService, tmp_path: Path, kept: str
) -> None:
    """Files are known by their paths, images in memory by their bytes."""
    options = {"on_clash": "rename", "journal": tmp_path / "run.journal"}
    folder = write(tmp_path / "photos", "a/x.jpg", "c/x.jpg")

    def arriving(*data: bytes) -> Iterator[UploadItem]:
        for each in data:
            yield UploadItem("x.jpg", SOUND_JPEG + each)

    await run(service, folder if kept == "paths" else arriving(b"1", b"2"), **options)
    before = dict(service.stored)
    write(folder, "b/x.jpg")

    sources = folder if kept == "paths" else arriving(b"1", b"between", b"2")
    config = UploadConfig(**options)  # type: ignore[arg-type]  # a table of options
    async with Uploader(service, service, DATASET_ID, sources, config=config) as uploader:
        report = await uploader.finish()

    assert uploader.progress.bytes_total == len(SOUND_JPEG) + 7, "the new one alone"
    assert (sorted(before), sorted(service.stored)) == (
        ["x (2).jpg", "x.jpg"],
        ["x (2).jpg", "x (3).jpg", "x.jpg"],
    )
    assert service.stored.items() >= before.items()
    assert (report.planned, report.uploaded, report.skipped, report.resumed) == (3, 1, 2, 2)
    assert report.pending == 0


def each_alone(items: list[UploadItem]) -> Source:
    """Return a stream for each: what comes next is not known."""
    return [iter([item]) for item in items]


@pytest.mark.parametrize(
    ("kept", "given"),
    [
        ("paths", each_alone),  # a list of paths in another order is another job
        ("bytes", each_alone),
        ("bytes", list),
        ("open files", each_alone),
        ("open files", list),
    ],
)
async def test_a_journal_remembers_the_names_in_any_order(
    service: FakeService, tmp_path: Path, kept: str, given: Callable[[list[UploadItem]], Source]
) -> None:
    """What is done stays done, whichever of its names comes first."""
    folder = write(tmp_path, "a/x.jpg", "bbb/x.jpg")
    options = {"on_clash": "rename", "journal": tmp_path / "run.journal"}

    def items(*paths: str) -> Source:
        kinds: dict[str, Callable[[Path], Any]] = {
            "paths": Path,
            "bytes": Path.read_bytes,
            "open files": lambda path: io.BytesIO(path.read_bytes()),
        }
        return given([UploadItem("x.jpg", kinds[kept](folder / path)) for path in paths])

    await run(service, items("a/x.jpg", "bbb/x.jpg"), **options)
    before = dict(service.stored)
    _, report = await run(service, items("bbb/x.jpg", "a/x.jpg"), **options)

    assert (report.planned, report.uploaded, report.resumed, report.complete) == (2, 0, 2, True)
    assert service.stored == before


@pytest.mark.parametrize("on_clash", ["skip", "rename"])
async def test_a_name_in_the_dataset_stays_with_its_item_while_a_stream_goes_on(
    service: FakeService, tmp_path: Path, on_clash: str
) -> None:
    """Another file of this name is skipped, once, and what is done is not sent under a number."""
    folder = write(tmp_path, "a/x.jpg", "b/x.jpg")
    options = {"on_clash": on_clash, "journal": tmp_path / "run.journal"}
    old, new = (UploadItem(None, folder / path) for path in ("a/x.jpg", "b/x.jpg"))
    await run(service, each_alone([old, old, old]), **options)

    _, report = await run(service, each_alone([new, new, old]), **options)

    assert (report.uploaded, report.skipped, report.resumed, report.repeated) == (0, 2, 1, 1)
    assert list(service.stored) == ["x.jpg"]


@pytest.mark.parametrize("kept", ["equal bytes", "open files", "paths named twice"])
async def test_what_looks_the_same_to_a_journal_is_stored_once_each(
    service: FakeService, tmp_path: Path, kept: str
) -> None:
    """Their names are given again in the order of the run, however often it is repeated."""
    folder = write(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    given = {  # with the name that each gets
        "equal bytes": [("x", 1, "x"), ("x", 2, "x (2)"), ("x", 2, "x (3)"), ("x", 2, "x (4)")],
        "open files": [("x", 1, "x"), ("x", 2, "x (2)"), ("x", 3, "x (3)"), ("y", 1, "y")],
        "paths named twice": [("x", 1, "x"), ("y", 1, "y"), ("x", 2, "x (2)"), ("y", 2, "y (2)")],
    }[kept]

    def items() -> Iterator[UploadItem]:
        for name, number, _ in given:
            path, content = folder / f"{number}.jpg", (folder / f"{number}.jpg").read_bytes()
            kinds: dict[str, Any] = {"equal bytes": content, "open files": io.BytesIO(content)}
            yield UploadItem(f"{name}.jpg", kinds.get(kept, path))

    options = {"on_clash": "rename", "journal": tmp_path / "run.journal", "concurrency": 1}
    await run(service, list(items()), **options, max_files=2)
    stopped = len(service.stored)
    runs = [(await run(service, list(items()), **options))[1] for _ in range(3)]

    assert stopped == 2
    assert [(each.planned, each.uploaded, each.resumed) for each in runs] == [
        (4, 2, 2),
        (4, 0, 4),
        (4, 0, 4),
    ]
    assert service.stored == {
        f"{name}.jpg": (folder / f"{number}.jpg").read_bytes() for _, number, name in given
    }


async def test_a_name_that_was_given_and_not_sent_counts_once(
    service: FakeService, tmp_path: Path
) -> None:
    """It is handed out from the journal before its source names it again."""
    options = {"on_clash": "rename", "journal": tmp_path / "run.journal", "concurrency": 1}
    folder = write(tmp_path / "photos", "a/x.jpg", "b/x.jpg", "c/x.jpg")
    await run(service, folder, max_files=1, **options)
    assert list(service.stored) == ["x.jpg"]

    _, report = await run(service, folder, **options)

    assert sorted(service.stored) == ["x (2).jpg", "x (3).jpg", "x.jpg"]
    assert (report.planned, report.uploaded, report.skipped, report.resumed) == (3, 2, 1, 1)
    assert report.pending == 0


async def test_streams_and_bytes_are_numbered_too(service: FakeService) -> None:
    """On arrival, one after the other."""

    def arriving() -> Iterator[UploadItem]:
        for number in range(300):
            yield UploadItem("frame.jpg", SOUND_JPEG + str(number).encode())

    _, report = await run(service, arriving(), on_clash="rename")

    assert (report.uploaded, len(service.stored)) == (300, 300)
    assert service.stored["frame (300).jpg"] == SOUND_JPEG + b"299"


async def test_a_link_is_not_numbered(service: FakeService) -> None:
    """The service takes its name from its address; the reason is that of any clash."""
    sources: Source = [
        UploadItem("a.jpg", SOUND_JPEG),
        "http://h/a.jpg",
        UploadItem("A.jpg", SOUND_JPEG),
    ]

    found, report = await run(service, sources, on_clash="rename")

    assert (report.uploaded, report.rejected) == (2, 1)
    assert (sorted(service.stored), service.urls) == (["A (2).jpg", "a.jpg"], [])
    warnings = {each.name: each.warnings for each in found}
    assert warnings["A (2).jpg"] == ("It is named 'A (2).jpg', since 'A.jpg' is taken by a.jpg.",)
    (clash,) = (each.reason for each in report.problems)
    assert clash.startswith("http://h/a.jpg clashes with a.jpg: both would be named 'a.jpg', and")


async def test_a_path_named_twice_is_not_numbered(service: FakeService, folder: Path) -> None:
    """It is one image, and one item."""
    path = folder / "d/y.jpg"
    _, report = await run(service, [path, path], on_clash="rename")

    counts = report.planned, report.uploaded, report.repeated, report.ok
    assert (counts, list(service.stored)) == ((1, 1, 1, True), ["y.jpg"])


@pytest.mark.parametrize("on_clash", ["skip", "rename"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_path_that_clashes_and_is_named_again_is_one_item(
    service: FakeService, tmp_path: Path, on_clash: str, streamed: bool
) -> None:
    """As in a list with a row for each box: it was stored again for each row, or refused."""
    write(tmp_path, "a/x.jpg", "b/x.jpg")
    rows = [tmp_path / each / "x.jpg" for each in "abbab"]
    rows += [tmp_path / "a" / ".." / "b" / "x.jpg"]
    options = {"on_clash": on_clash, "journal": tmp_path / "run.journal"}

    def sources() -> Source:
        return (each for each in rows) if streamed else rows

    first = (await run(service, sources(), **options))[1]
    again = (await run(service, sources(), **options))[1]

    counts = [
        (each.planned, each.uploaded, each.skipped, each.rejected, each.repeated)
        for each in (first, again)
    ]
    renames = on_clash == "rename"
    assert counts == [(2, 1 + renames, 0, 1 - renames, 4), (2, 0, 1 + renames, 1 - renames, 4)]
    assert sorted(service.stored) == (["x (2).jpg", "x.jpg"] if renames else ["x.jpg"])
    assert (first.complete, again.complete) == (True, True)


async def test_a_renamed_file_that_changes_before_it_is_named_again_is_told_of(
    service: FakeService, tmp_path: Path
) -> None:
    """As any other; in the run that sent it, and in the next one, to which a journal names it."""
    write(tmp_path, "a/x.jpg", "b/x.jpg")
    second = tmp_path / "b" / "x.jpg"
    options = {"on_clash": "rename", "journal": tmp_path / "run.journal", "concurrency": 1}
    found = []

    for number in range(2):
        changed = asyncio.Event()

        async def sources(number: int = number, changed: asyncio.Event = changed) -> Any:
            yield tmp_path / "a" / "x.jpg"
            yield second
            if not number:
                await changed.wait()
            await asyncio.to_thread(second.write_bytes, SOUND_JPEG + b"changed %d" % number)
            yield second

        config = UploadConfig(**options)  # type: ignore[arg-type]  # a table of options
        async with Uploader(service, service, DATASET_ID, sources(), config=config) as uploader:
            async for result in uploader:
                found.append((number, result.outcome.value, result.item.name))
                if len(found) == 2:
                    changed.set()

    assert found[:2] == [(0, "uploaded", "x.jpg"), (0, "uploaded", "x (2).jpg")]
    assert set(found[2:]) == {(0, "skipped", "x (2).jpg"), (1, "skipped", "x (2).jpg")}
    assert service.stored == {
        "x.jpg": SOUND_JPEG + b"a/x.jpg",
        "x (2).jpg": SOUND_JPEG + b"b/x.jpg",
    }


async def test_an_error_comes_before_anything_is_sent(service: FakeService, folder: Path) -> None:
    """It names the first ones, their number and the ways out."""
    with pytest.raises(ConfigurationError) as caught:
        await run(service, folder, on_clash="error")

    assert service.stored == {}
    words = str(caught.value)
    assert "since 3 images have the same name as another one" in words
    assert f"{folder}/b/X.JPG and {folder}/a/x.jpg (both 'X.JPG')" in words
    assert " more. " not in words
    assert 'name="relative"' in words
    assert 'on_clash="rename"' in words


async def test_what_is_no_image_is_no_reason_not_to_begin(
    service: FakeService, tmp_path: Path
) -> None:
    """Every folder has its readme."""
    folder = write(tmp_path / "photos", "a/x.jpg", "b/y.jpg")
    for name in ("a", "b"):
        (folder / name / "README.txt").write_text("About these photos.")

    results, _ = await run(service, folder, on_clash="error")

    assert Counter(each.outcome.value for each in results) == {"uploaded": 2, "rejected": 2}
    assert {each.reason for each in results if each.outcome == "rejected"} == {
        "Not a JPEG or PNG image: it looks like text."
    }


async def test_an_error_names_three_and_counts_the_others(
    service: FakeService, tmp_path: Path
) -> None:
    """Of five."""
    folder = write(tmp_path / "photos", *(f"{each}/x.jpg" for each in "abcdef"))
    with pytest.raises(ConfigurationError) as caught:
        await run(service, folder, on_clash="error")

    words = str(caught.value)
    assert "since 5 images have the same name as another one" in words
    assert words.count("(both 'x.jpg')") == 3
    assert f"{folder}/d/x.jpg and {folder}/a/x.jpg (both 'x.jpg'), and 2 more. Upload" in words


async def test_an_error_looks_at_what_an_earlier_run_sent(
    service: FakeService, tmp_path: Path
) -> None:
    """The only item that is new clashes with one that is done; what is left is not sent either."""
    folder = write(tmp_path / "photos", "a/x.jpg", "a/y.jpg")
    options = {"on_clash": "error", "journal": tmp_path / "run.journal"}
    await run(service, folder, max_files=1, concurrency=1, **options)
    write(folder, "b/x.jpg")

    with pytest.raises(ConfigurationError, match="since 1 image has the same name"):
        await run(service, folder, **options)
    assert set(service.stored) == {"x.jpg"}


async def test_in_a_stream_an_error_is_a_rejection(service: FakeService) -> None:
    """There is no before."""
    items = [UploadItem("a.jpg", SOUND_JPEG), UploadItem("A.jpg", SOUND_JPEG + b"2")]
    _, report = await run(service, iter(items), on_clash="error")

    assert (report.uploaded, report.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("a.jpg", 2, "a (2).jpg"),
        ("a.b.jpg", 10, "a.b (10).jpg"),
        ("plain", 3, "plain (3)"),
        ("day 1/a.jpg", 2, "day 1/a (2).jpg"),
        ("day.1/plain", 2, "day.1/plain (2)"),
        (".jpg", 2, ".jpg (2)"),
        (LONG, 2, "ä" * 41 + " (2).jpg"),
        ("ä" * 41 + "12345.jpg", 12, "ä" * 41 + " (12).jpg"),
        ("ä" * 41 + "12345.jpg", 123, "ä" * 40 + " (123).jpg"),
    ],
)
def test_a_number_stands_before_the_suffix(name: str, number: int, expected: str) -> None:
    """A name that would get too long for the service is shortened before it."""
    assert expected == numbered(name, number)
