"""One happy path over a real server: a dataset, an image in, the same bytes out, gone again.

Runs only when DATAGYM_LIVE_URL and DATAGYM_LIVE_TOKEN are set. It leaves an empty dataset behind,
because no route deletes one.
"""

from __future__ import annotations

import os

import pytest

from datagym_async import DataGymClient
from tests.helpers.photos import jpeg

URL = os.environ.get("DATAGYM_LIVE_URL", "")
TOKEN = os.environ.get("DATAGYM_LIVE_TOKEN", "")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (URL and TOKEN), reason="no live server is named"),
]


async def test_in_and_out_again() -> None:
    """What a real server stores under an odd name comes back byte for byte, once."""
    name, photo = "täst 100% ✓.jpg", jpeg(20_000)
    async with DataGymClient(TOKEN, URL) as client:
        await client.ping()
        dataset = await client.datasets.create("datagym async live test", exist_ok=True)
        for left_over in (await client.datasets.get(dataset.id)).media:
            await client.media.delete(left_over.id)

        media = await client.media.upload_file(dataset.id, photo, name=name)
        stored = (await client.datasets.get(dataset.id)).media
        back = await client.media.download(media.id)
        gone = await client.media.delete(media.id)

        assert [each.name for each in stored] == [name]
        assert back == photo
        assert gone
        assert (await client.datasets.get(dataset.id)).media == ()
