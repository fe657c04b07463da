"""The documentation hangs together: every page is found, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datagym_async import resources

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
NOUNS = {
    "ai_segmentation": resources.AiSegmentationResource,
    "datasets": resources.DatasetsResource,
    "label_configs": resources.LabelConfigsResource,
    "labels": resources.LabelsResource,
    "media": resources.MediaResource,
    "projects": resources.ProjectsResource,
    "tasks": resources.TasksResource,
    "values": resources.ValuesResource,
}
OF_JOBS = {"base_url", "ping", "settle_after", "upload_body"}
"""What resources give whole jobs and the client, and people do not need."""
ENTRIES = [ROOT / each for each in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]


def links(page: Path) -> list[str]:
    """Return the links of a page into the repository."""
    return re.findall(r"\]\((?!http)([^)\s]+)\)", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def is_dead(link: str, page: Path) -> bool:
    """Say whether a link leads nowhere."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("page", [*ENTRIES, *PAGES, *DECISIONS], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Pages and headings that are linked exist."""
    assert [link for link in links(page) if is_dead(link, page)] == []


def test_every_page_is_found() -> None:
    """The README leads to every page, as the menu of the site does."""
    found = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    first = ROOT / "docs" / "index.md"  # of the site
    assert set(PAGES) - found == {first}


def test_decisions_are_numbered_without_gaps() -> None:
    """Each decision has the next number, in its name and its title, a date and a status."""
    for number, page in enumerate(DECISIONS, 1):
        title, _, status, *_ = page.read_text(encoding="utf-8").splitlines()
        assert page.name.startswith(f"{number:04}-")
        assert title.startswith(f"# {number}. ")
        assert re.match(r"Date: \d{4}-\d\d-\d\d\. Status: \w", status)


@pytest.mark.parametrize("noun", NOUNS)
def test_the_guide_names_every_method(noun: str) -> None:
    """The row of a noun has all of its methods, and no others."""
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `client\.{noun}` \| (.+) \|$", guide, flags=re.MULTILINE)
    methods = {name for name in dir(NOUNS[noun]) if not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", row)) == methods - OF_JOBS
