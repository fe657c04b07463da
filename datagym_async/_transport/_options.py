"""The options of a transport (address, token, proxy, time limits), checked before they are used."""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from datagym_async._checks import PATH, check, is_number, shown
from datagym_async._printable import printable, without_secrets
from datagym_async._wire._redact import Secret
from datagym_async.exceptions import ClientClosedError, ConfigurationError

if TYPE_CHECKING:
    import aiohttp

# Uploads that may share the bandwidth; it only decides how late a stalled one is noticed.
_SHARERS = 64
# An answer may pause for `read` seconds without being slow.
_WINDOW = 120.0
_LABEL, _HOST = 63, 253  # characters of a part of a host's name, and of all of it
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
Auth: TypeAlias = Literal["header", "parameter"]
"""Where the token goes: the Authorization header, or the request's query (both are documented)."""
_TOKEN = re.compile(r"[\x21-\x7e]+")


def _check_positive(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    if not (is_number(value) and value > 0):
        msg = f"Timeout {attribute.name} is {shown(value)}; it must be a number of seconds above 0"
        raise ConfigurationError(msg)


@attrs.frozen
class Timeout:
    """Time limits of one attempt, by phase.

    Args:
        connect: Seconds to open a connection, including TLS.
        read: Seconds without a byte of the answer, counted from the end of the request's body;
            without a body, from the beginning of the request, including its connection. The service
            itself aborts a stalled body after 60 seconds.
        read_rate: Slowest speed of an answer, in bytes a second (unpacked). It is checked over each
            2 minutes of waiting for bytes, or twice `read` if that is longer; time in which the
            caller does not read is not counted.
        upload: Seconds for an upload in addition to the time for its bytes.
        upload_rate: Slowest speed of an upload, in bytes a second.
    """

    __module__ = "datagym_async"  # what it is imported from

    connect: float = attrs.field(default=10.0, validator=_check_positive)
    read: float = attrs.field(default=60.0, validator=_check_positive)
    read_rate: float = attrs.field(default=1_000.0, validator=_check_positive)
    upload: float = attrs.field(default=30.0, validator=_check_positive)
    upload_rate: float = attrs.field(default=50_000.0, validator=_check_positive)

    @property
    def read_window(self) -> float:
        """Return the seconds over which `read_rate` is checked."""
        return max(_WINDOW, 2 * self.read)

    def of_upload(self, size: int) -> float:
        """Return the seconds that sending `size` bytes and their answer may take."""
        return self.upload + size / self.upload_rate

    def for_pace(self, rate: float | None) -> Timeout:
        """Return limits that fit uploads which share `rate` bytes a second (None: no limit)."""
        if rate is None or not rate > 0:
            return self
        return attrs.evolve(self, upload_rate=min(self.upload_rate, rate / _SHARERS))


def check_base_url(base_url: str, option: str = "base_url") -> str:
    """Return the address with its scheme and exactly one slash at its end, or raise.

    A trailing ``/api/v1`` is removed, because people copy it from the documentation. `option` is
    the name of the address in errors.
    """
    check_kind(option, base_url, str, or_none=False)
    parts, wrong = _parts_of(base_url.strip()), ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        wrong = "is not a valid address; write it like https://app.datagym.ai"
    elif not is_host(parts.hostname):
        wrong = (
            f"names no host; give a name whose parts have 1 to {_LABEL} characters, or an address "
            "of four numbers"
        )
    elif parts.username is not None or parts.query or parts.fragment:
        wrong = (
            "holds credentials, a query or a fragment; give host and path alone, and the token as "
            "token or DATAGYM_TOKEN"
        )
    if wrong:
        raise ConfigurationError(f"{option} {without_secrets(base_url)!r} {wrong}")
    path = parts.path.rstrip("/").removesuffix("/api/v1").rstrip("/")
    address = urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", ""))
    if address.isascii():
        return address
    from yarl import URL  # costs more to load than all else here

    try:
        return str(URL(address))  # as it travels: xn--... and %C3%BC
    except ValueError:
        raise ConfigurationError(f"{option} {base_url!r} names no host; check it") from None


def is_host(host: str) -> bool:
    """Return whether a host, without port and brackets, is an address or can be a name.

    For others Python raises UnicodeError during the request. A name cannot end in a number: each
    system reads ``127.1`` or ``0x7f000001`` as addresses in its own way.
    """
    if _address_of(host) is not None:
        return True
    labels = host.removesuffix(".").split(".")
    is_short = len(host) <= _HOST and all(0 < len(label) <= _LABEL for label in labels)
    return is_short and not _NUMBER.fullmatch(labels[-1])


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is, without its zone; None if it is a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises where it is none
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def proxy_for(base_url: str, proxy: str | Secret | None, *, trust_env: bool) -> Secret:
    """Return the URL of the proxy for the service, empty for none, or raise if it is no such URL.

    An empty `proxy` means none; None means that of the environment (``HTTPS_PROXY``,
    ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) or of the system as far as `urllib` knows it, if
    `trust_env` is True and the service is not on this machine.
    """
    parts, where = urlsplit(base_url), "proxy"
    if proxy is None:
        if not trust_env or _is_loopback(host := parts.hostname or ""):
            return Secret("")
        known, where = getproxies(), "the proxy of the environment"
        if proxy_bypass(parts.netloc) or _is_within(host, known.get("no", "")):
            return Secret("")
        proxy = known.get(parts.scheme) or known.get("all") or ""
    secret = Secret(proxy)
    del proxy
    if not isinstance(secret.reveal(), str):
        kind = type(secret.reveal()).__name__
        raise ConfigurationError(f"proxy is of the type {kind}; pass its URL as a text")
    secret = Secret(secret.reveal().strip())
    if not secret:
        return secret
    # As with curl, a proxy without a scheme is an http one.
    has_scheme = "://" in secret.reveal()
    secret = secret if has_scheme else Secret(f"http://{secret.reveal()}")
    given = _parts_of(secret.reveal())
    # `urlsplit` ignores some blanks and line breaks, which would get into a head.
    is_one = secret.reveal().isprintable() and " " not in secret.reveal()
    if given.scheme not in {"http", "https"} or not is_host(given.hostname or "") or not is_one:
        raise ConfigurationError(
            f"{where} {without_secrets(secret.reveal())!r} is not an http or https URL; write it "
            'like http://proxy.example:3128, or give proxy="" for none'
        )
    return secret


def _is_within(host: str, names: str) -> bool:
    """Return whether an address is, or is in a network of, `names`, of which `urllib` takes texts.

    So do curl and requests: ``10.0.0.0/8,fd00::1,[fd00::2]``.
    """
    address = _address_of(host)
    for name in () if address is None else names.split(","):
        with suppress(ValueError):
            if address in ip_network(name.strip().strip("[]"), strict=False):
                return True
    return False


def _is_loopback(host: str) -> bool:
    address = _address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def tls_context(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext | bool:
    """Return what verifies connections: the system's authorities, and those of a PEM file."""
    if ca_file is None:
        return True
    check(PATH, ca_file=ca_file)
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=os.path.expanduser(ca_file))  # noqa: PTH111
    except OSError as error:
        is_read = isinstance(error, ssl.SSLError)
        reason = "it holds no certificate in PEM" if is_read else error.strerror
        name = printable(os.fspath(ca_file))
        raise ConfigurationError(f"ca_file {name} cannot be used: {reason}") from None
    return context


def check_token(token: str | Secret) -> Secret:
    """Return the token without outer blanks; no error and no variable of a frame repeats it."""
    kind: type[object] = type(Secret(token).reveal())
    if not issubclass(kind, str):
        del token
        msg = f"The API token is of the type {kind.__name__}; pass it as a text"
        raise ConfigurationError(msg)
    secret = Secret(Secret(token).reveal().strip())
    del token
    if not secret:
        msg = (
            "No API token: pass token=..., or set DATAGYM_TOKEN "
            "(DataGym shows it under the organisation's settings, API tokens)"
        )
        raise ConfigurationError(msg)
    if not _TOKEN.fullmatch(secret.reveal()):
        msg = "The API token holds blanks or characters outside ASCII; copy it again completely"
        raise ConfigurationError(msg)
    return secret


def check_kind(option: str, value: object, kind: type, *, or_none: bool = True) -> None:
    """Raise `ConfigurationError` for a value of another class, such as a dict as a config."""
    if isinstance(value, kind) or (or_none and value is None):
        return
    given, name = type(value).__name__, kind.__name__
    options = "**options" if isinstance(value, dict) else "..."
    msg = f"{option} is of the type {given}, not {name}; write {option}={name}({options})"
    raise ConfigurationError(msg)


def check_session(session: aiohttp.ClientSession | None) -> None:
    """Raise `ConfigurationError` for a caller's session that is closed, or something else."""
    if session is None:
        return
    from aiohttp import ClientSession

    check_kind("session", session, ClientSession)
    if session.closed:
        raise ConfigurationError("The aiohttp session is closed; pass one that is open")


class CallersSession:
    """A caller's session without ``raise_for_status``, which would hide the service's reasons."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def request(self, method: str, url: Any, **options: Any) -> Any:
        if self._session.closed:
            raise ClientClosedError("The aiohttp session that was passed to the client is closed")
        return self._session.request(method, url, raise_for_status=False, **options)
