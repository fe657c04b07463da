"""Readers of foreign bytes, given good bytes that something happened to.

``python -m tests.fuzz --minutes 60 [TARGET ...]`` runs all targets, or those that are named, with
fresh seeds, one after the other until the time is over. It prints each error that no reader may
raise, with the smallest change that leads to it, and what took long or much memory; its exit status
is 1 if there was any. `tests/property/test_fuzz.py` gives each of them a few changes, the same ones
each time.

A target holds the rule of its reader: only the documented errors come out, their texts are fit for
a screen, and nothing is lost without a word.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import io
import json
import logging
import random
import re
import shutil
import socket
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import attrs
import hypothesis
import zstandard
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from PIL import Image

from datagym_async import (
    ConfigurationError,
    DataGymClient,
    DataGymError,
    LabelConfigError,
    UploadConfig,
    formats,
)
from datagym_async._runs import decode, lock_path
from datagym_async._runs._images import Steps, prepare
from datagym_async.data import DatasetLoader, LoaderConfig
from datagym_async.downloads import _manifest as manifests
from datagym_async.formats import FormatError, PredictionFile
from datagym_async.labels import LabelConfig
from datagym_async.predict._run import PredictJournal
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from datagym_async.server._files import UnreadableImageError
from datagym_async.server._files import size_of as size_at_server
from datagym_async.uploads import Uploader, failed_items
from datagym_async.uploads.plan import show_job
from datagym_async.uploads.sources import Screening
from tests.helpers import photos
from tests.helpers.examples import example
from tests.helpers.fake_library import DATASET, FakeLibrary
from tests.helpers.fake_service import DATASET_ID, FakeService
from tests.helpers.foreign_files import FILES
from tests.helpers.label_files import picture
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

Files: TypeAlias = Mapping[str, bytes]
SLOW: Final = 10.0
"""Seconds of a processor that no reader may take for files of a few kilobytes."""
LARGE: Final = 600.0
"""Megabytes that a process may grow by, whatever its readers are given."""


@attrs.frozen
class Fuzzed:
    """What a target changes and how it looks at it.

    Args:
        variants: Good files by path, for each way in which they may come.
        check: Is given the folder of the changed files; raises what must not come out.
        beside: Files that lie there, too, and are not changed.
    """

    variants: Mapping[str, Files]
    check: Callable[[Path], object]
    beside: Files = attrs.field(factory=dict)


Target: TypeAlias = Callable[[Path], AbstractContextManager[Fuzzed]]
"""Opens what it needs, in a folder of its own."""


# --- What happens to bytes ------------------------------------------------------------------------

PIECES: Final = (
    b"", b"\x00", b"\xff\xfe", b"nan", b"-1e999", b"9" * 400, b"[", b"]", b"{", b"}", b'"', b"<",
    b">", b"&x;", b"\n", b"\r", b" ", b"null", b"true", b"../", b"//", b"\xed\xa0\x80", b"1", b",",
    b"<a>", b"99999999999999999999", b"\\", b"0x1", b"%00", b"'", b"~", b":", b"\\ud800", b"*a",
    b"&a", b"\xef\xbb\xbf", b"\x1b[2J", "\u202e".encode(), b"-", b"1e308", b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"[" * 2000, b"<!DOCTYPE x>", b"\xff\xd9", b"IDAT",
)  # fmt: skip
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_NUMBERS: Final = (
    b"0", b"-1", b"1", b"2147483648", b"9223372036854775808", b"1e5", b"1e400", b"0.5", b"nan",
    b"1e-320", b"null", b'"x"', b"[]", b"{}", b"true", b"100000", b"-0", b"65536", b"9" * 30,
)  # fmt: skip
_KINDS: Final = ("put", "flip", "number", "repeat", "move", "cut", "drop")


@attrs.frozen
class Edit:
    """One thing that happens to a file."""

    kind: str
    at: int
    length: int
    put: bytes

    def apply(self, data: bytes) -> bytes:
        """Return the file afterwards."""
        at = self.at % (len(data) + 1)
        part = data[at : at + self.length]
        match self.kind:
            case "put":
                return data[:at] + self.put + data[at + self.length % 12 :]
            case "flip" if part:
                return data[:at] + bytes([part[0] ^ 1 << self.length % 8]) + data[at + 1 :]
            case "number" if found := [*_NUMBER.finditer(data)]:
                one = found[self.at % len(found)]
                number = _NUMBERS[self.length % len(_NUMBERS)]
                return data[: one.start()] + number + data[one.end() :]
            case "repeat":
                return data[:at] + part * (1 + self.length * 7) + data[at + len(part) :]
            case "move":
                return data[: len(data) - at] + part + data[len(data) - at :]
            case "cut":
                return data[:at]
            case "drop":
                return data[:at] + data[at + self.length :]
        return data


EDITS: Final = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(_KINDS),
        at=st.integers(0, 1 << 17),
        length=st.integers(1, 64),
        put=st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)),
    ),
    min_size=1,
    max_size=4,
)


def examine(
    fuzzed: Fuzzed, scratch: Path, variant: int, which: list[int], edits: list[Edit]
) -> None:
    """Change files and have the target look at them; raises what must not come out."""
    names = sorted(fuzzed.variants)
    files = dict(fuzzed.variants[names[variant % len(names)]])
    for index, edit in zip(which, edits, strict=False):
        path = sorted(files)[index % len(files)]
        files[path] = edit.apply(files[path])
    folder = scratch / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in {**fuzzed.beside, **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    fuzzed.check(folder)


def said(text: object) -> None:
    """Check that a text for people is fit for a screen, and for any encoding."""
    words = str(text)
    assert words.replace("\n", "").isprintable(), repr(words)
    assert len(words) < 40_000, "a text that nobody reads"
    words.encode()


# --- Labels ---------------------------------------------------------------------------------------


def _encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def _png(scratch: Path, colour: tuple[int, int, int] = (1, 0, 0)) -> bytes:
    path = scratch / "a.png"
    Image.new("RGB", (200, 100), colour).save(path)
    return path.read_bytes()


@contextmanager
def _labels(scratch: Path, name: str) -> Iterator[Fuzzed]:
    """Files of a format, read as what they are and as what they look like, to the last loss."""
    picture(scratch / "a.png")
    beside = {} if name == "yolo-obb" else {"images/a.png": (scratch / "a.png").read_bytes()}
    files = _encoded(FILES[name])
    if name == "yolo-obb":
        files["images/a.png"], files["images/a.txt"] = _png(scratch), files.pop("a.txt")
    given = name.partition("-results")[0]

    def check(folder: Path) -> None:
        whole = folder / "a.ndjson" if name == "labelbox" else folder
        images = None
        if name == "coco-results":
            whole, images = folder / "a.json", folder / "images.json"
        for known in (given, None):
            try:
                found = formats.read(whole, known, images=images)  # type: ignore[arg-type]
            except FormatError as error:
                said(error)
                continue
            said(found.losses)
            assert found.images or found.losses, "nothing found, and nothing said"
            with suppress(FormatError):
                said(formats.label_config(whole, known, images=images).problems())  # type: ignore[arg-type]
        asyncio.run(iterated(PredictionFile(whole, images=images)))

    yield Fuzzed({name: files}, check, beside)


@contextmanager
def _panoptic(scratch: Path) -> Iterator[Fuzzed]:
    """A file of segments, and the PNG whose colours are their numbers."""
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "categories": [{"id": 1, "name": "road", "isthing": 0}],
        "annotations": [
            {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1}]}
        ],
    }
    files = {"panoptic.json": json.dumps(document).encode(), "panoptic/a.png": _png(scratch)}

    def check(folder: Path) -> None:
        try:
            found = formats.read(folder / "panoptic.json")
        except FormatError as error:
            said(error)
        else:
            said(found.losses)
            assert found.images or found.losses, "nothing found, and nothing said"

    yield Fuzzed({"panoptic": files}, check)


async def iterated(file: PredictionFile) -> None:
    """Read a file as an import does."""
    try:
        async for _ in file:
            pass
    except (FormatError, OSError) as error:
        said(error)
    said(file.losses)


@contextmanager
def _predictions(scratch: Path) -> Iterator[Fuzzed]:
    """Files of the service's own forms, as an import takes them."""
    del scratch
    items = example("05_import_image")
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in items)
    export = json.dumps(example("01_export_image")).encode()
    variants = {"json": {"a.json": json.dumps(items).encode()}, "jsonl": {"a.jsonl": lines}}

    def check(folder: Path) -> None:
        for path in folder.iterdir():
            for known in (None, "json", "jsonl"):
                asyncio.run(iterated(PredictionFile(path, known)))

    yield Fuzzed(variants | {"export": {"a.json": export}}, check)


@contextmanager
def _classes(scratch: Path) -> Iterator[Fuzzed]:
    """Files of classes: a name a line, YAML, COCO."""
    del scratch
    variants = {
        "lines": {"classes.txt": "car\ndog\nGröße\n".encode()},
        "yaml": {"data.yaml": b"names: {0: car, 2: dog}\nkpt_names: {0: [a, b]}\nnc: 3\n"},
        "list": {"data.yaml": b"names: [car, dog]\ntrain: x\n"},
        "coco": {"a.json": FILES["coco"]["a.json"].encode()},
    }

    def check(folder: Path) -> None:
        for path in folder.iterdir():
            try:
                assert formats.classes_from(path), "no classes, and nothing said"
            except FormatError as error:
                said(error)

    yield Fuzzed(variants, check)


@contextmanager
def _config(scratch: Path) -> Iterator[Fuzzed]:
    """Label configurations, as JSON and as YAML."""
    del scratch
    good = LabelConfig.from_payload(example("09_label_config_put"))
    variants = {
        "json": {"a.json": good.to_json().encode()},
        "yaml": {"a.yaml": good.to_yaml().encode()},
    }

    def check(folder: Path) -> None:
        for path in folder.iterdir():
            is_yaml = path.suffix == ".yaml"
            try:
                read = LabelConfig.from_yaml if is_yaml else LabelConfig.from_json
                found = read(path.read_bytes())
            except LabelConfigError as error:
                said(error)
            else:
                said(found.problems())
                said(found.warnings())
                found.to_payload()
                assert LabelConfig.from_yaml(found.to_yaml()) == found, "YAML lost something"

    yield Fuzzed(variants, check)


# --- Images, and what names them ------------------------------------------------------------------

ALL: Final = Steps(orientation=True, convert=True, resize=64)


@contextmanager
def _images(scratch: Path) -> Iterator[Fuzzed]:
    """JPEG, PNG and what is made into them: looked at, decoded, prepared, and stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    variants = {"jpeg": photos.jpeg(2500), "png": photos.png(2500), "gif": photos.gif()}
    for kind in ("BMP", "WEBP", "TIFF", "JPEG"):
        file = io.BytesIO()
        shown = Image.linear_gradient("L").resize((90, 70)).convert("RGB")
        shown.save(file, kind, **({"exif": exif.tobytes()} if kind == "JPEG" else {}))
        variants[f"made {kind}"] = file.getvalue()

    def check(folder: Path) -> None:
        data = (folder / "a").read_bytes()
        reason, _ = Screening().look(data)
        assert not reason or reason.endswith("."), reason
        said(reason + Screening().of_head(len(data), data[:64]))
        found = decode(data)
        said(found.reason)
        made = prepare(data, ALL)
        said(made.reason)
        said(made.warnings)
        if made.data is not None:
            assert not Screening().look(made.data)[0], "what was prepared is not sound"
        with suppress(UnreadableImageError):
            size_at_server(io.BytesIO(data))

    del scratch
    yield Fuzzed({name: {"a": data} for name, data in variants.items()}, check)


async def uploaded(source: Any, config: UploadConfig) -> FakeService:
    """Upload a source; check that each item that it names is accounted for, or an error is told."""
    service = FakeService()
    try:
        async with Uploader(service, service, DATASET_ID, source, config=config) as run:
            report = await run.finish()
    except DataGymError as error:
        said(error)
        return service
    settled = report.uploaded + report.skipped + report.rejected + report.failed
    assert report.planned == settled >= 1, f"{report.planned} planned, {settled} settled"
    assert report.complete, report.summary()
    assert report.failed == 0, [each.reason for each in report.problems]
    for problem in report.problems:
        said(problem.reason)
    return service


JPEG: Final = photos.SOUND_JPEG
MEMBERS: Final = {f"d/{number}.jpg": JPEG + bytes([number]) * 700 for number in range(4)}


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _zip(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, data in MEMBERS.items():
            zipped.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return file.getvalue()


@contextmanager
def _archives(scratch: Path) -> Iterator[Fuzzed]:
    """Archives, and the tar within a compressed one, uploaded member by member."""
    del scratch
    tar = _tar()
    variants = {
        "zip": {"a.zip": _zip(0)},
        "deflated": {"a.zip": _zip(8)},
        "tar": {"a.tar": tar},
        "gz": {"a.tar.gz": gzip.compress(tar)},
        "zst": {"a.tar.zst": zstandard.compress(tar)},
        "in gz": {"in.gz": tar},
        "in zst": {"in.zst": tar},
    }

    def check(folder: Path) -> None:
        (path,) = folder.iterdir()
        if path.name.startswith("in."):
            pack = gzip.compress if path.suffix == ".gz" else zstandard.compress
            data = pack(path.read_bytes())
            path.unlink()
            path = folder / f"a.tar{path.suffix}"
            path.write_bytes(data)
        config = UploadConfig(name="relative", check="structure")
        service = asyncio.run(uploaded(path, config))
        assert all(data.startswith(b"\xff\xd8\xff") for data in service.stored.values())

    yield Fuzzed(variants, check)


@contextmanager
def _lists(scratch: Path) -> Iterator[Fuzzed]:
    """Lists of files and links."""
    del scratch
    beside = {"a.jpg": JPEG, "sub/b c.jpg": JPEG + b"x"}
    line = '{"path": "a.jpg", "name": "x.jpg"}\n{"url": "http://h/c.jpg"}\n"sub/b c.jpg"\n'
    variants = {
        "txt": {"l.txt": b"a.jpg\nsub/b c.jpg\nhttp://h/c.jpg\n# x\n"},
        "csv": {"l.csv": b'path,name\na.jpg,"x ""y"".jpg"\nsub/b c.jpg,\nhttp://h/c.jpg,\n'},
        "jsonl": {"l.jsonl": line.encode()},
    }

    def check(folder: Path) -> None:
        (path,) = folder.glob("l.*")
        asyncio.run(uploaded(path, UploadConfig(name="relative")))

    yield Fuzzed(variants, check, beside)


@contextmanager
def _reports(scratch: Path) -> Iterator[Fuzzed]:
    """The report of an earlier run, whose failed items are a source."""

    async def report() -> bytes:
        service, photo = FakeService(), scratch / "bad.jpg"
        photo.write_bytes(b"no image")
        async with Uploader(service, service, DATASET_ID, [photo, "http://h/a.gif"]) as run:
            return (await run.finish()).to_json().encode()

    def check(folder: Path) -> None:
        try:
            said(len([*failed_items(folder / "report.json", rejected=True)]))
        except ConfigurationError as error:
            said(error)

    yield Fuzzed({"report": {"report.json": asyncio.run(report())}}, check)


# --- What is kept for the next run ----------------------------------------------------------------

KEPT: Final = {f"{number:02}.jpg": photos.jpeg(1_500, seed=number) for number in range(8)}


@contextmanager
def _journals(scratch: Path) -> Iterator[Fuzzed]:
    """The journal of an upload of which half is done: an error, or each image once."""
    folder, journal = scratch / "photos", scratch / "case" / "a.journal"
    folder.mkdir()
    for name, content in KEPT.items():
        (folder / name).write_bytes(content)

    async def upload(service: FakeService, most: int | None = None) -> None:
        config = UploadConfig(journal=journal, check="signature", concurrency=1, max_files=most)
        async with Uploader(service, service, DATASET_ID, folder, config=config) as run:
            await run.finish()

    first = FakeService()
    asyncio.run(upload(first, len(KEPT) // 2))
    held, lock = dict(first.stored), lock_path(journal)
    data = journal.read_bytes()

    def check(_: Path) -> None:
        said(show_job(journal).problem)
        service = FakeService()
        for name, content in held.items():
            service.hold(name, data=content)
        try:
            asyncio.run(upload(service))
        except DataGymError as error:
            said(error)
        else:
            assert service.stored == KEPT

    closed = {journal.name: data, lock.name: lock.read_bytes()}
    yield Fuzzed({"closed": closed, "killed": {journal.name: data}}, check, {lock.name: b""})


@contextmanager
def _predict_journals(scratch: Path) -> Iterator[Fuzzed]:
    """The journal of a prediction: an error, or outcomes that were written."""
    path, job = scratch / "case" / "p", {"project": "p", "base_url": "b", "keep_data": "False"}
    known = {f"m{number}": "stored" for number in range(40)}
    first = PredictJournal(path, job)
    first.open()
    first.note(known.items())
    first.close()
    lock = lock_path(path)
    closed = {path.name: path.read_bytes(), lock.name: lock.read_bytes()}

    def check(_: Path) -> None:
        again = PredictJournal(path, job)
        try:
            again.open()
            found = again.outcomes(known)
        except DataGymError as error:
            said(error)
        else:
            assert {*found} <= {*known}
            assert {*found.values()} <= {"sending", "stored"}, found
        finally:
            again.close()

    yield Fuzzed(
        {"closed": closed, "killed": {path.name: closed[path.name]}}, check, {lock.name: b""}
    )


@contextmanager
def _manifests(scratch: Path) -> Iterator[Fuzzed]:
    """The manifest of a download: an error, or each image once."""
    media = [SeedMedia(name, content) for name, content in KEPT.items()]
    out = scratch / "case"
    with ServerThread(token=TOKEN) as there:
        (dataset,) = there.call(there.server.seed_datasets(SeedDataset("Photos", media)))

        async def download() -> bool:
            async with DataGymClient(TOKEN, there.base_url, rate_limit=None) as client:
                return (await client.download_dataset(dataset.id, out)).complete

        assert asyncio.run(download())
        manifest = manifests.manifest_path(out)
        lock = manifest.with_name(f"{manifest.name}.lock")
        data = manifest.read_bytes()
        closed = {manifest.name: data, lock.name: lock.read_bytes()}

        def check(_: Path) -> None:
            try:
                assert asyncio.run(download())
            except DataGymError as error:
                said(error)
            else:
                assert {path.name: path.read_bytes() for path in out.glob("*.jpg")} == KEPT

        beside = {**KEPT, lock.name: b""}
        yield Fuzzed({"closed": closed, "killed": {manifest.name: data}}, check, beside)


@contextmanager
def _loader_states(scratch: Path) -> Iterator[Fuzzed]:
    """What a loader said of where it was, from a checkpoint: an error, or the rest of an epoch."""
    del scratch
    count = 20

    def loader(shards: int = 1) -> DatasetLoader[object]:
        config = LoaderConfig(shuffle=3, shard=(0, shards), ordered=False)
        return DatasetLoader(FakeLibrary(count).library, DATASET, config=config)

    async def state(steps: int, shards: int) -> bytes:
        async with loader(shards) as given_:
            for _ in range(steps):
                await anext(given_)
            return json.dumps(given_.state_dict()).encode()

    async def go_on(text: bytes) -> None:
        async with loader() as given_:
            try:
                await given_.load_state_dict(json.loads(text))
                found = [each async for each in given_]
            except ConfigurationError as error:
                said(error)
            else:
                assert len(found) <= count

    def check(folder: Path) -> None:
        text = (folder / "state.json").read_bytes()
        with suppress(ValueError, RecursionError):  # no JSON: nothing that a checkpoint gives
            json.loads(text)
            asyncio.run(go_on(text))

    variants = {
        f"{steps} of {shards}": {"state.json": asyncio.run(state(steps, shards))}
        for steps, shards in ((0, 1), (5, 1), (20, 1), (3, 4))
    }
    yield Fuzzed(variants, check)


# --- The embedded server --------------------------------------------------------------------------


class _Traces(logging.Handler):
    """Keeps what is logged with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(self.format(record))


@contextmanager
def _requests(scratch: Path) -> Iterator[Fuzzed]:
    """Requests of any bytes: an answer or none, no traceback, and the next one is served."""
    del scratch
    traces = _Traces()
    with ServerThread(token=TOKEN) as there:
        media = [SeedMedia("a.jpg", JPEG)]
        (project,) = there.call(there.server.seed(SeedProject("p", [SeedDataset("d", media)])))
        dataset, media_id = project.datasets[0], project.datasets[0].media_ids["a.jpg"]
        address = urlsplit(there.base_url)
        predictions = [{"internal_media_ID": media_id, "labels": {"car": []}}]
        requests = {
            "list": ("GET /api/v1/project", "", b""),
            "create": ("POST /api/v1/dataset", "json", b'{"name": "x", "shortDescription": ""}'),
            "file": (f"POST /api/v1/media/{dataset.id}/file", "octet-stream", JPEG),
            "urls": (f"POST /api/v1/media/{dataset.id}/url", "json", b'["http://127.0.0.1:1/a.jpg"]'),
            "config": (
                f"PUT /api/v1/lconfig/{project.label_configuration_id}",
                "json",
                json.dumps(example("09_label_config_put")).encode(),
            ),
            "import": (
                f"POST /api/v1/import/{project.id}", "json", json.dumps(predictions).encode()
            ),
            "media": (f"GET /api/v1/media/{media_id}", "", b""),
        }  # fmt: skip

        def answer(data: bytes) -> bytes:
            found = b""
            line = socket.create_connection((address.hostname, address.port), 10)
            with closing(line), suppress(ConnectionError):
                line.sendall(data)
                line.shutdown(socket.SHUT_WR)
                while part := line.recv(1 << 16):
                    found += part
            return found

        def whole(first: str, kind: str, body: bytes, close: str = "") -> tuple[bytes, bytes]:
            head = f"{first} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {TOKEN}\r\n{close}"
            head += f"Content-Type: application/{kind}\r\nX-filename: x.jpg\r\n" if kind else ""
            return head.encode(), body

        def check(folder: Path) -> None:
            head, body = ((folder / name).read_bytes() for name in ("head", "body"))
            length = f"Content-Length: {len(body)}\r\n".encode() if body else b""
            found = answer(head + length + b"\r\n" + body)
            assert not found or found.startswith(b"HTTP/1."), found[:200]
            good = b"".join(whole("GET /api/v1/project", "", b"", "Connection: close\r\n"))
            assert answer(good + b"\r\n").startswith(b"HTTP/1.1 200"), "it serves no more"
            told, traces.found = traces.found, []
            assert not told, told[0]

        variants = {
            name: dict(zip(("head", "body"), whole(*each), strict=True))
            for name, each in requests.items()
        }
        logging.getLogger().addHandler(traces)
        try:
            yield Fuzzed(variants, check)
        finally:
            logging.getLogger().removeHandler(traces)


TARGETS: Final[dict[str, Target]] = {
    **{name: partial(_labels, name=name) for name in FILES},
    "panoptic": _panoptic,
    "predictions": _predictions,
    "classes": _classes,
    "config": _config,
    "images": _images,
    "archives": _archives,
    "lists": _lists,
    "reports": _reports,
    "journals": _journals,
    "predict-journals": _predict_journals,
    "manifests": _manifests,
    "loader-states": _loader_states,
    "requests": _requests,
}


# --- By hand --------------------------------------------------------------------------------------


@attrs.define
class Found:
    """What a run by hand has seen."""

    cases: int = 0
    slowest: float = 0.0
    errors: dict[tuple[str, ...], str] = attrs.field(factory=dict)


def signature(error: BaseException) -> tuple[str, ...]:
    """Return what tells an error from others: its class and the last lines of ours it came by."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{each.filename}:{each.lineno}" for each in frames if "datagym_async" in each.filename]
    last = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return (type(error).__name__, *ours[-1:], last)


def hunt(fuzzed: Fuzzed, scratch: Path, seconds: float, found: Found) -> None:
    """Run a target for so long; each error counts once."""
    until = time.monotonic() + seconds

    @settings(
        max_examples=200,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[*HealthCheck],
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(st.integers(0, 40), st.lists(st.integers(0, 40), min_size=4, max_size=4), EDITS)
    def one(variant: int, which: list[int], edits: list[Edit]) -> None:
        found.cases += 1
        began = time.process_time()
        try:
            examine(fuzzed, scratch, variant, which, edits)
        except Exception as error:
            if (found_here := signature(error)) in found.errors:
                return
            smallest[found_here] = f"{variant} {which} {edits}\n{traceback.format_exc()}"
            raise
        finally:
            took = time.process_time() - began
            found.slowest = max(found.slowest, took)
            if took > SLOW:
                found.errors[("slow", str(edits))] = f"{took:.0f} s: {variant} {which} {edits}"

    while time.monotonic() < until:
        smallest: dict[tuple[str, ...], str] = {}
        with suppress(Exception):
            hypothesis.seed(random.getrandbits(64))(one)()
        found.errors |= smallest


def main() -> int:
    """Fuzz as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    names = options.targets or [*TARGETS]
    status, cases = 0, 0
    for name in names:
        found, peak = Found(), _peak()
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            with TARGETS[name](scratch) as fuzzed:
                hunt(fuzzed, scratch, options.minutes * 60 / len(names), found)
        grown = _peak() - peak
        cases += found.cases
        if grown > LARGE:
            found.errors[("large",)] = f"the process grew by {grown:.0f} MB"
        print(
            f"{name}: {found.cases:,} cases, {len(found.errors)} errors, slowest "
            f"{found.slowest:.2f} s, {grown:.0f} MB more",
            flush=True,
        )
        for text in found.errors.values():
            status = 1
            print(f"--- {name}\n{text}", flush=True)
    print(f"{cases:,} cases")
    return status


def _peak() -> float:
    if sys.platform == "win32":  # which tells it in another way
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    sys.exit(main())
