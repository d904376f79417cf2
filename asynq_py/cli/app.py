"""The commands and their arguments; what each does lives in a module of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from asynq_py import __version__
from asynq_py.cli import cron, group, queue, scheduler, server, task
from asynq_py.cli.enqueue import enqueue
from asynq_py.cli.options import Output, OutputOption
from asynq_py.cli.output import printable
from asynq_py.cli.where import PASSWORD_VARIABLE, before_commands, connected
from asynq_py.cli.worker import worker
from asynq_py.connection import RedisConfig
from asynq_py.errors import NOT_LET_IN, AsynqError

#: The exit code of a program that SIGINT ended.
INTERRUPTED = 130

app = typer.Typer(
    name="asynq-py",
    help="Schedule and enqueue tasks for Asynq workers, in Go or in Python.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # Go's command has --process_in where ours has --process-in.
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
app.command()(enqueue)
app.command()(worker)
app.add_typer(task.app, name="task")
app.add_typer(queue.app, name="queue")
app.add_typer(group.app, name="group")
app.add_typer(server.app, name="server")
app.add_typer(scheduler.app, name="scheduler")
app.add_typer(cron.app, name="cron")


def run(arguments: Sequence[str]) -> int:
    """Runs a command; returns the exit code, and never lets a traceback out."""
    return told(lambda: app(args=list(arguments), prog_name="asynq-py", standalone_mode=False) or 0)


def told(function: Callable[[], int]) -> int:
    """Runs a function; tells its errors as commands do. Returns the exit code."""
    try:
        code = int(function())
        sys.stdout.flush()
    except typer.Exit as end:
        code = end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except AsynqError as error:
        # Several lines only where there are several faults.
        for line in str(error).splitlines():
            sys.stderr.write(f"asynq-py: {line}{_hint(error)}\n")
        return 1
    except BrokenPipeError:
        # Whoever read has seen enough; what is left to write must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # Wrong usage; typer's own classes have moved between its releases.
        if not hasattr(error, "format_message"):
            raise
        _tell_usage(error)
        code = int(getattr(error, "exit_code", 2))
    if code == INTERRUPTED:
        sys.stderr.write("asynq-py: interrupted\n")
    return code


def _hint(error: AsynqError) -> str:
    """What a user who is not let in can do."""
    if getattr(error, "code", "") not in NOT_LET_IN:
        return ""
    return f" (--username and --password-file say who asks, or {PASSWORD_VARIABLE})"


# Any: click's classes have moved between typer's releases.
def _tell_usage(error: Any) -> None:  # noqa: ANN401
    """Says what is wrong with the usage, in a line."""
    message: str = error.format_message()
    if not message:  # its help has been shown
        return
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    # What typer says where no argument is to blame alone.
    message = message.removeprefix("Invalid value: ").replace("Value error, ", "").rstrip(".")
    sys.stderr.write(f"asynq-py: {printable(message)}{hint}\n")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asynq-py {__version__}")
        raise typer.Exit


@app.callback()
@before_commands
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


class _OptionalSeconds(TyperCommand):
    """Takes --watch=5 for --watch 5: typer has no options whose value may be left out."""

    # Any: click's classes have moved between typer's releases.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        parted = [
            ["--watch", arg.removeprefix("--watch=")] if arg.startswith("--watch=") else [arg]
            for arg in args
        ]
        return super().parse_args(ctx, [part for parts in parted for part in parts])


@app.command(cls=_OptionalSeconds)
@connected
def stats(
    where: RedisConfig,
    seconds: Annotated[
        float | None,
        typer.Argument(
            metavar="SECONDS",
            min=0.1,
            help="How often with --watch; 2. Also as --watch=SECONDS.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew until it is interrupted.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show everything at a glance: tasks by state and by queue, today's work, Redis."""
    from asynq_py.cli.stats import run_stats
    from asynq_py.inspector.sync import Inspector

    if seconds is not None and not watch:
        raise typer.BadParameter("SECONDS are for --watch")
    every = (2.0 if seconds is None else seconds) if watch else None
    with Inspector(where) as inspector:
        return run_stats(inspector, where.kind == "cluster", every, output)


@app.command()
@connected
def doctor(
    where: RedisConfig,
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
    output: OutputOption = Output.TABLE,
) -> int:
    """Find what is damaged in a Redis, explain it, and mend it; see docs/doctor.md.

    Ends with 0 where all is well or was mended, with 1 where errors or warnings are left.
    """
    from asynq_py.cli.doctor import run_doctor

    return run_doctor(where, queue, fix=fix, yes=yes, quick=quick, output=output)
