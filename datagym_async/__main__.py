"""The entry point of ``datagym-async`` and of ``python -m datagym_async``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from datagym_async._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: The arguments without the program's name; None takes those of the process.

    Returns:
        0 all well, 1 some items failed, 2 usage or settings, 130 interrupted.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["--version"], ["-V"]):  # answered before anything is loaded
        sys.stdout.write(f"datagym-async {__version__}\n")
        return 0
    try:
        from datagym_async.cli._app import run

        return run(arguments)
    except ModuleNotFoundError as error:
        from datagym_async._extras import missing_extra

        if (sentence := missing_extra(error)) is None:
            raise
        # Not through `Output`, which needs rich: the very thing that may be missing.
        sys.stderr.write(f"Error: {sentence}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
