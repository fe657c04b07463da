"""The command line: parse, call, draw, and no logic of its own.

One module a command (`_upload`, `_demo`, `_serve`, `_projects`, `_datasets`), each with functions
that `_options.command` makes commands of: it adds the options that all of them share and turns
every error into one sentence and an exit status (`_errors`). Whatever is said goes through
`_output`: results to standard output, progress and messages to standard error. **A new command is a
new module and one line in `_app`.**

Nothing here is imported before `datagym_async.__main__` knows that the `cli` extra is there.
"""
