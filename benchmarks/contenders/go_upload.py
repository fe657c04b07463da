"""Upload a folder with Go's net/http (`go/upload.go`), on one processor as everybody else.

The program is built where the folder ``go`` of this package lies, into a temporary file. Needs a
Go toolchain; `is_there` says whether there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import arguments

_SOURCE = Path(__file__).parent / "go" / "upload.go"


def is_there() -> bool:
    """Return whether a Go toolchain is there."""
    return shutil.which("go") is not None


def main() -> None:
    """Build and run the program; what it prints is what is printed."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="datagym-benchmark-") as scratch:
        program = Path(scratch) / "upload"
        subprocess.run(["go", "build", "-o", program, _SOURCE], check=True)
        command = [program, options.folder, options.base_url, str(options.workers)]
        # It stays on the core that this process was put on.
        done = subprocess.run(command, check=False, env={**os.environ, "GOMAXPROCS": "1"})
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
