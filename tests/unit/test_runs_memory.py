"""The memory of images, which the allocator keeps for the next ones."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Allocates and frees some images of 200 kB again and again, and prints the page faults of that.
FAULTS = """
import resource

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        images = [b"a" * 200_000 for _ in range(8)]
        del images
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())  # before the import: a large block that a library frees has the same effect
from datagym_async._runs._engine import keep_freed_memory
keep_freed_memory()
keep_freed_memory()
faults()  # the memory itself is new once
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_freed_memory_is_kept() -> None:
    """Otherwise each image has some 50 page faults, which the system clears a page for."""
    limits = {"GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS], env=environment, check=True, capture_output=True, text=True
    )
    before, after = map(int, ran.stdout.split())
    assert before > 10_000
    assert after < 100
