"""Listings cut into portions: the same media as a parser finds in the whole text, in any pieces."""

from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from datagym_async._wire import BrokenTextError, ListingCutter, Portion

HOSTILE = (
    "plain.jpg",
    "},{",
    "}]",
    '"},{"',
    'media":[{',
    "a}, {b}]},{c",
    "\\",
    '\\"}],"x":[{"',
    "ä,ü,🙂},{",
    "\u2028[[[{{{",
    "\x00\t\n",
    "",
)
FIELDS = {"id": "d", "name": 'The "media":[ dataset},{', "timestamp": 1, "owner": None}


def media(count: int, names: tuple[str, ...] = HOSTILE) -> list[dict[str, Any]]:
    """Return media of hostile names."""
    return [
        {"id": f"m-{number}", "timestamp": number, "mediaName": names[number % len(names)]}
        for number in range(count)
    ]


def cut(
    body: bytes, *, many: bool = False, piece: int = 64, portion: int = 200
) -> tuple[list[Portion], ListingCutter]:
    """Return the portions of a body that comes in pieces, and the cutter."""
    cutter = ListingCutter(many=many, portion=portion)
    found: list[Portion] = []
    for start in range(0, len(body), piece):
        if cutter.add(body[start : start + piece]):
            found += cutter.cut()
    return found + cutter.close(), cutter


def joined(portions: list[Portion]) -> list[dict[str, Any]]:
    """Return the datasets that portions are of."""
    datasets = []
    for _, group in groupby(portions, key=lambda portion: portion.dataset):
        parts = list(group)
        counts = [len(part.media) for part in parts]
        assert [part.first for part in parts] == [sum(counts[:at]) for at in range(len(counts))]
        datasets.append(
            {**parts[-1].fields, "media": [one for part in parts for one in part.media]}
        )
    return datasets


@pytest.mark.parametrize("indented", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_any_pieces_give_the_same_media(count: int, *, indented: bool) -> None:
    """Wherever the pieces end, and however the service writes its JSON."""
    dataset = {**FIELDS, "media": media(count)}
    body = orjson.dumps(dataset, option=orjson.OPT_INDENT_2 if indented else 0)

    for piece in range(1, len(body) + 1, 1 if count < 3 else 23):
        portions, _ = cut(body, piece=piece)
        assert joined(portions) == [dataset], piece


def test_portions_are_bounded() -> None:
    """None is larger than the bound and what came at once; many are given before the end."""
    body = orjson.dumps({**FIELDS, "media": media(1000, ("a.jpg", "b.jpg"))})

    portions, _ = cut(body, piece=100, portion=500)

    assert max(len(orjson.dumps(each.media)) for each in portions) <= 700
    assert len(portions) > 50


def test_one_dataset_is_given_before_its_text_has_ended() -> None:
    """The first portion comes as soon as it is whole."""
    body = orjson.dumps({**FIELDS, "media": media(100)})
    cutter = ListingCutter(portion=200)

    assert cutter.add(body[:1000])
    (first, *_) = cutter.cut()

    assert first.fields == FIELDS
    assert first.media == media(len(first.media))


@pytest.mark.parametrize("name", ["media", "images"])
def test_both_generations_of_names(name: str) -> None:
    """Older services list images."""
    portions, _ = cut(orjson.dumps({**FIELDS, name: media(9)}))

    assert joined(portions) == [{**FIELDS, "media": media(9)}]


def test_fields_behind_the_media() -> None:
    """They are in the last portion, whatever they hold."""
    tail = {"projectCount": 3, "more": [{"media": [{}, {}]}, {"x": "},{]}"}]}

    portions, _ = cut(orjson.dumps({**FIELDS, "media": media(30), **tail}))

    assert portions[0].fields == FIELDS
    assert joined(portions) == [{**FIELDS, **tail, "media": media(30)}]


@pytest.mark.parametrize("piece", [1, 7, 5000])
def test_many_datasets(piece: int) -> None:
    """Each has a portion, also one without media; the large are cut, the small come together."""
    datasets = [{**FIELDS, "id": f"d-{n}", "media": media(n)} for n in (0, 40, 0, 0, 1, 300, 2)]

    portions, _ = cut(orjson.dumps(datasets), many=True, piece=piece)

    assert joined(portions) == datasets
    assert [portion.dataset for portion in portions][:2] == [0, 1]


@pytest.mark.parametrize("media", ["[]", "[1]", "[{}, 1]"])
def test_many_small_datasets_are_read_once(media: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a list ends is not guessed for each dataset at the far end of the text.

    A listing of 520 kB, of empty datasets alone, so blocked the event loop for 25 seconds.
    """
    read = 0

    def loads(text: bytes) -> Any:
        nonlocal read
        read += len(text)
        return orjson.loads(text)

    counting = SimpleNamespace(loads=loads, JSONDecodeError=orjson.JSONDecodeError)
    monkeypatch.setattr("datagym_async._wire._cutting.orjson", counting)
    body = f'[{",".join([f"""{{"media":{media}}}"""] * 2_000)},{{"media":[{{}}]}}]'.encode()
    portions, _ = cut(body, many=True, piece=4_096, portion=len(body))
    assert len(portions) == 2_001
    assert read < 5 * len(body)


def test_no_datasets() -> None:
    """An empty array has no portion."""
    assert cut(b" [ ] \n", many=True)[0] == []


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        b'{"id":"d","media":null}',
        b'{"id":"d"}',
        b'{"inner":{"media":[{}]},"media":[]}',
        b'{"inner":[{"media":[{}]}]}',
        b'{"media":{"images":[{}]}}',
        b'"media":[{}]',
        b"null",
    ],
)
def test_what_begins_in_another_way_is_left_whole(body: bytes, *, many: bool) -> None:
    """Whoever reads the text says what is wrong, or finds that it is well."""
    portions, cutter = cut(body, many=many, piece=3)

    assert portions == []
    assert cutter.uncut == (0, body)


@pytest.mark.parametrize("odd", [b'{"id":"d"}', b"null", b'{"media":null}'])
def test_datasets_before_an_odd_one_are_given(odd: bytes) -> None:
    """What is left is an array of the datasets that are left."""
    body = b"[%b,%b,%b]" % (orjson.dumps({**FIELDS, "media": media(3)}), odd, odd)

    portions, cutter = cut(body, many=True, piece=50)

    assert joined(portions) == [{**FIELDS, "media": media(3)}]
    assert cutter.uncut == (1, b"[%b,%b]" % (odd, odd))


def test_an_odd_first_dataset_leaves_the_array_as_it_was() -> None:
    """The bracket that was read is given back."""
    body = b'[{"id":"d"},{"id":"e"}]'

    assert cut(body, many=True)[1].uncut == (0, body)


@pytest.mark.parametrize("many", [False, True])
def test_a_text_that_ends_too_early(*, many: bool) -> None:
    """Wherever it was cut off, it is not taken for a smaller dataset."""
    dataset = {**FIELDS, "media": media(12), "projectCount": 1}
    body = orjson.dumps([dataset] if many else dataset)
    begun = body.index(b'"media":[{')

    for end in range(begun + len(b'"media":['), len(body)):
        with pytest.raises(BrokenTextError, match="it is cut off"):
            cut(body[:end], many=many)
    for end in range(2, begun):
        _, cutter = cut(body[:end], many=many)
        index, left = cutter.uncut or (None, b"")
        assert index == 0
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(left)


@pytest.mark.parametrize(
    "body",
    [
        b'{"media":[{"a":1}{"b":2}]}',
        b'{"media":[{"a":1},,{"b":2}]}',
        b'{"media":[{"a":1}]]}',
        b'{"media":[{"a":1}}}',
        b'{"media":[{"a":1}],}',
        b'{"media":[{"a":tru}]}',
        b'{"media":[{"a":"\xff"}]}',
        b'{"media":[{"a":1}]}{}',
        b'{"media":[{"a":1}],"media":[{"a":2}]}',
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    """It is said to be broken, in any pieces."""
    for piece in (1, 100):
        with pytest.raises(BrokenTextError):
            cut(body, piece=piece, portion=4)


@pytest.mark.parametrize(
    "body",
    [b'[{"media":[]} {"media":[]}]', b'[{"media":[]},', b'[{"media":[]}', b'[{"media":[]}] []'],
)
def test_what_is_no_array_of_datasets(body: bytes) -> None:
    """Commas and brackets between datasets are looked at, too."""
    with pytest.raises(BrokenTextError):
        cut(body, many=True, portion=4)


def test_one_media_larger_than_a_portion() -> None:
    """It is waited for, and looked at a few times only."""
    large = [{"mediaName": "},{" * 5000}, {"mediaName": "b"}]

    portions, _ = cut(orjson.dumps({**FIELDS, "media": large}), piece=10)

    assert joined(portions) == [{**FIELDS, "media": large}]


ENDLESS = {
    "one name": (b'{"id":"1","media":[{"name":"', b"x" * 100),
    "one media": (b'{"id":"1","media":[{"a":[0', b",0" * 50),
    "blanks": (b"", b" " * 100),
    "blanks before media": (b'{"id":"1","media":[', b" " * 100),
    "behind the media": (b'{"id":"1","media":[{}],"a":"', b"x" * 100),
    "another form": (b'{"a":"', b"x" * 100),
}


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_a_listing_that_gives_nothing_is_refused(
    start: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on and on without a media ends with a bound, which is said."""
    monkeypatch.setattr("datagym_async._wire._cutting.LONGEST_ELEMENT", 1 << 20)
    monkeypatch.setattr("datagym_async._wire._cutting.MAX_VALUE", 2 << 20)
    cutter = ListingCutter(portion=4096)
    cutter.add(start)
    with pytest.raises(BrokenTextError, match=r"more than \d MiB of it are not a list of media"):
        _add_all(cutter, piece)


def _add_all(cutter: ListingCutter, piece: bytes) -> None:
    for _ in range(60_000):
        if cutter.add(piece):
            cutter.cut()
