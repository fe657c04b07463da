"""Which extra brings which module: one table, one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTRAS: Final[Mapping[str, str]] = {
    "typer": "cli",
    "rich": "cli",
    "aiosqlite": "server",
    "PIL": "server",
    "skimage": "demo",
    "watchfiles": "watch",
    "numpy": "formats",
    "pycocotools": "formats",
    "labelformat": "formats",
    "yaml": "formats",
}


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """Return the sentence that names the extra to install, or None if no extra would help."""
    module = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    if extra is None:
        return None
    return (
        f"This needs the extra '{extra}' (no module {module} here): "
        f"pip install 'datagym-async[{extra}]'"
    )
