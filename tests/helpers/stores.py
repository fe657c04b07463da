"""Object stores for tests: moto's S3 server, and a small one that breaks as it is told."""

from __future__ import annotations

import logging
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import attrs

from datagym_async._runs import Stores

ACCESS, SECRET = "AKIASENTINEL", "sentinel/secret/key"
"""Credentials, never to be seen anywhere."""


def options_of(endpoint: str) -> dict[str, str]:
    """Return the options with which a store on loopback is opened."""
    return {
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key_id": ACCESS,
        "secret_access_key": SECRET,
    }


def opened(root: str, options: dict[str, str] | None = None) -> Any:
    """Return a store of obstore's."""
    return Stores(tuple(f"{key}={value}" for key, value in (options or {}).items())).open(root)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server in a thread; give its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(endpoint: str, name: str) -> None:
    """Make a bucket, which obstore has no call for."""
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT")).close()


@attrs.define
class BrokenStore:
    """An S3-like store of one bucket in memory; `fault` says what goes wrong with a request."""

    objects: dict[str, bytes] = attrs.Factory(dict)
    etags: dict[str, str] = attrs.Factory(dict)
    asked: Counter[str] = attrs.Factory(Counter)  # requests, by key; "" are listings
    ranges: list[tuple[str, str]] = attrs.Factory(list)
    fault: Callable[[str, int], str] = lambda key, number: ""
    """Takes a key and how often it was asked for; gives ``"reset"``, ``"short"`` or a status
    (with a code)."""
    latency: float = 0.0
    listed_etags: str = "quoted"  # or "bare", "weak", or none
    minute: int = 28  # of the last change of all objects; listings have parts of a second too
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator[BrokenStore]:
        """Serve it on loopback."""
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                store.answer(self)

            def do_PUT(self) -> None:
                store.take(self)

            def do_POST(self) -> None:
                store.drop(self)

            do_HEAD = do_GET  # noqa: N815 -- the name that http.server looks for

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    @property
    def options(self) -> dict[str, str]:
        """The options with which it is opened."""
        return options_of(self.url)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        parts = urlsplit(request.path)
        key = unquote(parts.path).removeprefix("/b").strip("/")
        self.asked[key] += 1
        if self.latency:
            time.sleep(self.latency)
        fault = self.fault(key, self.asked[key])
        if fault[:1].isdigit():
            answered, _, code = fault.partition(" ")
            usual = {"503": "SlowDown", "403": "AccessDenied", "404": "NoSuchKey"}
            code = code or usual.get(answered, "X")
            told = f"<Error><Code>{code}</Code><AWSAccessKeyId>{ACCESS}</AWSAccessKeyId></Error>"
            self._send(request, int(answered), told.encode())
        elif not key:
            self._send(request, 200, self._listed(parse_qs(parts.query)).encode())
        elif key not in self.objects:
            self._send(request, 404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif request.headers.get("If-Match") not in {None, self.etag(key)}:
            self._send(request, 412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            data, size = self.objects[key], len(self.objects[key])
            date = f"Wed, 21 Oct 2015 07:{self.minute}:00 GMT"
            fields = {"ETag": self.etag(key), "Last-Modified": date}
            wanted, status = request.headers.get("Range"), 200
            if wanted and size:
                self.ranges.append((key, wanted))
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                data, status = data[int(first) : int(last or size) + 1], 206
                data = data[:-1] if fault == "short" else data
                end = int(first) + len(data) - 1
                fields["Content-Range"] = f"bytes {first}-{end}/{size}"
            self._send(request, status, data, fields, cut=fault == "reset")

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """Take an object."""
        key = unquote(urlsplit(request.path).path).removeprefix("/b/")
        data = request.rfile.read(int(request.headers["Content-Length"]))
        self.asked[key] += 1
        if fault := self.fault(key, self.asked[key]):
            self._send(request, int(fault), b"<Error><Code>AccessDenied</Code></Error>")
            return
        self.objects[key] = data
        self._send(request, 200, b"", {"ETag": self.etag(key)})

    def drop(self, request: BaseHTTPRequestHandler) -> None:
        """Delete objects; the fault of ``"DELETE"`` says whether they may be."""
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        if fault := self.fault("DELETE", 1):
            self._send(request, int(fault), b"<Error><Code>AccessDenied</Code></Error>")
            return
        for key in re.findall("<Key>(.*?)</Key>", body):
            self.objects.pop(key, None)
        self._send(request, 200, b"<DeleteResult></DeleteResult>")

    def etag(self, key: str) -> str:
        """Return the ETag of an object."""
        return self.etags.get(key, f'"{hash(self.objects[key]) & 0xFFFFFFFF:x}"')

    def _listed_etag(self, key: str) -> str:
        etag = self.etag(key)
        shown = {"quoted": etag, "bare": etag.strip('"'), "weak": f"W/{etag}"}
        return f"<ETag>{escape(shown[self.listed_etags])}</ETag>" if self.listed_etags else ""

    def _listed(self, query: dict[str, list[str]]) -> str:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        keys = [key for key in sorted(self.objects) if key.startswith(prefix) and key > after]
        page, more = keys[:1000], len(keys) > 1000
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2015-10-21T07:{self.minute}:00.700Z"
            f"</LastModified>{self._listed_etag(key)}"
            f"<Size>{len(self.objects[key])}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        is_cut = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return f"<ListBucketResult>{is_cut}{token}{rows}</ListBucketResult>"

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        fields: dict[str, str] | None = None,
        *,
        cut: bool = False,
    ) -> None:
        request.send_response(status)
        for name, value in (fields or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            request.close_connection = True
