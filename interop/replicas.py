"""Several schedulers with the same entries, as processes, and what became of their ticks."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from asynq_py.testing import ConsumedTask, Event, EventLog, Redis
from asynq_py.testing.program import ProcessProgram

T = TypeVar("T")
PROGRAM = Path(__file__).with_name("replica.py")
LEADERSHIP = ("elected", "lost", "resigned")


class Replica:
    """A process of `replica.py`."""

    def __init__(self, program: ProcessProgram, notify: Callable[[], None]) -> None:
        self._program = program
        self._notify = notify
        threading.Thread(target=self._follow, daemon=True).start()

    @property
    def log(self) -> EventLog:
        """Its stdout."""
        return self._program.log

    @property
    def errors(self) -> str:
        """Its stderr, where it logs."""
        return self._program.errors

    @property
    def leadership(self) -> list[Event]:
        """What happened to its leadership so far."""
        return [event for event in self.log.events if event["event"] in LEADERSHIP]

    @property
    def pid(self) -> int:
        """Its process ID."""
        pid: int = self.log.wait_for_event("started", timeout=20)["pid"]
        return pid

    def kill(self) -> None:
        """SIGKILL."""
        self._program.kill()

    def freeze(self) -> None:
        """SIGSTOP."""
        self._program.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self._program.thaw()

    def terminate(self) -> None:
        """SIGTERM."""
        self._program.terminate()

    def wait(self, timeout: float = 20.0) -> int:
        """Waits for its end, and gives the exit code."""
        return self._program.wait(timeout)

    def stop(self) -> dict[str, int]:
        """Stops it gracefully; gives what became of its ticks."""
        self.terminate()
        code = self.wait()
        assert code == 0, f"exit code {code}\n{self.errors}"
        counts: dict[str, int] = self.log.wait_for_event("stopped", timeout=5)["counts"]
        return counts

    def close(self) -> None:
        """Kills it if it runs."""
        self._program.close()

    def _follow(self) -> None:
        seen, ended = 0, False
        while not ended:
            seen, ended = self.log.wait_for(self._news(seen), what="news", timeout=3600)
            self._notify()

    def _news(self, seen: int) -> Callable[[], tuple[int, bool] | None]:
        def look() -> tuple[int, bool] | None:
            news = len(self.log.lines), self.log.ended
            return news if news != (seen, False) else None

        return look


class Replicas:
    """Schedulers of one group on one Redis; `options` are those of `start`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._changed = threading.Condition()
        self.all: list[Replica] = []

    def start(
        self,
        *,
        group: str = "replicas",
        entries: int = 1,
        lease: float = 3,
        renew_every: float = 1,
        spec: str = "@every 1s",
        freeze_at: int = 0,
    ) -> Replica:
        """Starts one more; see `replica.py`."""
        command = [sys.executable, "-W", "error", str(PROGRAM), self._redis.url, group]
        command += [str(entries), str(lease), str(renew_every), "--spec", spec]
        command += ["--freeze-at", str(freeze_at)]
        replica = Replica(ProcessProgram(command, os.environ), self._notify)
        self.all.append(replica)
        replica.log.wait_for_event("started", timeout=20)
        return replica

    def wait_for(self, look: Callable[[], T | None], *, what: str, timeout: float = 20.0) -> T:
        """Calls `look` now and after every event of any of them, until it answers."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                found = look()
                if found is not None:
                    return found
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise AssertionError(f"no {what} in {timeout} s\n{self.story()}")

    def wait_for_leader(self, *, after: Event | None = None) -> tuple[Replica, Event]:
        """Waits until one was elected, for a term later than that of another election."""
        term = after["term"] if after else 0

        def look() -> tuple[Replica, Event] | None:
            elections = [
                (event["term"], replica, event)
                for replica in self.all
                for event in replica.leadership
                if event["event"] == "elected" and event["term"] > term
            ]
            newest = max(elections, key=lambda each: each[0], default=None)
            return newest[1:] if newest else None

        return self.wait_for(look, what="new leader")

    def wait_for_end_of(self, term: Event, replica: Replica) -> Event:
        """Waits until a replica knows that a term of its own is over."""
        return self.wait_for(
            lambda: next(
                (
                    event
                    for event in replica.leadership
                    if event["event"] != "elected" and event["term"] == term["term"]
                ),
                None,
            ),
            what="end of the term",
        )

    def story(self) -> str:
        """What all of them said, for an error."""
        return "\n".join(
            f"replica {n}: {replica.log.lines}\n{replica.errors[-4000:]}"
            for n, replica in enumerate(self.all)
        )

    def close(self) -> None:
        """Kills those that run."""
        for replica in self.all:
            replica.close()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def tick_of(headers: dict[str, str]) -> tuple[str, int]:
    """Of which entry a task is a tick, and for which moment (Unix seconds)."""
    moment = datetime.fromisoformat(headers["asynq-scheduled-for"]).timestamp()
    assert moment == int(moment), headers
    return headers["asynq-entry"], int(moment)


def faults(tasks: Iterable[ConsumedTask], *, period: int = 1) -> list[str]:
    """Says in words where the ticks that a Go worker consumed are not each there exactly once.

    A task's ID follows from its entry and its tick, so two tasks of the same tick would have
    one ID. What tells them apart is how often Go has retried them: Asynq delivers a task again
    that a worker had in its hands when Redis or the worker went away, and then counts a retry;
    a task that a scheduler enqueued twice comes with none, both times.
    """
    first = Counter(tick_of(task.headers) for task in tasks if task.retried == 0)
    found = [f"{tick} {count} times" for tick, count in first.items() if count > 1]
    ticks: dict[str, set[int]] = {}
    for entry, moment in (tick_of(task.headers) for task in tasks):
        ticks.setdefault(entry, set()).add(moment)
    for entry, moments in ticks.items():
        whole = range(min(moments), max(moments) + 1, period)
        found += [f"{(entry, moment)} missing" for moment in whole if moment not in moments]
        found += [f"{(entry, moment)} off beat" for moment in moments if moment not in whole]
    return found
