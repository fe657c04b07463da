r"""Keeps secrets out of everything that people, files and logs get: two rules, and a wrapper.

**Known secrets never enter.** A client knows its secrets: the token, user and password of a proxy.
A service or a gateway may repeat in an answer what it was sent. So `Secrets` are removed from an
answer in the transport, before anything of it is kept: from header fields and from the bytes of a
body, whole or piece by piece (`Cleaner`). Then they are in no error, log, report, file, pickle or
traceback.

They are found as they are, with any of their characters escaped as in JSON (``\u0074``, ``\/``) or
in URLs (``%74``), and in the base64 of a Basic header. **A secret of fewer than 8 characters is not
searched for**: it could be part of a name. The bytes of images and videos stay unchanged.

**Other secrets are recognised by their form**: `redact` removes what stands in the place of a
token, and credentials and queries of URLs.

All patterns take time that is linear in the length of the text.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain
from typing import Final

from multidict import CIMultiDict

from datagym_async._public import NotCopied

REDACTED = "[redacted]"

SHORTEST_SECRET: Final = 8  # characters; shorter ones are not searched for

# Tokens of a client: one that was replaced so often was refused long ago. A service that gets one
# each hour would search for thousands after a year.
_LEARNED: Final = 8

_URL: Final = re.compile(r"://[^\s\"'<>]++")
_USER: Final = re.compile(r"//[^/]*+")
_TOKEN: Final = re.compile(
    r"(?i)\b((?:access_)?token|authorization)([\"']?\s*+[=:]\s*+[\"']?)[^\s&\"'<>]++"
)
_SCHEME: Final = re.compile(r"\b(Token|Bearer|Basic)\s++[^\s\"'<>,;]{8,}+")

# An escape that is cut off by the end of a text.
_CUT_ESCAPE: Final = re.compile(rb"(?:\\{1,8}(?:u[0-9a-fA-F]{0,3})?|%(?:25){0,2}[0-9a-fA-F]?)\Z")
_QUOTED: Final = b'"\\/'  # what JSON writes with a backslash before it
_BACKSLASH: Final = ord("\\")
_PERCENT: Final = ord("%")
_LONGEST_ESCAPE: Final = 13  # bytes: eight backslashes and u0074
_ENCODING: Final = ("utf-8", "surrogatepass")
_RARE: Final = b"QXZJKYVWUHqBGFLMPRNOTzxj"  # characters that few answers have, the rarest first


def redact(text: str) -> str:
    """Return a text without what stands in the place of a token, and without secrets of URLs."""
    text = _SCHEME.sub(rf"\1 {REDACTED}", _URL.sub(_plain_url, text))
    return _TOKEN.sub(rf"\1\2{REDACTED}", text)


def _plain_url(found: re.Match[str]) -> str:
    """Return a URL from its colon on, without query, fragment and credentials."""
    whole = found[0]
    end = min(at for at in (whole.find("?"), whole.find("#"), len(whole)) if at >= 0)
    return _USER.sub(lambda host: f"//{host[0][2:].rpartition('@')[2]}", whole[:end])


class Secret(NotCopied):
    """Holds a text that no repr, format, pickle or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret) -> None:
        self._text: str = text.reveal() if isinstance(text, Secret) else text

    def reveal(self) -> str:
        """Return the text; do not keep it in a variable."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "<secret>"


class HiddenField(NotCopied, str):
    """A header field that is sent like any text, and that no traceback with locals shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(REDACTED)


class Secrets(NotCopied):
    """Removes secrets from foreign text, except those below `SHORTEST_SECRET`."""

    def __init__(self, *known: str | Secret) -> None:
        self._always = tuple(map(Secret, known))
        self._learned: deque[Secret] = deque(maxlen=_LEARNED)
        self.learn()

    def learn(self, *known: str | Secret) -> None:
        """Search for these as well from now on, until many others were learned."""
        self._learned.extend(map(Secret, known))
        texts = {each.reveal().encode(*_ENCODING) for each in (*self._always, *self._learned)}
        plain = {text for text in texts if len(text) >= SHORTEST_SECRET}
        both = chain(plain, chain.from_iterable(map(_base64, plain)))
        self._needles = tuple(sorted(both, key=len, reverse=True))
        # One that contains another one need not be searched for; and none is in a text without its
        # rarest character, which is found ten times as fast.
        self._searched = [
            (min(needle, key=lambda code: _RARE.find(code) % 256), needle)
            for needle in self._needles
            if sum(each in needle for each in self._needles) == 1
        ]
        self._longest = _LONGEST_ESCAPE * max(map(len, self._needles), default=0)
        for made in ("_any", "_escapes", "_forms"):
            vars(self).pop(made, None)

    def __repr__(self) -> str:
        return "<Secrets>"

    def hide(self, text: str) -> str:
        return self.clean(text.encode(*_ENCODING)).decode(*_ENCODING) if self._needles else text

    def clean(self, text: bytes) -> bytes:
        """Return the bytes of a text without the secrets, nearly always the same bytes."""
        if not self._may_be_in(text):
            return text
        return self._any.sub(REDACTED.encode(), text)

    def clean_fields(
        self, fields: Mapping[str, str], raw: Iterable[tuple[bytes, bytes]]
    ) -> Mapping[str, str]:
        """Return header fields, which arrived as `raw`, without the secrets."""
        if not self._may_be_in(b"\n".join(chain.from_iterable(raw))):
            return fields
        return CIMultiDict((self.hide(name), self.hide(value)) for name, value in fields.items())

    def open_end(self, text: bytes) -> int:
        """Return the place from which a text may be the beginning of a secret, or its length."""
        size = len(text)
        tail = text[-self._longest :] if self._longest else b""
        is_plain = _BACKSLASH not in tail and _PERCENT not in tail
        at = size
        for needle, forms in self._forms:
            start = max(0, size - (len(needle) if is_plain else self._longest))
            for found in forms[0].finditer(text, start):
                if found.start() >= at:
                    break
                if _is_cut_off(forms, text, found.start()):
                    at = found.start()
        cut = _CUT_ESCAPE.search(text, max(0, size - _LONGEST_ESCAPE)) if not is_plain else None
        return at if cut is None else min(at, cut.start())

    def _may_be_in(self, text: bytes) -> bool:
        """Return whether a closer look is needed, at the speed of a search for bytes."""
        if not self._needles:
            return False
        # Called for each answer: a loop is cheaper than `any`. And `in` first asks whether its left
        # side is a number, which costs an exception inside of Python if it is not.
        for rare, needle in self._searched:
            if rare in text and text.find(needle) >= 0:
                return True
        in_json, in_url = self._escapes
        return (_BACKSLASH in text and in_json.search(text) is not None) or (
            _PERCENT in text and in_url.search(text) is not None
        )

    @cached_property
    def _any(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(b"".join(map(_any_form, needle)) for needle in self._needles))

    @cached_property
    def _escapes(self) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """How a character of a secret may be escaped in JSON and in a URL."""
        characters = set(b"".join(self._needles))
        codes = b"|".join(map(_hex, characters))
        others = b"".join(b"|" + re.escape(bytes([each])) for each in characters if each in _QUOTED)
        return (
            re.compile(rb"\\(?:u00(?:%b)%b)" % (codes, others)),
            re.compile(rb"%%(?=[2-7])(?:25){0,2}(?:%b)" % codes),
        )

    @cached_property
    def _forms(self) -> tuple[tuple[bytes, tuple[re.Pattern[bytes], ...]], ...]:
        return tuple(
            (needle, tuple(re.compile(_any_form(code)) for code in needle))
            for needle in self._needles
        )


class Cleaner:
    """Removes secrets from a text in pieces, also if the end of a piece cuts one."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the text so far, up to where a secret may have begun."""
        text = self._secrets.clean(self._held + piece if self._held else piece)
        end = self._secrets.open_end(text)
        self._held = text[end:]
        return text[:end]

    def rest(self) -> bytes:
        """Return what was held back, at the end of the text."""
        held, self._held = self._held, b""
        return held


def _base64(secret: bytes) -> Iterable[bytes]:
    """Yield a secret as it is in a Basic header, as the user and as the password of any user.

    Three bytes become four characters, so there are three ways to cut it into threes; what depends
    on the text beside it is left out.
    """
    for text in (secret, b":" + secret, secret[1:], secret[2:]):
        yield b64encode(text[: len(text) // 3 * 3])


def _hex(code: int) -> bytes:
    return "".join(f"[{digit}{digit.upper()}]" for digit in f"{code:02x}").encode()


def _any_form(code: int) -> bytes:
    """Return a pattern for a character of a secret, as it is or escaped."""
    plain = re.escape(bytes([code]))
    escaped = rb"\\{1,8}%b|" % plain if code in _QUOTED else b""
    return rb"(?:\\{1,8}u00%b|%%(?:25){0,2}%b|%b%b)" % (_hex(code), _hex(code), escaped, plain)


def _is_cut_off(forms: tuple[re.Pattern[bytes], ...], text: bytes, at: int) -> bool:
    """Return whether a text ends within a secret that begins here."""
    for form in forms:
        if at == len(text) or _CUT_ESCAPE.match(text, at):
            return True
        found = form.match(text, at)
        if found is None:
            return False
        at = found.end()
    return False
