"""The extras and their modules."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any, Final

from datagym_async.exceptions import ConfigurationError

_EXTRAS: Final[Mapping[str, str]] = {
    "typer": "cli",
    "rich": "cli",
    "aiosqlite": "server",
    "PIL": "server",  # the other packages that need it name their extra
    "pillow_heif": "heic",
    "skimage": "demo",
    "jinja2": "look",
    "watchfiles": "watch",
    "distributed": "distributed",
    "numpy": "formats",
    "pycocotools": "formats",
    "yaml": "formats",
    "anyascii": "formats",
    "defusedxml": "formats",
    "obstore": "cloud",
    "zstandard": "cloud",
}
_PACKAGES: Final[Mapping[str, str]] = {"PIL": "Pillow"}


def missing_extra(error: ModuleNotFoundError, extra: str | None = None) -> str | None:
    """Return the sentence that names the extra to install, or None if no extra would help."""
    module = (error.name or "").partition(".")[0]
    extra = extra or _EXTRAS.get(module)
    if extra is None:
        return None
    return f"This needs the extra '{extra}' (no module {module} here): {how_to_install(extra)}"


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra in the way in which this package is installed."""
    from datagym_async._installed import COMMAND

    return COMMAND.replace("EXTRA", extra)


def extra_module(
    name: str, error: type[ConfigurationError] = ConfigurationError, extra: str | None = None
) -> Any:
    """Import a module, or raise an error with the extra to install (`extra` if several have it)."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise error(
            missing_extra(missing, extra) or f"{name} cannot be imported: {missing}"
        ) from None


def silence_pillow() -> None:
    """Turn off Pillow's warnings, of large images and broken EXIF, in a process of ours."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def require_modules(what: str, extra: str, *names: str, instead: str = "") -> None:
    """Raise `ConfigurationError` if a module is not installed; nothing is imported.

    `what` needs the modules, `extra` (or several, joined by commas) has them, and `instead` works
    without them.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        packages = " and ".join(_PACKAGES.get(name, name) for name in missing)
        them, way_out = "them" if missing[1:] else "it", f", or {instead}" if instead else ""
        raise ConfigurationError(
            f"{what} needs {packages}; install {them} with {how_to_install(extra)}{way_out}."
        )
