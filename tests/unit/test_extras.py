"""What needs an extra says so, in an error of the tree that names the extra and how to get it."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import pytest

from datagym_async import ConfigurationError, UploadConfig, formats
from datagym_async._extras import how_to_install
from datagym_async.data import LoaderConfig
from datagym_async.formats import FormatError, coco
from datagym_async.labels import (
    Annotation,
    LabelConfig,
    LabeledImage,
    Point,
    Polygon,
    Rectangle,
    Segmentation,
)

HOLED = Segmentation([[(0, 0), (9, 0), (9, 9)], [(6, 1), (7, 1), (7, 2)]])
IMAGE = LabeledImage(media_name="a.png", annotations=[Annotation("b", HOLED)], width=9, height=9)
RLE = {"size": [1, 1], "counts": [0, 1]}
CROWD = {
    "images": [{"id": 1, "file_name": "a.png"}],
    "categories": [{"id": 1, "name": "a"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": RLE}],
}


def masks(_: Path) -> object:
    """Read a mask."""
    return coco.read(CROWD, mapping=formats.LabelMapping(shape="polygon"))


def classes(folder: Path) -> object:
    """Read the names of a data.yaml."""
    path = folder / "data.yaml"
    path.write_text("names: [a]")
    try:
        return formats.classes_from(path)
    finally:
        path.unlink()


def labels(name: str, content: str) -> Callable[[Path], object]:
    """Read a file of labels beside an image."""
    beside = {"a.png": b"\x89PNG\r\n\x1a\n", "a.txt": b"0 0.5 0.5 0.5 0.5"}

    def read(folder: Path) -> object:
        files = {name: content.encode(), **beside}
        for each, data in files.items():
            (folder / each).write_bytes(data)
        try:
            return formats.read(folder / name)
        finally:
            for each in files:
                (folder / each).unlink()

    return read


YAML = "train: .\nnames: [a]\n"
MASK = '{"shapes": [{"label": "a", "points": [[1, 1]], "shape_type": "mask"}], "imagePath": "a"}'
CALLS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "a data.yaml of labels": ("yaml", "formats", labels("data.yaml", YAML)),
    "sizes of images": ("PIL", "formats", labels("data.yaml", YAML)),
    "labels in XML": ("defusedxml", "formats", labels("annotations.xml", "<annotations/>")),
    "masks in JSON": ("numpy", "formats", labels("a.json", MASK)),
    "a data.yaml of classes": ("yaml", "formats", classes),
    "masks are read": ("numpy", "formats", masks),
    "masks are written": ("pycocotools", "formats", lambda _: coco.to_document([IMAGE])),
    "masks are drawn": ("numpy", "formats", lambda _: coco.to_document([IMAGE])),
    "point": ("numpy", "formats", lambda _: Point(1, 1).to_numpy()),
    "polygon": ("numpy", "formats", lambda _: Polygon([(1, 1)]).to_numpy()),
    "rectangle": ("numpy", "formats", lambda _: Rectangle(1, 1, 1, 1).to_numpy()),
    "yaml": ("yaml", "formats", lambda _: LabelConfig().to_yaml()),
    "from yaml": ("yaml", "formats", lambda _: LabelConfig.from_yaml("[]")),
    "decode": ("PIL", "images", lambda _: UploadConfig(check="decode")),
    "samples": ("PIL", "images,formats", lambda _: LoaderConfig(decode="pillow")),
    "arrays": ("numpy", "images,formats", lambda _: LoaderConfig(decode="numpy")),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_missing_extra_is_named(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever module is not there: no ModuleNotFoundError, and nothing is left behind."""
    module, extra, call = CALLS[what]
    for name in [each for each in sys.modules if each.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "datagym_async.labels._config_yaml", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        call(tmp_path)
    assert how_to_install(extra) in str(caught.value)
    assert not isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["aiosqlite", "PIL"])
def test_the_server_says_what_it_needs(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing it without its extra is an error of the import, with the way out."""
    for name in [each for each in sys.modules if each.startswith("datagym_async.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=re.escape(how_to_install("server"))):
        importlib.import_module("datagym_async.server")


def test_a_format_is_refused_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formats keep their own class of error."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(FormatError):
        masks(__file__)  # type: ignore[arg-type]  # nothing is written there


@pytest.fixture
def reading_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of the installation, with pip, is read again; the truth is back in the end."""
    how_to_install("cli")
    monkeypatch.delitem(sys.modules, "datagym_async._installed")
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: True)


@pytest.mark.usefixtures("reading_anew")
@pytest.mark.parametrize(
    ("origin", "prefix", "expected"),
    [
        (None, "/venv", "pip install 'datagym-async[cli]'"),
        (
            {"url": "file:///home/me/my%20code", "dir_info": {"editable": True}},
            "/venv",
            "pip install -e '/home/me/my code[cli]'",
        ),
        ({"url": "file:///a", "dir_info": {}}, "/venv", "pip install '/a[cli]'"),
        (
            {"url": "https://host/it.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "/venv",
            "pip install 'datagym-async[cli] @ git+https://host/it.git'",
        ),
        (None, "/home/me/.local/pipx/venvs/it", "pipx install --force 'datagym-async[cli]'"),
        (None, "/home/me/.local/share/uv/tools/it", "uv tool install 'datagym-async[cli]'"),
    ],
    ids=["index", "editable", "folder", "repository", "pipx", "uv"],
)
def test_how_to_install(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, object] | None, prefix: str, expected: str
) -> None:
    """The command is for where the package is, and for where it came from."""

    class Known:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if origin is None else json.dumps(origin)

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Known())
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    monkeypatch.setattr("shutil.which", lambda _: "/venv/bin/pip")
    assert how_to_install("cli") == expected


@pytest.mark.usefixtures("reading_anew")
def test_how_to_install_what_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from a checkout, it is the checkout."""

    def unknown(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", unknown)
    checkout = Path(__file__).resolve().parents[2]
    assert how_to_install("cli").endswith(f"pip install {shlex.quote(f'{checkout}[cli]')}")


@pytest.mark.usefixtures("reading_anew")
def test_how_to_install_beside_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `pip` that a shell finds first may be of another Python, or there is none."""
    monkeypatch.setattr(sys, "executable", "/my venv/bin/python")
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/pip")
    assert how_to_install("cli").startswith("'/my venv/bin/python' -m pip install ")
    monkeypatch.delitem(sys.modules, "datagym_async._installed")
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert how_to_install("cli").startswith("uv pip install --python '/my venv/bin/python' ")
