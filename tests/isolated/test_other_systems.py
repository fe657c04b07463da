"""What differs on Windows, emulated: what it lacks is taken away before the package is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_WINDOWS = """
import asyncio, concurrent.futures.process, errno, fcntl, importlib
import multiprocessing.popen_spawn_posix, os, pkgutil, select, shutil, signal, sysconfig, sys
import threading, types
from pathlib import Path

# The standard library and what we stand on were made for this system: they stay as they are.
import aiohttp.web, aiosqlite, obstore, PIL.Image, rich.console, typer, watchfiles, zoneinfo
sysconfig.get_config_vars()
asyncio.new_event_loop().close()

def locking(descriptor, mode, count):
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what other tests' servers hold, too

def unknown(*_):
    raise NotImplementedError

def is_open(path):
    links = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
    return any(os.path.exists(each) and os.path.samefile(each, path) for each in links)

def refusing(function):
    def refuse(*paths, **options):
        if any(os.path.isfile(path) and is_open(path) for path in paths):
            raise PermissionError(errno.EACCES, "another process uses it", str(paths[0]))
        return function(*paths, **options)
    return refuse

if os.path.isdir("/proc/self/fd"):
    for name in ("unlink", "remove", "rename", "replace"):
        setattr(os, name, refusing(getattr(os, name)))

sys.modules["msvcrt"] = msvcrt = types.ModuleType("msvcrt")
msvcrt.locking, msvcrt.LK_NBLCK = locking, 2
for name in ("fcntl", "resource", "pwd", "grp", "termios", "uvloop"):
    sys.modules[name] = None
for name in (
    "fork", "register_at_fork", "fchmod", "fchown", "chown", "getuid", "geteuid", "killpg",
    "setsid", "mkfifo", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "statvfs",
    "sysconf", "splice", "pipe2", "writev", "pread",
):
    delattr(os, name)
for name in ("poll", "epoll", "POLLRDHUP"):
    delattr(select, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGPIPE", "SIGALRM", "pthread_sigmask"):
    delattr(signal, name)
asyncio.SelectorEventLoop.add_signal_handler = unknown
shutil.which = lambda _: None  # it asks what Windows alone can tell
sys.platform = "win32"

import datagym_async

for module in pkgutil.walk_packages(datagym_async.__path__, "datagym_async."):
    if not module.name.endswith(("__main__", "data.torch")):
        importlib.import_module(module.name)

from datagym_async.__main__ import main
from datagym_async.server import Server
from datagym_async.testing import FaultPlan, Status

async def serve():
    async with Server(home / "service", middlewares=[faults.middleware]) as server:
        os.environ |= {"DATAGYM_BASE_URL": server.base_url, "DATAGYM_TOKEN": server.token}
        started.set()
        await asyncio.Event().wait()

home, started, faults = Path(sys.argv[1]), threading.Event(), FaultPlan()
(home / "photos").mkdir()
for index in range(5):
    PIL.Image.new("RGB", (20, 20), (index, 0, 0)).save(home / "photos" / f"é{index}.png")
    size, noise = (400, 300 + index), os.urandom(400 * 304)
    PIL.Image.frombytes("L", size, noise[: 400 * size[1]]).save(home / "photos" / f"é{index}.jpg")
threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
started.wait(30)
upload = ["upload", str(home / "photos"), "-d", "Photos", "--create"]
print([main(upload), main(upload), main(["download", "-d", "Photos", str(home / "out")])])
faults.add(Status(400), method="GET", path=r"/dataset/[^/]+$")
print(main(["upload", str(home / "photos"), "-d", "New", "--create"]))
print(main(["jobs", "list"]))
print(*(path.name for path in (home / "datagym-async").iterdir()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it is the real one")
def test_the_package_loads_and_works_without_what_windows_lacks(tmp_path: Path) -> None:
    """No module of POSIX alone, no signal handlers of the loop, no encoding of the system."""
    strict = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning"]
    folders = dict.fromkeys(("LOCALAPPDATA", "APPDATA", "TMPDIR"), str(tmp_path))
    environment = {**os.environ, **folders}
    environment.pop("DATAGYM_STATE_DIR", None)
    ran = subprocess.run(
        [sys.executable, *strict, "-c", ON_WINDOWS, str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "[0, 0, 0]" in ran.stdout, ran.stdout + ran.stderr
    assert "10 done by an earlier run" in ran.stdout
    photos, downloaded = tmp_path / "photos", tmp_path / "out"
    assert all(
        (downloaded / path.name).read_bytes() == path.read_bytes() for path in photos.iterdir()
    )
    journal, lock = sorted(ran.stdout.splitlines()[-1].split(), key=len)  # of the first job alone
    assert lock == f"{journal}.lock"
