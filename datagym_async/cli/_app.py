"""The application: all commands, and the options before them."""

from collections.abc import Sequence
from typing import Annotated, Final, Protocol, runtime_checkable

import typer

from datagym_async._version import __version__
from datagym_async.cli import (
    _bitmaps,
    _config,
    _datasets,
    _demo,
    _download,
    _export,
    _import,
    _jobs,
    _projects,
    _serve,
    _tasks,
    _upload,
)
from datagym_async.cli._errors import INTERRUPTED, STOPPED
from datagym_async.cli._options import BaseUrl, Debug, Json, Quiet, Shared, TokenFile
from datagym_async.cli._screen import Output

PROGRAM: Final = "datagym-async"

app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (_upload, _download, _export, _import, _bitmaps, _demo, _serve):
    _module.register(app)
for _module in (_projects, _datasets, _config, _tasks, _jobs):
    app.add_typer(_module.app)


def _say_version(wanted: bool) -> None:
    if wanted:
        Output().result(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def shared_options(
    context: typer.Context,
    base_url: BaseUrl = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Bring images into DataGym, labels in and out, and datasets back onto the disk.

    Start with [bold]datagym-async demo[/]: it needs no account and no network.

    Exit status: 0 all well; 1 some items failed, were rejected or are left; 2 usage or settings;
    130 interrupted.
    """
    del version
    context.obj = Shared(
        base_url=base_url, token_file=token_file, as_json=as_json, quiet=quiet, debug=debug
    )


@runtime_checkable
class _UsageProblem(Protocol):
    """What typer raises for wrong usage; its class has another home in each of its releases."""

    exit_code: int

    def format_message(self) -> str:
        """Return the sentence."""
        ...


def run(argv: Sequence[str]) -> int:
    """Run the command line; return its exit status."""
    try:
        status = app(args=list(argv) or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not isinstance(error, _UsageProblem):
            raise
        Output().error(_usage(error))
        return STOPPED
    return status if isinstance(status, int) else 0


def _usage(error: _UsageProblem) -> str:
    # Newer releases of typer put two words of pydantic before what a type has to say.
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message.replace(": Value error, ", ": ")
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else PROGRAM
    return f"{message}; see `{where} --help`."
