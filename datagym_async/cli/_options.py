"""What all commands share: their options, before or after the command, and what stops them.

`@command(app, "name")` makes a command of a function whose first parameter is the `Invocation` and
which returns an exit status. The shared options join its own; errors become sentences. A parameter
whose type is an attrs class stands for a group of options: one for each attribute of the class, all
of which have defaults, or for several groups.
"""

import contextlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import attrs
import typer

from datagym_async._client import TOKEN_VARIABLE
from datagym_async._groups import first_of
from datagym_async.cli._errors import (
    INTERRUPTED,
    SOME_FAILED,
    sentence_of,
    status_of,
)
from datagym_async.cli._screen import Output
from datagym_async.cli._signals import terminated_like_interrupted

P = ParamSpec("P")

_SHARED: Final = "Shared options (also before the command)"

BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Address of the service; else DATAGYM_BASE_URL, else https://app.datagym.ai.",
        rich_help_panel=_SHARED,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File that holds the token; else DATAGYM_TOKEN, else you are asked. "
        "There is no option for the token itself: others can see arguments.",
        rich_help_panel=_SHARED,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result as one JSON document, and nothing else but errors.",
        rich_help_panel=_SHARED,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        help="Say only what somebody should look at; nothing if all is well.",
        rich_help_panel=_SHARED,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Log what happens to standard error, and show where errors come from.",
        rich_help_panel=_SHARED,
    ),
]

_OF_ALL: Final[Mapping[str, object]] = {"as_json": Json, "quiet": Quiet, "debug": Debug}
_OF_CLIENTS: Final[Mapping[str, object]] = {
    "base_url": BaseUrl,
    "token_file": TokenFile,
    **_OF_ALL,
}


@attrs.frozen(kw_only=True)
class Shared:
    """The shared options, as given in one place."""

    base_url: str | None = None
    token_file: Path | None = None
    as_json: bool = False
    quiet: bool = False
    debug: bool = False

    def followed_by(self, later: "Shared") -> "Shared":
        """Return both together; what was given later wins."""
        return Shared(
            base_url=later.base_url or self.base_url,
            token_file=later.token_file or self.token_file,
            as_json=later.as_json or self.as_json,
            quiet=later.quiet or self.quiet,
            debug=later.debug or self.debug,
        )


@attrs.define
class Invocation:
    """One run of a command: its shared options, its way out, and the token once it is known."""

    shared: Shared
    output: Output
    token: str = attrs.field(default="", repr=False)


def command(
    app: typer.Typer, name: str, *, client: bool = True
) -> Callable[
    [Callable[Concatenate[Invocation, P], int]], Callable[Concatenate[Invocation, P], int]
]:
    """Make a function a command.

    Args:
        app: The application or the group that the command belongs to.
        name: Its name.
        client: Whether it talks to a service that its user names (--base-url, --token-file).
    """

    def decorate(
        function: Callable[Concatenate[Invocation, P], int],
    ) -> Callable[Concatenate[Invocation, P], int]:
        app.command(name)(_made_command(function, _OF_CLIENTS if client else _OF_ALL))
        return function

    return decorate


def _made_command(
    function: Callable[Concatenate[Invocation, P], int], shared: Mapping[str, object]
) -> Callable[..., None]:
    def run(context: typer.Context, **options: Any) -> None:
        later = Shared(**{name: options.pop(name) for name in shared})
        both = (context.obj or Shared()).followed_by(later)
        invocation = Invocation(both, Output(as_json=both.as_json, quiet=both.quiet))
        invocation.output.keep_secret(os.environ.get(TOKEN_VARIABLE, "").strip())
        raise typer.Exit(_guarded(invocation, lambda: whole(invocation, **gathered(own, options))))

    # Its parameters are in the signature below, where typer reads them.
    whole: Callable[..., int] = function
    own = own_parameters(function)
    parameters = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(option for each in own for option in _options_of(each)),
        *(
            inspect.Parameter(
                each,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=annotation,
                default=getattr(Shared(), each),
            )
            for each, annotation in shared.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__doc__ = function.__doc__
    return run


def own_parameters(function: Callable[..., int]) -> list[inspect.Parameter]:
    """Return the parameters of a command but the first, which is the `Invocation`."""
    return list(inspect.signature(function, eval_str=True).parameters.values())[1:]


def gathered(parameters: Sequence[inspect.Parameter], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command: each group of options as a value of its class."""
    return {
        each.name: each.annotation(**gathered(_members(each.annotation), options))
        if attrs.has(each.annotation)
        else options[each.name]
        for each in parameters
    }


def _options_of(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    """Yield the options that a parameter stands for."""
    if not attrs.has(parameter.annotation):
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        return
    for member in _members(parameter.annotation):
        yield from _options_of(member)


def _members(group: type[attrs.AttrsInstance]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[each.name],
            default=each.default,
        )
        for each in attrs.fields(group)
    ]


def _guarded(invocation: Invocation, work: Callable[[], int]) -> int:
    output = invocation.output
    try:
        with terminated_like_interrupted(), _logging(invocation):
            return work()
    except (KeyboardInterrupt, typer.Abort):
        output.warning("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:
        cause = first_of(error)
        output.error(sentence_of(cause), *getattr(cause, "further", ()))
        if invocation.shared.debug:
            output.traceback(cause)
        return status_of(cause)


@contextlib.contextmanager
def _logging(invocation: Invocation) -> Iterator[None]:
    """Say what is logged through our way out, other libraries' warnings included.

    Where no handler is, Python would write warnings to standard error just as they are.
    """
    root, ours = logging.getLogger(), logging.getLogger("datagym_async")
    handler, level = invocation.output.log_handler(debug=invocation.shared.debug), ours.level
    if invocation.shared.debug:
        ours.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(level)


def _reader_left() -> int:
    # Whoever read our output has seen enough (`| head`). Python would flush once more at exit.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SOME_FAILED
