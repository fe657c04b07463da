"""`projects` and `datasets`: what they list and change, for people and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from datagym_async.testing import FaultPlan
    from tests.cli.conftest import Cli


def test_projects_are_listed(at_service: Cli) -> None:
    """The table names each project; --json gives the model's attributes under their names."""
    table = at_service("projects", "list")
    assert (table.status, table.err) == (0, "")
    assert "Demo images" in table.out
    first = at_service("projects", "list", "--json").documents[0]
    assert {"id", "name", "media_type", "label_configuration_id", "datasets"} <= set(first)


def test_a_dataset_is_attached_and_detached(at_service: Cli) -> None:
    """Attaching twice and detaching twice is well; --json says what holds now."""
    made = at_service("datasets", "create", "Photos", "--json").document
    for command, attached in (("attach", True), ("attach", True), ("detach", False)):
        yes = ("--yes",) if command == "detach" else ()
        ran = at_service("projects", command, "PHOTOS", "demo images", *yes, "--json")
        assert ran.status == 0
        assert ran.document["attached"] is attached
        assert ran.document["dataset_id"] == made["id"]
    said = at_service("projects", "attach", "Photos", "Demo images")
    assert said.out == "Dataset 'Photos' is attached to project 'Demo images'.\n"
    assert at_service("projects", "detach", made["id"], "Demo images", "--yes").status == 0


def test_detaching_needs_a_yes(at_service: Cli) -> None:
    """Where nobody can answer, what destroys labels needs --yes."""
    at_service("datasets", "create", "Photos")
    ran = at_service("projects", "detach", "Photos", "Demo images")
    assert (ran.status, ran.out) == (2, "")
    assert "--yes" in ran.err


def test_unknown_names(at_service: Cli, faults: FaultPlan) -> None:
    """An unknown dataset or project is named, with where to look; all are listed once for that."""
    ran = at_service("projects", "attach", "Nope", "Demo images")
    assert (ran.status, "datasets list" in ran.err) == (2, True)
    assert faults.count("GET", r"/dataset$") == 1
    at_service("datasets", "create", "Photos")
    ran = at_service("projects", "attach", "Photos", "Demo image")
    assert (ran.status, "Did you mean 'Demo images'?" in ran.err) == (2, True)


def test_an_id_is_asked_for_alone(
    at_service: Cli, faults: FaultPlan, photos: Path, tmp_path: Path
) -> None:
    """A listing has the media of all datasets; it is read for an unknown id only."""
    made = at_service("datasets", "create", "Photos", "--json").document["id"]
    before = faults.count("GET", r"/dataset$")
    shown = at_service("datasets", "show", made, "--json")
    assert (shown.status, shown.document["id"]) == (0, made)
    assert at_service("download", tmp_path / "out", "-d", made).status == 0
    assert at_service("upload", photos, "-d", made, "--dry-run").status == 0
    assert faults.count("GET", r"/dataset$") == before
    ran = at_service("upload", photos, "-d", "0" * 8 + str(made)[8:])
    assert ran.status == 2
    assert " ".join(ran.err.split()) == (
        f"Error: There is no dataset with the id '00000000{str(made)[8:]}'. `datagym-async "
        "datasets list` shows what there is; --create creates it."
    )


def test_an_id_is_no_path(at_service: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if there is a file of that name."""
    made = str(at_service("datasets", "create", "Photos", "--json").document["id"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / made).write_text("[]")
    ran = at_service("stats", made, "--json")
    assert (ran.status, ran.document["name"]) == (0, "Photos")


def test_datasets_are_created_and_listed(at_service: Cli) -> None:
    """A list holds no media, only their number; an empty one says how to make a dataset."""
    assert "datasets create NAME" in at_service("datasets", "list").err
    at_service("datasets", "create", "Photos", "--description", "Of streets")
    (only,) = at_service("datasets", "list", "--json").documents
    assert (only["name"], only["short_description"], only["media_count"]) == (
        "Photos",
        "Of streets",
        0,
    )
    assert "media" not in only
    assert "Photos" in at_service("datasets", "list").out


def test_a_taken_name(at_service: Cli) -> None:
    """A taken name is an error with the way out, and the way out works."""
    made = at_service("datasets", "create", "Photos", "--json").document
    ran = at_service("datasets", "create", "photos")
    assert (ran.status, "--exist-ok" in ran.err) == (2, True)
    again = at_service("datasets", "create", "photos", "--exist-ok", "--json")
    assert (again.status, again.document["id"]) == (0, made["id"])


def test_a_dataset_is_shown(at_service: Cli, photos: Path) -> None:
    """`show` lists so many media as asked for, and says how many it left out."""
    at_service("upload", photos, "-d", "Photos", "--create")
    ran = at_service("datasets", "show", "Photos", "--limit", "3")
    assert ran.status == 0
    assert "4 media" in ran.out
    assert "1 more" in ran.err
    assert "more" not in at_service("datasets", "show", "Photos", "--limit", "0").err
    (listed,) = at_service("datasets", "list", "--json").documents
    assert listed["media_count"] == 4
    shown = at_service("datasets", "show", "Photos", "--json").document["media"]
    assert shown == at_service("media", "list", "Photos", "--json").documents  # newest first
