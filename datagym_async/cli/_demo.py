"""`demo`: all steps of an upload on this machine alone, in seconds.

Its photographs are those of scikit-image; labels of them were made by hand.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import math
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

from aiohttp import web

from datagym_async._client import DataGymClient
from datagym_async._extras import how_to_install
from datagym_async._printable import for_shell
from datagym_async._runs._text import counted, size
from datagym_async._threads import in_thread
from datagym_async.cli._closing import UploadAccount
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._errors import SOME_FAILED, WELL, CommandError
from datagym_async.cli._options import argument, flag
from datagym_async.cli._resources import show_dataset
from datagym_async.cli._serve import running_server
from datagym_async.cli._upload import run_upload
from datagym_async.labels import (
    Annotation,
    Classification,
    LabelConfig,
    Line,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)

if TYPE_CHECKING:
    from datagym_async.cli._screen import Output
    from datagym_async.server import SeededProject
    from datagym_async.uploads import UploadReport, UploadResult


DATASET: Final = "Demo photographs"
_LISTED: Final = 8
_LINKS: Final = 12

app = group("demo")


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
) -> int:
    """Show the main job on this machine: no account, no network.

    Uploads photographs to a local server, lists them, downloads one and compares its bytes, uploads
    links, and makes a gallery of labels to open in a browser. The gallery stays on disk.
    """
    if folder is not None and not folder.is_dir():
        raise CommandError(f"The folder {folder} does not exist.")
    sources = photographs() if folder is None else (folder,)
    return asyncio.run(_demo(invocation.output, data, sources, _served(sources)))


async def _demo(
    output: Output, data: Path | None, sources: Sequence[Path], served: dict[str, Path]
) -> int:
    of_links: UploadReport | None = None
    _heading(output, "1. Start a DataGym-compatible server on this machine")
    async with running_server(data) as server:
        output.secrets.learn(server.token)
        projects = await server.seed_demo()
        where = f"data in {data}" if data else "its data is deleted at the end"
        output.tell(f"Address {server.base_url}, {where}.")
        # No rate limit: the server is ours.
        async with DataGymClient(server.token, server.base_url, rate_limit=None) as client:
            dataset = await client.datasets.create(DATASET, exist_ok=True)
            await client.projects.add_dataset(projects[0].id, dataset.id)
            output.tell(f"Dataset {dataset.name!r} is attached to project {projects[0].name!r}.")

            _heading(output, "2. Upload files: checked, sent concurrently, and reported")
            account = await _upload(client, output, dataset.id, [*map(str, sources)])
            of_files = account.report

            _heading(output, "3. List the dataset")
            held = await client.datasets.get(dataset.id)
            if not output.silent and (more := show_dataset(output, held, limit=_LISTED)):
                output.tell(f"... and {more:,} more.")

            _heading(output, "4. Download one image and compare it byte for byte")
            verified = await _read_back(client, output, account.uploaded)

            _heading(output, "5. Upload links: the service stores the address, not the bytes")
            async with _photo_server(served) as links:
                if links:
                    output.tell(f"{counted(len(links), 'URL')}, the first is {links[0]}")
                    of_links = (await _upload(client, output, dataset.id, links)).report

                _heading(output, "6. Label some photographs and make a gallery")
                gallery = await _look(client, output, projects[0], data)

    if output.as_json:
        output.document(
            {
                "files": of_files and of_files.to_dict(),
                "links": of_links and of_links.to_dict(),
                "verified": verified,
                "data": None if data is None else str(data),
                "gallery": gallery or None,
            }
        )
    _heading(output, "Next steps")
    for line in (
        f"datagym-async serve --data {'DIR' if data is None else for_shell(str(data))}",
        "    runs this server for as long as you like",
        "datagym-async upload FOLDER --dataset NAME --create",
        "    uploads your own images, here or to your account",
        "docs/cli.md describes all commands, README.md the use in code.",
        *([f"Open the gallery: {gallery}"] if gallery else ()),
    ):
        output.tell(line)
    return WELL if all(each is None or each.ok for each in (of_files, of_links)) else SOME_FAILED


async def _upload(
    client: DataGymClient, output: Output, dataset_id: str, sources: list[str]
) -> UploadAccount:
    account = UploadAccount(output)
    await run_upload(client, client.uploader(dataset_id, sources), account)
    output.tell(account.report.summary() if account.report else "")
    return account


def _served(sources: Sequence[Path]) -> dict[str, Path]:
    """Return some of the files, by the names of their links, which differ from theirs."""
    files: list[Path] = []
    for each in sources:
        files += sorted(each.rglob("*")) if each.is_dir() else [each]
    images = (each for each in files if each.suffix.lower() in {".jpg", ".jpeg", ".png"})
    named = {f"link-{each.name}": each for each in images if each.name.isprintable()}
    return dict([*named.items()][:_LINKS])


@asynccontextmanager
async def _photo_server(served: dict[str, Path]) -> AsyncIterator[list[str]]:
    """Serve files on loopback, and yield their URLs."""

    async def answer(request: web.Request) -> web.StreamResponse:
        path = served.get(request.match_info["name"])
        return web.FileResponse(path) if path else web.Response(status=404)

    site = web.Application()
    site.router.add_get("/{name}", answer)
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        yield [f"http://127.0.0.1:{port}/{quote(name)}" for name in served]
    finally:
        await runner.cleanup()


async def _look(
    client: DataGymClient, output: Output, project: SeededProject, data: Path | None
) -> str:
    """Make the gallery and return its path; empty if the extra is missing."""
    if any(importlib.util.find_spec(name) is None for name in ("PIL", "jinja2")):
        output.tell(f"This step needs the extra 'look': {how_to_install('look')}")
        return ""
    from datagym_async.look import GalleryOptions

    labelled = await label_photographs(client, project.id, project.label_configuration_id)
    if data is not None:
        place = data / "gallery"
    else:
        place = Path(await in_thread(tempfile.mkdtemp, prefix="datagym-gallery-"))
    gallery = await client.gallery(
        place, project_id=project.id, options=GalleryOptions(size=320, workers=0)
    )
    output.tell(f"{counted(labelled, 'photograph')} labelled, {gallery.images:,} shown.")
    return str(gallery.path)


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


# --- the photographs and their labels -------------------------------------------------------------

# Photographs alone, of which its folder also holds drawings, masks and test patterns.
_NAMES: Final = (
    "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png "
    "grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png "
    "motorcycle_right.png page.png retina.jpg rocket.jpg text.png"
)


def photographs() -> tuple[Path, ...]:
    """Return the photographs that the installed scikit-image (extra `demo`) holds."""
    # Looked for but not imported: importing it takes longer than the whole demo, and its own
    # functions may download.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'skimage'", name="skimage")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return tuple(path for name in _NAMES.split() if (path := folder / name).is_file())


def _ellipse(x: float, y: float, wide: float, high: float) -> list[tuple[float, float]]:
    turns = [2 * math.pi * step / 32 for step in range(32)]
    return [(x + wide * math.cos(turn), y + high * math.sin(turn)) for turn in turns]


_COINS: Final = "23 33 44 44|82 38 40 37|132 28 48 45|192 29 49 43|255 33 44 39|306 15 61 57"
_PERSON: Final = (
    "0 300 45 170 160 105 170 72 225 65 268 105 262 195 285 270 215 270 150 370 150 511 20 511"
)
_HELMET: Final = "280 495 304 410 350 363 396 346 449 363 489 410 509 456 511 511 284 511"
_CAT: Final = "57 26 166 0 306 0 351 51 351 192 268 287 192 275 77 166"


def _corners(text: str) -> list[tuple[float, float]]:
    numbers = [float(word) for word in text.split()]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


LABELS: Final[Mapping[str, tuple[Annotation, ...]]] = {
    "astronaut.png": (
        Annotation("face", Rectangle(180, 55, 95, 130)),
        Annotation("shuttle", Rectangle(356, 2, 100, 276)),
        Annotation("helmet", Polygon(_corners(_HELMET))),
    ),
    "camera.png": (
        Annotation("person", Polygon(_corners(_PERSON))),
        Annotation("camera", Rectangle(259, 139, 69, 60)),
        Annotation("tripod", Line([(242, 508), (298, 310), (400, 508)])),
    ),
    "chelsea.png": (
        Annotation(
            "cat",
            Polygon(_corners(_CAT)),
            nested=[Annotation("eye", Point(169, 117)), Annotation("eye", Point(323, 134))],
        ),
    ),
    "coffee.png": (
        Annotation(
            "saucer", Segmentation([_ellipse(278, 216, 200, 160), _ellipse(290, 150, 115, 80)])
        ),
        Annotation(
            "cup", Rectangle(170, 15, 240, 217), [Classification.select("content", "coffee")]
        ),
        Annotation("spoon", Line([(414, 77), (394, 170), (363, 286)])),
    ),
    "coins.png": tuple(
        Annotation("coin", Rectangle(*map(float, box.split()))) for box in _COINS.split("|")
    ),
    "motorcycle_left.png": (
        Annotation(
            "motorcycle",
            Rectangle(80, 76, 604, 378),
            nested=[
                Annotation("wheel", Rectangle(124, 233, 147, 168)),
                Annotation("wheel", Rectangle(544, 264, 138, 190)),
            ],
        ),
    ),
    "rocket.jpg": (
        Annotation("rocket", Rectangle(310, 128, 25, 282)),
        Annotation("tower", Line([(195, 129), (170, 405)])),
        Annotation("tower", Line([(449, 129), (465, 405)])),
    ),
}
"""What is on some of the photographs of scikit-image, by their names."""


def config() -> LabelConfig:
    made = LabelConfig()
    for key in ("face", "shuttle", "camera", "coin", "rocket"):
        made.add_rectangle(key, key.capitalize())
    made.add_rectangle("motorcycle", "Motorcycle").add_rectangle("wheel", "Wheel")
    made.add_rectangle("cup", "Cup").add_select(
        "content", "What is in it?", {"coffee": "Coffee", "tea": "Tea"}
    )
    for key in ("helmet", "person"):
        made.add_polygon(key, key.capitalize())
    made.add_polygon("cat", "Cat").add_point("eye", "Eye")
    for key in ("tripod", "spoon", "tower"):
        made.add_line(key, key.capitalize())
    made.add_image_segmentation("saucer", "Saucer")
    return made


async def label_photographs(client: DataGymClient, project_id: str, config_id: str) -> int:
    """Label the photographs of a project without labels, and return how many were labelled."""
    tasks = await client.tasks.list(project_id, state="all")
    wanted = [each for each in tasks if each.media_name in LABELS]
    if not wanted or any(each.state.value in {"COMPLETED", "REVIEWED"} for each in tasks):
        return sum(each.state.value == "COMPLETED" for each in tasks)
    await client.label_configs.upload(config_id, config())
    for each in wanted:
        await client.values.write(each.id, LABELS[each.media_name])
    return (await client.tasks.complete_many([each.id for each in wanted])).done
