"""`demo`: the main job on a server of its own, offline."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.cli import photographs
from tests.helpers.photos import gif

if TYPE_CHECKING:
    from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a demo leaves behind among the files of its test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.slow
def test_the_demo_shows_the_whole_way(cli: Cli, tmp_path: Path) -> None:
    """With no folder: real photographs in, listed, one compared, links in, and where to go next.

    The last line is the path of a gallery with their labels, which stays.
    """
    ran = cli("demo")
    count = len(photographs())
    assert ran.status == 0
    assert count >= 15
    for words in (
        f"{count} uploaded",
        "Demo photographs",
        "sha256",
        "the same",
        "12 uploaded",
        "datagym-async serve --data",
        "datagym-async upload FOLDER",
        "docs/cli.md",
        "7 photographs labelled",
    ):
        assert words in ran.out
    page = Path(ran.out.rstrip().rpartition(" ")[2])
    assert page.is_relative_to(tmp_path)
    assert "astronaut.png" in (page.parent / "data" / "index-0.js").read_text()
    assert max(map(len, ran.out.replace(str(tmp_path), "/tmp").splitlines())) <= 100


@pytest.mark.slow
def test_the_demo_leaves_no_heavy_module(cli: Cli) -> None:
    """The photographs are found without importing scikit-image."""
    before = set(sys.modules)
    assert cli("demo", "--quiet").status == 0
    assert not {"skimage", "numpy", "pooch"} & (set(sys.modules) - before)


def test_the_demo_with_a_folder_and_kept_data(cli: Cli, photos: Path, tmp_path: Path) -> None:
    """FOLDER and --data: the second run skips all, and the data stay for `serve`."""
    data = tmp_path / "data"
    first = cli("demo", photos, "--data", data, "--json")
    assert first.status == 0
    files, links = first.document["files"], first.document["links"]
    assert isinstance(files, dict)
    assert isinstance(links, dict)
    assert (files["uploaded"], links["uploaded"]) == (4, 4)
    assert first.document["verified"] in {"a.jpg", "b.jpg", "c.png", "ü.jpg"}
    assert first.document["data"] == str(data)
    assert first.document["gallery"] == str(data / "gallery" / "index.html")
    again = cli("demo", photos, "--data", data, "--json").document["files"]
    assert isinstance(again, dict)
    assert (again["uploaded"], again["skipped"]) == (0, 4)
    assert (data / "token").is_file()


def test_a_demo_with_a_bad_file(cli: Cli, photos: Path) -> None:
    """What is rejected is named, and the status is 1."""
    (photos / "no.jpg").write_bytes(gif())
    ran = cli("demo", photos)
    assert ran.status == 1
    assert "no.jpg" in ran.err


def test_a_demo_without_its_folder(cli: Cli, tmp_path: Path) -> None:
    """A folder that does not exist is named."""
    ran = cli("demo", tmp_path / "nowhere")
    assert (ran.status, ran.out) == (2, "")
    assert "nowhere" in ran.err
