"""Which file each media gets: first come, first served; and what planning costs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from datagym_async.downloads._manifest import DownloadJob, Manifest, export_manifest
from datagym_async.models import Dataset, DatasetMedia, MediaSourceType

JOB = DownloadJob("http://a.example", "dataset", "d")


def media(number: int, name: str = "", *, at: int | None = None) -> DatasetMedia:
    """Return a media; its number says how old it is."""
    return DatasetMedia(
        id=str(UUID(int=number)),
        timestamp=number if at is None else at,
        source_type=MediaSourceType.LOCAL,
        name=name or f"{number}.jpg",
    )


def planned(
    root: Path, *parts: Sequence[DatasetMedia], portion: int = 1000, tree: bool = False
) -> dict[int, str]:
    """Return the files of what a run lists, by the numbers of the media."""
    manifest = Manifest.open(root, JOB)
    try:
        for part in parts:
            dataset = Dataset(id="d", name="photos", timestamp=0, media=tuple(part))
            manifest.enter(dataset, subfolder=False, tree=tree)
        while manifest.allot(portion):
            pass
        assert manifest.count() == len({each.id for part in parts for each in part})
        _, _, wanted = manifest.take(0, 10**6, verify=False)
        return {UUID(each.media_id).int: each.path for each in wanted}
    finally:
        manifest.close()


@pytest.mark.parametrize("portion", [1, 2, 1000])
def test_the_oldest_has_the_name_and_the_others_are_numbered(tmp_path: Path, portion: int) -> None:
    """In whatever order and portions they are listed, and as file systems compare names."""
    found = planned(
        tmp_path,
        [media(4, "a (2).jpg"), media(3, "A.JPG"), media(1, "a.jpg")],
        [media(5, "a.jpg"), media(2, "b.jpg")],
        [media(8, "c.jpg"), media(7, "c.jpg"), media(6, "C (2).jpg")],
        portion=portion,
    )

    assert found == {
        1: "a.jpg",
        2: "b.jpg",
        3: "A (2).JPG",
        4: "a (2) (2).jpg",
        5: "a (3).jpg",
        6: "C (2).jpg",
        7: "c.jpg",
        8: "c (3).jpg",
    }


def test_what_has_a_file_keeps_it_and_what_is_new_gets_another(tmp_path: Path) -> None:
    """Also what is older, or names a file of ours, or one that lies there already."""
    planned(tmp_path, [media(5, "a.jpg"), media(6, "b.jpg")])
    (tmp_path / "c.jpg").touch()

    found = planned(
        tmp_path,
        [media(1, "a.jpg"), media(2, "c.jpg"), media(3, "labels.json"), media(5, "a.jpg")],
    )

    assert found == {1: "a (2).jpg", 2: "c (2).jpg", 3: "labels (2).json", 5: "a.jpg"}


def test_a_dataset_that_was_renamed_keeps_its_folder(tmp_path: Path) -> None:
    """The manifest has the name of now, beside the paths that it had before."""
    for name in ("Photos", "Photos 2026"):
        manifest = Manifest.open(tmp_path, JOB)
        manifest.enter(Dataset("d", name, 0, media=(media(1), media(2))), subfolder=True)
        manifest.allot(9)
        export_manifest(manifest)
        manifest.close()

    rows = [*map(json.loads, (tmp_path / "manifest.jsonl").read_text().splitlines())]
    found = [(row["dataset"], row["file"]) for row in rows]
    assert found == [("Photos 2026", "Photos/1.jpg"), ("Photos 2026", "Photos/2.jpg")]


def test_folders_in_names_are_folders_again(tmp_path: Path) -> None:
    """Each part is made fit by itself; nothing leads out, and no file is where a folder is."""
    names = [
        "a/b/1.jpg",
        "a/B/1.JPG",
        "a",
        "A/b",
        "../../etc/passwd",
        "/root//x/./y.jpg",
        "c:\\windows/NUL/z.jpg",
        "labels.json/x.jpg",
        "///",
        "z.jpg",
    ]
    found = planned(tmp_path, [media(at, name) for at, name in enumerate(names)], tree=True)

    assert list(found.values()) == [
        "a/b/1.jpg",
        "a/B/1 (2).JPG",
        "a (2)",
        "A/b (2)",
        "_/_/etc/passwd",
        "root/x/y.jpg",
        "c__windows/_NUL/z.jpg",
        "labels.json_x.jpg",
        "___",
        "z.jpg",
    ]


def test_a_folder_gives_way_to_what_is_there(tmp_path: Path) -> None:
    """Files of earlier runs and of others stay, and so do links; a later run keeps its folders."""
    planned(tmp_path, [media(1, "a"), media(2, "b/1.jpg")])
    (tmp_path / "c").touch()
    (tmp_path / "d").symlink_to(tmp_path)
    new = ["a/1.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg", "e/1.jpg"]
    found = planned(tmp_path, [media(at, name) for at, name in enumerate(new, 3)], tree=True)
    (tmp_path / "e").mkdir()
    later = planned(tmp_path, [media(8, "e"), media(9, "e/2.jpg")], tree=True)

    assert found == {3: "a_1.jpg", 4: "b/1.jpg", 5: "c_1.jpg", 6: "d_1.jpg", 7: "e/1.jpg"}
    assert later == {8: "e (2)", 9: "e/2.jpg"}


def test_what_is_listed_twice_has_one_file(tmp_path: Path) -> None:
    """A listing that is begun anew, or that changes while it is read, names media again."""
    found = planned(tmp_path, [media(1), media(2)], [media(1), media(2, at=9), media(3)])

    assert found == {1: "1.jpg", 2: "2.jpg", 3: "3.jpg"}


def test_each_sample_of_a_shard_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Also where a name is already what makes another unique; and keys stay where there are any."""
    first, second, third = (str(UUID(int=number << 96)) for number in (1, 2, 3))
    manifest = Manifest.open(tmp_path, JOB)
    try:
        taken = manifest.claim_key(f"a_{second[:13]}", third)
        keys = [manifest.claim_key("A", first), manifest.claim_key("a", second)]

        assert taken == "a_00000002-0000"
        assert keys == ["A", "a_00000002-0000_00000002-0000"]
        assert manifest.claim_key("a", second) == keys[1]
        assert manifest.claim_key("b", first) == "A"
        assert manifest.claim_key("b", str(UUID(int=4 << 96))) == "b", "nobody has taken it"
    finally:
        manifest.close()


def test_each_shard_has_a_number_of_its_own(tmp_path: Path) -> None:
    """The first that is free is the next, and names may have more digits than six."""
    numbers = [0, 2, 999_999, 1_000_000, 1_000_001]
    manifest = Manifest.open(tmp_path, JOB)
    try:
        for number in numbers:
            manifest.note_shard(f"shard-{number:06}.tar", 1, "", [])
        with manifest.using() as database:
            found = database.execute("SELECT number, shard FROM shard").fetchall()
        assert found == [(number, f"shard-{number:06}.tar") for number in numbers]
        assert manifest.next_shard() == "shard-000001.tar"
    finally:
        manifest.close()


def test_a_plan_that_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    """Between two portions, when there are no indexes yet."""
    manifest = Manifest.open(tmp_path, JOB)
    listed = [media(number, "a.jpg") for number in range(1, 10)]
    dataset = Dataset(id="d", name="photos", timestamp=0, media=tuple(listed))
    manifest.enter(dataset, subfolder=False)
    assert manifest.allot(4)
    manifest.close()

    found = planned(tmp_path, listed)

    assert found == {1: "a.jpg"} | {number: f"a ({number}).jpg" for number in range(2, 10)}


@pytest.mark.parametrize("resumes", [False, True])
def test_planning_takes_no_more_for_each_media_the_more_there_are(
    tmp_path: Path, resumes: bool
) -> None:
    """Neither steps of the database nor pages that it writes, for ids and names in no order."""
    few = cost(tmp_path / "few", 1_000, resumes=resumes)
    many = cost(tmp_path / "many", 8_000, resumes=resumes)

    assert many[0] < 8 * 1.25 * few[0]
    assert many[1] <= 8 * 1.25 * few[1]


def cost(root: Path, count: int, *, resumes: bool) -> tuple[int, int]:
    """Return the steps that SQLite takes to plan so many media, and the pages it writes."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    if resumes:
        planned(root, *parts(count))
    manifest = Manifest.open(root, JOB)
    with manifest.using() as database:
        pass
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.set_progress_handler(step, 100)
    for part in parts(count):
        dataset = Dataset(id="d", name="photos", timestamp=0, media=tuple(part))
        manifest.enter(dataset, subfolder=False)
    while manifest.allot(500):
        pass
    assert manifest.count() == count
    written = (root / ".datagym" / "manifest.sqlite3-wal").stat().st_size // 4096
    manifest.close()
    return steps, written


def parts(count: int) -> Iterator[list[DatasetMedia]]:
    """Give a listing in parts: ids and names in no order."""
    chance = random.Random(count)
    numbers = [chance.getrandbits(100) for _ in range(count)]
    for start in range(0, count, 500):
        yield [media(number, at=7) for number in numbers[start : start + 500]]
