"""A running Go worker and what it has consumed."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asynq_py.testing.events import Event, EventLog
from asynq_py.testing.program import Program


@dataclass(frozen=True)
class ConsumedTask:
    """A task as its Go handler got it."""

    id: str
    type: str
    queue: str
    payload: bytes
    headers: dict[str, str]
    retried: int
    max_retry: int
    #: When the handler started, unix nanoseconds.
    at_ns: int
    #: When its context ends, unix nanoseconds; None without a limit.
    deadline_ns: int | None = None
    #: Of a task that an aggregator made: `type`, `payload` (base64), `headers` of each member.
    group_tasks: list[dict[str, Any]] = field(default_factory=list)

    def json(self) -> Any:  # noqa: ANN401
        """Reads the payload as JSON."""
        return json.loads(self.payload)


def consumed_task(event: Event) -> ConsumedTask:
    """Reads a worker's event "task"."""
    return ConsumedTask(
        id=event["id"],
        type=event["type"],
        queue=event["queue"],
        payload=base64.b64decode(event["payload"] or ""),
        headers=event["headers"] or {},
        retried=event["retried"],
        max_retry=event["max_retry"],
        at_ns=event["at"],
        deadline_ns=event.get("deadline"),
        group_tasks=event.get("group_tasks", []),
    )


class GoWorker:
    """A worker that prints the events of `interop/cmd/worker`."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._tasks: list[ConsumedTask] = []
        self._read = 0

    @property
    def log(self) -> EventLog:
        """Its stdout: every event, every line, and ways to wait for them."""
        return self._program.log

    @property
    def errors(self) -> str:
        """Its stderr, where asynq logs."""
        return self._program.errors

    @property
    def tasks(self) -> list[ConsumedTask]:
        """What it has begun so far, in order; a retried task is there each time."""
        events = self.log.events
        self._tasks += [consumed_task(e) for e in events[self._read :] if e["event"] == "task"]
        self._read = len(events)
        return list(self._tasks)

    def wait_for(
        self, want: int | Callable[[list[ConsumedTask]], object], *, timeout: float = 10.0
    ) -> list[ConsumedTask]:
        """Waits until it has begun that many tasks, or until `want(tasks)` is true.

        Returns:
            All tasks so far: perhaps more than that many.

        Raises:
            WaitTimeout: They did not come; the text tells what did.
            ProgramEnded: The worker has ended.
        """
        if isinstance(want, int):
            number = want
            done: Callable[[list[ConsumedTask]], object] = lambda seen: len(seen) >= number  # noqa: E731
            what = f"{number} tasks"
        else:
            done = want
            what = "tasks as asked for"

        # A list in a tuple: an empty one would not count as found.
        def look() -> tuple[list[ConsumedTask]] | None:
            seen = self.tasks
            return (seen,) if done(seen) else None

        return self.log.wait_for(look, what=what, timeout=timeout)[0]

    def wait_for_done(self, task_id: str, *, timeout: float = 10.0) -> Event:
        """Waits until a handler of that task has returned; `error` is in the event if it failed.

        The task's new state reaches Redis a little later.
        """
        return self.log.wait_for(
            lambda: next(
                (e for e in self.log.events if e["event"] == "done" and e["id"] == task_id), None
            ),
            what=f"end of {task_id}",
            timeout=timeout,
        )

    def stop(self, *, timeout: float = 15.0) -> int:
        """Shuts it down gracefully (SIGTERM) and gives its exit code."""
        self._program.terminate()
        return self._program.wait(timeout)

    def kill(self) -> None:
        """Kills it as a crash would."""
        self._program.kill()

    def freeze(self) -> None:
        """Stops all its threads; its leases run out."""
        self._program.freeze()

    def thaw(self) -> None:
        """Undoes `freeze`."""
        self._program.thaw()

    def close(self) -> None:
        """Kills it if it runs and removes it."""
        self._program.close()
