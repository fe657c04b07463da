"""Secrets stay out of texts."""

from __future__ import annotations

import pytest

from datagym_async._wire._redact import redact
from tests.helpers.sentinel import TOKEN

TEXTS = {
    "query": (f"at https://a.test/b?token={TOKEN} it", "at https://a.test/b it"),
    "fragment": (f"https://a.test/b#{TOKEN}", "https://a.test/b"),
    "user": (f"https://user:{TOKEN}@a.test/b", "https://a.test/b"),
    "header": (f"Authorization: Token {TOKEN}", "Authorization: [redacted] [redacted]"),
    "scheme": (f"sent Bearer {TOKEN}.", "sent Bearer [redacted]"),
    "bare query": (f"/api/v1/project?token={TOKEN}&x=1", "/api/v1/project?token=[redacted]&x=1"),
    "harmless": ("The token is missing; token lists follow", None),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_what_looks_like_a_secret_is_cut(text: str, expected: str | None) -> None:
    """Queries, credentials and what follows a scheme go; other text stays."""
    assert redact(text) == (text if expected is None else expected)


def test_named_secrets_go_wherever_they_stand() -> None:
    """The longest secret goes first, so that no rest of it stays; empty ones are ignored."""
    assert redact("abcdef abc", "abc", "abcdef", "") == "[redacted] [redacted]"
