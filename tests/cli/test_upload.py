"""`upload`: what it does, says and leaves behind."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.helpers.photos import gif, jpeg

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

REPORT = {
    "schema",
    "dataset_id",
    "dataset_name",
    "complete",
    "planned",
    "uploaded",
    "skipped",
    "rejected",
    "failed",
    "pending",
    "unsettled",
    "resumed",
    "left_out",
    "repeated",
    "doubles",
    "journal",
    "stopped_by",
    "datasets",
    "verified",
    "mismatched",
    "mismatches",
    "advice",
    "warned",
    "turned",
    "duplicates",
    "bytes",
    "seconds",
    "items_per_second",
    "summary",
    "problems",
    "problems_omitted",
}


def test_a_folder_goes_into_a_new_dataset(at_service: Cli, photos: Path) -> None:
    """The main job: status 0, a table and a sentence on stdout, and all images there."""
    ran = at_service("upload", photos, "--dataset", "Photos 2026", "--create")
    lines = ran.out.splitlines()
    assert ran.status == 0
    assert lines[0].split() == ["Outcome", "Items", "Size"]
    assert lines[1].split() == ["uploaded", "4", "12.0", "kB"]
    assert "4 uploaded" in lines[-1]
    assert "Created dataset 'Photos 2026'" in ran.err
    shown = at_service("datasets", "show", "photos 2026", "--json").document
    media = shown["media"]
    assert isinstance(media, list)
    assert {each["name"] for each in media} == {"a.jpg", "b.jpg", "c.png", "ü.jpg"}


def test_the_second_run_uploads_none(at_service: Cli, photos: Path) -> None:
    """The same command resumes where the last one stopped, and skipping is no failure."""
    command = ("upload", photos, "-d", "Photos", "--create", "--json")
    assert at_service(*command).document["uploaded"] == 4
    again = at_service(*command)
    assert (again.status, again.document["uploaded"], again.document["skipped"]) == (0, 0, 4)


def test_what_is_no_image_can_be_left_alone(at_service: Cli, photos: Path) -> None:
    """It is skipped then, and no reason for exit status 1; what else is wrong still is one."""
    (photos / "sub").mkdir()
    for folder in (photos, photos / "sub"):
        (folder / "README.md").write_text("About these photos.")
        (folder / "clip.gif").write_bytes(b"GIF89a...")
    command = ("upload", photos, "--dataset", "New", "--create", "--json")
    rejecting = at_service(*command)
    ignoring = at_service(*command, "--ignore-others", "--verify", "all")
    again = at_service(*command, "--ignore-others")
    (photos / "cut.jpg").write_bytes(jpeg(3000)[:20])
    cut = at_service(*command, "--ignore-others")

    assert [each.status for each in (rejecting, ignoring, again, cut)] == [1, 0, 0, 1]
    counts = [
        tuple(each.document[name] for name in ("uploaded", "skipped", "rejected", "mismatched"))
        for each in (rejecting, ignoring, again, cut)
    ]
    assert counts == [(4, 0, 4, 0), (0, 8, 0, 0), (0, 8, 0, 0), (0, 8, 1, 0)]


def test_images_are_prepared(at_service: Cli, tmp_path: Path) -> None:
    """What is rejected or ignored otherwise says the option that helps, by its name here."""
    folder = tmp_path / "phone"
    folder.mkdir()
    (folder / "a.gif").write_bytes(gif())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 60)).save(folder / "b.jpg", exif=exif.tobytes())
    command = ("upload", folder, "--dataset", "New", "--create")

    plain = at_service(*command, "--dry-run")
    sent = at_service(*command, "--prepare", "orientation,convert", "--verify", "all")
    again = at_service(*command, "--prepare", "orientation,convert", "--verify", "all")

    assert "it looks like a GIF image (--prepare convert makes it one)." in plain.out
    assert "1 image has an EXIF orientation" in plain.out
    assert "(--prepare orientation applies it)." in plain.out
    assert [each.status for each in (plain, sent, again)] == [1, 0, 0]
    assert "2 uploaded" in sent.out
    assert "EXIF" not in sent.out
    assert "2 were compared with the dataset: all are equal" in again.out


def test_equal_images_are_sent_once(at_service: Cli, photos: Path) -> None:
    """And counted."""
    (photos / "copy.jpg").write_bytes((photos / "a.jpg").read_bytes())
    command = ("upload", photos, "--dataset", "New", "--create", "--dedupe", "skip")

    plan, sent = at_service(*command, "--dry-run"), at_service(*command)

    assert "byte for byte, so it was skipped (--dedupe skip)." in plan.out
    assert (sent.status, "4 uploaded, 1 skipped" in sent.out) == (0, True)
    assert "Equal to others, byte for byte: 1." in sent.out


def test_json_is_one_document_and_nothing_else(at_service: Cli, photos: Path) -> None:
    """--json prints the report alone: its schema on stdout, silence on stderr."""
    (photos / "no.jpg").write_bytes(gif())
    ran = at_service("--json", "upload", photos, "-d", "Photos", "--create")
    assert (ran.status, ran.err) == (1, "")
    assert set(ran.document) == REPORT
    problems = ran.document["problems"]
    assert isinstance(problems, list)
    assert [each["outcome"] for each in problems] == ["rejected"]


def test_quiet_says_nothing_when_all_is_well(at_service: Cli, photos: Path) -> None:
    """--quiet leaves both streams empty after a good run."""
    ran = at_service("upload", photos, "-d", "Photos", "--create", "--quiet")
    assert ran == type(ran)(0, "", "")


def test_quiet_still_names_problems(at_service: Cli, photos: Path) -> None:
    """--quiet says what somebody should look at, on stderr."""
    (photos / "no.jpg").write_bytes(gif())
    ran = at_service("upload", photos, "-d", "Photos", "--create", "--quiet")
    assert (ran.status, ran.out) == (1, "")
    assert "no.jpg" in ran.err
    assert "1 rejected" in ran.err


def test_problem_lines_are_capped(at_service: Cli, tmp_path: Path) -> None:
    """A few of a kind are said one by one; the rest is counted."""
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(gif())
    ran = at_service("upload", tmp_path, "-d", "Photos", "--create")
    assert ran.status == 1
    assert ran.err.count("\nrejected: ") == 5
    assert "--report FILE" in ran.err
    assert "and 25 more rejected: Not a JPEG or PNG image: it looks like a GIF" in ran.err
    assert "30 rejected" in ran.out


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_report_file(at_service: Cli, photos: Path, tmp_path: Path, suffix: str) -> None:
    """--report writes what its suffix says, with the rejected file in it."""
    (photos / "no.jpg").write_bytes(gif())
    file = tmp_path / f"report.{suffix}"
    ran = at_service("upload", photos, "-d", "Photos", "--create", "--report", file)
    assert ran.status == 1
    text = file.read_text()
    assert "no.jpg" in text
    if suffix == "csv":
        (row,) = csv.DictReader(io.StringIO(text))
        assert (row["name"], row["outcome"]) == ("no.jpg", "rejected")
    else:
        assert set(json.loads(text)) == REPORT


def test_two_reports(at_service: Cli, photos: Path, tmp_path: Path) -> None:
    """--report may be repeated; what resumes names the one that it can take."""
    (photos / "no.jpg").write_bytes(gif())
    files = [tmp_path / "r.csv", tmp_path / "r.json"]
    reports = [word for file in files for word in ("--report", file)]
    ran = at_service("upload", photos, "-d", "Photos", "--create", *reports)

    assert ran.status == 1
    assert all("no.jpg" in file.read_text() for file in files)
    assert all(f"The report is in {file}." in ran.err for file in files)
    refused = at_service("upload", photos, "-d", "Photos", *reports, "--report", "x.txt")
    assert (refused.status, "x.txt must end in" in refused.err) == (2, True)


@pytest.mark.parametrize("name", ["report.txt", "nowhere/report.json", "folder.json"])
def test_a_useless_report_file_is_refused_at_once(
    at_service: Cli, photos: Path, tmp_path: Path, name: str
) -> None:
    """A report that could not be written is an error before anything is sent."""
    (tmp_path / "folder.json").mkdir()
    ran = at_service("upload", photos, "-d", "P", "--create", "--report", tmp_path / name)
    assert ran.status == 2
    assert name in ran.err
    assert at_service("datasets", "list", "--json").documents == []


def test_the_dataset_is_attached_to_the_project(at_service: Cli, photos: Path) -> None:
    """--project attaches the dataset, and again without harm."""
    command = ("upload", photos, "-d", "Photos", "--create", "--project", "demo IMAGES")
    assert at_service(*command).status == 0
    assert at_service(*command).status == 0
    projects = at_service("projects", "list", "--json").documents
    attached = {str(each["name"]): each["datasets"] for each in projects}
    assert [each["name"] for each in _objects(attached["Demo images"])] == ["Photos"]


@pytest.mark.parametrize(
    ("project", "words"), [("Nope", "no project named 'Nope'"), ("Demo videos", "labels videos")]
)
def test_a_wrong_project_leaves_no_dataset(
    at_service: Cli, photos: Path, project: str, words: str
) -> None:
    """The project is looked up before the dataset is made."""
    ran = at_service("upload", photos, "-d", "Photos", "--create", "--project", project)
    assert ran.status == 2
    assert words in ran.err
    assert at_service("datasets", "list", "--json").documents == []


def test_relative_names(at_service: Cli, photos: Path) -> None:
    """--name relative is the way out where subfolders hold files of one name."""
    (photos / "sub").mkdir()
    (photos / "sub" / "a.jpg").write_bytes((photos / "a.jpg").read_bytes())
    clash = at_service("upload", photos, "-d", "One", "--create", "--json")
    assert (clash.status, clash.document["rejected"]) == (1, 1)
    relative = at_service("upload", photos, "-d", "Two", "--create", "--name", "relative", "--json")
    assert (relative.status, relative.document["uploaded"]) == (0, 5)


def test_no_skip_sends_what_is_there(at_service: Cli, photos: Path) -> None:
    """--no-skip leaves it to the service, which refuses taken names."""
    at_service("upload", photos, "-d", "Photos", "--create")
    more = ("--no-skip", "--fresh", "--json", "--rate", "0")
    again = at_service("upload", photos, "-d", "Photos", *more)
    assert (again.status, again.document["failed"]) == (1, 4)


def test_a_manifest_on_standard_input(
    at_service: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dash reads a list; its bad lines are rejected by number and the rest goes on."""
    lines = f"{photos / 'a.jpg'}\n{photos / 'gone.jpg'}\n"
    stdin = io.TextIOWrapper(io.BytesIO(lines.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    ran = at_service("upload", "-", "-d", "Photos", "--create")
    assert ran.status == 1
    assert "1 uploaded, 1 rejected" in ran.out
    assert "line 2" in ran.err


def test_urls(at_service: Cli) -> None:
    """URLs become link images; one that the service cannot take is rejected with the reason."""
    urls = ("http://127.0.0.1:9/x.jpg", "http://127.0.0.1:9/x.gif")
    ran = at_service("upload", *urls, "-d", "Links", "--create")
    assert ran.status == 1
    assert "1 uploaded, 1 rejected" in ran.out
    assert "x.gif" in ran.err


def test_a_dataset_by_id(at_service: Cli, photos: Path) -> None:
    """--dataset takes an id as well as a name."""
    made = at_service("datasets", "create", "Photos", "--json").document
    assert at_service("upload", photos, "-d", made["id"]).status == 0


def test_debug_logs_without_the_token(at_service: Cli, photos: Path) -> None:
    """--debug shows each request on stderr; the `cli` fixture looks for the token."""
    ran = at_service("upload", photos, "-d", "Photos", "--create", "--debug")
    assert ran.status == 0
    assert "POST media/" in ran.err


def _objects(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
