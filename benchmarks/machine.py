"""The facts without which a figure says nothing."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from pathlib import Path


def machine_facts() -> dict[str, str | int | float]:
    """Return the machine, the interpreter, the load before the run and the command line."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    command = ["python", "-m", module.name] if module else [sys.argv[0]]
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "command": shlex.join([*command, *sys.argv[1:]]),
    }


def _cores() -> int:
    return os.cpu_count() or 1


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
