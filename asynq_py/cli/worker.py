"""The command that works: asynq-py worker."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import typer

from asynq_py.cli.arguments import span_value, usage
from asynq_py.cli.where import connected
from asynq_py.connection import RedisConfig
from asynq_py.errors import ConfigError, HandlerError
from asynq_py.server.config import ServerConfig
from asynq_py.server.context import Context
from asynq_py.server.server import Server
from asynq_py.server.verdict import text_of
from asynq_py.task import Task

_LOG = logging.getLogger("asynq_py.worker")


@connected
def worker(
    where: RedisConfig,
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME", help="A ServeMux, or one handler for all tasks, and its module."
        ),
    ],
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", "-c", min=0, help="How many tasks at a time; 0 for as many as CPUs."
        ),
    ] = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="NAME[=PRIORITY]",
            help="Take tasks from it; may be given several times.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave lower priorities until higher are empty.")
    ] = False,
    shutdown_timeout: Annotated[
        str | None,
        typer.Option(
            "--shutdown-timeout", metavar="SPAN", help="How long handlers may go on at the end."
        ),
    ] = None,
    config_attr: Annotated[
        str | None,
        typer.Option(
            "--config-attr",
            metavar="NAME",
            help="What the module calls its ServerConfig; `config`, if it has one.",
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="How many processes, each a server.")
    ] = 1,
    reload: Annotated[
        bool,
        typer.Option("--reload", help="Start anew when a .py file changes below this directory."),
    ] = False,
) -> int:
    """Handle tasks with the ServeMux of a Python module, until SIGINT or SIGTERM.

    The module may stand in the current directory. Its ServerConfig says how the server behaves,
    where options do not. SIGTSTP stops it taking tasks. Of several processes, those that die are
    replaced; a second SIGINT or SIGTERM kills them.
    """
    changes: dict[str, Any] = {
        "concurrency": concurrency,
        "queues": _queues(queue) if queue else None,
        "strict_priority": strict or None,
        "shutdown_timeout": None if shutdown_timeout is None else span_value(shutdown_timeout),
    }
    order = _Order(
        where,
        target,
        config_attr,
        {name: value for name, value in changes.items() if value is not None},
    )
    with usage():
        ServerConfig(**order.changes)
    if processes == 1 and not reload:
        _work(order)
    else:
        code = _supervise(order, processes, reload)
        if code:
            return code
    typer.echo("Worker stopped")
    return 0


def _queues(texts: list[str]) -> dict[str, int]:
    """Priorities by the names of queues, of texts like NAME=PRIORITY."""
    queues: dict[str, int] = {}
    for text in texts:
        name, equals, priority = text.rpartition("=")
        if not equals:
            name, priority = text, "1"
        if not priority.isdecimal():
            raise typer.BadParameter(
                f"{text!r} is not like NAME or NAME=PRIORITY", param_hint="'--queue'"
            )
        queues[name] = int(priority)
    return queues


@dataclass(frozen=True)
class _Order:
    """What a worker is to do, in whichever process."""

    where: RedisConfig
    target: str
    config_attr: str | None
    #: What options say against the module's ServerConfig.
    changes: dict[str, Any]


def _work(order: _Order, begun: Callable[[], None] = lambda: None) -> None:
    """Runs a server until a signal; ``begun`` is called before it takes its first task.

    Raises:
        BadParameter: The target is no handler.
        ConfigError: Its module raised, or the settings do not go together.
    """
    from asynq_py.cli.place import place_of
    from asynq_py.cli.target import load

    handler, config = load(order.target, order.config_attr)
    config = replace(config, **order.changes)
    if config.error_handler is None:
        config = replace(config, error_handler=_log_failure)
    # After the module, whose own form of the log goes first.
    _log_to_stderr()
    server = Server(order.where, config)
    _LOG.info(
        "process %d: worker of %s, Redis %s", os.getpid(), order.target, place_of(order.where)
    )
    begun()
    server.run(handler)


async def _log_failure(context: Context, task: Task, error: BaseException) -> None:
    """Those that handlers raise by accident are shown with their traceback."""
    _LOG.error(
        '"%s" of type "%s" of queue "%s" failed, %d retries of %d used: %s',
        context.task_id,
        task.type,
        context.queue,
        context.retry_count,
        context.max_retry,
        text_of(error),
        exc_info=None if isinstance(error, HandlerError) else error,
    )


def _log_to_stderr(who: str = "") -> None:
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s {who}%(message)s",
    )


def _supervise(order: _Order, processes: int, reload: bool) -> int:
    """Runs several processes, or one that starts anew when files change."""
    from asynq_py.cli.supervisor import Supervisor

    _log_to_stderr()
    supervisor = Supervisor(partial(_work_in_process, order, processes), processes, _LOG)
    if not reload:
        return supervisor.run()
    try:
        from watchfiles import PythonFilter, watch
    except ImportError:
        raise ConfigError(
            "watchfiles is missing, which --reload needs; pip install 'asynq_py[reload]'"
        ) from None
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it counts every change
    is_over = threading.Event()

    def follow() -> None:
        for changes in watch(Path.cwd(), watch_filter=PythonFilter(), stop_event=is_over):
            supervisor.changed(", ".join(sorted({os.path.relpath(path) for _, path in changes})))

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    try:
        return supervisor.run(restarts_on_change=True)
    finally:
        is_over.set()
        following.join()


def _work_in_process(order: _Order, processes: int, number: int, ready: Connection) -> None:
    from asynq_py.cli.app import told

    def work() -> int:
        if processes > 1:
            _log_to_stderr(f"[{number}] ")
        _work(order, lambda: ready.send(number))
        return 0

    sys.exit(told(work))
