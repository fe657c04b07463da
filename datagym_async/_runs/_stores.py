"""Object stores (S3, Google, Azure): opening, reading, and the meaning of errors.

An address is ``s3://bucket/key``, ``gs://bucket/key`` or ``az://container/key``; the key is not
encoded. `obstore` does the rest; its credentials come from its own environment variables and
options. It retries by itself: answers 429 and 5xx (S3's SlowDown is a 503), timeouts and failed
connections. It continues a broken body if the object is still the same (tested with version 0.12).
The remaining errors are judged here, in one table:

===================================  ===================================================
what a store says                    what it is
===================================  ===================================================
404 of an object                     `gone`: the item is rejected
401, 403, no credentials             `denied`: the item is rejected, like a file without permission
credentials that expired or fail     `passing`, since all else would meet it too
412, or another ETag than listed     `changed`: the item is rejected
404 of a bucket, another region,     `wrong`: the source, or the item, is rejected
a key like ``a//b``
429, 5xx, no answer, after all waits `passing`: the item failed, and `PATIENCE` in a row end the job
===================================  ===================================================

Texts of a store are never shown: they quote access keys, signatures and URLs with tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import attrs

from datagym_async._checks import to_tuple
from datagym_async._extras import extra_module
from datagym_async._printable import printable
from datagym_async._threads import in_thread
from datagym_async._wire._messages import Body
from datagym_async.exceptions import ConfigurationError, FileChangedError, StoreError, Trouble

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutResult

SCHEMES: Final = ("s3", "gs", "az", "memory")
"""``memory`` is a store of this process, for tests; it is gone with it."""
RANGE: Final = 4 << 20  # bytes of a large object in one request
PATIENCE: Final = 8  # failed objects in a row, after which a store counts as gone
LISTED: Final = 1000  # objects of a listing in one step
_ADDRESS: Final = re.compile(rf"({'|'.join(SCHEMES)})://([^/]*)/?(.*)", re.IGNORECASE | re.DOTALL)
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")
_PATH: Final = re.compile(r'[Pp]ath "([^"]*)"')
_RETRIES: Final = {
    "max_retries": 8,
    "retry_timeout": timedelta(minutes=2),
    "backoff": {
        "init_backoff": timedelta(milliseconds=200),
        "max_backoff": timedelta(seconds=10),
        "base": 3,
    },
}
_OF_THE_CLIENT: Final = re.compile(
    "allow_http|allow_invalid_certificates|(connect_|read_|pool_idle_)?timeout|http[12]_only|"
    "proxy_(url|ca_certificate|excludes)|root_certificate"
)
_SHOWN: Final = re.compile(
    "allow_http|anonymous|base_url|endpoint(_url)?|(default_)?region|request_payer|skip_signature|"
    "virtual_hosted_style_request|account_name|timeout"
)
"""Options that hold no secret, and may stand in a journal."""
_VARIABLES: Final = re.compile(
    "s3:AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|(DEFAULT_)?REGION|ENDPOINT(_URL(_S3)?)?)|"
    "az:AZURE_STORAGE_(ACCOUNT_NAME|TOKEN|ENDPOINT)"
)
"""Those that obstore puts into addresses and headers, by the scheme of the store."""
_ENDPOINT: Final = re.compile(r"https?://[\w.:\[\]-]+(/[!-~]*)?", re.IGNORECASE | re.ASCII)
_PANIC: Final = "PanicException"
_MEMORY: Final[dict[str, Any]] = {}


def is_stored(text: str) -> bool:
    """Return whether a text is the address of a store, or of an object in one."""
    return _ADDRESS.match(text) is not None


def store_options(value: Mapping[str, object] | Iterable[str] | None) -> tuple[str, ...]:
    """Return options as texts ``key=value``, however they are given."""
    if isinstance(value, Mapping):
        return tuple(f"{key}={each}" for key, each in value.items())
    return to_tuple(value)


def check_store_options(_: object, __: object, value: tuple[object, ...]) -> None:
    """Refuse invalid options; their text is never shown, because it may be a secret."""
    for each in value:
        if not isinstance(each, str) or not re.match(r"[A-Za-z]\w*=", each):
            raise ConfigurationError(
                "An option of a store must be written key=value, for example region=eu-west-1."
            )


def shown_options(options: Iterable[str]) -> tuple[str, ...]:
    """Return the options that are not secrets."""
    prefix = re.compile("^(aws|google|azure|azure_storage)_")
    return tuple(
        each
        for each in options
        if _SHOWN.fullmatch(prefix.sub("", each.partition("=")[0].lower()))
        and not re.search("[@?]", each)
    )


def trouble_of(error: BaseException) -> tuple[Trouble, str]:
    """Return the kind of an error of obstore, and a message without its own text."""
    kind, text = type(error).__name__, str(error)
    if kind == _PANIC:
        return "wrong", "its address, options or credentials cannot be used"
    status, code = ("".join(each.findall(text)[:1]) for each in (_STATUS, _CODE))
    said = f"the store answered {status}{f' {code}' if code else ''}" if status else ""
    if any(each in text for each in _OF_MACHINES):
        return "denied", _NO_CREDENTIALS
    if _REFUSED_LOGIN.fullmatch(code):
        return "passing", f"its credentials are not accepted ({said})"
    if code == "AuthorizationHeaderMalformed" or "redirect without" in text:
        words = "its bucket is in another region; set AWS_REGION, or give the option region"
        return "wrong", f"{words}{said and f' ({said})'}"
    if status in {"401", "403"}:
        return "denied", f"access is denied ({said})"
    if code in {"NoSuchBucket", "ContainerNotFound"}:
        return "wrong", "the bucket does not exist"
    if isinstance(error, FileNotFoundError):
        return "gone", "it does not exist"
    if kind == "PreconditionError":
        return "changed", "it has changed since it was listed"
    if kind == "InvalidPathError" or "parse path" in text:
        where = _PATH.search(text)
        named = f" '{printable(where[1])}'" if where else ""
        why = f"the key{named} has empty or dotted parts, or a control character"
        return "wrong", f"{why}; rename it, or use other prefixes"
    if status and status[0] == "4" and status not in {"408", "429"}:
        return "wrong", said
    hints = ("dns error", "tcp connect", "timed out", "TimedOut", "certificate", "body")
    hint = next((each for each in hints if each in text), "")
    return (
        "passing",
        said or f"the store cannot be reached, or the connection broke ({hint or kind})",
    )


_OF_MACHINES: Final = ("//169.254.", "//metadata.google", "/latest/api/token")
"""Where machines in a cloud get credentials; obstore looks there if there are none."""
_REFUSED_LOGIN: Final = re.compile(
    "ExpiredToken|InvalidToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|"
    "RequestTimeTooSkewed|AuthenticationFailed"
)
"""Codes of S3 and Azure that have nothing to do with the object."""
_NO_CREDENTIALS: Final = (
    "there are no credentials for the store; set them in the environment (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY), or give "
    "the option skip_signature=true to read a public bucket"
)


def _is_of_obstore(error: BaseException) -> bool:
    # obstore panics if options make no valid request.
    return isinstance(error, Exception) or type(error).__name__ == _PANIC


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Raise errors of obstore as `StoreError`, without their text and cause."""
    try:
        yield
    except BaseException as error:
        if not _is_of_obstore(error):
            raise
        trouble, words = trouble_of(error)
        raise StoreError(f"{address}: {words}.", trouble=trouble) from None


def etag_of(said: ObjectMeta | PutResult) -> str:
    """Return the ETag: Azure lists it without the quotes that it has in a header (documented)."""
    return (said["e_tag"] or "").removeprefix("W/").strip('"')


def identity_of(meta: ObjectMeta, *, by_time: bool = False) -> int:
    """Return what identifies the bytes of an object: its ETag, or else its time in seconds."""
    mark = "" if by_time else etag_of(meta)
    mark = mark or str(int(meta["last_modified"].timestamp()))  # headers have whole seconds
    return int.from_bytes(hashlib.blake2b(mark.encode(), digest_size=8).digest()) >> 1


@attrs.frozen
class StoreLocation:
    root: str  # "s3://bucket"
    key: str  # of an object, or a prefix, without slashes around it

    @classmethod
    def of(cls, address: str) -> Self:
        found = _ADDRESS.match(address)
        bucket = found[2] if found else ""
        if found is None or not bucket or "@" in bucket or ":" in bucket:
            shown = "An address with an @" if "@" in bucket else f"'{printable(address)}'"
            raise ConfigurationError(
                f"{shown} is not an address in a store, which is like s3://bucket/key; credentials "
                "have no place in it."
            )
        return cls(f"{found[1].lower()}://{bucket}", found[3].strip("/"))

    @property
    def address(self) -> str:
        return f"{self.root}/{self.key}"


@attrs.define
class Stores:
    """Open each store once, with the options of a job; for any thread."""

    options: tuple[str, ...] = attrs.field(default=(), repr=False)
    unanswered: int = attrs.field(default=0, init=False)  # failed objects in a row
    opened: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)

    def open(self, root: str) -> Any:
        """Return the store of a bucket or container; options that it does not know are an error."""
        if (store := self.opened.get(root)) is not None:
            return store
        stores = extra_module("obstore.store")
        if root.startswith("memory:"):
            store = _MEMORY.setdefault(root, stores.MemoryStore())
            return self.opened.setdefault(root, store)
        given = dict(each.split("=", 1) for each in self.options)
        client = {key: given.pop(key) for key in list(given) if _OF_THE_CLIENT.fullmatch(key)}
        if "anonymous" in given:
            given["skip_signature"] = given.pop("anonymous")
        scheme = root.partition("//")[0]
        around = {k: v for k, v in os.environ.items() if v and _VARIABLES.fullmatch(scheme + k)}
        every = around | given
        # obstore would panic at a control character, or a bad address.
        if odd := next((key for key, value in every.items() if not value.isprintable()), ""):
            raise ConfigurationError(
                f"{odd} contains a line break or another control character; remove it."
            )
        for key, value in every.items():
            if not re.search("(?<!fabric_)endpoint|base_url", key.lower()):
                continue
            try:
                is_address = _ENDPOINT.fullmatch(value) and urlsplit(value).port != 0
            except ValueError:
                is_address = False
            if not is_address:
                raise ConfigurationError(
                    f"{key} is not an address of a store, which is like https://minio.example:9000."
                )
            # Without TLS only if the given address says so.
            if value.lower().startswith("http://"):
                client.setdefault("allow_http", "true")
        client.setdefault("timeout", "120s")
        try:
            store = stores.from_url(
                root, config=given, client_options=client, retry_config=_RETRIES
            )
        except BaseException as error:
            if not _is_of_obstore(error):
                raise
            found = re.search(r"Configuration key: '(\w+)'", str(error))
            said = f"does not know the option {found[1]}" if found else "cannot use its options"
            names = sorted(each.partition("=")[0] for each in self.options) or ["none were given"]
            said = f"{said} (options: {', '.join(names)}; and what the environment sets)"
            if "Account must be specified" in str(error):
                said = "has no account; set AZURE_STORAGE_ACCOUNT_NAME, or its option account_name"
            raise ConfigurationError(f"The store {root} {said}.") from None
        self.opened[root] = store
        return store

    def list(self, at: StoreLocation) -> Iterator[ObjectMeta]:
        """Yield the objects below a prefix, in memory that does not grow with them; blocks."""
        store = self.open(at.root)
        with store_errors(at.address):
            stream = store.list(at.key or None, chunk_size=LISTED)
            yield from itertools.chain.from_iterable(stream)

    def head(self, at: StoreLocation) -> ObjectMeta:
        store = self.open(at.root)
        with store_errors(at.address):
            meta: ObjectMeta = store.head(at.key)
        return meta

    def at(self, address: str) -> Object:
        return Object(self, StoreLocation.of(address))

    def noted(self, error: StoreError | None) -> None:
        """Count failures of a store in a row; at `PATIENCE` the error is raised."""
        self.unanswered = self.unanswered + 1 if error and error.trouble == "passing" else 0
        if error and self.unanswered >= PATIENCE:
            raise error


@attrs.frozen
class Object:
    """One object, read by ranges; each answer says whether it is still the same."""

    stores: Stores
    at: StoreLocation
    etag: str | None = None  # that it must have

    def _options(self, start: int, size: int) -> dict[str, Any]:
        wanted: dict[str, Any] = {"range": (start, start + size)}
        return wanted if self.etag is None else wanted | {"if_match": self.etag}

    async def read(self, start: int, size: int) -> tuple[bytes, ObjectMeta]:
        """Return bytes, fewer only at the end, and the metadata of the object."""
        # The first time it is opened in a thread, because that imports and may read files.
        opened, root = self.stores.opened, self.at.root
        store = opened[root] if root in opened else await in_thread(self.stores.open, root)
        with store_errors(self.at.address):
            found = await store.get_async(self.at.key, options=self._options(start, size))
            return bytes(await found.bytes_async()), found.meta

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes at an offset, fewer only at its end; blocks."""
        store = self.stores.open(self.at.root)
        with store_errors(self.at.address):
            return bytes(store.get(self.at.key, options=self._options(offset, size)).bytes())

    def body(self, size: int) -> Body:
        """Return a body that reads it in ranges, the next one while one is sent."""
        # For another process, which opens stores by itself.
        again = partial(Object(Stores(self.stores.options), self.at, self.etag).body, size)
        return Body(size=size, open=partial(self._chunks, size), again=again)

    @asynccontextmanager
    async def _chunks(self, size: int) -> AsyncIterator[AsyncIterator[bytes]]:
        ahead: list[asyncio.Task[tuple[bytes, ObjectMeta]]] = []

        def begin(at: int) -> None:
            if at < size:
                ahead.append(asyncio.create_task(self.read(at, min(RANGE, size - at))))

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, size, RANGE):
                data, _ = await ahead.pop()
                if len(data) != min(RANGE, size - at):
                    raise FileChangedError(f"{self.at.address} is shorter than it was listed")
                begin(at + RANGE)
                yield data

        begin(0)
        try:
            await asyncio.wait(ahead)  # the request begins with data
            yield chunks()
        except StoreError as error:
            self.stores.noted(error)
            raise
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)
