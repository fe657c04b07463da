"""Whatever names images: folders, globs, lists, items, and collections of these."""

from __future__ import annotations

import io
import ntpath
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import pytest

from datagym_async.exceptions import ConfigurationError
from datagym_async.uploads import FolderWatch, UploadItem
from datagym_async.uploads.sources import MAX_LINE, Naming, Rules, Stream, check_there, leaves
from tests.helpers.photos import SOUND_JPEG

if TYPE_CHECKING:
    from datagym_async.uploads.sources import Candidate


def candidates(source: object, rules: Rules | None = None) -> list[Candidate]:
    """Return what a finite source yields, in the order that the plan gives it."""
    found = []
    for leaf in leaves(source, rules or Rules()):
        assert not isinstance(leaf, Stream), leaf
        found.extend(sorted(leaf, key=lambda each: each.place))
    return found


def names(source: object, rules: Rules | None = None) -> list[str]:
    """Return the names of the candidates nothing is known against."""
    return [each.item.name for each in candidates(source, rules) if not each.refusal]


def refusals(source: object) -> list[str]:
    """Return the reasons of the refused candidates."""
    return [each.refusal for each in candidates(source) if each.refusal]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with files at three levels, and hidden ones."""
    for path in (
        "b.jpg",
        "a.jpg",
        "notes.txt",
        "sub/c.png",
        "sub/deep/d.JPG",
        ".x.jpg",
        ".t/y.jpg",
    ):
        file = tmp_path / "photos" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"12345")
    return tmp_path / "photos"


def test_a_folder_yields_every_file_below_it_in_stable_order(photos: Path) -> None:
    """Suffixes do not matter, hidden entries do not count, and the order is that of the paths."""
    assert names(photos) == ["a.jpg", "b.jpg", "notes.txt", "c.png", "d.JPG"]
    assert [each.size for each in candidates(str(photos))] == [5] * 5


def test_paths_may_be_bytes(photos: Path) -> None:
    """`os.scandir` gives them for a folder that is named as bytes."""
    with os.scandir(os.fsencode(photos)) as entries:
        (found,) = (each for each in entries if each.name == b"a.jpg")

    assert names(found) == ["a.jpg"]
    assert UploadItem(None, found).content == str(photos / "a.jpg")  # type: ignore[arg-type]


def test_hidden_files_count_when_asked_for(photos: Path) -> None:
    """`include_hidden` takes names with a leading dot, of folders too."""
    found = names(photos, Rules(include_hidden=True))

    assert {".x.jpg", "y.jpg"} <= set(found)
    assert len(found) == 7


def test_names_may_be_relative(photos: Path) -> None:
    """`name="relative"` keeps the path below the folder, with slashes."""
    expected = ["a.jpg", "b.jpg", "notes.txt", "sub/c.png", "sub/deep/d.JPG"]

    assert expected == names(photos, Rules(Naming("relative")))
    assert names(f"{photos}/sub/*/*.JPG", Rules(Naming("relative"))) == ["deep/d.JPG"]


def test_links_to_files_are_followed_and_links_to_folders_are_not(photos: Path) -> None:
    """A link may lead in a circle, so a folder behind one is refused by name."""
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    (photos / "linked.jpg").symlink_to(photos / "a.jpg")
    (photos / "broken.jpg").symlink_to(photos / "gone.jpg")

    assert "linked.jpg" in names(photos)
    assert [
        f"{photos}/broken.jpg is a broken link.",
        (
            f"{photos}/loop is a link to a folder, which is not followed; name it as a source, or "
            'upload with symlinks="follow".'
        ),
    ] == refusals(photos)


def test_junctions_of_windows_lead_to_each_folder_once(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They look like folders and may lead in a circle, which the length of a path would end."""

    class Junction(os.PathLike[str]):
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.entry, self.name, self.path = entry, entry.name, entry.path

        def __fspath__(self) -> str:
            return self.path

        def is_symlink(self) -> bool:
            return False

        def is_dir(self, *, follow_symlinks: bool = True) -> bool:
            return self.entry.is_dir()

        def is_file(self) -> bool:
            return self.entry.is_file()

        def stat(self) -> os.stat_result:
            return self.entry.stat()

    @contextmanager
    def scandir(path: str) -> Iterator[Iterator[Junction]]:
        with read(path) as entries:
            yield map(Junction, entries)

    read = os.scandir
    (photos / "sub" / "loop").symlink_to(photos, target_is_directory=True)
    before = names(photos)
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(sys, "platform", "win32")

    assert names(photos) == before


def test_what_is_no_regular_file_is_never_opened(photos: Path) -> None:
    """Opening a pipe would wait for ever; it is refused instead."""
    os.mkfifo(photos / "pipe.jpg")

    (photos / "pipe.txt").symlink_to(photos / "pipe.jpg")
    listed = list_file(photos, "l.jsonl", '"pipe.jpg"\n"/dev/zero"\n')

    said = [f"{photos}/{name} is a pipe, not a regular file." for name in ("pipe.jpg", "pipe.txt")]
    hint = " To pipe a list of images, use the source - (standard input)."
    assert refusals(photos) == said
    assert refusals(photos / "pipe.jpg") == [said[0] + hint]
    assert refusals(str(photos / "pipe.txt")) == [said[1] + hint]
    assert refusals("/dev/zero") == ["/dev/zero is a device, not a regular file."]
    assert refusals(UploadItem(None, photos / "pipe.jpg")) == [said[0]]
    assert [words.partition(": ")[2] for words in refusals(listed)] == [
        said[0],
        "/dev/zero is a device, not a regular file.",
    ]


def test_an_unreadable_subfolder_is_told_from_the_walk(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One closed folder costs its own files alone (modes do not bind root, so it is faked)."""
    scandir = os.scandir

    def closed(path: str) -> object:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)

    assert [f"The folder {photos}/sub cannot be read: permission denied."] == refusals(photos)
    assert [f"The folder {photos}/sub cannot be read: permission denied."] == refusals(
        f"{photos}/**/*.jpg"
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("?.jpg", ["a.jpg", "b.jpg"]),
        ("[a].jpg", ["a.jpg"]),
        ("*/*.png", ["c.png"]),
        ("**/*.JPG", ["d.JPG"]),
        ("**/deep/**/*", ["d.JPG"]),
        ("**", ["a.jpg", "b.jpg", "notes.txt", "c.png", "d.JPG"]),
        (".*.jpg", [".x.jpg"]),
    ],
)
def test_a_pattern_yields_the_files_that_match(
    photos: Path, pattern: str, expected: list[str]
) -> None:
    """`*` stays in its folder, `**` crosses folders, hidden files count if the pattern says so."""
    assert expected == names(f"{photos}/{pattern}")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(photos: Path) -> None:
    """A pattern is only what names nothing on disk."""
    (photos / "[a].jpg").write_bytes(b"x")

    assert names(f"{photos}/[a].jpg") == ["[a].jpg"]


def test_a_source_without_images_is_refused_as_a_whole(photos: Path, tmp_path: Path) -> None:
    """Each sentence names the source and what is wrong with it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.txt").write_text("# nothing\n\n")
    sources = ["gone", f"{photos}/*.tif", tmp_path / "empty", tmp_path / "none.txt", "", "a\0b"]

    found = candidates(sources)

    assert all(each.whole_source for each in found)
    assert [
        "gone does not exist.",
        f"No file matches {photos}/*.tif.",
        f"The folder {tmp_path}/empty holds no files (hidden ones do not count).",
        f"The list {tmp_path}/none.txt contains no images.",
        "A source is empty; name a file or folder.",
        r"a\x00b is not a path that this system can open.",
    ] == [each.refusal for each in found]


@pytest.mark.parametrize("source", [b"bytes", 7, None, 1.5])
def test_what_is_no_source_is_refused_by_its_type(source: object) -> None:
    """A slip in the midst of a long list costs that element alone."""
    assert f"of the type {type(source).__name__}" in refusals([source])[0]


def test_collections_nest(photos: Path) -> None:
    """Lists, tuples and sets may hold any sources, items among them."""
    item = UploadItem("own name.jpg", photos / "a.jpg")
    sources = [(photos / "b.jpg", [item]), {"http://h/u.jpg"}, {"k": 1}.keys()]

    found = candidates(sources)

    assert [each.item.name for each in found] == ["b.jpg", "own name.jpg", "u.jpg", "k"]
    assert [bool(each.refusal) for each in found] == [False, False, False, True]


async def test_iterators_are_streams(photos: Path) -> None:
    """What may never end is not read while planning."""

    async def arriving() -> AsyncIterator[str]:
        yield "x"

    class Lazy:
        def __iter__(self) -> Iterator[str]:
            return iter(["x"])

    sources = [iter([photos]), arriving(), Lazy(), "-"]

    assert all(isinstance(leaf, Stream) for leaf in leaves(sources, Rules()))


def list_file(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a list beside the photos."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("l.txt", "a.jpg\n\n# no\r\n  sub/c.png \nhttp://h/u.jpg", id="txt"),
        pytest.param(
            "l.TXT", b"\xef\xbb\xbfa.jpg\nsub/c.png\nhttp://h/u.jpg\n", id="txt-with-mark"
        ),
        pytest.param("l.csv", "a.jpg,1\nsub/c.png\n\nhttp://h/u.jpg,x,y\n", id="csv-bare"),
        pytest.param(
            "l.csv", "Label,File,URL\n1,a.jpg,\n2,sub/c.png\n3,,http://h/u.jpg\n", id="csv-header"
        ),
        pytest.param(
            "l.jsonl",
            '"a.jpg"\n{"path": "sub/c.png", "label": 3}\n\n{"url": "http://h/u.jpg"}\n',
            id="jsonl",
        ),
    ],
)
def test_a_list_names_paths_and_urls(photos: Path, name: str, content: str | bytes) -> None:
    """Paths are relative to the folder of the list, whatever the working folder is."""
    found = candidates(list_file(photos, name, content))

    assert [
        ("a.jpg", f"{photos}/a.jpg", 5),
        ("c.png", f"{photos}/sub/c.png", 5),
        ("u.jpg", "http://h/u.jpg", None),
    ] == [(each.item.name, each.item.content, each.size) for each in found]


def test_a_list_may_give_names(photos: Path) -> None:
    """A name column or member wins over the path's own."""
    csv = list_file(photos, "n.csv", "path,name\na.jpg,one.jpg\nb.jpg,\n")
    jsonl = list_file(photos, "n.jsonl", '{"file": "a.jpg", "name": "two.jpg"}\n')

    assert names([csv, jsonl]) == ["one.jpg", "b.jpg", "two.jpg"]


def test_relative_names_of_a_list_are_as_written(photos: Path) -> None:
    """Absolute paths have no place below the list, and keep their last part."""
    listed = list_file(photos, "l.txt", f"./sub/c.png\n{photos}/sub/deep/d.JPG\n")

    assert names(listed, Rules(Naming("relative"))) == ["sub/c.png", "d.JPG"]


def test_drives_of_windows_are_no_part_of_relative_names(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path with a drive counts by its last part, as every absolute path of a list."""
    (photos / "C:").symlink_to(photos / "sub", target_is_directory=True)
    listed = list_file(photos, "l.txt", "C:/deep/d.JPG\n")
    monkeypatch.setattr(os.path, "splitdrive", ntpath.splitdrive)

    assert names(listed, Rules(Naming("relative"))) == ["d.JPG"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("l.txt", "gone.jpg\n", ["line 1: {}/gone.jpg does not exist."]),
        ("l.txt", "a.jpg\n\nsub\n", ["line 3: {}/sub is a folder."]),
        (
            "l.txt",
            "a\0b\n",
            ["line 1: the line holds a NUL character; a list has one path or URL in each line."],
        ),
        (
            "l.txt",
            "x" * 70_000 + "\na.jpg\n",
            [f"line 1: the line is longer than {MAX_LINE:,} bytes."],
        ),
        ("l.txt", "a.jpg\n".encode("utf-16"), ["line 1: the file is UTF-16; save it as UTF-8."]),
        ("l.jsonl", "{\n", ["line 1: the line is not JSON."]),
        ("l.jsonl", "[" * 9000 + "\n", ["line 1: the line is not JSON."]),
        ("l.jsonl", "7\n", ['line 1: the line is neither a string nor an object with "path" or']),
        ("l.jsonl", '{"size": 3}\n', ["line 1: the line has neither a path nor a URL."]),
        ("l.jsonl", '{"path": "a.jpg", "name": 3}\n', ["line 1: the name is not text."]),
        (
            "l.csv",
            "path,name\n,x.jpg\na.jpg\n",
            ["line 2: the line has neither a path nor a URL."],
        ),
        (
            "l.csv",
            "path,name\na.jpg,Müller.jpg\n".encode("cp1252"),
            ["line 2: the name is not in UTF-8; save the list as UTF-8."],
        ),
        ("l.csv", '"' + "x" * 140_000 + '"\na.jpg\n', ["line 1: the line is longer than"]),
        ("l.csv", "a.jpg\n" + ("y" * 60_000 + "\n") * 1, ["line 2: {}/y"]),
        ("l.csv", '"' + ("y" * 60_000 + "\n") * 3 + '"\n', ["line 3: the line is not CSV"]),
    ],
)
def test_bad_lines_are_refused_by_number(
    photos: Path, name: str, content: str | bytes, expected: list[str]
) -> None:
    """Each bad line is one refusal with file and line; the other lines count."""
    path = list_file(photos, name, content)

    found = refusals(path)

    starts = [f"list {path}, {each.format(photos)}" for each in expected]
    assert starts == [each[: len(start)] for each, start in zip(found, starts, strict=False)]
    assert len(found) >= len(expected)


AS_PEOPLE_HAVE_THEM = {
    "semicolons": ("l.csv", "path;label\na.jpg;cat\nsub/c.png;dog\n"),
    "tabs": ("l.csv", "label\timage_path\ncat\ta.jpg\ndog\tsub/c.png\n"),
    "a suffix of its own": ("l.tsv", "Image Path\tsize, mm\na.jpg\t1,5\nsub/c.png\t2\n"),
    "a line of Excel": ("l.csv", "sep=;\nfile_name;n\na.jpg;1\nsub/c.png;2\n"),
    "a byte order mark": ("l.csv", "\ufeffimage_name,x\na.jpg,1\nsub/c.png,2\n"),
    "quotes": ("l.csv", '"label";"image-path"\n"cat; black";"a.jpg"\n"";"sub/c.png"\n'),
    "no header": ("l.csv", "a.jpg;cat\nsub/c.png;dog\n"),
    "no header, tabs": ("l.csv", "\na.jpg\tcat, black\nsub/c.png\tdog\n"),
    "names of the column": ("l.csv", "id,filename\n1,a.jpg\n2,sub/c.png\n"),
    "members": ("l.jsonl", '{"image_path": "a.jpg"}\n{"File Name": "sub/c.png"}\n'),
    "a path before a name": ("l.csv", "image_name,image_path\nx,a.jpg\ny,sub/c.png\n"),
}


@pytest.mark.parametrize(("name", "content"), AS_PEOPLE_HAVE_THEM.values(), ids=AS_PEOPLE_HAVE_THEM)
def test_lists_are_taken_as_people_have_them(photos: Path, name: str, content: str) -> None:
    """Whatever stands between columns, and however their titles are written."""
    found = candidates(list_file(photos, name, content))

    assert [(each.item.content, each.refusal) for each in found] == [
        (str(photos / "a.jpg"), ""),
        (str(photos / "sub/c.png"), ""),
    ]


def test_an_unknown_header_is_said_with_those_that_are_known(photos: Path) -> None:
    """Once, for the whole list, and not as a file that does not exist."""
    path = list_file(photos, "l.csv", "ident;label\n1;cat\n2;dog\n")
    (found,) = candidates(path)

    assert found.whole_source
    assert found.refusal == (
        f"list {path}, line 1: none of its columns ('ident', 'label') contains images; give the "
        "column of the paths one of the titles path, file, filename, file_path, image, image_path, "
        "image_name, source, url, image_url."
    )


def test_a_first_line_is_no_header_where_there_is_such_a_file(photos: Path) -> None:
    """Files need no suffix."""
    (photos / "scan").write_bytes(b"12345")

    assert names(list_file(photos, "l.csv", "scan,1\na.jpg,2\n")) == ["scan", "a.jpg"]


@pytest.mark.parametrize("form", ["file://{}", "FILE://localhost{}", "file:{}"])
def test_urls_of_files_are_files(photos: Path, form: str) -> None:
    """As a source, in a list and as an item."""
    path = photos / "a b\xe9%.jpg"
    path.write_bytes(b"12345")
    url = form.format(quote(str(path)))
    listed = list_file(photos, "l.txt", f"{url}\n")

    for source in (url, listed, UploadItem("x.jpg", url)):
        (found,) = candidates(source)
        assert (found.item.content, found.refusal, found.size) == (str(path), "", 5)


def test_a_url_of_a_file_elsewhere_is_refused(photos: Path) -> None:
    """It is no file of this machine."""
    (reason,) = refusals("file://server/share/a.jpg")

    assert "Its scheme is file" in reason


@pytest.mark.skipif(os.name == "nt", reason="there they are paths")
def test_paths_of_windows_get_a_hint(photos: Path) -> None:
    """Lists come from other machines."""
    content = "C:\\photos\\a.jpg\nsub\\c.png\n"
    for reason in (*refusals(list_file(photos, "l.txt", content)), *refusals("C:\\a.jpg")):
        assert (
            "does not exist (paths of this system have / between folders, and no drive)." in reason
        )


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_list_in_another_encoding_gets_a_hint(photos: Path) -> None:
    """A spreadsheet may have written it in the encoding of its system."""
    content = "path\nMüller.jpg\n".encode("cp1252")
    (reason,) = refusals(list_file(photos, "l.csv", content))
    assert "M\\xfcller.jpg does not exist (its name is not in UTF-8; save the list" in reason


SLIPS = [
    "nowhere",
    "ftp://bucket/x",
    "ftp://bucket/*.jpg",
    "*.jgp",
    "empty",
    "c:\\x.jpg",
    "list.csv",
    " ",
]


@pytest.mark.parametrize("slip", [*SLIPS, SLIPS])
def test_sources_that_name_nothing_are_refused_at_once(
    photos: Path, monkeypatch: pytest.MonkeyPatch, slip: str | list[str]
) -> None:
    """With the reason of the first one; one that names something is enough."""
    monkeypatch.chdir(photos)
    (photos / "empty").mkdir()
    list_file(photos, "list.csv", "ident;label\n1;cat\n")

    with pytest.raises(ConfigurationError, match="Nothing to upload: "):
        check_there(slip, Rules())
    (photos / "list.XLSX").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigurationError, match=r"list.XLSX is a spreadsheet; save it as a \.csv"):
        check_there("list.XLSX", Rules())
    (photos / "list.XLSX").write_bytes(SOUND_JPEG)  # what a file is, its bytes say
    assert names("list.XLSX") == ["list.XLSX"]
    none: list[str] = []
    for good in ("a.jpg", "sub", "-", "http://h/a.jpg", iter(none), UploadItem("a", b"1")):
        check_there([slip, good], Rules())
    check_there(none, Rules())


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    """A file system's odd bytes come through a folder and through a list alike."""
    odd = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / odd).write_bytes(b"x")
    listed = list_file(tmp_path, "l.txt", b"caf\xe9.jpg\n")

    assert [odd, "l.txt"] == names(tmp_path)
    assert [odd] == names(listed)


def test_standard_input_is_a_text_list(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads lines as they come, with paths below the working folder."""
    monkeypatch.chdir(photos)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a.jpg\ngone\n")))

    (stream,) = leaves("-", Rules())
    assert isinstance(stream, Stream)
    found = candidates(list(cast("Iterator[Candidate]", stream.source)))

    assert [(each.item.name, each.refusal) for each in found] == [
        ("a.jpg", ""),
        ("gone", "list -, line 2: gone does not exist."),
    ]


def test_a_leading_tilde_is_the_home_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that no shell has expanded means what it would mean there; so do paths and items."""
    monkeypatch.setenv("HOME", str(photos))

    assert names("~/a.jpg") == ["a.jpg"]
    assert names(Path("~/a.jpg")) == ["a.jpg"]
    (item,) = candidates(UploadItem("one.jpg", "~/a.jpg"))
    assert (item.item.content, item.refusal) == (str(photos / "a.jpg"), "")
    assert FolderWatch("~").folder == str(photos)
