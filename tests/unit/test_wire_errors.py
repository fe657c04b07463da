"""Error answers: every body shape, every key, the class and the words."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from datagym_async import exceptions as ex
from datagym_async._wire import DETAILS, SENTENCES, STATUSES, Request, Response, decode_error
from tests.helpers.examples import example
from tests.helpers.fake_session import answer, refusal
from tests.helpers.sentinel import TOKEN

REQUEST = Request("POST", "media/D/file")


def decoded(response: Response) -> ex.APIStatusError:
    return decode_error(REQUEST, response)


def recorded(name: str) -> Response:
    document = example("14_errors", name)
    if "raw" in document:
        kind = "text/html" if "<" in document["raw"] else ""
        return answer(document["raw"].encode(), status=document["status"], content_type=kind)
    return answer(document["body"], status=document["status"])


SHAPES: dict[str, tuple[str, type[ex.APIStatusError], str]] = {
    "forbidden": ("ex_forbidden", ex.PermissionDeniedError, "another organisation"),
    "unauthorized": ("ex_unauthorized", ex.AuthenticationError, "DATAGYM_TOKEN"),
    "not_found": ("ex_notfound", ex.NotFoundError, "no Project with id d2f7a8be"),
    "dataset_name_exists": ("ex_alreadyexists", ex.AlreadyExistsError, "Dataset with name Batch_1"),
    "image_name_exists": ("ex_alreadyexists", ex.AlreadyExistsError, "An Image with name street"),
    "already_connected": (
        "ex_already_contains",
        ex.ConflictError,
        "Project already contains this Dataset",
    ),
    "not_connected": ("ex_gen_does_not_contain", ex.RequestRefusedError, "does not contain"),
    "limit": ("ex_limit", ex.LimitReachedError, "Storage): 1048600 of 1048576"),
    "config_not_cleared": ("ex_gen_config_not_cleared", ex.RequestRefusedError, "not empty"),
    "forbidden_keyword": ("ex_gen_forbidden_keyword", ex.RequestRefusedError, "word label"),
    "duplicate_shortcut": ("ex_alreadyexists", ex.AlreadyExistsError, "Shortcut"),
    "missing_filename": ("ex_validation", ex.BadRequestError, "Header: X-filename is empty"),
    "bad_mime": ("ex_validation", ex.BadRequestError, "data is of type application/pdf"),
    "bean_validation": ("ex_validation", ex.BadRequestError, "Name must have 1 to 128 characters"),
    "system": ("ex_system", ex.InternalServerError, "corrupt images"),
    "ai_unavailable": ("ex_service_unavailable", ex.ServiceUnavailableError, "not installed: ai"),
    "spring_404": ("", ex.NotFoundError, "does not know this address"),
    "empty_400": ("", ex.BadRequestError, "could not read the request"),
    "empty_405": ("", ex.BadRequestError, "method"),
    "proxy_502": ("", ex.InternalServerError, "web page"),
}


@pytest.mark.parametrize(("name", "expected"), SHAPES.items(), ids=SHAPES)
def test_shapes(name: str, expected: tuple[str, type[ex.APIStatusError], str]) -> None:
    """Each body shape gives its key, its class and a sentence that a person can act on."""
    error = decoded(recorded(name))
    key, kind, words = expected
    assert (error.key, type(error)) == (key, kind)
    assert words in str(error)
    assert (error.method, error.path, error.retry_after) == ("POST", "media/D/file", None)


STATUS_CLASSES: dict[int, type[ex.APIStatusError]] = {
    400: ex.BadRequestError,
    401: ex.AuthenticationError,
    402: ex.LimitReachedError,
    403: ex.PermissionDeniedError,
    404: ex.NotFoundError,
    405: ex.BadRequestError,
    406: ex.BadRequestError,
    407: ex.BadRequestError,
    409: ex.ConflictError,
    412: ex.ConflictError,
    413: ex.PayloadTooLargeError,
    415: ex.BadRequestError,
    418: ex.BadRequestError,
    429: ex.RateLimitError,
    500: ex.InternalServerError,
    502: ex.InternalServerError,
    503: ex.ServiceUnavailableError,
    504: ex.InternalServerError,
    599: ex.InternalServerError,
}


@pytest.mark.parametrize("body", [b"", b"<html>", b"oops", b"[1]", b'{"error": "x"}', b"{"])
@pytest.mark.parametrize(("status", "kind"), STATUS_CLASSES.items(), ids=str)
def test_the_status_decides_without_a_key(
    status: int, kind: type[ex.APIStatusError], body: bytes
) -> None:
    """Without a key the class follows the status, whatever the body."""
    error = decoded(answer(body, status=status, content_type="text/plain"))
    assert (type(error), error.status, error.key) == (kind, status, "")
    assert ("base_url" in str(error)) is (b"<html" in body or status == 404)
    assert str(error).startswith("The proxy refused the request (407)") is (status == 407)


@pytest.mark.parametrize("key", SENTENCES, ids=str)
@pytest.mark.parametrize("params", [(), ("one",), ("one", "two", "three", "four")], ids=len)
def test_every_key_has_a_sentence(key: str, params: tuple[str, ...]) -> None:
    """Known keys read as English, with what parameters there are and no open placeholder."""
    text = str(decoded(refusal(500, key, *params)))
    assert len(text.split()) > 3
    assert not {"{", "}"} & set(text)
    assert "ex_" not in text


@pytest.mark.parametrize("key", DETAILS, ids=str)
@pytest.mark.parametrize("params", [[], ["Name", "128", "1"]], ids=["bare", "full"])
def test_every_detail_has_a_phrase(key: str, params: list[str]) -> None:
    """What is wrong with a field is said for each known rule."""
    detail = {"name": "Name", "key": key, "params": params}
    error = decoded(answer({"key": "ex_validation", "details": [detail]}, status=400))
    assert "Name " in str(error)
    assert key not in str(error)
    assert error.details == (ex.ErrorDetail("Name", key, tuple(params)),)


def test_unknown_keys_are_said_as_they_are() -> None:
    """A key of a newer service is shown with its parameters."""
    error = decoded(refusal(500, "ex_gen_brand_new", "a", "b"))
    assert isinstance(error, ex.RequestRefusedError)
    assert "ex_gen_brand_new (a, b)" in str(error)
    assert str(decoded(refusal(500, "ex_new"))).endswith("with the error ex_new")
    # It is a rule only with 500, as the service answers one.
    assert type(decoded(refusal(400, "ex_gen_brand_new"))) is ex.BadRequestError
    assert type(decoded(refusal(502, "ex_gen_brand_new"))) is ex.InternalServerError


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (("", "ex_new", None), "a field that the service does not name breaks the rule ex_new"),
        (("Name", "ex_new", ["a", "b"]), "Name breaks the rule ex_new (a, b)"),
        (
            ("Name", "ex_pattern", ["N", "p", "x"]),
            "Name holds characters that are not allowed (allowed: x)",
        ),
        (
            ("Name", "ex_pattern", ["Name", "p", "^[a-zA-Z0-9_ ]{1,128}$"]),
            "Name must have 1 to 128 characters: letters from a to z, digits, blanks and _",
        ),
    ],
)
def test_details_are_said_in_words(detail: tuple[object, ...], said: str) -> None:
    """What is not known is shown; the service leaves out the names of long fields."""
    body = dict(zip(("name", "key", "params"), detail, strict=True))
    text = str(decoded(answer({"key": "ex_validation", "details": [body]}, status=400)))
    assert text == f"The service did not accept the request: {said}"


def test_names_and_articles_fit_what_is_said() -> None:
    """A name is no id, and an article goes by the first letter."""
    taken = decoded(refusal(412, "ex_alreadyexists", "Dataset", "id", "x"))
    assert str(taken).startswith("A Dataset with id x already exists")
    unknown = decoded(refusal(404, "ex_notfound", "Dataset", "name", "Photos"))
    assert str(unknown).endswith("no Dataset with name Photos; it may have been deleted")


def test_a_web_page_is_known_by_its_type_too() -> None:
    """It may begin with anything."""
    page = answer(b"<!-- login -->", status=418, content_type="text/html")
    assert str(decoded(page)).startswith("The service answered with status 418. A web page")
    assert str(decoded(answer(b"", status=599))) == "The service failed (599)"


def test_parameters_of_any_kind_are_texts() -> None:
    """Nothing is empty, and what is no text is its JSON."""
    body = {"key": "ex_notfound", "params": [None, 1, {"a": [True]}]}
    assert decoded(answer(body, status=404)).params == ("", "1", '{"a":[true]}')


ODD: dict[str, object] = {
    "key is a number": {"key": 5},
    "params is a text": {"key": "ex_notfound", "params": "x"},
    "params hold anything": {"key": "ex_notfound", "params": [None, 1, {"a": [1]}]},
    "details hold anything": {"key": "ex_validation", "details": [1, None, {"name": 5}]},
    "placeholders in a parameter": {"key": "ex_notfound", "params": ["{0}", "{x}", "{"]},
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_bodies_do_not_crash(body: object) -> None:
    """Whatever an error body holds, an error with a sentence comes out."""
    assert len(str(decoded(answer(body, status=500)))) > 10


def test_secrets_do_not_survive() -> None:
    """Neither URLs with a query nor tokens stand in texts, parameters or details."""
    url = f"https://bucket.test/a.jpg?token={TOKEN}"
    detail = {"name": "data", "key": "Invalid image url", "params": [url]}
    body = {"key": "ex_validation", "params": [f"Token {TOKEN}"], "details": [detail]}
    error = decoded(answer(body, status=400))
    assert TOKEN not in f"{error} {error!r} {vars(error)}"
    assert error.details[0].params == ("https://bucket.test/a.jpg",)


def test_long_parameters_are_cut_in_the_text() -> None:
    """A parser's message of megabytes stays out of the text."""
    error = decoded(refusal(500, "ex_gen_error_messages", "x" * 5000))
    assert len(str(error)) < 500
    assert len(error.params[0]) == 5000


def test_what_an_error_keeps_is_bounded() -> None:
    """However much the service says, an error keeps 100 texts of 10,000 characters and a cut key.

    What is cut off is cut off before a pattern looks at it, and the message stays readable.
    """
    long = "x" * 50_000
    detail = {"name": long, "key": long}
    details = [detail | {"params": [long] * 200}, *[detail] * 199]
    body = {"key": f"ex_{long}", "params": [long] * 200, "details": details}

    error = decoded(answer(body, status=400))

    assert len(error.key) < 400
    assert [len(param) for param in error.params] == [10_000] * 100
    assert len(error.details) == len(error.details[0].params) == 100
    assert len(str(error)) < 3_100


def test_templates_use_positions_that_exist() -> None:
    """Placeholders are numbers, as the service's parameters are."""
    names = {
        name
        for template in (*SENTENCES.values(), *DETAILS.values(), *STATUSES.values())
        for _, name, _, _ in string.Formatter().parse(template)
        if name is not None
    }
    assert names <= {"0", "1", "2"}


@pytest.mark.parametrize(
    ("wanted", "more"),
    [("Photos", " An id is a UUID, not a name."), ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "")],
)
def test_a_name_is_no_id(wanted: str, more: str) -> None:
    """Who gives a name where an id is wanted learns that."""
    body = {"key": "ex_notfound", "params": ["dataset", "id", wanted]}
    error = decoded(answer(body, status=404))
    said = f"The service knows no dataset with id {wanted}; it may have been deleted.{more}"
    assert str(error) == said.removesuffix(".")


@pytest.mark.parametrize("more", [[], [""], ["", "Photos"]])
def test_no_other_parameter_is_the_id(more: list[str]) -> None:
    """If the service does not say which id it looked for, no other word is taken for it."""
    error = decoded(answer({"key": "ex_notfound", "params": ["dataset", "id", *more]}, status=404))
    said = "The service knows no dataset with id (not said); it may have been deleted"
    assert str(error) == said


def test_the_page_of_errors_has_every_key() -> None:
    """What the service says by a key is said there as an error says it."""
    page = Path(__file__).parents[2] / "docs" / "errors.md"
    rows = re.findall(r"^\| `(ex_\w+)` \| (.+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    said = {key: re.sub(r"\{\d\}", "…", words) for key, words in SENTENCES.items()}
    assert dict(rows) == {key: words.partition(" Pass it as ")[0] for key, words in said.items()}
    assert len(rows) == len(SENTENCES)
