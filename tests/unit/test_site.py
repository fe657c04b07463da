"""What the check of the site finds in built pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site import SITE, Built


@pytest.mark.parametrize(
    ("tag", "trouble"),
    [
        ('<script src="https://host.example/a.js"></script>', "another host"),
        ('<link rel="stylesheet" href="//host.example/a.css">', "another host"),
        ('<img src="https://host.example/a.png">', "another host"),
        ('<pre class="mermaid"></pre>', "another host"),
        ('<img src="gone.png">', "leads nowhere"),
        ('<a href="gone/">', "leads nowhere"),
        ('<a href="b/#gone">', "leads to no heading"),
        ('<a href="#gone">', "leads to no heading"),
    ],
)
def test_what_is_wrong_with_a_page_is_said(tmp_path: Path, tag: str, trouble: str) -> None:
    """One sentence for each link or address that is none, or is of another host."""
    (said,) = troubles(tmp_path, tag)
    assert trouble in said


@pytest.mark.parametrize(
    "tag",
    [
        '<a href="https://host.example/">',
        '<a href="b/#there">',
        '<a href="b/">',
        '<a href="mailto:a@host.example">',
        '<link rel="canonical" href="https://host.example/">',
    ],
)
def test_a_good_page_has_no_trouble(tmp_path: Path, tag: str) -> None:
    """Links to other hosts are links, and load nothing."""
    assert troubles(tmp_path, tag) == []


def troubles(folder: Path, tag: str) -> list[str]:
    """Return what is said of a page with a tag, beside another page."""
    first, other = folder / "index.html", folder / "b" / "index.html"
    other.parent.mkdir()
    first.write_text(f"<html>{tag}", encoding="utf-8")
    other.write_text('<h1 id="there">', encoding="utf-8")
    built = {path: Built(path) for path in (first, other)}
    assert not first.is_relative_to(SITE)
    return list(built[first].troubles(built))
