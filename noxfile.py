"""The tests on each Python that is here, and with the lowest versions of what is needed.

``nox`` runs all sessions whose interpreter is found; ``nox -s lowest`` one of them.
"""

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
QUICK = tuple(f"tests/{each}" for each in ("unit", "conformance", "functional", "faults", "cli"))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests, or those that are named behind ``--``."""
    session.install("-e", ".[all,test]")
    session.run("pytest", "-n", "logical", "--dist", "worksteal", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests of what stands on dependencies with the oldest that pyproject.toml allows."""
    session.install("-e", ".[all,test]")
    pinned = session.create_tmp() + "/lowest.txt"
    compiled = ("--resolution", "lowest-direct", "--extra", "all", "pyproject.toml", "-o", pinned)
    session.install("uv")
    session.run_install("uv", "pip", "compile", "-q", "--python", PYTHONS[0], *compiled)
    session.install("-r", pinned)
    session.run("pytest", "-n", "logical", *(session.posargs or QUICK))


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the site; a warning is an error."""
    session.install("-e", ".[all,docs]")
    session.run("python", "-m", "tests.site")
