"""`media`: listed, fetched and removed one by one; and `jobs resume`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.testing import ServiceError
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN

if TYPE_CHECKING:
    from datagym_async.server import SeededDataset
    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli
    from tests.helpers.server_thread import ServerThread


@pytest.fixture
def streets(service: ServerThread) -> SeededDataset:
    """A dataset with three images."""
    media = [SeedMedia(f"{name}.jpg", jpeg(2000, seed=at)) for at, name in enumerate("abc")]
    seed = SeedProject("Street scenes", [SeedDataset("Streets", media)])
    (project,) = service.call(service.server.seed(seed))
    return project.datasets[0]


def test_media_are_listed(at_service: Cli, streets: SeededDataset) -> None:
    """The table and --json name the same."""
    assert {
        line.split()[1] for line in at_service("media", "list", "streets").out.splitlines()[1:]
    } == {
        "a.jpg",
        "b.jpg",
        "c.jpg",
    }
    some = at_service("media", "list", "streets", "--limit", "2", "--json")
    assert len(some.documents) == 2


def test_media_are_fetched(at_service: Cli, streets: SeededDataset, tmp_path: Path) -> None:
    """By name or id, each once, and nothing that lies there is replaced."""
    both = ("B.jpg", streets.media_ids["a.jpg"], "b.jpg")
    got = at_service("media", "get", "streets", *both, "--output", tmp_path / "out")

    assert got.status == 0
    assert {each.name: each.read_bytes() for each in (tmp_path / "out").iterdir()} == {
        "a.jpg": jpeg(2000, seed=0),
        "b.jpg": jpeg(2000, seed=1),
    }
    again = at_service("media", "get", "streets", "b.jpg", "-o", tmp_path / "out")
    assert (again.status, "already exists" in again.err.replace("\n", " ")) == (2, True)
    assert at_service("media", "get", "streets", "nobody.jpg").status == 2


def test_media_of_one_name_are_not_fetched_over_one_another(
    at_service: Cli, service: ServerThread, tmp_path: Path
) -> None:
    """Nothing is fetched: the second one would replace the first, or be it where case is none."""
    media = [SeedMedia("a.jpg", jpeg(2000, seed=1)), SeedMedia("A.jpg", jpeg(2000, seed=2))]
    seed = SeedProject("Street scenes", [SeedDataset("Twins", media)])
    (project,) = service.call(service.server.seed(seed))
    ids = project.datasets[0].media_ids.values()
    both = at_service("media", "get", "twins", *ids, "-o", tmp_path / "out")

    assert (both.status, "have the same name" in both.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_media_are_removed(at_service: Cli, streets: SeededDataset) -> None:
    """Only with --yes where nobody can answer; those left stay."""
    assert at_service("media", "rm", "streets", "a.jpg").status == 2
    gone = at_service("media", "rm", "streets", "a.jpg", "c.jpg", "--yes", "--json")
    assert gone.document == {
        "deleted": [streets.media_ids["a.jpg"], streets.media_ids["c.jpg"]],
        "failed": [],
    }
    left = at_service("media", "list", "streets", "--json")
    assert [each["name"] for each in left.documents] == ["b.jpg"]


def test_what_cannot_be_removed_is_named(
    at_service: Cli, streets: SeededDataset, faults: FaultPlan
) -> None:
    """The others are gone, and the status says that not all are."""
    ids = streets.media_ids
    faults.add(ServiceError(500, "ex_gen_dummy"), method="DELETE", path=ids["b.jpg"])
    gone = at_service("media", "rm", "streets", "a.jpg", "b.jpg", "c.jpg", "--yes", "--json")

    assert gone.status == 1
    assert gone.document == {"deleted": [ids["a.jpg"], ids["c.jpg"]], "failed": [ids["b.jpg"]]}
    assert gone.err.startswith("Error: b.jpg: ")
    left = at_service("media", "list", "streets", "--json")
    assert [each["name"] for each in left.documents] == ["b.jpg"]


def test_a_name_that_several_have_or_no_file_can_have(
    at_service: Cli, service: ServerThread, tmp_path: Path
) -> None:
    """Which one is meant is asked for by its id; nothing is written outside the folder."""
    media = [SeedMedia(name, jpeg(2000)) for name in ("a.jpg", "A.jpg", "x/b.jpg")]
    seed = SeedProject("Street scenes", [SeedDataset("Odd", media)])
    (project,) = service.call(service.server.seed(seed))
    ids = project.datasets[0].media_ids
    out = tmp_path / "out"
    for command in (("get", "odd", "a.jpg", "-o", out), ("rm", "odd", "a.jpg", "--yes")):
        ran = at_service("media", *command)
        assert (ran.status, "2 media are named 'a.jpg'" in ran.err) == (2, True)
        assert ids["a.jpg"] in ran.err
    odd = at_service("media", "get", "odd", ids["x/b.jpg"], "-o", out)
    assert (odd.status, "'x/b.jpg' is not a file name" in odd.err) == (2, True)
    assert not out.exists()
    got = at_service("media", "get", "odd", ids["a.jpg"], "-o", out, "--json")
    assert got.documents == [{"id": ids["a.jpg"], "path": str(out / "a.jpg")}]
    assert [each.name for each in out.iterdir()] == ["a.jpg"]
    assert len(at_service("media", "list", "odd", "--json").documents) == 3


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (("media", "rm", "Streets", "a.jpg"), ("media", "list", "Streets")),
        (
            ("tasks", "skip", "Street scenes", "--state", "backlog"),
            ("tasks", "list", "Street scenes"),
        ),
        (("auth", "logout"), ("auth", "status", "--offline")),
    ],
)
def test_without_a_yes_nothing_changes(
    at_service: Cli,
    service: ServerThread,
    streets: SeededDataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: tuple[str, ...],
    seen: tuple[str, ...],
) -> None:
    """Each command that asks says so, and does it after a yes."""

    class Answers(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("DATAGYM_CONFIG_DIR", str(tmp_path))
    (tmp_path / "token").write_text(TOKEN)
    login = at_service("auth", "login", "--token-file", tmp_path / "token", "--json")
    assert login.document == {"profile": "default", "base_url": service.base_url}
    before = at_service(*seen, "--json")
    monkeypatch.setattr(sys, "stdin", Answers("n\n"))
    ran = at_service(*command)
    assert (ran.status, ran.err.endswith("Nothing was changed.\n")) == (0, True)
    assert at_service(*seen, "--json") == before
    monkeypatch.setattr(sys, "stdin", Answers("y\n"))
    assert at_service(*command).status == 0
    assert at_service(*seen, "--json") != before


def test_a_job_is_resumed(
    at_service: Cli, service: ServerThread, streets: SeededDataset, photos: Path
) -> None:
    """By its name alone, with the sources and options that it was begun with."""
    begun = at_service("upload", photos, "--dataset", streets.id, "--max-files", "1", "--json")
    assert begun.status == 1
    (job,) = at_service("jobs", "list", "--json").documents
    resumed = at_service("jobs", "resume", str(job["job"])[:8], "--json")

    assert (resumed.status, resumed.document["complete"]) == (0, True)
