"""What an upload item may be, how odd names are shown, and which options are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import Outcome, UploadConfig, UploadItem, UploadResult


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("x.jpg", "photos/a.jpg", ("x.jpg", "path"), id="path-as-text"),
        pytest.param("x.jpg", Path("photos/a.jpg"), ("x.jpg", "path"), id="path"),
        pytest.param("x.jpg", b"123", ("x.jpg", "data"), id="bytes"),
        pytest.param("x.jpg", bytearray(b"123"), ("x.jpg", "data"), id="bytearray"),
        pytest.param("x.jpg", memoryview(b"123"), ("x.jpg", "data"), id="memoryview"),
        pytest.param(None, "photos/a.jpg", ("a.jpg", "path"), id="named-after-path"),
        pytest.param(None, "HTTPS://h/p/b.png?s=1/2", ("b.png", "url"), id="named-after-url"),
    ],
)
def test_an_item_is_a_path_bytes_or_a_url(
    name: str | None, content: str | bytes | Path, expected: tuple[str, str]
) -> None:
    """Each kind of content shows in one of three properties, and None in the two others."""
    item = UploadItem(name, content)

    kinds = {"path": item.path, "data": item.data, "url": item.url}
    given = [kind for kind, value in kinds.items() if value is not None]

    assert (expected[0], [expected[1]]) == (item.name, given)


def test_bytes_need_a_name() -> None:
    """Bytes have no name of their own, and the error shows how to give one."""
    with pytest.raises(ConfigurationError, match=r"UploadItem\('photo.jpg', data\)"):
        UploadItem(None, b"123")


def test_other_content_is_refused() -> None:
    """An item made of something else is a slip that shows at once."""
    with pytest.raises(ConfigurationError, match="not int"):
        UploadItem("x.jpg", 7)  # type: ignore[arg-type]  # the point of the test


def test_the_bytes_of_an_item_stay_out_of_its_repr() -> None:
    """A repr in a log does not hold a whole image."""
    assert repr(UploadItem("x", b"ab")) == "UploadItem(name='x', content=<2 bytes>, origin='')"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/a/b.jpg", "b.jpg"),
        ("http://h/a/img?name=c.jpg", "img"),
        ("http://h/b.jpg?path=x/y.png", "b.jpg"),
        ("http://h/", ""),
    ],
)
def test_a_link_is_named_as_the_service_names_it(url: str, expected: str) -> None:
    """The name lies between the last slash and the first question mark behind it."""
    assert expected == UploadItem(None, url).name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency is 0; it must be from 1 to 256."),
        ({"concurrency": 257}, "concurrency is 257"),
        ({"batch_size": 501}, "batch_size is 501"),
        ({"max_problems": -1}, "max_problems is -1"),
        (
            {"name": "flat"},
            'name is \'flat\'; it must be "basename", "relative", a template such as ',
        ),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int], words: str) -> None:
    """The error names the option, its value and the range."""
    with pytest.raises(ConfigurationError) as caught:
        UploadConfig(**options)  # type: ignore[arg-type]  # a table of options of any type

    assert words in str(caught.value)


def test_only_rejected_and_failed_are_problems() -> None:
    """A skipped item is what a second run is made of, not a problem."""
    results = [
        UploadResult(item=UploadItem("x", b""), outcome=each, dataset_id="d") for each in Outcome
    ]

    problems = [result.outcome.value for result in results if result.is_problem]

    assert problems == ["rejected", "failed"]
