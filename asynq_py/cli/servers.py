"""What the command `server ls` does."""

from __future__ import annotations

from collections.abc import Mapping

from asynq_py.cli.options import Output
from asynq_py.cli.output import (
    bytes_json,
    console,
    moment_json,
    show_json,
    show_table,
    since,
)
from asynq_py.clock import SYSTEM_CLOCK, unix_ns
from asynq_py.inspector.info import ServerInfo, WorkerInfo
from asynq_py.inspector.sync import Inspector

_COLUMNS = ("Host", "PID", "State", "Active Workers", "Queues", "Started")


def run_list(inspector: Inspector, output: Output) -> int:
    """Prints the servers that are alive; returns the exit code."""
    servers = inspector.servers()
    if output is Output.JSON:
        show_json([_to_programs(server) for server in servers])
    elif servers:
        now_ns = SYSTEM_CLOCK.now_ns()
        show_table(_COLUMNS, [_to_people(server, now_ns) for server in servers], fold=["Queues"])
    else:
        console().print("No running servers")
    return 0


def _to_people(server: ServerInfo, now_ns: int) -> tuple[str, ...]:
    started = server.started_at
    return (
        server.host,
        str(server.pid),
        server.status,
        f"{len(server.active_workers)}/{server.concurrency}",
        _queues(server.queues),
        since(None if started is None else unix_ns(started), now_ns),
    )


def _queues(priorities: Mapping[str, int]) -> str:
    """The most urgent first, as in Go."""
    ordered = sorted(priorities.items(), key=lambda item: (-item[1], item[0]))
    return " ".join(f"{name}:{priority}" for name, priority in ordered)


def _to_programs(server: ServerInfo) -> dict[str, object]:
    return {
        "id": server.id,
        "host": server.host,
        "pid": server.pid,
        "status": server.status,
        "concurrency": server.concurrency,
        "queues": dict(server.queues),
        "strict_priority": server.strict_priority,
        "started_at": moment_json(server.started_at),
        "active_workers": [_worker(worker) for worker in server.active_workers],
    }


def _worker(worker: WorkerInfo) -> dict[str, object]:
    return {
        "task_id": worker.task_id,
        "type": worker.type,
        **bytes_json("payload", worker.payload),
        "queue": worker.queue,
        "started_at": moment_json(worker.started_at),
        "deadline": moment_json(worker.deadline),
    }
