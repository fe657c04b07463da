"""Whatever is in an archive: no error gets out, and no member gets lost in silence."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from datagym_async.uploads.sources import Rules, leaves

SUFFIXES = ("zip", "tar", "tar.gz")
MEMBERS = {f"d/{number}.jpg": bytes([number]) * 700 for number in range(5)}


def archive_of(suffix: str) -> bytes:
    """Return an archive of five members."""
    file = io.BytesIO()
    if suffix == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            for name, data in MEMBERS.items():
                zipped.writestr(zipfile.ZipInfo(name), data)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(file.getvalue()) if suffix == "tar.gz" else file.getvalue()


ARCHIVES = {suffix: archive_of(suffix) for suffix in SUFFIXES}


@settings(max_examples=60)
@given(
    suffix=st.sampled_from(SUFFIXES),
    at=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 700),
    put=st.binary(max_size=20) | st.just(bytes(512)),
)
def test_a_damaged_archive_names_all_or_says_why(
    suffix: str, at: float, length: int, put: bytes
) -> None:
    """Some of it cut out, and something else put in: each member is named, or a refusal is."""
    data = ARCHIVES[suffix]
    start = int(at * len(data))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(data[:start] + put + data[start + length :])
        (leaf,) = leaves(path, Rules())
        found = list(leaf)  # type: ignore[arg-type]
    assert len(found) >= len(MEMBERS) or any(each.refusal for each in found)
