"""How files are named: words, templates, functions, and what is wrong with bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import UploadConfig, Uploader, UploadItem
from datagym_async.uploads.sources import Naming, Rules, Stream, leaves
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import SOUND_JPEG


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of images at three levels."""
    for path in ("b.jpg", "a/c.tar.jpg", "a/z.jpg", "a.jpg", "a-1/x", "a/deep/y.PNG"):
        file = tmp_path / "photos" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(SOUND_JPEG)
    return tmp_path / "photos"


def named(source: object, name: object, separator: str = "/") -> list[str]:
    """Return the names of a source's files, in the order of their paths."""
    rules = Rules(Naming(name, separator))  # type: ignore[arg-type]  # any policy
    found = []
    for leaf in leaves(source, rules):
        assert not isinstance(leaf, Stream)
        found.extend(sorted(leaf, key=lambda each: each.place))
    return [each.refusal or each.item.name for each in found]


@pytest.mark.parametrize(
    ("policy", "separator", "expected"),
    [
        ("basename", "/", ["x", "a.jpg", "c.tar.jpg", "y.PNG", "z.jpg", "b.jpg"]),
        (
            "relative",
            "__",
            ["a-1__x", "a.jpg", "a__c.tar.jpg", "a__deep__y.PNG", "a__z.jpg", "b.jpg"],
        ),
        (
            "{parent}-{name}",
            "/",
            ["a-1-x", "photos-a.jpg", "a-c.tar.jpg", "deep-y.PNG", "a-z.jpg", "photos-b.jpg"],
        ),
        ("{stem}|{suffix}", "/", ["x|", "a|.jpg", "c.tar|.jpg", "y|.PNG", "z|.jpg", "b|.jpg"]),
        ("{relative}", "+", ["a-1+x", "a.jpg", "a+c.tar.jpg", "a+deep+y.PNG", "a+z.jpg", "b.jpg"]),
    ],
)
def test_policies(folder: Path, policy: str, separator: str, expected: list[str]) -> None:
    """Words and templates name files by their parts."""
    assert expected == named(folder, policy, separator)


def test_a_function_names_files(folder: Path) -> None:
    """It is given the path and the relative name."""

    def name(item: UploadItem) -> str:
        assert item.path is not None
        return f"{item.path.parent.name}.{item.name.upper()}"

    assert named(folder, name)[:2] == ["a-1.A-1/X", "photos.A.JPG"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            lambda item: 1 / 0,
            "The name function failed for {path}: ZeroDivisionError: division by zero",
        ),
        (
            lambda item: None,
            "The name function returned NoneType for {path}; it must return a text.",
        ),
        (lambda item: "", "The name is empty."),
    ],
)
async def test_a_function_that_fails_rejects_its_item_alone(
    folder: Path, name: Callable[[UploadItem], str], words: str
) -> None:
    """The run goes on; the reason names the file."""

    def for_one(item: UploadItem) -> str:
        return name(item) if item.name == "b.jpg" else item.name

    service = FakeService()
    config = UploadConfig(name=for_one)
    async with Uploader(service, service, DATASET_ID, folder, config=config) as run:
        report = await run.finish()

    assert (report.uploaded, report.rejected) == (5, 1)
    assert report.problems[0].reason == words.format(path=folder / "b.jpg")


def test_what_has_a_name_keeps_it(folder: Path, tmp_path: Path) -> None:
    """An item's own, and those of a manifest; single files follow the policy."""
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,name\nphotos/b.jpg,own.jpg\nphotos/a.jpg,\n{folder}/a/z.jpg,\n")

    assert named(UploadItem("own.jpg", folder / "b.jpg"), "{parent}.{name}") == ["own.jpg"]
    assert named(folder / "b.jpg", "{parent}.{name}") == ["photos.b.jpg"]
    assert sorted(named(listed, "{relative}", "~")) == ["own.jpg", "photos~a.jpg", "z.jpg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "flat"}, 'it must be "basename", "relative", a template such as'),
        ({"name": 7}, "name is 7; it must be"),
        ({"name": "{folder}.jpg"}, "{folder} is unknown, it may hold {name}, {stem}"),
        ({"name": "{name.real}"}, "{name.real} is unknown"),
        ({"name": "{stem:x"}, "name is the template '{stem:x', which cannot be filled in: "),
        ({"name": "{stem:d}"}, "cannot be filled in: Unknown format code 'd'"),
        ({"name": "{}"}, "{} is unknown"),
        ({"name_separator": "\n"}, "name_separator is '\\n'; it must be a printable text."),
        ({"on_clash": "overwrite"}, "on_clash is 'overwrite'; it must be one of 'skip', 'rename'"),
        ({"symlinks": "all"}, "symlinks is 'all'; it must be one of 'files', 'follow', 'skip'."),
        ({"include": ["*.jpg", ""]}, "include holds ''; a pattern is a text such as '*.jpg'."),
        ({"exclude": "/"}, "exclude holds '/'"),
        ({"exclude": [1]}, "exclude holds 1"),
        ({"check": "all"}, "check is 'all'; it must be one of 'none', 'signature', 'structure'"),
        ({"max_bytes": 0}, "max_bytes is 0; it must be 1 or more"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], words: str) -> None:
    """When they are given, with the rule."""
    with pytest.raises(ConfigurationError) as caught:
        UploadConfig(**options)  # type: ignore[arg-type]  # a table of options of any type

    assert words in str(caught.value)


def test_a_single_pattern_is_a_list_of_one() -> None:
    """As on a command line."""
    config = UploadConfig(include="*.jpg", exclude=["thumbs", "*.tmp"])

    assert (config.include, config.exclude) == (("*.jpg",), ("thumbs", "*.tmp"))
