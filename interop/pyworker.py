"""A Python worker as a program: the twin of `cmd/worker`, with the same handlers and lines.

    python pyworker.py REDIS_URL OPTIONS

OPTIONS is a JSON object: the arguments of `Stack.worker`, and `free_crashes`. What a task's type
makes the handler do stands at the top of `cmd/worker/main.go`. What differs: a panic is an
exception that no handler should raise; `sleep:thread` sleeps in a thread, looking at `cancelled`;
types that simply succeed are called `plain:*`, and others have no handler.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import redis

from asynq_py import (
    Context,
    Inspector,
    RevokeTask,
    ServeMux,
    Server,
    ServerConfig,
    SkipRetry,
    Task,
    default_retry_delay,
    fixed_delay,
)
from asynq_py.server.handlers import Call

SECOND_NS = 1_000_000_000
_told = threading.Lock()
mux = ServeMux()


class Excused(Exception):
    """Does not count as a failure."""


def tell(event: str, **details: object) -> None:
    """Prints an event."""
    line = json.dumps({"event": event, **details})
    with _told:
        print(line, flush=True)  # noqa: T201


@mux.use
def reported(handle: Call) -> Call:
    """Tells of every task when its handler starts, and when it returns."""

    async def report(ctx: Context, task: Task) -> None:
        about = {"id": ctx.task_id, "type": task.type, "queue": ctx.queue}
        begun: dict[str, Any] = {
            "payload": base64.b64encode(task.payload or b"").decode(),
            "headers": dict(task.headers) or None,
            "retried": ctx.retry_count,
            "max_retry": ctx.max_retry,
            "deadline": int(ctx.deadline.timestamp() * SECOND_NS),
        }
        if task.type.startswith("aggregated:"):
            begun["group_tasks"] = json.loads(task.payload or b"")
        tell("task", **about, **begun, at=time.time_ns())
        error: dict[str, str] = {}
        try:
            await handle(ctx, task)
        except BaseException as raised:
            error = {"error": str(raised) or type(raised).__name__}
            raise
        finally:
            tell("done", **about, **error, at=time.time_ns())

    return report


@mux.handle("plain:")
@mux.handle("aggregated:")
async def succeed(ctx: Context, task: Task) -> None:
    pass


@mux.handle("fail:")
def fail(ctx: Context, task: Task) -> NoReturn:
    raise ValueError("failed as asked")


@mux.handle("flaky:")
async def fail_once(ctx: Context, task: Task) -> None:
    if ctx.retry_count == 0:
        raise ValueError("failed as asked")


@mux.handle("error:")
async def fail_with_text(ctx: Context, task: Task) -> NoReturn:
    raise ValueError((task.payload or b"").decode())


@mux.handle("excuse:")
async def excuse(ctx: Context, task: Task) -> NoReturn:
    raise Excused("excused as asked")


@mux.handle("skip:")
async def skip(ctx: Context, task: Task) -> NoReturn:
    # In Go it is a wrapped error, which tells the text of what it wraps.
    raise SkipRetry("skipped as asked: skip retry for the task")


@mux.handle("revoke:")
async def revoke(ctx: Context, task: Task) -> NoReturn:
    raise RevokeTask


@mux.handle("panic:")
async def panic(ctx: Context, task: Task) -> NoReturn:
    raise SystemExit("panicked as asked")


@mux.handle("sleep:")
async def sleep(ctx: Context, task: Task) -> None:
    await asyncio.sleep(int(task.payload or b"") / 1000)


@mux.handle("sleep:thread")
def sleep_in_thread(ctx: Context, task: Task) -> None:
    end = time.monotonic() + int(task.payload or b"") / 1000
    while time.monotonic() < end:
        if ctx.cancelled:
            raise InterruptedError("told to stop")
        time.sleep(0.005)


@mux.handle("result:")
async def write_result(ctx: Context, task: Task) -> None:
    await ctx.write_result(task.payload or b"")


@mux.handle("partly:")
def write_result_and_fail(ctx: Context, task: Task) -> NoReturn:
    ctx.write_result(task.payload or b"")
    raise ValueError("failed as asked")


def aggregate(group: str, tasks: Sequence[Task]) -> Task:
    """Makes one task of a group's."""
    members = [
        {
            "type": task.type,
            "payload": base64.b64encode(task.payload).decode() if task.payload else None,
            "headers": dict(task.headers) or None,
        }
        for task in tasks
    ]
    tell("aggregate", group=group, tasks=members, at=time.time_ns())
    if group.startswith("kept:"):
        return Task(f"aggregated:{group}", members, task_id=group, retention=3600)
    return Task(f"aggregated:{group}", members)


def config(
    *,
    queues: dict[str, int] | None = None,
    concurrency: int = 10,
    strict: bool = False,
    interval: float = 0.1,
    retry_delay: float | None = None,
    group_grace: float | None = None,
    group_max_size: int = 0,
    group_max_delay: float = 0,
    shutdown_timeout: float = 8,
    free_crashes: int = 3,
) -> ServerConfig:
    """As `cmd/worker` configures asynq's server."""
    aggregates = group_grace is not None or group_max_size or group_max_delay
    return ServerConfig(
        queues=queues or {"default": 1},
        concurrency=concurrency,
        strict_priority=strict,
        task_check_interval=interval,
        delayed_task_check_interval=interval,
        janitor_interval=interval,
        retry_delay=default_retry_delay if retry_delay is None else fixed_delay(retry_delay),
        is_failure=lambda error: not isinstance(error, Excused),
        group_aggregator=aggregate if aggregates else None,
        group_grace_period=group_grace or 60,
        group_max_size=group_max_size,
        group_max_delay=group_max_delay,
        shutdown_timeout=shutdown_timeout,
        free_crashes=free_crashes,
    )


def await_presence(url: str) -> None:
    """Returns when this process is shown, and cancellations are listened for."""
    with Inspector(url) as inspector, redis.Redis.from_url(url) as raw:
        while not (
            any(server.pid == os.getpid() for server in inspector.servers())
            and dict(raw.pubsub_numsub("asynq:cancel")).get(b"asynq:cancel")
        ):
            time.sleep(0.005)
    tell("ready")


def main() -> None:
    """Does what the module's docstring says."""
    url, options = sys.argv[1], json.loads(sys.argv[2])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    threading.Thread(target=await_presence, args=[url], daemon=True).start()
    Server(url, config(**options)).run(mux)
    tell("stopped")


if __name__ == "__main__":
    main()
