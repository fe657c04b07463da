"""Files of labels with any bytes: a conversion, or an error that says what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

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
    '{"p":{"labels":[{"annotations":{"objects":[{"name":"car","bounding_box":{"left":1,"top":2,'
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
