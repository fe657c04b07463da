"""Stores, archives and shards from the command line."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.helpers.photos import jpeg
from tests.helpers.stores import SECRET, opened

if TYPE_CHECKING:
    from tests.cli.conftest import Cli


def tar_of(*names: str) -> bytes:
    """Return a tar of photos."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for at, name in enumerate(names):
            data = jpeg(2000, seed=at)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_from_a_store_and_back(at_service: Cli, tmp_path: Path) -> None:
    """An address is a source, and a place of a download; options are for both."""
    store = opened("memory://cli")
    store.put("in/a.jpg", jpeg(2000))
    store.put("in/b.tar", tar_of("b.jpg", "c.jpg"))
    names = ("memory://cli/in/a.jpg", "memory://cli/in/*.tar", "--store-option", "region=here")
    ran = at_service("upload", *names, "--dataset", "Cloud", "--create")
    assert (ran.status, "uploaded" in ran.out) == (0, True)
    assert "mory://cli/in/*.tar" in at_service("jobs", "list").out
    ran = at_service("download", "memory://cli/out/", "--dataset", "Cloud", "--json")
    assert (ran.status, ran.document["folder"]) == (0, "memory://cli/out")
    assert {"out/a.jpg", "out/b.jpg"} < {each["path"] for each in store.list("out").collect()}
    where = tmp_path / "shards"
    ran = at_service("download", where, "--dataset", "Cloud", "--shards", "2")
    assert ran.status == 0
    assert sorted(path.name for path in where.glob("*.tar")) == [
        "shard-000000.tar",
        "shard-000001.tar",
    ]


def test_slips_in_options_of_stores(at_service: Cli) -> None:
    """They are told without what was given, which may be a secret."""
    for given in (SECRET, f"colour={SECRET}"):
        ran = at_service(
            *("upload", "s3://b/p/", "--dataset", "x", "--create", "--store-option", given)
        )
        assert ran.status == 2
        assert SECRET not in ran.out + ran.err
        assert "option" in ran.err
