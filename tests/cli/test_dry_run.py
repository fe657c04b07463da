"""`upload --dry-run`: what would be done, a line an item, and nothing sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tests.helpers.photos import gif

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli


def test_a_line_an_item(
    at_service: Cli, photos: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be sent, skipped and rejected; then the summary; no journal, and nothing sent."""
    monkeypatch.chdir(photos.anchor)  # temporary files may be below the checkout
    at_service("upload", photos / "a.jpg", "-d", "Photos", "--create", "--no-journal")
    (photos / "no.jpg").write_bytes(gif())
    ran = at_service("upload", photos, "-d", "Photos", "--dry-run")
    lines = ran.out.splitlines()
    assert ran.status == 1
    assert [line.split()[0] for line in lines[:-1]].count("send") == 3
    assert f"send   b.jpg (3.0 kB) from {photos / 'b.jpg'}" in lines
    assert any(line.startswith("skip   a.jpg: ") for line in lines)
    assert any(line.startswith("reject no.jpg: ") and "GIF" in line for line in lines)
    assert lines[-1].startswith("5 items for 'Photos': 3 to send")
    assert not list(state.iterdir())
    shown = at_service("datasets", "show", "Photos", "--json").document["media"]
    assert len(cast("list[object]", shown)) == 1


def test_paths_are_as_they_were_typed(
    at_service: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the working directory, and not from the root of the disk."""
    at_service("datasets", "create", "Photos")
    monkeypatch.chdir(photos.parent)
    ran = at_service("upload", "photos", "-d", "Photos", "--dry-run")
    assert f"send   b.jpg (3.0 kB) from {Path('photos', 'b.jpg')}" in ran.out.splitlines()


def test_an_address_that_is_none_is_named_once(at_service: Cli, photos: Path) -> None:
    """It is name and source at once, and its reason begins with it."""
    at_service("datasets", "create", "Photos")
    wrong = "ftp://host/a.jpg"
    ran = at_service("upload", photos, wrong, "-d", "Photos", "--dry-run")
    (line,) = (each for each in ran.out.splitlines() if wrong in each)
    assert (ran.status, line.startswith(f"reject {wrong}: "), line.count(wrong)) == (1, True, 1)


def test_json_lines(at_service: Cli, photos: Path) -> None:
    """With --json each item is a line, and the last line is the summary."""
    at_service("datasets", "create", "Photos")
    ran = at_service("upload", photos, "-d", "Photos", "-n", "--name", "relative", "--json")
    *items, summary = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.status, ran.err) == (0, "")
    assert {each["name"] for each in items} == {"a.jpg", "b.jpg", "c.png", "ü.jpg"}
    assert set(items[0]) == {"action", "name", "source", "size", "reason", "warnings"}
    assert summary["schema"] == "datagym_async.upload_plan/1"
    assert (summary["planned"], summary["send"], summary["complete"]) == (4, 4, True)
    assert summary["bytes"] == sum(each["size"] for each in items)


def test_no_dataset_is_made(at_service: Cli, photos: Path) -> None:
    """With --create the dataset is imagined: it would be empty, and does not come to be."""
    ran = at_service("upload", photos, "-d", "New one", "--create", "--dry-run")
    assert ran.status == 0
    assert "4 items for 'New one': 4 to send" in ran.out
    assert at_service("datasets", "list", "--json").documents == []
    unknown = at_service("upload", photos, "-d", "New one", "--dry-run")
    assert (unknown.status, "--create" in unknown.err) == (2, True)


def test_nothing_to_upload(at_service: Cli, tmp_path: Path) -> None:
    """What the upload would refuse to begin with, its plan does, too."""
    ran = at_service("upload", tmp_path / "nowhere", "-d", "New", "--create", "--dry-run")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_a_family_that_is_not_there(at_service: Cli, photos: Path) -> None:
    """Of a family whose first dataset is not there, the others count all the same."""
    at_service("upload", photos / "a.jpg", "-d", "New 2", "--create")
    more = ("--create", "--dry-run", "--max-per-dataset", "2")
    ran = at_service("upload", photos, "-d", "New", *more)
    assert ran.status == 0
    assert "3 to send" in ran.out
    assert "1 to skip" in ran.out
    listed = at_service("datasets", "list", "--json").documents
    assert [each["name"] for each in listed] == ["New 2"]
