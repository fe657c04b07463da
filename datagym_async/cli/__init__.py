"""The command line: parse, call, draw, and no logic of its own. In reading order:

`_app` names all commands, with examples for the end of each help, and loads the module of the one
that runs; `_command` makes a command from a function, with the shared options, and turns every
error into a sentence and an exit status; `_options` has those options; `_option_table` defines the
rows of a table of options, and `_job_options` has the rows of `upload` and `download`.

One file a command, a group of them, or some that belong together: `_upload`, `_download`, `_export`
(and `bitmaps`), `_import`, `_demo` (with its photographs and their labels), `_serve`, `_resources`
(`projects`, `datasets`, `media`), `_config`, `_tasks`, `_jobs`, `_auth`, `_look` (`preview`,
`gallery`, `stats`).

What they call: `_connect` (address and token, to a client, perhaps through the workers of a
cluster), `_lookup` (names and ids, to datasets and projects), `_signals` (Ctrl-C),
`_screen` (the one way out for texts, tables and JSON), `_progress` (how far a job is), `_closing`
(how an upload ended, and reports), `_errors`.

Nobody imports it but `__main__` and the tests; a name loads its module when it is asked for.
"""

# ruff: noqa: F401 -- what is imported for type checkers is what the tests may ask for

from __future__ import annotations

from typing import TYPE_CHECKING

from datagym_async._public import when_asked

if TYPE_CHECKING:
    from datagym_async.cli._app import COMMANDS, app, load
    from datagym_async.cli._command import arguments_of, own_parameters
    from datagym_async.cli._demo import LABELS, photographs
    from datagym_async.cli._download import download
    from datagym_async.cli._errors import (
        CommandError,
        advice_in_shell_words,
        hint_in_shell_words,
        in_shell_words,
        sentence_of,
        status_of,
    )
    from datagym_async.cli._job_options import DOWNLOAD, UPLOAD
    from datagym_async.cli._jobs import SHOWN, command_of, how_to_resume, quoted_for_display
    from datagym_async.cli._lookup import choose
    from datagym_async.cli._option_table import Option, OptionTable
    from datagym_async.cli._options import parse_bytes, parse_seconds, split_usage
    from datagym_async.cli._progress import (
        LINES_OF_PROBLEMS,
        DownloadSnapshot,
        ProblemLines,
        Problems,
        Snapshot,
        showing,
    )
    from datagym_async.cli._screen import LogFileHandler, LogHandler, Output, clock, local_time
    from datagym_async.cli._signals import ending_in_two_steps, on_stop_signals
    from datagym_async.cli._upload import upload
else:
    __getattr__, __dir__, _ = when_asked(
        __name__,
        _app="COMMANDS app load",
        _command="arguments_of own_parameters",
        _demo="LABELS photographs",
        _download="download",
        _errors="CommandError advice_in_shell_words hint_in_shell_words in_shell_words sentence_of "
        "status_of",
        _job_options="DOWNLOAD UPLOAD",
        _jobs="SHOWN command_of how_to_resume quoted_for_display",
        _lookup="choose",
        _option_table="Option OptionTable",
        _options="parse_bytes parse_seconds split_usage",
        _progress="LINES_OF_PROBLEMS DownloadSnapshot ProblemLines Problems Snapshot showing",
        _screen="LogFileHandler LogHandler Output clock local_time",
        _signals="ending_in_two_steps on_stop_signals",
        _upload="upload",
    )
