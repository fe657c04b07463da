"""Which files of a folder count: patterns and symbolic links."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from datagym_async.uploads import DryRun, UploadConfig, Uploader
from datagym_async.uploads.sources import Filters, Rules, Stream, leaves
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.unnumbered import without_numbers


@pytest.mark.parametrize(
    ("include", "exclude", "taken", "left"),
    [
        ((), (), ["a.jpg", "b/c.txt"], []),
        (("*.jpg",), (), ["a.jpg", "b/c/d.jpg", "b/IMG_1.JPG"], ["a.png", "x.jpg.txt"]),
        (("Photos/É*.jpg",), (), ["photos/éa.JPG"], ["photos/e.jpg"]),
        (("x (1)/a+b.jpg", "~c.jpg"), (), ["x (1)/a+b.jpg", "~c.jpg"], ["x 1/aab.jpg"]),
        (("a[1].jpg", "b[[]1].jpg"), (), ["a1.jpg", "b[1].jpg"], ["a[1].jpg", "b1.jpg"]),
        (("*.jpg", "*.png"), (), ["a.jpg", "b/c.png"], ["c.txt"]),
        (("*.[jJ][pP][gG]",), (), ["a.JPG", "b/a.jpg"], ["a.jpeg"]),
        (("2026/**",), (), ["2026/a.jpg", "2026/b/c.jpg"], ["2025/a.jpg", "x/2026/a.jpg"]),
        (("2026/*.jpg",), (), ["2026/a.jpg"], ["2026/b/c.jpg", "a.jpg"]),
        (("**/raw/*.jpg",), (), ["raw/a.jpg", "x/raw/a.jpg", "x/y/raw/a.jpg"], ["x/raw/y/a.jpg"]),
        (("a/**/z.jpg",), (), ["a/z.jpg", "a/b/z.jpg", "a/b/c/z.jpg"], ["b/z.jpg"]),
        (("day-?",), (), ["day-1/a.jpg", "x/day-2/b.jpg"], ["day-10/a.jpg"]),
        ((), ("thumbs",), ["a.jpg", "thumbs.jpg"], ["thumbs/a.jpg", "x/thumbs/y/a.jpg"]),
        ((), ("x/thumbs/",), ["thumbs/a.jpg"], ["x/thumbs/a.jpg"]),
        (("*.jpg",), ("*_small.jpg",), ["a.jpg"], ["a_small.jpg", "b/c_small.jpg"]),
        (("a.jpg",), ("a.jpg",), [], ["a.jpg"]),
    ],
)
def test_patterns(
    include: tuple[str, ...], exclude: tuple[str, ...], taken: list[str], left: list[str]
) -> None:
    """With a slash from the beginning, without one at any depth, in any case; exclusion wins."""
    filters = Filters(include, exclude)

    assert [path for path in (*taken, *left) if filters.takes(path)] == taken


def test_there_may_be_thousands_of_patterns() -> None:
    """As many as a command line takes."""
    filters = Filters(exclude=tuple(f"{number}.jpg" for number in range(3000)))

    assert not filters.takes("x/2999.JPG")
    assert filters.takes("x/3000.jpg")


@pytest.mark.parametrize(
    ("pattern", "folder", "expected"),
    [("thumbs", "x/thumbs", True), ("x/thumbs", "x", False), ("*.jpg", "x", False)],
)
def test_excluded_folders_are_not_read(pattern: str, folder: str, expected: bool) -> None:
    """However many files they hold."""
    assert Filters(exclude=(pattern,)).prunes(folder) is expected


def found(
    source: object,
    symlinks: Literal["files", "follow", "skip"] = "files",
    **filters: tuple[str, ...],
) -> list[str]:
    """Return the relative paths of the files that count, and the reasons against others."""
    rules = Rules(symlinks=symlinks, filters=Filters(**filters))
    leaf = next(iter(leaves(source, rules)))
    assert not isinstance(leaf, Stream)
    return sorted(each.refusal or each.place for each in leaf)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with links to a file, to folders within and without, and in circles."""
    root = tmp_path / "photos"
    for path in ("a.jpg", "sub/b.jpg", "sub/c.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "d.jpg").write_bytes(b"1")
    for link, target in {
        "file.jpg": "a.jpg",
        "again": "sub",
        "sub/up": "..",
        "out": "../other",
        "out2": "../other",
        "self": "self",
    }.items():
        (root / link).symlink_to(target)
    return root


def test_links_are_followed_where_asked_for(folder: Path) -> None:
    """Each folder is read once, by its own path if it has one, and circles end."""
    assert found(folder, symlinks="follow") == [
        f"{folder}/self is a link to itself.",
        "a.jpg",
        "file.jpg",
        "out/d.jpg",
        "sub/b.jpg",
        "sub/c.txt",
    ]


def test_a_disk_that_does_not_number_its_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have the inode 0 there; they are told apart all the same."""
    without_numbers(monkeypatch)
    assert {"a.jpg", "out/d.jpg", "sub/b.jpg"} <= set(found(folder, symlinks="follow"))


def test_links_are_left_out_where_asked_for(folder: Path) -> None:
    """Silently, as hidden files are."""
    assert found(folder, symlinks="skip") == ["a.jpg", "sub/b.jpg", "sub/c.txt"]


def test_filters_hold_for_folders_and_globs(folder: Path) -> None:
    """What is left out is not counted; if nothing is left, that is said."""
    assert found(folder, include=("*.jpg",), symlinks="skip") == ["a.jpg", "sub/b.jpg"]
    assert found(f"{folder}/**/*", exclude=("sub",), symlinks="skip") == ["a.jpg"]
    assert found(folder, include=("*.tif",)) == [
        f"The folder {folder} holds no files once include and exclude are applied."
    ]


def test_what_patterns_leave_out_is_counted(folder: Path) -> None:
    """Each file, and each folder that was not read for it; a file that no glob named is neither."""
    counted = []
    for source in (str(folder), f"{folder}/*/*.jpg"):
        for filters in (Filters(include=("*.txt",)), Filters(exclude=("sub",))):
            leaf = next(iter(leaves(source, Rules(symlinks="skip", filters=filters))))
            assert not isinstance(leaf, Stream)
            assert list(leaf)
            counted.append(filters.left_out)

    assert counted == [2, 1, 1, 1]


def test_brackets_in_the_name_of_a_folder(tmp_path: Path) -> None:
    """What is there is taken as it is written; only then does a pattern begin."""
    for path in ("raw [2026]/a.jpg", "raw 2/b.jpg", "raw [2026]/[x]/c.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"1")

    assert found(f"{tmp_path}/raw [2026]/*.jpg") == ["a.jpg"]
    assert found(f"{tmp_path}/raw [2026]/[x]/?.jpg") == ["c.jpg"]
    assert found(f"{tmp_path}/raw [0-9]/*.jpg") == ["raw 2/b.jpg"]
    assert found(f"{tmp_path}/raw [2026]/gone*.jpg") == [
        f"No file matches {tmp_path}/raw [2026]/gone*.jpg."
    ]


@pytest.mark.parametrize("include", ["a.JPG", "c.TXT"])
async def test_what_is_left_out_is_in_the_report(
    folder: Path, tmp_path: Path, include: str
) -> None:
    """And in what a dry run says, once; it is not among the planned."""
    service, journal = FakeService(), tmp_path / "a.journal"
    config = UploadConfig(include=include, symlinks="skip", check="none", journal=journal)
    async with DryRun(service, DATASET_ID, folder, config=config) as plan:
        planned = [each.name async for each in plan]
    async with Uploader(service, service, DATASET_ID, folder, config=config) as run:
        report = await run.finish()

    assert planned == [include.lower()]
    assert (plan.summary.left_out, report.left_out, report.planned) == (2, 2, 1)
    assert str(plan.summary).endswith(" Left out by include and exclude: 2.")
    assert report.summary().endswith(" Left out by include and exclude: 2.")
