"""Files of labels with any bytes: a conversion, or an error that says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from datagym_async import formats
from datagym_async.formats import FormatError
from tests.helpers.foreign_files import CVAT, FILES, LABELBOX, LABELME, VOC
from tests.helpers.label_files import picture, text

YAML: Final = (
    '{"path":".","train":["images"],"val":"images","names":{"0":"car","1":"dog"},"nc":"2",'
    '"kpt_shape":["1","3"],"kpt_names":{"0":["a"]}}'
)
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    3.5,
    1e300,
    "",
    "x",
    "0",
    [],
    [1],
    [[1]],
    {},
    {"a": 1},
)


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a document."""
    listed = enumerate(value) if isinstance(value, list) else ()
    for key, each in value.items() if isinstance(value, dict) else listed:
        yield (key,)
        yield from ((key, *way) for way in _places(each))


DOCUMENTS: Final = {
    "labelme": ("a.json", LABELME),
    "labelbox": ("a.ndjson", LABELBOX),
    "yolo": ("data.yaml", YAML),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_any_value_stands_anywhere(tmp_path: Path, name: str) -> None:
    """Each value of a document is replaced by one of every kind, one after the other."""
    path, content = DOCUMENTS[name]
    picture(tmp_path / "images" / "a.png")
    for other, said in FILES[name].items():
        text(tmp_path / other, said)
    for way in _places(orjson.loads(content)):
        for value in VALUES:
            document = orjson.loads(content)
            holder = document
            for key in way[:-1]:
                holder = holder[key]
            holder[way[-1]] = value
            text(tmp_path / path, orjson.dumps(document))
            whole = tmp_path / path if name == "labelbox" else tmp_path
            with suppress(FormatError):
                formats.read(whole, name)  # type: ignore[arg-type]  # a name of a format


@pytest.mark.slow
@pytest.mark.parametrize(("name", "content"), [("voc", VOC), ("cvat", CVAT)])
def test_any_text_stands_anywhere(tmp_path: Path, name: Any, content: str) -> None:
    """Each attribute and text of XML is replaced by numbers and words of every kind."""
    path = tmp_path / "annotations.xml"
    for found in re.finditer(r'(?<==")[^"]*(?=")|(?<=>)[^<]+(?=<)', content):
        for value in ("", "x", "-1", "1e9", "nan", "1e400", "0", "1,2,3", ";"):
            text(path, content[: found.start()] + value + content[found.end() :])
            with suppress(FormatError):
                formats.read(path, name)


def test_aliases_of_yaml_are_not_written_out(tmp_path: Path) -> None:
    """A few lines that mean billions of words are refused, or left out, and quickly."""
    words = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    for member in ("path", "train", "names", "kpt_names", "kpt_shape", "nc"):
        other = "" if member == "names" else "names: [car]\n"
        text(tmp_path / "data.yaml", f"a0: &a0 [x]\n{words}\n{other}{member}: *a11\n")
        with pytest.raises(FormatError) as refused:
            formats.read(tmp_path / "data.yaml")
        assert len(str(refused.value)) < 1000
