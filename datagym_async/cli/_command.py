"""What all commands share: making a command from a function, and its errors.

`@command(app, "name")` makes a command of a function whose first parameter is the `Invocation` and
which returns an exit status. The shared options join its own; errors become sentences. A command
with a table of options gets what the table gathers as its second parameter, `Given`.
"""

import contextlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any, TypeVar

import attrs
import typer

from datagym_async._threads import first_of
from datagym_async.cli._app import epilog_of
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, CommandError, sentence_of, status_of
from datagym_async.cli._option_table import Given, OptionTable
from datagym_async.cli._options import OF_ALL, OF_CLIENTS, Shared, sign
from datagym_async.cli._screen import LogFileHandler, LogHandler, Output, repaired
from datagym_async.cli._signals import terminated_like_interrupted

C = TypeVar("C", bound=Callable[..., int])

TOKEN_VARIABLE = "DATAGYM_TOKEN"  # noqa: S105 -- the name of a variable, not a secret


@attrs.define
class Invocation:
    """One run of a command: its shared options, its output, and the token once it is known."""

    shared: Shared
    output: Output
    token: str = attrs.field(default="", repr=False)
    profile: dict[str, str] | None = attrs.field(default=None, repr=False)  # read once
    no_file: str = ""  # an argument that is not a file: a name, or a mistake
    is_login: bool = False  # whether the profile will be made

    def require_consent(self, *, yes: bool, danger: str = "") -> None:
        """Refuse at once a command that has to ask if nobody can answer."""
        if not yes and not sys.stdin.isatty():
            raise CommandError(
                f"{danger}Standard input is not a terminal, so there can be no question; add --yes."
            )


def group(name: str) -> typer.Typer:
    """Return the group for commands, or for a single one (see `_app.COMMANDS`)."""
    return typer.Typer(name=name, add_completion=False, rich_markup_mode="rich")


def command(
    app: typer.Typer, name: str, *, client: bool = True, table: OptionTable | None = None
) -> Callable[[C], C]:
    """Make a function a command of a group; one with `client` talks to a service."""
    shared = OF_CLIENTS if client else OF_ALL

    def decorate(function: C) -> C:
        # Typer reads its parameters from the signature below.
        def run(context: typer.Context, **options: Any) -> None:
            later = Shared(**{name: options.pop(name) for name in shared})
            both = (context.obj or Shared()).followed_by(later)
            invocation = Invocation(both, Output(as_json=both.as_json, quiet=both.quiet))
            invocation.output.secrets.learn(os.environ.get(TOKEN_VARIABLE, "").strip())
            arguments = arguments_of(function, options, table)
            raise typer.Exit(_guarded(invocation, lambda: function(invocation, **arguments)))

        own = own_parameters(function)
        rows = table.parameters({each.name: each for each in own}) if table else ()
        in_table = {row.name for row in table.rows} if table else set()
        keyword = inspect.Parameter.KEYWORD_ONLY
        options = (each.replace(kind=keyword) for each in own if each.name not in in_table)
        sign(run, (*options, *rows), shared)
        # A paragraph is one line for rich, which breaks it where the terminal ends.
        paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
        run.__doc__ = "\n\n".join(each.replace("\n", " ") for each in paragraphs)
        path = name if app.info.name == name else f"{app.info.name} {name}"
        app.command(name, epilog=epilog_of(path))(run)
        return function

    return decorate


def own_parameters(function: Callable[..., int]) -> list[inspect.Parameter]:
    """Return the parameters of a command without the `Invocation` and the table's options."""
    found = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    return [each for each in found if each.annotation is not Given]


def arguments_of(
    function: Callable[..., int], options: dict[str, Any], table: OptionTable | None = None
) -> dict[str, Any]:
    own = {each.name: each for each in own_parameters(function)}
    taken = {"given": table.take(options, own)} if table else {}
    return taken | {name: options[name] for name in own}


def _guarded(invocation: Invocation, work: Callable[[], int]) -> int:
    output = invocation.output
    try:
        with terminated_like_interrupted(), _logging(invocation):
            return work()
    except (KeyboardInterrupt, typer.Abort):
        output.warning("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a list
        return SOME_FAILED
    except Exception as error:
        cause = first_of(error)
        output.error(sentence_of(cause), *getattr(cause, "further", ()))
        if invocation.shared.debug:
            output.traceback(cause)
        return status_of(cause)


@contextlib.contextmanager
def _logging(invocation: Invocation) -> Iterator[None]:
    """Show log records, also of other libraries: Python alone would write warnings unescaped."""
    shared, output = invocation.shared, invocation.output
    root, ours = logging.getLogger(), logging.getLogger("datagym_async")
    if any(isinstance(each, LogHandler) for each in root.handlers):  # another command
        yield
        return
    handlers: list[logging.Handler] = [LogHandler(output, debug=shared.debug)]
    with contextlib.ExitStack() as stack:
        if (file := shared.log_file) is not None:
            try:
                written = LogFileHandler(output, file)
            except OSError as error:
                raise CommandError(
                    f"The log file {file} cannot be written: {error.strerror}."
                ) from None
            # A thread writes it: a slow disk must not block the event loop.
            records: SimpleQueue[logging.LogRecord] = SimpleQueue()
            handlers.append(queued := QueueHandler(records))
            queued.addFilter(repaired)
            listener = QueueListener(records, written)
            listener.start()
            stack.callback(written.close)
            stack.callback(listener.stop)
        if shared.debug or file is not None:
            stack.callback(ours.setLevel, ours.level)
            ours.setLevel(logging.DEBUG)
        for handler in handlers:
            root.addHandler(handler)
            stack.callback(root.removeHandler, handler)
        yield
