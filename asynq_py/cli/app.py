"""The commands and their arguments; what each does lives in a module of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from asynq_py import __version__
from asynq_py.cli import cron, scheduler
from asynq_py.cli.options import ConfigOption, Output, OutputOption, RedisOption, redis_config
from asynq_py.errors import AsynqError

#: The exit code of a program that SIGINT ended.
INTERRUPTED = 130

app = typer.Typer(
    name="asynq-py",
    help="Schedule and enqueue tasks for Asynq workers, in Go or in Python.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cron.app, name="cron")
app.add_typer(scheduler.app, name="scheduler")


def run(arguments: Sequence[str]) -> int:
    """Runs a command; returns the exit code, and never lets a traceback out."""
    try:
        code = int(app(args=list(arguments), prog_name="asynq-py", standalone_mode=False) or 0)
        sys.stdout.flush()
    except typer.Exit as end:
        code = end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except AsynqError as error:
        # Several lines only where there are several faults.
        for line in str(error).splitlines():
            sys.stderr.write(f"asynq-py: {line}\n")
        return 1
    except BrokenPipeError:
        # Whoever read has seen enough; what is left to write must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # Wrong usage; typer's own classes have moved between its releases.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        code = int(getattr(error, "exit_code", 2))
    if code == INTERRUPTED:
        sys.stderr.write("asynq-py: interrupted\n")
    return code


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asynq-py {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Schedule and enqueue tasks for Asynq workers, in Go or in Python."""


@app.command()
def demo(
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="How long the scheduler runs.")
    ] = 15.0,
) -> int:
    """Watch a Python scheduler feed a real Go worker, on a Redis of their own."""
    from asynq_py.cli.demo import run_demo

    return run_demo(seconds)


@app.command()
def doctor(
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", "-q", metavar="QUEUE", help="Only this one; may be given several times."
        ),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look only at what is quickly done, not at all tasks.")
    ] = False,
    redis: RedisOption = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Find what is damaged in a Redis, explain it, and mend it; see docs/doctor.md.

    Ends with 0 where all is well or was mended, with 1 where errors or warnings are left.
    """
    from asynq_py.cli.doctor import run_doctor

    where = redis_config(redis, config)
    return run_doctor(where, queue, fix=fix, yes=yes, quick=quick, output=output)
