"""Any listing in any pieces gives what a parser finds in the whole text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cattrs.errors import BaseValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async._wire import ListingCutter, field_path, make_converter, register_media
from datagym_async._wire._codec import _is_uploaded
from datagym_async.exceptions import ConfigurationError
from datagym_async.models import DatasetMedia, Media

if TYPE_CHECKING:
    from cattrs import Converter

NAMES = st.one_of(st.text(max_size=12), st.text(alphabet='{}[],:"\\ me', max_size=12))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 99), NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)
MEDIA = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=12)


@st.composite
def datasets(draw: st.DrawFn) -> dict[str, Any]:
    """Return a dataset with members before and behind its media."""
    others = st.dictionaries(NAMES, VALUES, max_size=3)
    return {**draw(others), "media": draw(MEDIA), **draw(others)}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    listed=st.lists(datasets(), max_size=4),
    many=st.booleans(),
    indented=st.booleans(),
    piece=st.integers(1, 40),
    portion=st.integers(1, 80),
)
def test_a_listing_is_what_it_was(
    listed: list[dict[str, Any]], piece: int, portion: int, *, many: bool, indented: bool
) -> None:
    """Nothing is lost, doubled, moved or read in another way."""
    value: Any = listed if many else (listed or [{"media": []}])[0]
    body = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else 0)
    cutter = ListingCutter(many=many, portion=portion)
    portions = []
    for start in range(0, len(body), piece):
        if cutter.add(body[start : start + piece]):
            portions += cutter.cut()
    portions += cutter.close()

    found: dict[int, dict[str, Any]] = {}
    for each in portions:
        before = found.get(each.dataset, {"media": []})
        assert each.first == len(before["media"])
        found[each.dataset] = {**each.fields, "media": [*before["media"], *each.media]}

    assert list(found) == list(range(len(found)))
    whole = list(found.values())
    if cutter.uncut is not None:
        _, rest = cutter.uncut
        whole += orjson.loads(rest) if many else [orjson.loads(rest)]
    assert whole == (value if many else [value])


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.just("12"), st.just([]))
ELEMENT = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(NAMES, ODD),
        "timestamp": st.one_of(st.integers(), ODD),
        "mediaSourceType": st.one_of(
            st.sampled_from(["LOCAL", "AWS_S3", "local", "SHAREABLE_LINK", "NEW", "UNKNOWN"]), ODD
        ),
        "mediaName": st.one_of(NAMES, st.sampled_from(["%C3%A4", "%zz", "a%20b"]), ODD),
        "imageName": st.one_of(NAMES, ODD),
        "imageType": st.one_of(st.just("LOCAL"), ODD),
        "more": ODD,
    },
)
LONG, SHORT = make_converter(), make_converter()
register_media(SHORT)


UPLOADED = st.fixed_dictionaries(
    {
        "id": st.one_of(NAMES, ODD),
        "timestamp": st.one_of(st.integers(), ODD),
        "mediaSourceType": st.one_of(st.sampled_from(["LOCAL", "SHAREABLE_LINK", "NEW"]), ODD),
        "mediaName": st.one_of(NAMES, st.just("%C3%A4"), ODD),
        "valid": st.one_of(st.just(True), ODD),
        "reason": st.one_of(st.none(), st.just("CORRUPT"), ODD),
        "url": st.one_of(st.none(), st.just("http://a/b.jpg"), ODD),
        "width": st.one_of(st.integers(), ODD),
        "height": st.one_of(st.integers(), ODD),
    },
    optional={"awsKey": ODD, "imageName": NAMES},
)


def outcome(converter: Converter, value: object, kind: type[object]) -> tuple[object, ...]:
    """Return what a converter makes of a value, or where it finds it odd, and why."""
    try:
        return (converter.structure(value, kind),)
    except (BaseValidationError, ConfigurationError) as error:
        return field_path(error)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(ELEMENT, UPLOADED, ODD), max_size=20))
def test_media_are_decoded_the_short_way_as_the_long_way(values: list[object]) -> None:
    """Whatever the service writes, and in whichever generation of names."""
    for value in values:
        for kind in (DatasetMedia, Media):
            assert outcome(SHORT, value, kind) == outcome(LONG, value, kind)


def test_an_uploaded_image_is_decoded_the_short_way() -> None:
    """The answer that each upload is given: else the other test would compare nothing."""
    value = dict.fromkeys(("reason", "url"), None) | {
        "id": "1",
        "timestamp": 2,
        "mediaSourceType": "LOCAL",
        "mediaName": "%C3%A4",
        "valid": True,
        "width": 3,
        "height": 4,
    }
    assert _is_uploaded(value)
    assert outcome(SHORT, value, Media) == outcome(LONG, value, Media)
