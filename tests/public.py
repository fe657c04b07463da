"""How much of the public surface type checkers know: ``python -m tests.public``.

Pyright looks at everything that `datagym_async` and its public modules export, and at what that
names in turn. The exit status is 1 where less than `LEAST` of it has a type that every type checker
would find; what lacks one is printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = "datagym_async"
LEAST = 0.99


def main() -> int:
    """Print the score and what lowers it."""
    # Of environments, pyright knows the one whose interpreter is the first in PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    words = ["-m", "basedpyright", "--verifytypes", PACKAGE, "--ignoreexternal", "--outputjson"]
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    try:
        found = json.loads(done.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        print(done.stdout, done.stderr)
        return 1
    for symbol in found["symbols"]:
        for problem in () if symbol["isTypeKnown"] else symbol["diagnostics"]:
            print(f"{symbol['name']}: {problem['message']}")
    score, exported = found["completenessScore"], sum(found["exportedSymbolCounts"].values())
    print(f"{score:.1%} of {exported} exported names have a known type; {LEAST:.0%} must")
    return int(not exported or score < LEAST)


if __name__ == "__main__":
    sys.exit(main())
