"""The command asynq-py. Needs the extra: pip install 'asynq_py[cli]'."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code.

    0: done. 1: the operation failed. 2: wrong usage. Errors are one line on stderr.
    """
    try:
        from asynq_py.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.exit(f"asynq-py: {error.name} is missing; pip install 'asynq_py[cli]'")
    sys.exit(run(sys.argv[1:]))
