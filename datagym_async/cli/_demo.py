"""`demo`: all steps of an upload on this machine alone, in seconds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import attrs
from aiohttp import web

from datagym_async._client import DataGymClient
from datagym_async._extras import how_to_install
from datagym_async._runs._text import counted, size
from datagym_async._threads import in_thread
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._datasets import show_dataset
from datagym_async.cli._demo_labels import label_photographs, photographs
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError
from datagym_async.cli._options import argument, flag
from datagym_async.cli._serve import running_server
from datagym_async.cli._upload import Account, run_upload
from datagym_async.uploads import UploadReport, UploadResult

if TYPE_CHECKING:
    from datagym_async.cli._screen import Output
    from datagym_async.server import SeededProject

DATASET: Final = "Demo photographs"
_LINKS: Final = 12
_LISTED: Final = 8

app = group("demo")


@attrs.define
class DemoRun:
    """What the demo has shown so far."""

    files: UploadReport | None = None
    links: UploadReport | None = None
    verified: str = ""
    gallery: str = ""


@command(app, "demo", client=False)
def demo(
    invocation: Invocation,
    folder: Annotated[
        Path | None,
        argument(
            "[FOLDER]", "Folder of JPEG and PNG files; without it, the photographs of scikit-image."
        ),
    ] = None,
    data: Annotated[
        Path | None, flag("--data DIR", "Folder for the server's data, kept for `serve`.")
    ] = None,
    keep: Annotated[bool, flag("--keep", "Keep the data of the temporary server as well.")] = False,
) -> int:
    """Show the main job on this machine: no account, no network.

    Uploads photographs to a local server, lists them, downloads one and compares its bytes, uploads
    links, and makes a gallery of labels to open in a browser. The gallery stays on disk.
    """
    output, play = invocation.output, DemoRun()
    if folder is None:
        files = photographs()
        sources = tuple(map(str, files))
    elif not folder.is_dir():
        raise CommandError(f"The folder {folder} does not exist.")
    else:
        # The files for links; the upload checks by itself.
        suffixes = {".jpg", ".jpeg", ".png"}
        found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes)
        files, sources = tuple(path for path in found if path.is_file()), (str(folder),)
    with _data_folder(data, keep=keep) as used:
        try:
            place = used / "gallery" if keep or data is not None else None
            asyncio.run(_demo(output, used, files, sources, play, place))
        except KeyboardInterrupt:
            output.warning("Interrupted.")
            return INTERRUPTED
    _close(output, play, kept=used if keep or data is not None else None)
    reports = [report for report in (play.files, play.links) if report is not None]
    return WELL if all(report.ok for report in reports) else SOME_FAILED


@contextlib.contextmanager
def _data_folder(data: Path | None, *, keep: bool) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    from datagym_async.server._files import TEMPORARY  # the extra `server` may be missing

    made = Path(tempfile.mkdtemp(prefix="datagym-demo-" if keep else TEMPORARY))
    try:
        yield made
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


async def _demo(
    output: Output,
    data: Path,
    files: tuple[Path, ...],
    sources: tuple[str, ...],
    play: DemoRun,
    place: Path | None,
) -> None:
    _heading(output, "1. Start a DataGym-compatible server on this machine")
    async with running_server(data) as server:
        output.keep_secret(server.token)
        projects = await server.seed_demo()
        output.tell(f"Address {server.base_url}, data in {data}.")
        # No rate limit: the server is ours.
        async with DataGymClient(server.token, server.base_url, rate_limit=None) as client:
            dataset = await client.datasets.create(DATASET, exist_ok=True)
            await client.projects.add_dataset(projects[0].id, dataset.id)
            output.tell(f"Dataset {dataset.name!r} is attached to project {projects[0].name!r}.")

            _heading(output, "2. Upload files: checked, sent concurrently, and reported")
            account = await _upload(client, output, dataset.id, sources)
            play.files = account.report

            _heading(output, "3. List the dataset")
            held = await client.datasets.get(dataset.id)
            if not output.silent and (more := show_dataset(output, held, limit=_LISTED)):
                output.tell(f"... and {more:,} more.")

            _heading(output, "4. Download one image and compare it byte for byte")
            play.verified = await _read_back(client, output, account.totals.uploaded)

            _heading(output, "5. Upload links: the service stores the address, not the bytes")
            named = [path for path in files if path.name.isprintable()][:_LINKS]
            if not named:
                output.tell("No files were uploaded, so there are no links.")
                await _look(client, output, projects[0], place, play)
                return
            async with _photo_server(named) as urls:
                output.tell(f"{counted(len(urls), 'URL')}, the first is {urls[0]}")
                play.links = (await _upload(client, output, dataset.id, urls)).report
                # While the links can be followed.
                await _look(client, output, projects[0], place, play)


async def _upload(
    client: DataGymClient, output: Output, dataset_id: str, sources: Sequence[str]
) -> Account:
    account = Account()
    await run_upload(client, output, client.uploader(dataset_id, sources), account)
    output.tell(account.report.summary() if account.report else "")
    return account


async def _look(
    client: DataGymClient, output: Output, project: SeededProject, place: Path | None, play: DemoRun
) -> None:
    _heading(output, "6. Label some photographs and make a gallery")
    if any(importlib.util.find_spec(name) is None for name in ("PIL", "jinja2")):
        output.tell(f"This step needs the extra 'look': {how_to_install('look')}")
        return
    from datagym_async.look import GalleryOptions

    labelled = await label_photographs(client, project.id, project.label_configuration_id)
    if place is None:
        place = Path(await in_thread(tempfile.mkdtemp, prefix="datagym-gallery-"))
    gallery = await client.gallery(
        place, project_id=project.id, options=GalleryOptions(size=320, workers=0)
    )
    play.gallery = str(gallery.path)
    output.tell(f"{counted(labelled, 'photograph')} labelled, {gallery.images:,} shown.")


async def _read_back(client: DataGymClient, output: Output, uploaded: UploadResult | None) -> str:
    if uploaded is None or uploaded.item.path is None or uploaded.media_id is None:
        output.tell("This run uploaded nothing.")
        return ""
    ours = await asyncio.to_thread(uploaded.item.path.read_bytes)
    theirs = await client.media.download(uploaded.media_id)
    digest = hashlib.sha256(theirs).hexdigest()
    if digest != hashlib.sha256(ours).hexdigest():
        raise CommandError(
            f"{uploaded.name} was downloaded, but its bytes differ from those that were sent.",
            status=SOME_FAILED,
        )
    output.tell(f"{uploaded.name}: {size(len(theirs))}, sha256 {digest[:16]}...: the same.")
    return uploaded.name


def _heading(output: Output, text: str) -> None:
    output.tell("")
    output.tell(text, style="bold")


@contextlib.asynccontextmanager
async def _photo_server(files: Sequence[Path]) -> AsyncIterator[tuple[str, ...]]:
    """Serve files on loopback; yields their URLs, with names that differ from the files."""
    by_name = {f"link-{path.name}": path for path in files}

    async def answer(request: web.Request) -> web.StreamResponse:
        path = by_name.get(request.match_info["name"])
        return web.FileResponse(path) if path else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield tuple(f"http://127.0.0.1:{port}/{quote(name)}" for name in by_name)
    finally:
        await runner.cleanup()


def _close(output: Output, play: DemoRun, *, kept: Path | None) -> None:
    if output.as_json:
        output.document(
            {
                "files": play.files.to_dict() if play.files else None,
                "links": play.links.to_dict() if play.links else None,
                "verified": play.verified,
                "data": None if kept is None else str(kept),
                "gallery": play.gallery or None,
            }
        )
    _heading(output, "Next steps")
    for line in (
        f"datagym-async serve --data {'DIR' if kept is None else shlex.quote(str(kept))}",
        "    runs this server for as long as you like",
        "datagym-async upload FOLDER --dataset NAME --create",
        "    uploads your own images, here or to your account",
        "docs/cli.md describes all commands, README.md the use in code.",
        *([f"Open the gallery: {play.gallery}"] if play.gallery else ()),
    ):
        output.tell(line)
