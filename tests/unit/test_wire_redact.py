"""Secrets stay out of texts."""

from __future__ import annotations

import pickle
from base64 import b64encode

import orjson
import pytest
from multidict import CIMultiDict

from datagym_async._wire import Cleaner, HiddenField, Secret, Secrets, redact
from tests.helpers.sentinel import TOKEN

TEXTS = {
    "query": (f"at https://a.test/b?token={TOKEN} it", "at https://a.test/b it"),
    "fragment": (f"https://a.test/b#{TOKEN}", "https://a.test/b"),
    "query in a path": (
        f"to https://a.test/c/http://u:p@b.test/?x={TOKEN}",
        "to https://a.test/c/http://b.test/",
    ),
    "two at signs": ("https://user:p@ss@a.test/b", "https://a.test/b"),
    "JSON": (f'{{"token": "{TOKEN}"}}', '{"token": "[redacted]"}'),
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


FORMS = {
    "as it is": TOKEN,
    "its first letter escaped": f"\\u0073{TOKEN[1:]}",
    "escaped in JSON": "".join(f"\\u{ord(letter):04X}" for letter in TOKEN),
    "JSON in JSON": "".join(f"\\\\u{ord(letter):04x}" for letter in TOKEN),
    "in a URL": "".join(f"%{ord(letter):02x}" for letter in TOKEN),
    "in a URL in a URL": "".join(f"%25{ord(letter):02X}" for letter in TOKEN),
    "user of a Basic header": b64encode(f"{TOKEN}:".encode()).decode(),
    "password of a Basic header": b64encode(f":{TOKEN}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_known_secret_goes_in_each_form(form: str) -> None:
    """A secret is found raw, escaped as in JSON and URLs, and in base64; the rest stays."""
    cleaned = Secrets(TOKEN).clean(f'["a{form}", "b\\u00e9%C3%BC"]'.encode()).decode()

    assert cleaned.startswith('["a[redacted]')
    assert cleaned.endswith('", "b\\u00e9%C3%BC"]')
    assert len(cleaned) <= len('["a[redacted]Njo=", "b\\u00e9%C3%BC"]')


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "somebody"])
def test_a_password_is_found_behind_a_user_of_any_length(user: str) -> None:
    """Base64 can cut a secret into threes in three ways; what is left of it is a byte or two."""
    field = b64encode(f"{user}:{TOKEN}".encode()).decode()

    cleaned = Secrets(TOKEN).clean(field.encode()).decode()

    assert "[redacted]" in cleaned
    left = len(cleaned) - len("[redacted]")
    assert left <= len(b64encode(f"{user}:".encode())) + 8


def test_a_secret_of_odd_characters_goes_as_json_writes_it() -> None:
    """Quotes, backslashes and slashes of a secret are found with a backslash before them."""
    secret = 'p"a/ss\\w%ord'
    document = orjson.dumps([secret]) + orjson.dumps([secret]).replace(b"/", b"\\/")

    assert Secrets(secret).clean(document) == b'["[redacted]"]["[redacted]"]'


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", [1, 7, 50])
def test_no_cut_between_pieces_lets_a_secret_through(form: str, size: int) -> None:
    """A text that comes in pieces is cleaned as the whole is, wherever it is cut."""
    secrets = Secrets(TOKEN)
    text = f"start %41 \\u0041 {form} between {form}{form} sentinel-7c end".encode()
    for first in range(len(text)):
        cleaner = Cleaner(secrets)
        pieces = (text[:first], text[first : first + size], text[first + size :])

        given = b"".join([*map(cleaner.feed, pieces), cleaner.rest()])

        assert given == secrets.clean(text)


def test_what_is_no_beginning_of_a_secret_is_given_at_once() -> None:
    """A piece is held back from where a secret may have begun, and nothing else is."""
    cleaner = Cleaner(Secrets(TOKEN))

    assert cleaner.feed(b"harmless text") == b"harmless text"
    assert cleaner.feed(b"then sentinel-7") == b"then "
    assert cleaner.feed(b"? no") == b"sentinel-7? no"
    assert cleaner.rest() == b""


def test_short_secrets_are_not_looked_for() -> None:
    """What has fewer than eight characters would be found in the middle of names."""
    assert Secrets("", "admin").hide("an administrator") == "an administrator"
    assert Secrets("", "administ").hide("an administrator") == "an [redacted]rator"


def test_a_token_that_was_replaced_often_is_not_looked_for() -> None:
    """A client that gets a new one each hour has the last few as secrets, and its proxy's."""
    secrets = Secrets("user:password")
    for number in range(100):
        secrets.learn(f"sentinel-{number:02}")

    cleaned = secrets.hide("user:password sentinel-01 sentinel-92 sentinel-99")

    assert cleaned == "[redacted] sentinel-01 [redacted] [redacted]"


def test_header_fields_are_cleaned_by_name_and_value() -> None:
    """A header field that holds a secret is cleaned, others are given as they came."""
    raw = ((b"X-Echo", f"Token {TOKEN}".encode()), (f"X-{TOKEN}".encode(), b"1"))
    fields = CIMultiDict((name.decode(), value.decode()) for name, value in raw)

    cleaned = Secrets(TOKEN).clean_fields(fields, raw)

    assert dict(cleaned) == {"X-Echo": "Token [redacted]", "X-[redacted]": "1"}
    assert Secrets("something else").clean_fields(fields, raw) is fields


def test_a_secret_is_neither_shown_nor_pickled() -> None:
    """No repr, text, format or pickle of what holds a secret holds it."""
    secret, secrets, field = Secret(TOKEN), Secrets(TOKEN), HiddenField(TOKEN)

    shown = f"{secret!r} {secret} {secrets!r} {secrets} {field!r}"
    assert TOKEN not in shown
    assert secret.reveal() == TOKEN == str(field)
    for each in (secret, secrets, field):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            pickle.dumps(each)
