"""What an upload takes for one image: by its name, its address and its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datagym_async import UploadConfig, UploadItem, UploadReport
from datagym_async.server import SeedMedia
from tests.helpers.photos import jpeg
from tests.helpers.world import World, world

COMPOSED, DECOMPOSED = "M\xfcller.jpg", "Mu\u0308ller.jpg"
STORED_DECOMPOSED = "Mu%CC%88ller.jpg"


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """Return an empty dataset of the embedded service."""
    async with world() as found:
        yield found


ODD_LINKS = [
    "http://h/a%20b.jpg",
    "http://h/\xfc.jpg",
    "http://h/M%C3%BCller.jpg",
    "http://h/\u65e5\u672c.jpg",
    "http://h/100%.jpg",
]


async def test_links_are_stored_once_whatever_they_are_called(here: World) -> None:
    """Over several datasets and without a journal, where the listing has names alone."""
    config = UploadConfig(max_per_dataset=4)

    runs = [await here.client.upload(here.dataset_id, ODD_LINKS, config=config) for _ in range(3)]

    assert [(each.uploaded, each.skipped) for each in runs] == [(5, 0), (0, 5), (0, 5)]
    held = [media.stored_name for each in await here.client.datasets.list() for media in each.media]
    assert sorted(held) == sorted(url.rpartition("/")[2] for url in ODD_LINKS)


async def test_links_that_the_service_tells_apart_are_all_stored(here: World) -> None:
    """Accents count in links, and one letter is never two."""
    urls = ["http://h/stra\xdfe.jpg", "http://h/strasse.jpg", "http://h/\xe9.jpg", "http://h/e.jpg"]

    report = await here.client.upload(here.dataset_id, urls)

    assert (report.uploaded, report.ok) == (4, True)


async def test_a_file_and_a_link_of_one_name_are_compared_as_stored(here: World) -> None:
    """A file travels encoded, so that it is the link's name only where that is encoded, too."""
    urls = ["http://h/a%20b.jpg", "http://h/%C3%BC.jpg"]
    items = [UploadItem(name, jpeg(2000)) for name in ("a b.jpg", "a%20b.jpg", "\xfc.jpg")]

    report = await here.client.upload(here.dataset_id, [urls, items])

    assert (report.uploaded, report.rejected) == (4, 1)
    assert [each.name for each in report.problems] == ["\xfc.jpg"]


@pytest.mark.parametrize("name", [COMPOSED, DECOMPOSED])
async def test_both_forms_of_a_name_are_stored_once(name: str, here: World) -> None:
    """And composed, whichever of them the file has."""
    first = await here.client.upload(here.dataset_id, [UploadItem(name, jpeg(2000))])
    again = await here.client.upload(
        here.dataset_id, [UploadItem(COMPOSED, jpeg(2000)), UploadItem(DECOMPOSED, jpeg(2000))]
    )

    assert (first.uploaded, again.uploaded, again.skipped, again.rejected) == (1, 0, 1, 1)
    (clash,) = again.problems
    assert "both would be named" in clash.reason
    assert "takes for" not in clash.reason
    assert [media.stored_name for media in await here.media()] == ["M%C3%BCller.jpg"]


@pytest.mark.parametrize("journal", [True, False])
async def test_what_an_earlier_run_stored_decomposed_is_known(
    journal: bool, tmp_path: Path
) -> None:
    """Versions before sent names as the system wrote them."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / COMPOSED).write_bytes(jpeg(2000))
    config = UploadConfig(journal=tmp_path / "a.journal" if journal else None)
    async with world(SeedMedia(STORED_DECOMPOSED, jpeg(2000))) as here:
        runs = [await here.client.upload(here.dataset_id, photos, config=config) for _ in range(2)]
        assert [(each.uploaded, each.skipped) for each in runs] == [(0, 1), (0, 1)]
        assert await here.held() == Counter([DECOMPOSED])


async def test_a_single_upload_travels_composed(here: World, tmp_path: Path) -> None:
    """The usual name of a file is the same for one file as for many."""
    (tmp_path / DECOMPOSED).write_bytes(jpeg(2000))

    media = await here.client.media.upload_file(here.dataset_id, tmp_path / DECOMPOSED)

    assert media.stored_name == "M%C3%BCller.jpg"


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def gl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of three images, one of them below it; it lies in the working folder."""
    folder = tmp_path / "gl"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.jpg", "sub/c.jpg")):
        (folder / name).write_bytes(jpeg(2000, seed=number))
    monkeypatch.chdir(tmp_path)
    return folder


def listed(gl: Path) -> Path:
    """Return a list that names each image by several paths, and the folder by a link."""
    (gl.parent / "link").symlink_to(gl)
    lines = ["gl/a.jpg", "./gl/a.jpg", str(gl / "a.jpg"), "gl/sub/../b.jpg", "link/b.jpg"]
    (gl.parent / "list.txt").write_text("\n".join([*lines, "gl/../gl/sub/c.jpg", "gl/a.jpg"]))
    return gl.parent / "list.txt"


@pytest.mark.parametrize("policy", ["basename", "relative", "{parent}_{name}"])
@pytest.mark.parametrize("on_clash", ["skip", "rename", "error"])
async def test_one_file_is_one_item(policy: str, on_clash: str, gl: Path, here: World) -> None:
    """By whatever path it is named, and however often; it is said once."""
    sources: list[str | Path] = ["gl", "./gl", gl, "gl/sub", "gl/*.jpg", "link", listed(gl)]
    config = UploadConfig(name=policy, on_clash=on_clash)  # type: ignore[arg-type]  # a parameter

    report = await here.client.upload(here.dataset_id, sources, config=config)

    assert (report.planned, report.uploaded, report.ok) == (3, 3, True)
    assert report.repeated == 3 + 3 + 1 + 2 + 3 + 7
    assert "Named more than once, and taken once: 19." in report.summary()
    assert report.to_dict()["repeated"] == 19
    assert len(await here.media()) == 3
    async with here.client.plan(here.dataset_id, sources, config=config) as plan:
        assert len([each async for each in plan]) == plan.summary.planned == 3
    assert plan.summary.repeated == 19


async def test_a_file_has_the_names_that_its_sources_give_it(gl: Path, here: World) -> None:
    """Two names in so many words are two images."""
    items = [UploadItem("x.jpg", gl / "a.jpg"), UploadItem("y.jpg", "gl/a.jpg")]

    report = await here.client.upload(here.dataset_id, items)

    assert (report.uploaded, report.repeated) == (2, 0)


async def test_a_link_to_a_file_is_a_file_by_the_policy(gl: Path, here: World) -> None:
    """A folder behind a link is the same folder, however it is reached."""
    (gl / "other.jpg").symlink_to(gl / "a.jpg")
    (gl / "round").symlink_to(gl / "sub")
    config = UploadConfig(symlinks="follow", name="relative")

    report = await here.client.upload(here.dataset_id, [gl, gl / "round"], config=config)

    assert report.ok
    assert await here.names() == ["a.jpg", "b.jpg", "other.jpg", "sub/c.jpg"]
    assert report.repeated == 1


@pytest.mark.parametrize("own", [True, False])
async def test_a_journal_is_found_from_any_folder(
    own: bool, gl: Path, here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one run has done is done for the next one, wherever that begins."""
    monkeypatch.setenv("DATAGYM_STATE_DIR", str(gl.parent / "state"))
    journal = gl.parent / "a.journal" if own else True
    (gl.parent / "link").symlink_to(gl.parent)
    reports: list[UploadReport] = []
    for place, source in ((gl.parent, "gl"), (gl, "../gl"), (gl / "sub", ".."), (gl, "../link/gl")):
        monkeypatch.chdir(place)
        config = UploadConfig(journal=journal, max_files=2 if not reports else None)
        reports.append(await here.client.upload(here.dataset_id, source, config=config))

    assert [each.uploaded for each in reports] == [2, 1, 0, 0]
    assert [each.planned for each in reports] == [3, 3, 3, 3]
    assert all(each.ok for each in reports[1:])
    assert reports[3].resumed == 3
