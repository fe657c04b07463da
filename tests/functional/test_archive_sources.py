"""Archives as sources: member by member, on a disk and in a store, sound and hostile ones."""

from __future__ import annotations

import asyncio
import copy
import gzip
import io
import itertools
import tarfile
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import zstandard

from datagym_async import DataGymClient
from datagym_async._runs import Stores
from datagym_async.server import Server
from datagym_async.uploads import UploadConfig, Uploader, UploadReport, failed_items
from datagym_async.uploads.sources import Candidate, Filters, Naming, Rules, leaves
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.stores import BrokenStore, opened

PHOTOS = {f"cam {at % 2}/{at}.jpg": jpeg(2000 + at, seed=at) for at in range(9)}
LARGE = {"large.jpg": jpeg(5_000_000, seed=1)}
KINDS = ["zip", "deflated.zip", "tar", "tar.gz", "tgz", "tar.zst"]


@pytest.fixture
async def client() -> AsyncIterator[DataGymClient]:
    """Return a client of an embedded service."""
    async with (
        Server(token=TOKEN) as server,
        DataGymClient(server.token, server.base_url, rate_limit=None) as client,
    ):
        yield client


@pytest.fixture
def broken() -> Iterator[BrokenStore]:
    """Return a store that does as it is told."""
    store = BrokenStore()
    with store.serving():
        yield store


@pytest.fixture
async def dataset_id(client: DataGymClient) -> str:
    """Return a new dataset."""
    return (await client.datasets.create("Photos")).id


def tar_of(members: dict[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    """Return a tar of files, and of what else is given."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in odd:  # as bytes: from Python 3.14 on `addfile` refuses wrong sizes
            file.write(info.tobuf(tar.format, tar.encoding, "surrogateescape"))
    return file.getvalue()


def zip_of(members: dict[str, bytes], *, packs: bool = False) -> bytes:
    """Return a zip of files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", 8 if packs else 0) as zipped:
        for name, data in members.items():
            zipped.writestr(zipfile.ZipInfo(name), data, compress_type=zipped.compression)
    return file.getvalue()


def archive_of(kind: str, members: dict[str, bytes]) -> bytes:
    """Return an archive of a kind, by its suffix."""
    if kind.endswith("zip"):
        return zip_of(members, packs=kind != "zip")
    pack: dict[str, Callable[[bytes], bytes]] = {
        "tar.gz": gzip.compress,
        "tgz": gzip.compress,
        "tar.zst": zstandard.compress,
    }
    return pack.get(kind, bytes)(tar_of(members))


def found_in(path: Path | str, rules: Rules | None = None) -> list[Candidate]:
    """Return what a source names."""
    (leaf,) = leaves(path, rules or Rules())
    return list(leaf)  # type: ignore[arg-type]


def refusals(path: Path) -> dict[str, str]:
    """Return what is refused, by the name of the member, in the words about it."""
    return {
        each.item.name: each.refusal.removeprefix(f"{path}!//{each.item.name}").strip(" .")
        for each in found_in(path)
        if each.refusal
    }


async def stored(client: DataGymClient, dataset_id: str) -> dict[str, bytes]:
    """Return what the dataset holds, by name."""
    dataset = await client.datasets.get(dataset_id)
    return {each.name: await client.media.download(each.id) for each in dataset.media}


@pytest.mark.parametrize("place", ["disk", "store"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_is_uploaded_and_resumed(
    client: DataGymClient, dataset_id: str, tmp_path: Path, kind: str, place: str
) -> None:
    """Small and large members, byte for byte; a stopped run goes on with what is left."""
    data = archive_of(kind, PHOTOS | LARGE)
    source = f"memory://archives/{tmp_path.name}/a.{kind}"
    if place == "store":
        opened("memory://archives").put(source.split("/", 3)[3], data)
    else:
        source = str(tmp_path / f"a.{kind}")
        Path(source).write_bytes(data)
    config = UploadConfig(name="relative", journal=tmp_path / "j", max_files=4)
    first = await client.upload(dataset_id, source, config=config)
    assert (first.uploaded, first.complete) == (4, False)
    config = attrs.evolve(config, max_files=None, verify="all")
    report = await client.upload(dataset_id, source, config=config)
    assert (report.uploaded, report.resumed, report.ok) == (6, 4, True)
    assert (report.verified, report.mismatches) == (10, ())
    assert await stored(client, dataset_id) == PHOTOS | LARGE
    again = await client.upload(dataset_id, source, config=config)
    assert (again.uploaded, again.resumed) == (0, 10)


async def test_a_member_that_is_gone_cannot_be_compared(tmp_path: Path) -> None:
    """Its archive was packed anew during the run: that is a mismatch, and the run goes on."""
    source = tmp_path / "a.zip"
    source.write_bytes(archive_of("zip", PHOTOS))
    first, *_, last = sorted(PHOTOS)

    async def before(what: str) -> None:
        if what == last:
            others = {name: data for name, data in PHOTOS.items() if name != first}
            await asyncio.to_thread(source.write_bytes, archive_of("zip", others))

    service = FakeService(before=before)
    config = UploadConfig(name="relative", verify="all", concurrency=1)
    async with Uploader(service, service, DATASET_ID, source, config=config) as run:
        report = await run.finish()

    counted = report.uploaded, report.verified, report.mismatched
    assert counted == (len(PHOTOS), len(PHOTOS), 1)
    (mismatch,) = report.mismatches
    assert mismatch.name == first
    assert mismatch.reason == f"{source}!//{first} is no longer in its archive"


async def test_a_glob_of_shards_means_their_members(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """Filters and names are of the members; an archive that lies in a folder is no image."""
    for at in range(3):
        shard = tar_of({f"{at}.jpg": jpeg(2000, seed=at), f"{at}.json": b"{}", ".x.jpg": b""})
        (tmp_path / f"{at}.tar").write_bytes(shard)
    config = UploadConfig(include="*.jpg")
    report = await client.upload(dataset_id, f"{tmp_path}/*.tar", config=config)
    assert (report.uploaded, report.rejected, report.left_out) == (3, 0, 3)
    async with client.plan(dataset_id, tmp_path) as plan:
        found = [each async for each in plan]
    assert {each.action for each in found} == {"reject"}
    assert all(
        "Its members are uploaded if it is named as a source." in each.reason for each in found
    )


def test_a_glob_of_archives_that_matches_images(tmp_path: Path) -> None:
    """These are images as of any other glob: named by the policy, and counted if left out."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.zip").write_bytes(zip_of({"in/x.jpg": jpeg(2000)}))
    for name in ("b.zip.jpg", "no.zip.jpg"):
        (tmp_path / "sub" / name).write_bytes(jpeg(2000))
    rules = Rules(naming=Naming("relative"), filters=Filters(exclude=("no*",)))
    found = [each for leaf in leaves(f"{tmp_path}/**/*.zip*", rules) for each in cast("Any", leaf)]
    assert [(each.item.name, each.refusal) for each in found] == [
        ("in/x.jpg", ""),
        ("sub/b.zip.jpg", ""),
    ]
    assert rules.filters.left_out == 1


async def test_members_are_known_by_their_bytes(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """A zip that is written again with one member changed: that one is told of."""
    path, config = tmp_path / "a.zip", UploadConfig(name="relative", journal=tmp_path / "j")
    path.write_bytes(zip_of(PHOTOS))
    await client.upload(dataset_id, path, config=config)
    path.write_bytes(zip_of(PHOTOS | {"cam 0/0.jpg": jpeg(2000, seed=5), "new.jpg": jpeg(2000)}))
    report = await client.upload(dataset_id, path, config=config)
    assert (report.uploaded, report.resumed, report.skipped) == (1, 8, 9)


async def test_a_member_that_changes_before_it_is_read_is_rejected(tmp_path: Path) -> None:
    """Its name was looked at with other bytes; what is still the same is sent."""
    folder, path = tmp_path / "first", tmp_path / "a.zip"
    folder.mkdir()
    for at in range(30):  # more than is read ahead
        (folder / f"first {at}.jpg").write_bytes(jpeg(600_000, seed=at))
    path.write_bytes(zip_of(PHOTOS))
    (tmp_path / "b.zip").write_bytes(zip_of(PHOTOS | {"cam 0/0.jpg": jpeg(2000, seed=5)}))
    service = FakeService()

    async def before(_: str) -> None:
        if len(service.stored) == 1:
            await asyncio.to_thread((tmp_path / "b.zip").replace, path)

    service.before = before
    config = UploadConfig(name="relative", concurrency=1)
    async with Uploader(service, service, DATASET_ID, [folder, path], config=config) as run:
        report = await run.finish()

    assert (report.uploaded, report.rejected, report.complete) == (30 + len(PHOTOS) - 1, 1, True)
    assert report.problems[0].reason == f"{path}!//cam 0/0.jpg has changed since it was listed."
    assert "cam 0/0.jpg" not in service.stored


async def test_failed_members_are_found_again(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """A report names them by their address."""
    path, report_file = tmp_path / "a.tgz", tmp_path / "report.json"
    path.write_bytes(archive_of("tgz", PHOTOS))
    report = await client.upload(dataset_id, path, config=UploadConfig(max_bytes=2003))
    assert report.rejected == 5
    await asyncio.to_thread(report.to_json, report_file)
    again = await client.upload(dataset_id, failed_items(report_file, rejected=True))
    assert (again.uploaded, again.rejected) == (5, 0)


# Hostile ones.


def test_members_that_lead_out_or_are_no_files(tmp_path: Path) -> None:
    """Each is refused by its name, and nothing is read of it."""
    link, hard, device = (tarfile.TarInfo(name) for name in ("link.jpg", "hard.jpg", "null.jpg"))
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "good.jpg"
    device.type = tarfile.CHRTYPE
    sparse = tarfile.TarInfo("sparse.jpg")
    sparse.type = tarfile.GNUTYPE_SPARSE
    names = ("../up.jpg", "/abs.jpg", "a/../../b.jpg", "C:x.jpg", "good.jpg", "./good.jpg")
    (tmp_path / "a.tar").write_bytes(
        tar_of({name: jpeg(2000) for name in names}, link, hard, device, sparse)
    )
    out, other = "has a path that leads outside the archive", "is a link or a device"
    said = [
        (each.item.name, each.refusal.rstrip(".").rpartition(".jpg ")[2])
        for each in found_in(tmp_path / "a.tar")
    ]
    assert said == [
        *((name, out) for name in ("up.jpg", "abs.jpg", "b.jpg", "C:x.jpg")),
        ("good.jpg", ""),
        ("good.jpg", "has a name that occurs twice in the archive"),
        *((name, other) for name in ("link.jpg", "hard.jpg", "null.jpg")),
        ("sparse.jpg", "is a sparse file"),
    ]


def test_encrypted_links_and_bombs_in_a_zip(tmp_path: Path) -> None:
    """They are told by the directory of the zip."""
    data = bytearray(zip_of({"a.jpg": jpeg(2000)}))
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1  # the flag of encryption
    (tmp_path / "a.zip").write_bytes(data)
    assert refusals(tmp_path / "a.zip") == {"a.jpg": "is encrypted"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        info = zipfile.ZipInfo("link.jpg")
        info.external_attr = 0o120777 << 16
        zipped.writestr(info, "/etc/passwd")
        zipped.writestr("win\\dows.jpg", b"")
    (tmp_path / "b.zip").write_bytes(file.getvalue())
    assert refusals(tmp_path / "b.zip") == {"link.jpg": "is a link"}
    assert found_in(tmp_path / "b.zip")[1].place == ""
    (tmp_path / "c.zip").write_bytes(zip_of({"bomb.jpg": bytes(80_000_000)}, packs=True))
    assert refusals(tmp_path / "c.zip") == {"bomb.jpg": "unpacks to far more than its size"}


@pytest.mark.parametrize("raw", ["é.jpg".encode(), b"\x82.jpg"], ids=["UTF-8", "DOS"])
def test_names_of_a_zip_that_does_not_mark_utf_8(tmp_path: Path, raw: bytes) -> None:
    """As zip on Linux and macOS write them, and as old programs do."""
    placeholder = b"x" * (len(raw) - 4) + b".jpg"
    data = zip_of({placeholder.decode(): jpeg(2000)}).replace(placeholder, raw)
    (tmp_path / "a.zip").write_bytes(data)
    assert [each.item.name for each in found_in(tmp_path / "a.zip")] == ["é.jpg"]


def test_a_zip_with_the_paths_of_windows(tmp_path: Path) -> None:
    """A folder is none of its members, whichever sign is in its path."""
    (tmp_path / "a.zip").write_bytes(zip_of({"in\\": b"", "in\\x.jpg": jpeg(2000), "on/": b""}))
    assert [each.item.name for each in found_in(tmp_path / "a.zip")] == ["x.jpg"]


def test_members_of_a_zip_that_share_their_bytes(tmp_path: Path) -> None:
    """Each for itself would do; what all together unpack to is bounded too."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("0.jpg", bytes(30_000_000))
        for number in range(1, 4):
            again = copy.copy(zipped.filelist[0])
            again.filename = f"{number}.jpg"
            zipped.filelist.append(again)
    many = "unpacks to far more than its size"
    assert refusals(tmp_path / "a.zip") == {"2.jpg": many, "3.jpg": many}


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_a_compressed_tar_that_is_a_bomb(tmp_path: Path, kind: str) -> None:
    """It is left as soon as it shows; the members before it count."""
    path = tmp_path / f"a.{kind}"
    path.write_bytes(archive_of(kind, {"a.jpg": jpeg(2000), "bomb.jpg": bytes(90_000_000)}))
    *members, end = found_in(path)
    assert [each.item.name for each in members][:1] == ["a.jpg"]
    assert "it unpacks to more than 200 times its size" in end.refusal


def header(kind: bytes, size: int, **fields: str) -> bytearray:
    """Return the header of a member of any kind, as GNU tar writes it."""
    member = tarfile.TarInfo("odd.jpg")
    member.type, member.size, member.pax_headers = kind, size, fields
    if fields:
        return bytearray(member.tobuf(format=tarfile.PAX_FORMAT))
    return bytearray(member.tobuf(format=tarfile.GNU_FORMAT))


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_a_header_of_any_length_is_not_read(tmp_path: Path, kind: bytes, suffix: str) -> None:
    """5 MB of an archive became 4 GB of memory: a name of 400 MB."""
    content = tar_of({"a.jpg": jpeg(2000)}).rstrip(b"\0")
    content += bytes(-len(content) % 512) + header(kind, 30_000_000) + b"a" * 30_000_208
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == "tar.gz" else content)
    tracemalloc.start()
    try:
        *members, end = found_in(path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [each.item.name for each in members] == ["a.jpg"]
    assert "after 1 member: it is damaged, or cut off (a header of 30.0 MB is too large)" in (
        end.refusal
    )
    assert most < 10_000_000


def test_global_headers_are_not_kept(tmp_path: Path) -> None:
    """Each is for all members after it, and of none of them; 10 MB became a gigabyte."""
    parts = [tar_of({f"{n}.jpg": jpeg(2000)}).rstrip(b"\0") for n in range(30)]
    content = b""
    for number, part in enumerate(parts):
        record = b" %07d=%b\n" % (number, b"a" * 999_983)
        said = b"%d%b" % (len(record) + 7, record)
        content += header(b"g", len(said)) + said + bytes(-len(said) % 512)
        content += part + bytes(-len(part) % 512)
    (tmp_path / "a.tar").write_bytes(content + bytes(1024))
    tracemalloc.start()
    try:
        found = found_in(tmp_path / "a.tar")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [each.refusal for each in found] == [""] * 30
    assert most < 10_000_000


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_the_map_of_a_sparse_file_is_not_kept(tmp_path: Path, suffix: str) -> None:
    """However long it is, the member is refused, and those after it count."""
    blocks = 20_000
    block = bytearray(
        b"".join(b"%011o\0%011o\0" % (at, at + 1) for at in range(21)).ljust(512, b"\0")
    )
    block[504] = 1
    old = header(tarfile.GNUTYPE_SPARSE, 512)
    old[482] = 1
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    entries = b"%d\n" % (blocks * 100) + b"0\n" * blocks * 200
    entries += bytes(-len(entries) % 512)
    marks = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"}
    content = b"".join(
        (
            *(old, bytes(block) * blocks, bytes(512), bytes(512)),
            *(header(tarfile.REGTYPE, len(entries), **marks), entries),
            tar_of({"a.jpg": jpeg(2000)}),
        )
    )
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == "tar.gz" else content)
    tracemalloc.start()
    try:
        found = found_in(path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    said = [each.refusal.rpartition("!//")[2] for each in found]
    assert said == ["odd.jpg is a sparse file.", "odd.jpg is a sparse file.", ""]
    assert most < 10_000_000


@pytest.mark.parametrize(
    ("kind", "end", "words"),
    [
        ("tar", 9 * 512, "it is damaged, or cut off (empty header)"),
        ("tar", 3 * 512 + 100, "after 1 member:"),
        ("tar.gz", -2000, "after 2 members: Compressed file ended"),
        ("tar.zst", -2000, "it is damaged, or cut off ("),  # how it ends depends on the library
        ("zip", -10, "File is not a zip file"),
    ],
)
def test_an_archive_that_is_cut_off(tmp_path: Path, kind: str, end: int, words: str) -> None:
    """The members before are named, and the damage is, also where the end looks like an end."""
    path = tmp_path / f"a.{kind}"
    members = {f"{at}.jpg": jpeg(2000, seed=at)[:1024] for at in range(6)}
    path.write_bytes(archive_of(kind, members)[:end])
    found = found_in(path)
    assert words in found[-1].refusal
    assert found[-1].whole_source == (len(found) == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_store_says_is_no_damage(broken: BrokenStore, kind: str) -> None:
    """Whoever reads archives takes it for that: what it says is told instead."""
    broken.objects[f"a.{kind}"] = archive_of(kind, PHOTOS)
    broken.fault = lambda _, nth: "403" if nth > 2 else ""  # after it was looked at
    config = UploadConfig(store_options=broken.options)
    rules = Rules(stores=Stores(tuple(config.store_options)))
    (found,) = found_in(f"s3://b/a.{kind}", rules)
    words = "access is denied (the store answered 403 AccessDenied)."
    assert (found.refusal, found.whole_source) == (f"The archive s3://b/a.{kind}: {words}", True)


def test_damaged_headers_are_no_end(tmp_path: Path) -> None:
    """`tarfile` would take one in the midst for the end of the archive, and say nothing."""
    data = bytearray(tar_of(dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), jpeg(2000)[:1000])))
    data[3 * 512 + 20] ^= 0xFF
    (tmp_path / "a.tar").write_bytes(data)
    *members, end = found_in(tmp_path / "a.tar")
    assert [each.item.name for each in members] == ["a.jpg"]
    assert "cannot be read after 1 member: it is damaged, or cut off" in end.refusal


def test_nothing_lies_behind_the_end(tmp_path: Path) -> None:
    """An empty header in the midst, and a tar behind another one, would end it in silence."""
    two = dict.fromkeys(("a.jpg", "b.jpg"), jpeg(2000)[:1000])
    data = bytearray(tar_of(two))
    data[3 * 512 : 4 * 512] = bytes(512)
    for number, held in enumerate((bytes(data), tar_of(two) + tar_of({"c.jpg": jpeg(2000)}))):
        for kind, pack in (("tar", bytes), ("tar.gz", gzip.compress)):
            path = tmp_path / f"{number}.{kind}"
            path.write_bytes(pack(held))
            assert "there is data after its end mark" in found_in(path)[-1].refusal


def test_a_negative_size_leads_nowhere(tmp_path: Path) -> None:
    """In a header or an extended one: `tarfile` would go back and read the same for ever."""
    wrong = tarfile.TarInfo("wrong.jpg")
    wrong.size = -1024
    extended = tarfile.TarInfo("wrong.jpg")
    extended.pax_headers = {"size": "-1024"}
    for number, odd in enumerate((wrong, extended)):
        for kind, pack in (("tar", bytes), ("tar.gz", gzip.compress)):
            path = tmp_path / f"{number}.{kind}"
            path.write_bytes(pack(tar_of({"a.jpg": jpeg(2000)}, odd)))
            (leaf,) = leaves(path, Rules())
            first, end = itertools.islice(cast("Iterator[Candidate]", leaf), 5)
            assert (first.item.name, first.refusal) == ("a.jpg", "")
            said = ("a member has a negative size", "invalid offset")  # ours, or Python 3.14's
            assert any(words in end.refusal for words in said)


async def test_a_member_whose_bytes_are_not_what_its_zip_says(
    client: DataGymClient, dataset_id: str, tmp_path: Path
) -> None:
    """The checksum is held against it; the others are sent."""
    data = bytearray(zip_of({"a.jpg": jpeg(2000), "b.jpg": jpeg(2000, seed=1)}))
    data[1500] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    report: UploadReport = await client.upload(dataset_id, tmp_path / "a.zip")
    assert (report.uploaded, report.rejected) == (1, 1)
    assert "Bad CRC-32" in report.problems[0].reason


def test_filters_leave_members_out(tmp_path: Path) -> None:
    """They are counted, as files of a folder are; an archive without any says so."""
    (tmp_path / "a.zip").write_bytes(zip_of(PHOTOS))
    rules = Rules(filters=Filters(exclude=("cam 0",)))
    assert len(found_in(tmp_path / "a.zip", rules)) == 4
    assert rules.filters.left_out == 5
    (end,) = found_in(tmp_path / "a.zip", Rules(filters=Filters(include=("*.png",))))
    assert (
        end.refusal == f"The archive {tmp_path / 'a.zip'} contains no files that can be uploaded."
    )
