"""Keep secrets out of texts that people and log files get to see."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_QUERY = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_USER = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@\"'<>]+@")
_TOKEN = re.compile(r"(?i)\b((?:access_)?token\s*[=:]\s*|authorization\s*[=:]\s*)[^\s&\"'<>]+")
_SCHEME = re.compile(r"\b(Token|Bearer|Basic)\s+[^\s\"'<>,;]{8,}")


def redact(text: str, *secrets: str) -> str:
    """Return a text without secrets: those named, what stands where tokens stand, URL queries.

    Args:
        text: Any text, for example an error parameter of the service.
        secrets: Texts that must not survive, for example the token; empty ones are ignored.
    """
    text = _USER.sub(r"\1", _QUERY.sub(r"\1", text))
    text = _TOKEN.sub(rf"\1{REDACTED}", _SCHEME.sub(rf"\1 {REDACTED}", text))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text
