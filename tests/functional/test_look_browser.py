"""Galleries and pages in a real browser: opened from the disk, used, and looked at by axe-core.

Skipped where playwright or Chromium is missing (Debian: ``apt-get install chromium``). With
``DATAGYM_SCREENSHOTS`` set to a folder, screenshots are kept there, to be looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from PIL import Image

from datagym_async import (
    DownloadOutcome,
    DownloadProgress,
    DownloadReport,
    DownloadResult,
    LimiterState,
    SessionStatistics,
    look,
)
from datagym_async.look._gallery import PAGE
from datagym_async.look._pages import RunRecord, run_page, statistics_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = os.environ.get("DATAGYM_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None
)
SHOTS = os.environ.get("DATAGYM_SCREENSHOTS")
HOSTILE = "\"><img src=x onerror='hacked=1'><script>hacked=1<.jpg"
CLASSES = ("car", "</script><script>hacked=1</script>", "person")
IMAGES = 500
STILL: dict[str, Any] = dict.fromkeys((each.name for each in attrs.fields(DownloadProgress)), 0)

pytestmark = pytest.mark.slow


def coco(images: list[str], seed: int, *, others: bool = False) -> dict[str, Any]:
    """Return labels of images of 64 x 48 pixels; the others lack some, and moved some."""
    chance, annotations = random.Random(seed), list[dict[str, Any]]()
    for number in range(len(images)):
        for _ in range(chance.randint(0, 5)):
            box = [chance.randint(0, 30), chance.randint(0, 20), chance.randint(4, 30), 12.5]
            kind, kept, moved = chance.randint(1, 3), chance.random(), chance.randint(-1, 1)
            if not others or kept > 0.2:
                bbox = [box[0] + (moved if others else 0), *box[1:]]
                named = {"id": len(annotations), "image_id": number, "category_id": kind}
                annotations.append({**named, "bbox": bbox})
    return {
        "images": [
            {"id": at, "file_name": name, "width": 64, "height": 48}
            for at, name in enumerate(images)
        ],
        "categories": [{"id": at, "name": name} for at, name in enumerate(CLASSES, 1)],
        "annotations": annotations,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> look.Gallery:
    """A gallery of 500 images, one of a hostile name, one moved, compared with others."""
    folder = tmp_path_factory.mktemp("photos")
    names = [HOSTILE, *(f"street_{n:03}.jpg" for n in range(IMAGES - 1))]
    for at, name in enumerate(names):
        Image.new("RGB", (64, 48), (at % 256, 90, 160)).save(folder / name, "JPEG")
    (folder / "labels.json").write_text(json.dumps(coco(names, 1)))
    compared = tmp_path_factory.mktemp("others") / "predictions.json"
    compared.write_text(json.dumps(coco(names, 1, others=True)))
    options = look.GalleryOptions(compare=compared, workers=0, size=64)
    output = tmp_path_factory.mktemp("site")
    made = asyncio.run(look.gallery(folder, output, options=options))
    (folder / "street_007.jpg").unlink()
    return made


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of statistics."""
    folder = tmp_path_factory.mktemp("statistics")
    (folder / "a.json").write_text(json.dumps(coco([HOSTILE, "a.jpg"], 3)))
    found = asyncio.run(look.stats(folder / "a.json"))
    (folder / "page.html").write_text(statistics_page(found))
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser(site: look.Gallery, statistics: Path, report: Path) -> Iterator[Browser]:
    """A headless Chromium; playwright keeps a loop running in this thread, so files come first."""
    assert site.path.is_file()
    assert statistics.is_file()
    assert report.is_file()
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (DATAGYM_CHROMIUM names one)")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a run of two seconds, with problems."""
    record = RunRecord()
    for at in range(9):
        limiter = LimiterState(limit=at + 1, in_flight=at, reason="", maximum=16)
        done = {"seconds": at / 4, "items_done": 10 * at, "bytes_done": 999 * at, "in_flight": at}
        progress = DownloadProgress(**{**STILL, **done})
        record.note(progress, limiter, SessionStatistics(p50=at / 9))
        record.took(at / 100)
    problems = [
        DownloadResult(
            media_id=str(n),
            name=HOSTILE if n == 7 else f"{n:02}.jpg",
            path="x.jpg",
            outcome=DownloadOutcome.FAILED,
            reason="It is gone.",
        )
        for n in range(30)
    ]
    counts: dict[str, Any] = {"downloaded": 50, "present": 0, "skipped": 0, "failed": 30}
    whole = DownloadReport(
        name=HOSTILE,
        folder="out",
        planned=80,
        bytes=999,
        seconds=2.0,
        complete=True,
        problems=tuple(problems),
        **counts,
    )
    path = tmp_path_factory.mktemp("report") / "run.html"
    path.write_text(run_page(whole, record))
    return path


@attrs.frozen
class Visit:
    """A page that is open, and what went wrong on it."""

    page: Any
    problems: list[str]

    def shoot(self, name: str) -> None:
        """Keep a screenshot, where that is wanted."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png")

    def shown(self) -> int:
        """Return how many images are left by the filters."""
        # A filter waits for the next key for a moment.
        self.page.wait_for_timeout(120)
        found = re.match(r"[\d,]+", self.page.inner_text("#said"))
        assert found is not None
        return int(found[0].replace(",", ""))

    def serious(self) -> list[str]:
        """Return what axe-core holds for serious or worse."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        before = len(self.problems)
        found = axe.Axe().run(self.page).response["violations"]
        # It tries to fetch style sheets itself, which the page forbids.
        del self.problems[before:]
        return [
            f"{each['id']}: {each['nodes'][0]['html']}"
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide-light", "narrow-dark"])
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page on a wide screen, and one on a narrow one in the dark.

    At the end nothing has been complained of, and nothing but files was asked for.
    """
    width, scheme = request.param
    size: Any = {"width": width, "height": 844}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page, problems = context.new_page(), list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))

    def look_at(request: Any) -> None:
        if not request.url.startswith(("file:///", "data:")):
            problems.append(request.url)

    page.on("request", look_at)
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    yield Visit(page, problems)
    assert page.evaluate("typeof hacked") == "undefined"
    assert problems == []
    context.close()


def opened(visit: Visit, site: look.Gallery) -> Any:
    """Return the page of a gallery, once all of its index is read."""
    visit.page.goto(site.path.as_uri())
    visit.page.wait_for_selector("body[data-ready]")
    visit.page.wait_for_selector(".card img")
    return visit.page


def test_a_gallery_opens_and_filters(visit: Visit, site: look.Gallery) -> None:
    """All images are there, few are in the document, and each filter leaves those it says."""
    page = opened(visit, site)
    width = page.evaluate("innerWidth")

    assert visit.shown() == IMAGES
    assert page.locator(".card").count() < 60
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    visit.shoot(f"gallery-{width}")
    page.fill("#text", "street_1")
    assert visit.shown() == 100
    page.fill("#text", HOSTILE.upper())
    assert visit.shown() == 1
    assert page.inner_text(".card .words span >> nth=0") == HOSTILE
    page.click("button[type=reset]")
    page.select_option("#class", label="car")
    with_cars = visit.shown()
    page.select_option("#class", label="none")
    without_any = visit.shown()
    assert 0 < without_any < with_cars < IMAGES
    page.click("button[type=reset]")
    page.click("summary")
    page.fill("#least", "4")
    page.fill("#most", "4")
    assert 0 < visit.shown() < IMAGES
    page.click("button[type=reset]")
    page.fill("#small", "1000")
    assert visit.shown() == 0


def test_scrolling_loads_further_pages(visit: Visit, site: look.Gallery) -> None:
    """The last images are those of the last page of data, which is not loaded before."""
    page = opened(visit, site)
    page.select_option("#order", "name")
    visit.shown()
    assert page.locator(".card img[src$='000499.webp']").count() == 0

    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(".card img[src$='000499.webp']")

    assert page.locator(".card").count() < 60


def test_classes_are_switched(visit: Visit, site: look.Gallery) -> None:
    """Shapes of a class that is switched off are not seen; all labels have one switch."""
    page = opened(visit, site)
    page.wait_for_selector(".card path.c0", state="attached")
    shape = page.locator(".card path.c0").first
    button = page.locator("#classes button", has=page.locator(".b0"))

    button.click()
    assert shape.evaluate("path => getComputedStyle(path).display") == "none"
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert shape.evaluate("path => getComputedStyle(path).display") != "none"
    page.keyboard.press("l")
    assert not page.locator("svg.marks").first.is_visible()


def test_an_image_has_a_page_of_its_own(visit: Visit, site: look.Gallery) -> None:
    """It is reached by keyboard, shows both sets of labels, their tables, and leads on and back."""
    page = opened(visit, site)
    first = page.locator(".card a").first
    name = first.locator(".words span").first.inner_text()
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#one figure img")

    assert page.inner_text("#name") == name
    assert page.locator("#views figure").count() == 2
    assert page.locator("#tables table").count() == 2
    assert page.locator("#tables td.bad").count() > 0  # what differs most comes first
    alone = page.locator("#views path.alone").first
    assert alone.evaluate("path => getComputedStyle(path).strokeDasharray") != "none"
    visit.shoot(f"image-{page.evaluate('innerWidth')}")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("name => document.getElementById('name').textContent !== name", arg=name)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("name => document.getElementById('name').textContent === name", arg=name)
    page.keyboard.press("Escape")
    page.wait_for_selector("#grid:visible")
    assert page.evaluate("document.activeElement.dataset.image !== undefined")


def test_overlays_lie_where_the_labels_are(visit: Visit, site: look.Gallery) -> None:
    """A path has the very coordinates of its box, in the pixels of the image, over all of it."""
    page = opened(visit, site)
    page.select_option("#order", "name")
    visit.shown()
    names = [HOSTILE, *(f"street_{n:03}.jpg" for n in range(IMAGES - 1))]
    document = coco(names, 1)
    number = next(each["image_id"] for each in document["annotations"] if each["image_id"] > 0)
    boxes = [each["bbox"] for each in document["annotations"] if each["image_id"] == number]
    page.goto(f"{site.path.as_uri()}#image={number}")
    page.wait_for_selector("#one figure svg")

    svg = page.locator("#views svg").first
    paths = svg.locator("path").evaluate_all("all => all.map((each) => each.getAttribute('d'))")

    wanted = [f"M{x} {y}H{x + w}V{y + h}H{x}Z" for x, y, w, h in boxes]
    assert page.inner_text("#name") == names[number]
    assert sorted(paths) == sorted(wanted)
    assert svg.get_attribute("viewBox") == "0 0 64 48"
    image = page.locator("#views img").first
    assert image.bounding_box() == svg.bounding_box()


def test_an_image_that_was_moved_is_shown_by_its_thumbnail(
    visit: Visit, site: look.Gallery
) -> None:
    """A gallery that is sent to somebody shows all of it, without the files that it links."""
    page = opened(visit, site)
    page.goto(f"{site.path.as_uri()}#image=8")
    page.wait_for_selector("#one img[src^='thumbs/']")

    assert page.inner_text("#name") == "street_007.jpg"
    visit.problems.clear()  # the browser says that a file was not there


def test_an_image_of_a_later_part_of_the_index_is_opened_by_its_address(
    visit: Visit, site: look.Gallery, tmp_path: Path
) -> None:
    """The page waits until it has read the row of that image."""
    shutil.copytree(site.path.parent, tmp_path / "site")
    data = tmp_path / "site" / "data"
    rows = json.loads((data / "index-0.js").read_text().partition(",0,")[2].removesuffix(");\n"))
    for number in range(5):
        part = json.dumps(rows[100 * number : 100 * number + 100])
        (data / f"index-{number}.js").write_text(f'datagymLook("index",{number},{part});')
    meta = (data / "meta-0.js").read_text()
    (data / "meta-0.js").write_text(meta.replace('"chunk":5000', '"chunk":100'))

    visit.page.goto(f"{(tmp_path / 'site' / 'index.html').as_uri()}#image=450")
    visit.page.wait_for_selector("#one figure img")

    assert visit.page.inner_text("#name") == "street_449.jpg"


def test_a_file_of_data_that_is_cut_off(visit: Visit, site: look.Gallery, tmp_path: Path) -> None:
    """It is named, and no other image is shown in the place of its images."""
    shutil.copytree(site.path.parent, tmp_path / "site")
    cut = tmp_path / "site" / "data" / "page-1.js"
    cut.write_text(cut.read_text()[:99])

    visit.page.goto(f"{(tmp_path / 'site' / 'index.html').as_uri()}#image={PAGE + 1}")
    visit.page.wait_for_function(
        "document.getElementById('said').textContent == 'page-1.js cannot be read'"
    )

    assert visit.page.locator("#one").is_hidden()
    visit.problems.clear()  # the browser says that the file is no script


def test_a_hostile_name_does_nothing(visit: Visit, site: look.Gallery) -> None:
    """It is a text in the grid, in the heading and in the title."""
    page = opened(visit, site)
    page.goto(f"{site.path.as_uri()}#image=0")
    page.wait_for_selector("#one figure img")

    assert page.inner_text("#name") == HOSTILE
    assert page.title().startswith(HOSTILE)
    assert page.locator("#one script").count() == 0


def test_nothing_serious_is_found_by_axe(visit: Visit, site: look.Gallery) -> None:
    """Contrast, names and roles hold in the grid and on the page of an image, light and dark."""
    page = opened(visit, site)
    assert visit.serious() == []
    page.keyboard.press("d")  # the other colours
    assert visit.serious() == []
    page.goto(f"{site.path.as_uri()}#image=7")
    page.wait_for_selector("#one figure img")
    assert visit.serious() == []


def test_the_page_of_statistics(visit: Visit, statistics: Path) -> None:
    """It needs nothing but itself, and reads well."""
    visit.page.goto(statistics.as_uri())

    visit.shoot(f"stats-{visit.page.evaluate('innerWidth')}")
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visit.serious() == []


def test_the_page_of_a_run(visit: Visit, report: Path) -> None:
    """Its table is filtered as one types; charts say what they show in words as well."""
    page = visit.page
    page.goto(report.as_uri())

    visit.shoot(f"run-{page.evaluate('innerWidth')}")
    assert page.locator("svg.chart").count() == 5
    assert page.inner_text("#left") == "30 of 30"
    page.fill("#filter", "12.JPG")
    assert page.inner_text("#left") == "1 of 30"
    page.fill("#filter", "onerror")
    assert page.locator("#problems tbody tr:visible").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visit.serious() == []
