"""Serve one export at every address: ``python -m benchmarks.export_server FILE``.

Prints its port and serves until it is ended, so that those who read are what is measured.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PIECE = 1024 * 1024


def main() -> None:
    """Serve the file that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_server", description=__doc__)
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            with file.open("rb") as opened:
                shutil.copyfileobj(opened, self.wfile, _PIECE)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
