"""The package as people get it: `python -m tests.wheel` builds it and tests what was built.

The wheel goes into a fresh environment that sees the dependencies of this one, but neither the
source tree nor what is installed from it, and there a part of the tests runs that needs nothing
but the package. A second environment has the wheel and its plain dependencies alone: it imports,
and its command says which extra it lacks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 1_000_000
"""Of the source distribution, which has no tests."""
PARTS = (
    "tests/functional/test_upload_embedded.py",
    "tests/functional/test_resources_server.py",
    "tests/functional/test_examples.py",
    "tests/functional/test_testing_plugin.py",
    "tests/cli/test_demo.py",
    "tests/unit/test_public_api.py",
)


os.environ.pop("PYTHONPATH", None)  # it would lead to the source tree


def run(*words: str | Path, where: Path = ROOT) -> str:
    """Run a command and return what it says; end with its status where it fails."""
    ran = subprocess.run(words, cwd=where, check=False, text=True, stdout=subprocess.PIPE)
    if ran.returncode:
        sys.stdout.write(ran.stdout)
        raise SystemExit(ran.returncode)
    return ran.stdout


def environment(folder: Path, wheel: Path, seen: Sequence[str]) -> Path:
    """Make an environment with the wheel that sees these folders too; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", code).strip())
    # A path in a .pth file is searched for modules, but its own .pth files do not count: so the
    # source tree, which is installed by such a file, stays out.
    (packages / "dependencies.pth").write_text("\n".join(seen))
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel)
    return python


def main() -> None:
    """Build, look at and test both distributions."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        dist, here = folder / "dist", [path for path in sys.path if "site-packages" in path]
        run(sys.executable, "-m", "build", "-o", dist, ".")
        (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, source)
        run(sys.executable, "-m", "check_wheel_contents", wheel)
        if (size := source.stat().st_size) > MOST_BYTES:
            raise SystemExit(f"{source.name} has {size:,} bytes; at most {MOST_BYTES:,} are good")

        # Tests without the source tree.
        python = environment(folder / "full", wheel, here)
        tree = folder / "tree"
        for name in ("tests", "examples", "pyproject.toml", "README.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            tree.mkdir(exist_ok=True)
            copy(ROOT / name, tree / name)
        where = run(python, "-c", "import datagym_async as it; print(it.__file__)", where=tree)
        if not Path(where.strip()).is_relative_to(folder.resolve()):
            raise SystemExit(f"The wheel is not what is tested, but {where.strip()}")
        sys.stdout.write(run(python, "-m", "pytest", "-q", "-n", "2", *PARTS, where=tree))

        # With the plain dependencies alone, whose names are those that the wheel asks for.
        bare = folder / "bare"
        venv.create(bare, with_pip=True)
        python = bare / python.relative_to(folder / "full")
        run(python, "-m", "pip", "install", "-q", wheel)
        run(python, "-c", "import datagym_async; datagym_async.DataGymClient('token')", where=bare)
        said = subprocess.run(
            [python, "-m", "datagym_async", "--version"],
            cwd=bare,
            text=True,
            capture_output=True,
            check=False,
        )
        both = said.stdout + said.stderr
        if "datagym-async" not in both or "'cli'" not in both:
            raise SystemExit(f"Without extras, --version says: {both}")
        sys.stdout.write(f"{wheel.name} and {source.name} are good; {both}")


if __name__ == "__main__":
    main()
