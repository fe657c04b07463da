r"""Keep secrets out of what people, files and log lines get to see: two rules, and a wrapper.

**What we know is not let in.** A client knows its secrets: the token, user and password of a proxy.
A service or a gateway may say in an answer what it was sent. So `Secrets` are taken out of an
answer where it becomes ours, at the transport's edge, before anything of it is kept: out of header
fields and out of the bytes of a body, whole or piece by piece (`Cleaner`). What has never been let
in is in no error, log, report, file, pickle or traceback.

They are found as they are, with any of their characters escaped as in JSON (``\u0074``, ``\/``) or
in URLs (``%74``), and in the base64 of a Basic header. **A secret of fewer than 8 characters is not
looked for**: it would be found in the middle of names. The bytes of images and videos stay as they
are.

**What we do not know is cut by its looks**: `redact` takes out what stands where tokens stand, and
credentials and queries of URLs.

All patterns here take time that is linear in the length of the text.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain
from typing import Final, NoReturn

from multidict import CIMultiDict

REDACTED = "[redacted]"

SHORTEST_SECRET: Final = 8
"""Characters that a secret needs to be looked for."""

_URL: Final = re.compile(r"://[^\s\"'<>]++")
_USER: Final = re.compile(r"//[^/]*+")
_TOKEN: Final = re.compile(
    r"(?i)\b((?:access_)?token|authorization)([\"']?\s*+[=:]\s*+[\"']?)[^\s&\"'<>]++"
)
_SCHEME: Final = re.compile(r"\b(Token|Bearer|Basic)\s++[^\s\"'<>,;]{8,}+")

# An escape that the end of a text cuts off.
_CUT_ESCAPE: Final = re.compile(rb"(?:\\{1,8}(?:u[0-9a-fA-F]{0,3})?|%(?:25){0,2}[0-9a-fA-F]?)\Z")
_QUOTED: Final = b'"\\/'  # what JSON writes with a backslash before it
_LONGEST_ESCAPE: Final = 13  # bytes: eight backslashes and u0074
_ENCODING: Final = ("utf-8", "surrogatepass")


def redact(text: str) -> str:
    """Return any text without what stands where tokens stand, and without what URLs hide."""
    text = _SCHEME.sub(rf"\1 {REDACTED}", _URL.sub(_plain_url, text))
    return _TOKEN.sub(rf"\1\2{REDACTED}", text)


def _plain_url(found: re.Match[str]) -> str:
    """Return a URL from its colon on, without query, fragment and credentials."""
    whole = found[0]
    end = min(at for at in (whole.find("?"), whole.find("#"), len(whole)) if at >= 0)
    return _USER.sub(lambda host: f"//{host[0][2:].rpartition('@')[2]}", whole[:end])


class Secret:
    """Hold a text (or what another one holds) that no repr, format, pickle or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret) -> None:
        self._text: str = text.reveal() if isinstance(text, Secret) else text

    def reveal(self) -> str:
        """Return the text; whoever asks does not keep it in a name."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        """Return that there is a secret."""
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class HiddenField(str):
    """The value of a header field, which is sent like any text and shown by no repr.

    The HTTP library keeps fields in names of its own while a request is under way, and a traceback
    with locals shows those.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Return that there is something."""
        return repr(REDACTED)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Secrets:
    """Find secrets in foreign text, and take them out, but for those below `SHORTEST_SECRET`."""

    def __init__(self, *known: str | Secret) -> None:
        self._plain: frozenset[bytes] = frozenset()
        self.learn(*known)

    def learn(self, *known: str | Secret) -> None:
        """Look for these as well from now on."""
        texts = {Secret(each).reveal().encode(*_ENCODING) for each in known}
        self._plain |= {text for text in texts if len(text) >= SHORTEST_SECRET}
        both = chain(self._plain, chain.from_iterable(map(_base64, self._plain)))
        self._needles = tuple(sorted(both, key=len, reverse=True))
        # What holds another one need not be searched for.
        self._searched = [
            needle for needle in self._needles if sum(each in needle for each in self._needles) == 1
        ]
        self._longest = _LONGEST_ESCAPE * max(map(len, self._needles), default=0)
        for made in ("_any", "_escapes", "_forms"):
            vars(self).pop(made, None)

    def __repr__(self) -> str:
        """Return that there are secrets."""
        return "<Secrets>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        return self.clean(text.encode(*_ENCODING)).decode(*_ENCODING) if self._needles else text

    def clean(self, text: bytes) -> bytes:
        """Return the bytes of a text without the secrets; nearly always the bytes given."""
        if not self._may_be_in(text):
            return text
        return self._any.sub(REDACTED.encode(), text)

    def clean_fields(
        self, fields: Mapping[str, str], raw: Iterable[tuple[bytes, bytes]]
    ) -> Mapping[str, str]:
        """Return header fields, `raw` as they arrived, without the secrets; nearly always those."""
        if not self._may_be_in(b"\n".join(chain.from_iterable(raw))):
            return fields
        return CIMultiDict((self.hide(name), self.hide(value)) for name, value in fields.items())

    def open_end(self, text: bytes) -> int:
        """Return where the end of a text may be the beginning of a secret, or its length."""
        size = len(text)
        tail = text[-self._longest :] if self._longest else b""
        is_plain = b"\\" not in tail and b"%" not in tail
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
        """Return whether it is worth a closer look, at the speed of a search for bytes."""
        if not self._needles:
            return False
        for needle in self._searched:  # a loop, which is cheaper than `any`
            if needle in text:
                return True
        in_json, in_url = self._escapes
        return (b"\\" in text and in_json.search(text) is not None) or (
            b"%" in text and in_url.search(text) is not None
        )

    @cached_property
    def _any(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(b"".join(map(_any_form, needle)) for needle in self._needles))

    @cached_property
    def _escapes(self) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """What a character of a secret looks like in JSON and in a URL, if not like itself."""
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
    """Take a text piece by piece, and give it without the secrets, also where a piece cuts one."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the text that has come, up to where a secret may have begun."""
        text = self._secrets.clean(self._held + piece if self._held else piece)
        end = self._secrets.open_end(text)
        self._held = text[end:]
        return text[:end]

    def rest(self) -> bytes:
        """Return what was held back, once the text is at its end; then nothing."""
        held, self._held = self._held, b""
        return held


def _base64(secret: bytes) -> Iterable[bytes]:
    """Give a secret as it stands in a Basic header, as the user and as the password of any user.

    Less what depends on what is beside it: of three bytes, four characters are made, so there are
    three ways to cut it into threes.
    """
    for text in (secret, b":" + secret, secret[1:], secret[2:]):
        yield b64encode(text[: len(text) // 3 * 3])


def _hex(code: int) -> bytes:
    """Return a pattern for the two hexadecimal digits of a character."""
    return "".join(f"[{digit}{digit.upper()}]" for digit in f"{code:02x}").encode()


def _any_form(code: int) -> bytes:
    """Return a pattern for a character of a secret: as it is, or escaped once or more often."""
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
