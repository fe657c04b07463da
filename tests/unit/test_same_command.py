"""The command that goes on with a job, as far as a command can."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from datagym_async.cli import SHOWN, command_of, how_to_resume, quoted_for_display
from datagym_async.uploads import FolderWatch, JobSummary, UploadConfig, UploadItem, show_job
from datagym_async.uploads.plan import Job, journal

SERVICE = "https://a.example"


def job_of(
    path: Path, sources: object, config: UploadConfig | None = None, *, runs: int = 1
) -> JobSummary:
    """Return what the journal of a job says of it."""
    for _ in range(runs):
        job = Job.of(SERVICE, "d-1", sources, config=config)
        journal(path, job, fresh=False).close()
    return show_job(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my.journal"


def test_a_plain_job(path: Path) -> None:
    """Sources, dataset, service and journal are what makes it."""
    job = job_of(path, ["/a b", "https://h/x.jpg?y=1&z"])

    expected = (
        "datagym-async upload '/a b' 'https://h/x.jpg?y=1&z' --dataset d-1 "
        f"--base-url {SERVICE} --journal {path}"
    )
    assert command_of(job) == how_to_resume(job) == expected


def test_options_that_differ_from_the_defaults(path: Path) -> None:
    """Those of one run are left out, and what the command line does not have."""
    config = UploadConfig(
        name="relative",
        skip_existing=False,
        attach_to=("p-1", "p-2"),
        exclude="*.tmp",
        max_bytes=1000,
        check_links=True,
        batch_size=7,
        max_bytes_in_flight=None,
        max_files=3,
        max_duration=1.5,
        journal=path,
        on_event=print,
    )
    job = job_of(path, "/photos", config)

    words = (command_of(job) or "").split(f"--base-url {SERVICE} ")[1].split(" --journal")[0]
    assert words == (
        "--name relative --no-skip --exclude '*.tmp' --check-links --max-bytes 1000 "
        "--project p-1 --project p-2"
    )
    assert set(job.options) & {"max_files", "max_duration", "journal", "on_event"} == set()


def test_the_last_run_says_how(path: Path) -> None:
    """Options may change from run to run."""
    job_of(path, "/photos", UploadConfig(name="relative"))
    job = job_of(path, "/photos", UploadConfig(check="none"))

    assert job.options == {"check": "none"}


def test_a_watched_folder(path: Path) -> None:
    """It is watched again."""
    job = job_of(path, FolderWatch("/photos"))

    assert "upload /photos --dataset" in (command_of(job) or "")
    assert "--watch" in (command_of(job) or "")


def shouting(item: UploadItem) -> str:
    """Name an image."""
    return item.name.upper()


@pytest.mark.parametrize(
    ("sources", "config"),
    [
        (iter(["/a.jpg"]), None),
        ([UploadItem("a.jpg", "/a.jpg")], None),
        (["/photos", UploadItem("a.jpg", b"x")], None),
        ("/photos", UploadConfig(name=shouting)),
    ],
)
def test_what_no_command_can_say(path: Path, sources: object, config: UploadConfig | None) -> None:
    """It is said instead of a command that would do something else."""
    job = job_of(path, sources, config)

    assert command_of(job) is None
    assert how_to_resume(job).startswith("the program that started it")


def test_many_sources(path: Path) -> None:
    """Some are shown and counted; JSON has the command with all that are kept."""
    job = job_of(path, [f"/{number}.jpg" for number in range(50)])

    assert "..." not in (command_of(job) or "...")
    assert f"/{SHOWN - 1}.jpg ... --dataset" in how_to_resume(job)
    assert how_to_resume(job).endswith("(and 30 more sources, which --json names)")


def test_more_sources_than_are_kept(path: Path) -> None:
    """The journal stays small, and says that it does not know them all."""
    job = job_of(path, [f"/{number}.jpg" for number in range(1200)])

    assert (len(job.words or ()), job.count) == (1000, 1200)
    assert "/999.jpg ... --dataset" in (command_of(job) or "")
    assert how_to_resume(job).endswith("(all 1,200 sources; the journal keeps the first 1,000)")


def test_a_path_that_is_no_text(path: Path) -> None:
    """It comes back as it was."""
    name = "/caf\udce9.jpg"

    assert job_of(path, name).words == (name,)


ODD = ("a\x1b]0;x\x07.jpg", "line\nbreak 'n \\ back", "\u202egpj.a", "caf\udce9 1.jpg")


@pytest.mark.parametrize("word", ODD)
def test_a_word_for_eyes_is_printable(path: Path, word: str) -> None:
    """The command that is shown steers no terminal; the one for programs is exact."""
    job = job_of(path, [f"https://h/{word}"])
    assert how_to_resume(job).isprintable()
    assert shlex.quote(f"https://h/{word}") in str(command_of(job))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("word", [*ODD, "plain", "it's"])
def test_a_word_for_eyes_is_that_word_when_it_is_pasted(word: str) -> None:
    """A shell reads the escapes."""
    said = subprocess.run(
        ["bash", "-c", f"printf %s {quoted_for_display(word)}"], check=True, capture_output=True
    )
    assert os.fsdecode(said.stdout) == word
