"""The command line: parse, call, draw, and no logic of its own. In reading order:

`_app` names all commands and loads the module of the one that runs; `_command` makes a command of a
function, with the options that all share, and turns every error into a sentence and an exit status;
`_options` has those options; `_option_table` says what a row of a table of options is, and
`_job_options` has the rows of `upload` and `download`.

One file a command, or a group of them: `_upload`, `_download`, `_export`, `_import`, `_bitmaps`,
`_demo`, `_serve`, `_projects`, `_datasets`, `_config`, `_tasks`, `_jobs`.

What they call: `_connect` (address and token, to a client), `_lookup` (names and ids, to datasets
and projects), `_signals` (Ctrl-C), `_screen` (the one way out for texts, tables and JSON),
`_progress` (how far a job is), `_closing` (how an upload ended, and reports), `_errors`.
"""
