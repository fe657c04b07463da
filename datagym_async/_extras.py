"""Which extra brings which module: one table, one sentence, and one way to ask for a module."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from datagym_async.exceptions import ConfigurationError

_EXTRAS: Final[Mapping[str, str]] = {
    "typer": "cli",
    "rich": "cli",
    "aiosqlite": "server",
    "PIL": "server",
    "pillow_heif": "heic",
    "skimage": "demo",
    "watchfiles": "watch",
    "numpy": "formats",
    "pycocotools": "formats",
    "labelformat": "formats",
    "yaml": "formats",
}
_PACKAGES: Final[Mapping[str, str]] = {"PIL": "Pillow"}


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """Return the sentence that names the extra to install, or None if no extra would help."""
    module = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    if extra is None:
        return None
    return f"This needs the extra '{extra}' (no module {module} here): {how_to_install(extra)}"


def how_to_install(extra: str) -> str:
    """Return the command that adds an extra to this package, where and as it is installed."""
    from importlib import metadata

    what, origin = f"datagym-async[{extra}]", {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        text = metadata.distribution("datagym-async").read_text("direct_url.json")  # PEP 610
        origin = json.loads(text or "{}")
    url = origin.get("url", "")
    if url.startswith("file:"):
        what = f"{url2pathname(urlsplit(url).path)}[{extra}]"
    elif url:
        kind = f"{origin['vcs_info']['vcs']}+" if "vcs_info" in origin else ""
        what = f"{what} @ {kind}{url}"
    folders, pip = Path(sys.prefix).parts, shutil.which("pip")
    if "pipx" in folders:
        tool = "pipx install --force"
    elif {"uv", "tools"} <= {*folders}:
        tool = "uv tool install"
    elif importlib.util.find_spec("pip") is None:
        tool = f"uv pip install --python {shlex.quote(sys.executable)}"
    elif pip and Path(pip).parent == Path(sys.executable).parent:
        tool = "pip install"
    else:  # the one that is found first is of another Python
        tool = f"{shlex.quote(sys.executable)} -m pip install"
    is_editable = origin.get("dir_info", {}).get("editable")
    return f"{tool} {'-e ' if is_editable else ''}{shlex.quote(what)}"


def extra_module(name: str, error: type[ConfigurationError] = ConfigurationError) -> Any:
    """Import a module of an extra and return it.

    Args:
        name: Its full name, for example ``"pycocotools.mask"``.
        error: The class of the error if it is not installed.

    Raises:
        ConfigurationError: It is not installed; the text names the extra.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise error(missing_extra(missing) or f"{name} cannot be imported: {missing}") from None


def require_modules(what: str, extra: str, *names: str, instead: str = "") -> None:
    """Refuse to begin what could not be ended; nothing is imported.

    Args:
        what: What needs the modules, as the beginning of a sentence.
        extra: The extra, or several joined by commas, that bring them.
        names: Names of the modules, without dots.
        instead: What does without them.

    Raises:
        ConfigurationError: One is not installed.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        packages = " and ".join(_PACKAGES.get(name, name) for name in missing)
        way_out = f", or {instead}" if instead else ""
        raise ConfigurationError(
            f"{what} needs {packages}; install it with {how_to_install(extra)}{way_out}."
        )
