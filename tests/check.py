"""Every check there is, in one command: `python -m tests.check [step ...]`.

Runs format, lint, types, layers, circles, public, docs, wheel and tests with the interpreter that
runs this file; all of them by default, or the named ones. Stops at the first that fails, with its
exit status. The tests run on all cores and under branch coverage, which has a least (`fail_under`
in pyproject.toml); what only processes run that tests start is not measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_LAYERS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
_ON_ALL_CORES = ["-n", "logical", "--maxprocesses", "8", "--dist", "worksteal"]
STEPS: dict[str, list[str]] = {
    "format": ["-m", "ruff", "format", "--check", "."],
    "lint": ["-m", "ruff", "check", "."],
    "types": ["-m", "mypy"],
    "layers": ["-c", _LAYERS],
    "circles": ["-m", "tests.house", "--circles"],
    "public": ["-m", "tests.public"],
    "docs": ["-m", "tests.site"],
    "wheel": ["-m", "tests.wheel"],
    "tests": ["-m", "pytest", *_ON_ALL_CORES, "--cov", "--cov-report=term:skip-covered"],
}


def main(names: list[str]) -> int:
    """Run the named steps and return the first exit status that is not 0."""
    unknown = set(names) - set(STEPS)
    if unknown:
        print(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
        return 2
    for name in names or STEPS:
        print(f"== {name}", flush=True)
        status = subprocess.run([sys.executable, *STEPS[name]], cwd=ROOT, check=False).returncode
        if status:
            print(f"== {name} failed", flush=True)
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
