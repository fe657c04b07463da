"""The command that installs an extra in the way in which this package was installed.

It is found when the module loads: a hint may be needed in the event loop, where only imports may
read the disk.
"""

import importlib.util
import json
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from datagym_async._printable import for_shell


def _command() -> str:
    what, origin = "datagym-async[EXTRA]", {}
    try:
        text = metadata.distribution("datagym-async").read_text("direct_url.json")  # PEP 610
        origin = json.loads(text or "{}")
    except metadata.PackageNotFoundError:  # not installed, most likely a checkout
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
        tool = f"uv pip install --python {for_shell(sys.executable)}"
    elif pip and Path(pip).parent == Path(sys.executable).parent:
        tool = "pip install"
    else:  # the first one in PATH is of another Python
        tool = f"{for_shell(sys.executable)} -m pip install"
    is_editable = origin.get("dir_info", {}).get("editable")
    return f"{tool} {'-e ' if is_editable else ''}{for_shell(what)}"


COMMAND: Final = _command()  # with EXTRA in place of the extra's name
