"""The site as people read it: `python -m tests.site` builds it strictly and looks at it.

A link leads to a page and a heading that are there, nothing is loaded from another host (so that
the site works offline), and the reference has every public name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

from tests.helpers.reference import pages

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
_ELSEWHERE = re.compile(r"(?:https?:)?//")
_IN_STYLES = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")


class Built(HTMLParser):
    """What a built page has and asks for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names, links to or loads."""
        found = {name: value or "" for name, value in attrs}
        self.ids.add(found.get("id", ""))
        if tag == "a":
            self.links += [found["href"]] if "href" in found else []
        elif not (tag == "link" and found.get("rel") in {"canonical", "prev", "next"}):
            self.loaded += [found[each] for each in ("src", "href", "data") if each in found]
        if "mermaid" in found.get("class", ""):
            self.loaded.append("https://unpkg.com/mermaid")  # which the theme loads for it

    def troubles(self, built: dict[Path, Built]) -> Iterator[str]:
        """Say what is wrong with it, a sentence each."""
        for address in self.loaded:
            if _ELSEWHERE.match(address):
                yield f"{address} is loaded from another host"
        for address in (*self.links, *self.loaded):
            path, anchor = urldefrag(address)
            if re.match(r"[a-z]+:|//", address):
                continue
            base = SITE if path.startswith("/") else self.path.parent
            there = (base / unquote(path.lstrip("/"))).resolve() if path else self.path
            target = there / "index.html" if there.is_dir() else there
            if not target.exists():
                yield f"{address} leads nowhere"
            elif anchor and target in built and unquote(anchor) not in built[target].ids:
                yield f"{address} leads to no heading"


def main() -> int:
    """Build and look; print what is wrong."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(SITE)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # docs/decisions/0043
    if subprocess.run(words, cwd=ROOT, check=False, env=environment).returncode:
        return 1
    built = {path: Built(path) for path in sorted(SITE.rglob("*.html"))}
    found = [
        f"{path.relative_to(SITE)}: {trouble}"
        for path, page in built.items()
        if path.name != "404.html"  # whose links count from wherever somebody got lost
        for trouble in page.troubles(built)
    ]
    found += [
        f"{style.relative_to(SITE)}: loads from another host"
        for style in SITE.rglob("*.css")
        if _IN_STYLES.search(style.read_text(encoding="utf-8"))
    ]
    if not (SITE / "search" / "search_index.js").exists():
        found.append("the search has no index that pages on the disk can load")
    for page in pages():
        ids = built[(SITE / page.file).with_suffix(".html")].ids
        found += [f"{page.file}: {name} is missing" for name in page.anchors - ids]
    print(*found or [f"{len(built)} pages, no dead link, nothing from another host"], sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
