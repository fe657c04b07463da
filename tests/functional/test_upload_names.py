"""What an upload takes for one image: by its name, its address and its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datagym_async import UploadConfig, UploadItem
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
