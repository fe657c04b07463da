"""requests in threads, a session for each: what scripts do without async."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from benchmarks.measure import arguments, measured

if TYPE_CHECKING:
    import argparse

_of_thread = threading.local()


def _session() -> requests.Session:
    if not hasattr(_of_thread, "session"):
        _of_thread.session = requests.Session()
        _of_thread.session.headers["Authorization"] = "Token benchmark"
    session: requests.Session = _of_thread.session
    return session


def _post(url: str, path: Path) -> None:
    body = path.read_bytes()
    headers = {"X-filename": path.name, "Content-Type": "application/octet-stream"}
    response = _session().post(url, data=body, headers=headers, timeout=60)
    response.raise_for_status()
    response.json()


def _upload(options: argparse.Namespace) -> None:
    url = f"{options.base_url}/api/v1/media/{options.dataset}/file"
    with ThreadPoolExecutor(options.workers) as pool:
        for done in [pool.submit(_post, url, path) for path in sorted(options.folder.iterdir())]:
            done.result()


def main() -> None:
    """Upload a folder."""
    options = arguments()
    with measured(["requests"]):
        _upload(options)


if __name__ == "__main__":
    main()
