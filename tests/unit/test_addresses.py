"""Which addresses are public: the registries of special-purpose addresses, as a table."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datagym_async._transport import (
    ForbiddenAddressError,
    GuardedSession,
    LinkError,
    Redirect,
    check_public,
    is_host,
)

SPECIAL = [
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # IPv4-compatible, also of a public address
    "::8.8.8.8",
    "::ffff:127.0.0.1",  # IPv4-mapped
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",  # IPv4-translated, likewise
    "::ffff:0:8.8.8.8",
    "64:ff9b::10.0.0.1",  # NAT64
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::8.8.8.8",  # NAT64 within a site
    "100::1",  # thrown away
    "2001::1",  # Teredo
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a00:1::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",  # not given out
    "5f00::1",  # segments of a route
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",  # site-local, given up
    "feff::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "93.184.215.14",
    "100.63.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2001:200::1",
    "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "3ffe::1",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
]
# Hosts that a system takes for a loopback or private address without asking a name server.
NUMBERS = [
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "2130706433",
    "017700000001",
    "0",
    "10.1",
    "167772161",
    "127.0.0.1.",
]
SPELLINGS = [
    "①②⑦.0.0.1",
    "127。0。0。1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]",
    "[fec0::1]",
    "localhost",
]


@pytest.mark.parametrize("address", SPECIAL)
def test_special_addresses_are_not_public(address: str) -> None:
    """Also where an IPv4 address hides in an IPv6 one."""
    with pytest.raises(ForbiddenAddressError):
        check_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_taken(address: str) -> None:
    """The rest of the internet."""
    check_public(address)


@given(st.ip_addresses())
@example(ipaddress.ip_address("fec0::1"))
def test_nothing_that_python_calls_special_is_taken(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Our table refuses no less than the one of `ipaddress`, save IPv4 within IPv6."""
    try:
        check_public(str(address))
    except ForbiddenAddressError:
        return
    within = isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped or address.sixtofour
    )
    assert (within or address).is_global


@pytest.mark.parametrize(
    ("host", "words"),
    [(host, "is not a host name") for host in NUMBERS]
    + [(host, "is not a public address") for host in SPELLINGS],
)
async def test_no_spelling_of_an_address_gets_past(host: str, words: str) -> None:
    """What counts is where the system would connect to; nothing is connected to."""
    guard = GuardedSession(allow_private=False)

    async def ask(url: object) -> None:
        answer = await guard.request("GET", url)  # type: ignore[arg-type]
        answer.close()

    try:
        with pytest.raises(LinkError, match=words):
            await guard.follow(f"http://{host}:9/a.jpg", ask)
    finally:
        await guard.aclose()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://[::1", "does not lead to a valid address"),
        ("http://host:99999/", "does not lead to a valid address"),
        ("http://a..b/", "leads to a..b, which is not a host name"),
        (f"http://{'a' * 64}.example/", "which is not a host name"),
        (f"http://{'a.' * 127}example/", "which is not a host name"),
        ("http://127.1/", "is not a host name"),
        ("file:///etc/passwd", "leads to file://, but only http and https are allowed"),
        ("gopher://example.org/", "leads to gopher://"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
async def test_what_is_no_address_is_said(target: str, words: str, *, allow_private: bool) -> None:
    """One sentence for the first address and for each redirect; nothing is asked."""
    guard = GuardedSession(allow_private=allow_private)

    async def ask(_: object) -> Redirect:
        return Redirect(target)

    for first in (target, "http://93.184.215.14/"):
        with pytest.raises(LinkError) as caught:
            await guard.follow(first, ask)
        assert words in str(caught.value)
        assert not caught.value.may_pass


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("example.org", True),
        ("example.org.", True),
        ("localhost", True),
        ("::1", True),
        ("127.0.0.1", True),
        ("1.example", True),
        ("0x7f.example", True),
        ("127.1", False),
        ("127.0.0.1.", False),
        ("0x7f000001", False),
        ("a" * 63, True),
        ("", False),
        (".", False),
        ("a..b", False),
        (".a", False),
        ("a" * 64, False),
        (".".join(["a" * 62] * 5), False),
    ],
)
def test_names_of_hosts(host: str, *, good: bool) -> None:
    """Parts of 1 to 63 characters, at most 253 in all, and no number at the end of a name."""
    assert is_host(host) is good
