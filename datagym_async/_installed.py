"""How this package was installed, in the words of a command that installs more of it.

A module of its own, so that it is read once, as the module loads: a hint may be made in the event
loop, where imports alone may touch the disk.
"""

import importlib.util
import json
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname


def _command() -> str:
    what, origin = "datagym-async[EXTRA]", {}
    try:
        text = metadata.distribution("datagym-async").read_text("direct_url.json")  # PEP 610
        origin = json.loads(text or "{}")
    except metadata.PackageNotFoundError:  # run as it lies there, most likely in a checkout
        checkout = Path(__file__).resolve().parent.parent
        if (checkout / "pyproject.toml").is_file():
            what = f"{checkout}[EXTRA]"
    url = origin.get("url", "")
    if url.startswith("file:"):
        what = f"{url2pathname(urlsplit(url).path)}[EXTRA]"
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


COMMAND: Final = _command()  # the command, with EXTRA where the name of an extra stands
