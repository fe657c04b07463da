"""Files of labels with any bytes: a conversion, or an error that says what is wrong."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async import formats
from datagym_async.formats import FormatError
from tests.helpers.label_files import picture, text

VOC: Final = (
    "<annotation><filename>a.png</filename><size><width>200</width><height>100</height></size>"
    "<object><name>car</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>"
    "</bndbox><polygon><x1>1</x1><y1>2</y1></polygon></object></annotation>"
)
CVAT: Final = (
    "<annotations><meta><task><labels><label><name>car</name></label><label><name>p</name><svg>"
    '&lt;line data-node-from="1"&gt;&lt;/line&gt;</svg></label></labels></task></meta>'
    '<image name="a.png" width="200" height="100"><box label="car" xtl="1" ytl="2" xbr="3" ybr="4" '
    'rotation="3"/><mask label="car" rle="1,2,1" left="1" top="1" width="2" height="2"/>'
    '<skeleton label="p"><points label="x" points="1,2"/></skeleton></image>'
    '<track label="car"><box frame="1" xtl="1" ytl="2" xbr="3" ybr="4"/></track></annotations>'
)
LABELME: Final = (
    '{"shapes":[{"label":"car","points":[[1,2],[3,4],[5,0]],"group_id":1,"shape_type":"polygon",'
    '"flags":{"a":true}},{"label":"car","points":[[1,2],[3,4]],"shape_type":"circle"},{"label":"x",'
    '"points":[[1,2]],"shape_type":"mask","mask":"iVBORw0KGgo="}],"imagePath":"a.png",'
    '"imageData":"AAAA","imageWidth":200,"imageHeight":100}'
)
LABELBOX: Final = (
    '{"data_row":{"external_id":"a.png"},"media_attributes":{"width":200,"height":100},"projects":'
    '{"p":{"labels":[{"annotations":{"classifications":[{"name":"x"}],"objects":[{"name":"car",'
    '"bounding_box":{"left":1,"top":2,'
    '"width":3,"height":4}},{"name":"car","polygon":[{"x":1,"y":2}]}]}}]}}}\n'
)
FILES: Final = {
    "voc": {"a.xml": VOC},
    "cvat": {"annotations.xml": CVAT},
    "labelme": {"a.json": LABELME},
    "labelbox": {"a.ndjson": LABELBOX},
    "lightly": {
        "a.json": '{"file_name":"a.png","predictions":[{"category_id":1,"bbox":[1,2,3,4]}]}',
        "schema.json": '{"categories":[{"id":1,"name":"car"}]}',
    },
    "kitti": {"a.txt": "Car 0 0 0 1 2 3 4 0 0 0 0 0 0 0 0.5\n"},
    "yolo": {
        "labels/a.txt": "0 0.5 0.5 0.5 0.5\n1 0 0 1 0 1 1\n",
        "data.yaml": "path: .\ntrain: images\nnames: {0: car, 1: dog}\n",
    },
    "yolo-pose": {
        "labels/a.txt": "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 1\n",
        "data.yaml": "train: l.txt\nnames: [car]\nkpt_shape: [2, 3]\nkpt_names: {0: [a, b]}\n",
        "l.txt": "./images/a.png\n",
    },
}
"""For each format good files, which are changed in one place or in several."""

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
    "lightly": ("a.json", FILES["lightly"]["a.json"]),
    "lightly schema": ("schema.json", FILES["lightly"]["schema.json"]),
    "yolo": ("data.yaml", YAML),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_any_value_stands_anywhere(tmp_path: Path, name: str) -> None:
    """Each value of a document is replaced by one of every kind, one after the other."""
    path, content = DOCUMENTS[name]
    kind = name.split()[0]
    picture(tmp_path / "images" / "a.png")
    for other, said in FILES[kind].items():
        text(tmp_path / other, said)
    for way in _places(orjson.loads(content)):
        for value in VALUES:
            document = orjson.loads(content)
            holder = document
            for key in way[:-1]:
                holder = holder[key]
            holder[way[-1]] = value
            text(tmp_path / path, orjson.dumps(document))
            whole = tmp_path / path if kind == "labelbox" else tmp_path
            with suppress(FormatError):
                formats.read(whole, kind)  # type: ignore[arg-type]  # a name of a format


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


PIECES: Final = (
    b"", b"\x00", b"\xff\xfe", b"nan", b"-1e999", b"9" * 400, b"[", b"]", b"{", b'"', b"<", b">",
    b"&x;", b"\n", b" ", b"null", b"true", b"../", b"//", b"\xed\xa0\x80", b"1", b",", b"<a>",
    b"99999999999999999999", b"\\", b"0x1", b"%00", b"'", b"~", b":",
)  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[int, int, bytes]]:
    """Where something is cut out of a file, how much of it, and what is put there."""
    return draw(
        st.lists(
            st.tuples(
                st.integers(0, 700),
                st.integers(0, 12),
                st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)),
            ),
            min_size=1,
            max_size=4,
        )
    )


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@given(which=st.integers(0, 5), changed=changes())
def test_a_changed_file_is_read_or_refused(
    name: Any, which: int, changed: list[tuple[int, int, bytes]]
) -> None:
    """Whatever stands in it, nothing but a `FormatError` comes out, and texts are printable."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        picture(root / "images" / "a.png")
        for path, content in FILES[name].items():
            text(root / path, content)
        path = [*FILES[name]][which % len(FILES[name])]
        data = FILES[name][path].encode()
        for place, count, put in changed:
            at = place % (len(data) + 1)
            data = data[:at] + put + data[at + count :]
        text(root / path, data)
        whole = root / "a.ndjson" if name == "labelbox" else root
        for given_name in (name, None):
            try:
                found = formats.read(whole, given_name)
            except FormatError as error:
                said, is_said = str(error), True
            else:
                said = str(found.losses).replace("\n", "")
                is_said = bool(found.images or found.losses)
            assert (said.isprintable(), is_said) == (True, True)
