"""The environment of the contenders that this project does not depend on."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

_REQUESTS = ["requests"]
# The SDK pins releases of 2019; without its pins it runs on current ones. It needs pkg_resources.
_SDK_NEEDS = ["numpy", "opencv-python-headless", "setuptools<81"]
_SDK = ["--no-deps", "datagym==0.7.2"]


class SideEnvironmentError(RuntimeError):
    """The environment of a contender could not be made; says why in one line."""


def can_import(python: str, module: str) -> bool:
    """Return whether an interpreter finds a module."""
    return (
        subprocess.run(
            [python, "-c", f"import {module}"], capture_output=True, check=False
        ).returncode
        == 0
    )


def make_side_venv(folder: Path) -> str:
    """Make, or complete, an environment with requests and the official SDK.

    Args:
        folder: Where it is, or is to be.

    Returns:
        The path of its interpreter.

    Raises:
        SideEnvironmentError: Something could not be installed or imported.
    """
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    if not can_import(str(python), "datagym"):
        _install(str(python), [*_REQUESTS, *_SDK_NEEDS])
        _install(str(python), _SDK)
    if not can_import(str(python), "datagym"):
        raise SideEnvironmentError("the SDK was installed and cannot be imported")
    return str(python)


def _install(python: str, packages: list[str]) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, check=False, text=True, errors="replace")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise SideEnvironmentError(f"pip install {' '.join(packages)} failed: {last[0]}")
