"""A worker at work on an empty Redis, and what is seen of it from outside.

Whatever is measured is measured in the same way for everybody: how many tasks are left is asked
of Redis every few milliseconds, a handler that says something appends to a file, and what a worker
costs is what the system knows of its processes.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeAlias

from redis import Redis

from asynq_py.testing import RedisServer

from ..machine import server_cpu_seconds
from ..model import BenchmarkError, Unavailable
from ..process import Process
from ..programs import leashed
from ..progress import Progress
from .model import Worker

#: What a handler does, see drivers/workers/work.py.
Handler: TypeAlias = Literal["nothing", "note", "wait"]

#: How often the tasks that are left are counted, seconds.
LOOK_EVERY = 0.002
#: The part of the tasks that a worker has for its start: it connects, loads scripts and fills
#: its hands with tasks. What comes after it is measured.
START_SHARE = 0.2
#: So long without any progress is too long, seconds.
STALLED = 30.0
#: The first tasks of everybody; how long the measured part must take to tell a rate, seconds;
#: and how much more tasks there are at once if it did not.
FIRST_TASKS, TRUSTED, GROWTH = 300, 0.3, 20
#: The most that are stored, and the longest that a worker is given more tasks for, seconds.
MOST_TASKS, LONGEST = 200_000, 10.0
#: Before tasks come at their rate.
WARM_UP = 50
#: For memory to come to rest, seconds.
REST = 1.0
NOTE = struct.Struct("<q")
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Drained(NamedTuple):
    """How the tasks after the start went."""

    tasks: int
    seconds: float
    worker_cpu_seconds: float
    redis_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds


class Running(NamedTuple):
    """A worker that was started."""

    process: Process
    notes: Path

    @property
    def session(self) -> int:
        """The ID of the session of its processes."""
        return int(self.process.greeting["pid"])

    def noted(self) -> int:
        """How many notes its handlers have made."""
        return self.notes.stat().st_size // NOTE.size

    def lateness_ns(self) -> list[int]:
        """How late each handler began."""
        return [late for (late,) in NOTE.iter_unpack(self.notes.read_bytes())]


class Stage:
    """One Redis, the producers of all who were here, and at most one worker at a time."""

    def __init__(self, server: RedisServer, progress: Progress) -> None:
        self._server = server
        self._progress = progress
        self._redis: Redis = Redis.from_url(server.url)
        self._producers: dict[str, Process] = {}
        self._missing: dict[str, Unavailable] = {}
        #: Of each program, its parts and their versions.
        self.versions: dict[str, dict[str, str]] = {}
        #: By worker, and how many at a time: as tried out, and as measured since.
        self._tried: dict[tuple[str, int], float] = {}
        self._measured: dict[tuple[str, int], list[float]] = {}
        self._worker: Worker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._producers.values():
            process.stop()
        self._redis.close()

    def enter(self, worker: Worker) -> None:
        """It is the turn of this one.

        Raises:
            Unavailable: It cannot be installed or started.
        """
        self._worker = worker
        for program in (worker.producer, *worker.described):
            if program.name in self._missing:
                raise self._missing[program.name]
            if program.name not in self._producers:
                try:
                    command = program.command(self._server.address, self._progress.say)
                    process = self._producers[program.name] = Process(command)
                    self.versions[program.name] = process.wait_until_ready()
                except Unavailable as reason:
                    self._missing[program.name] = reason
                    raise

    def nearest(self, concurrency: int) -> int:
        """As many at a time, or fewer if it cannot do so many."""
        assert self._worker is not None
        return max(each for each in self._worker.concurrencies if each <= concurrency)

    def rate(self, concurrency: int) -> float:
        """About how many tasks a second it drains; and makes sure that it handles them at all."""
        assert self._worker is not None
        key = (self._worker.key, concurrency)
        if key in self._measured:
            return median(self._measured[key])
        if key not in self._tried:
            self._tried[key] = self._try(concurrency)
        return self._tried[key]

    def measure(self, concurrency: int, tasks: int) -> Drained:
        """As `drain`, with no-ops; from now on, this is what `rate` tells.

        Raises:
            Unavailable: All were done before they could be counted.
        """
        assert self._worker is not None
        drained = self.drain(concurrency, tasks)
        if not drained.tasks:
            raise Unavailable("all tasks were done before they could be counted: too few")
        self._measured.setdefault((self._worker.key, concurrency), []).append(drained.rate)
        return drained

    def drain(self, concurrency: int, tasks: int, handler: Handler = "nothing") -> Drained:
        """Has tasks stored, starts the worker, and waits until the last is acknowledged."""
        self._empty()
        self._store(tasks)
        if (left := self._left()) != tasks:
            raise BenchmarkError(f"{tasks} tasks were stored, but {left} are found")
        with self._working(concurrency, handler) as running:
            most = int(tasks * (1 - START_SHARE))
            left = self._wait(running, self._left, lambda left: left <= most)
            begun, before = time.perf_counter(), self._costs(running)
            self._wait(running, self._left, lambda left: not left)
            seconds, after = time.perf_counter() - begun, self._costs(running)
            if handler != "nothing":
                self._wait(running, running.noted, lambda count: count >= tasks)
        self._check(tasks)
        worker_cpu, redis_cpu = (b - a for a, b in zip(before, after, strict=True))
        return Drained(left, seconds, worker_cpu, redis_cpu)

    def lateness(self, concurrency: int, rate: float, tasks: int) -> tuple[list[int], float]:
        """Has tasks come while the worker is at work.

        Returns:
            Of each how long after it was enqueued its handler began, nanoseconds; and how many
            came a second.
        """
        assert self._worker is not None
        self._empty()
        with self._working(concurrency, "note") as running:
            self._store(WARM_UP)
            self._wait(running, running.noted, lambda count: count >= WARM_UP)
            self._wait(running, self._left, lambda left: not left)
            pacing = {**self._worker.pacing, "mode": "paced", "n": tasks, "rate": rate}
            answer = self._producers[self._worker.producer.name].ask(pacing)
            self._wait(running, running.noted, lambda count: count >= WARM_UP + tasks)
            return running.lateness_ns()[WARM_UP:], tasks / answer["seconds"]

    def resident(self, tasks: int) -> tuple[int, int]:
        """The resident memory of a worker with one task in flight, and with all; bytes."""
        self._empty()
        with self._working(tasks, "wait") as running:
            one = self._resident_with(running, 1)
            return one, self._resident_with(running, tasks)

    def _resident_with(self, running: Running, tasks: int) -> int:
        self._store(tasks - running.noted())
        self._wait(running, running.noted, lambda noted: noted >= tasks)
        time.sleep(REST)
        return sum(process.resident for process in _processes(running.session))

    def _try(self, concurrency: int) -> float:
        tasks = FIRST_TASKS
        while True:
            drained = self.drain(concurrency, tasks, "note")
            if drained.seconds >= TRUSTED or tasks >= MOST_TASKS:
                return drained.rate
            # Twice as many as it must be, if that is known.
            wanted = drained.rate * TRUSTED * 2 if drained.tasks else tasks * GROWTH
            tasks = min(MOST_TASKS, int(min(max(wanted, tasks * 2), tasks * GROWTH)))

    def _empty(self) -> None:
        self._server.command("FLUSHALL", "SYNC")

    def _store(self, tasks: int) -> None:
        assert self._worker is not None
        self._producers[self._worker.producer.name].ask({**self._worker.storing, "n": tasks})

    def _left(self) -> int:
        assert self._worker is not None
        return self._worker.left(self._redis)

    def _check(self, tasks: int) -> None:
        assert self._worker is not None
        if self._worker.done is not None:
            done = int(self._server.command(*self._worker.done) or 0)
            if done != tasks:
                raise BenchmarkError(f"{self._worker.name}: {done} of {tasks} tasks are done")

    @contextmanager
    def _working(self, concurrency: int, handler: Handler) -> Iterator[Running]:
        """Starts the worker, and kills it in the end."""
        assert self._worker is not None
        command = self._worker.program.command(self._server.address, self._progress.say)
        values = {"concurrency": str(concurrency), "redis": self._server.address}
        command = [word.format(**values) for word in command]
        with tempfile.NamedTemporaryFile() as notes:
            env = {
                "BENCH_REDIS": self._server.address,
                "BENCH_CONCURRENCY": str(concurrency),
                "BENCH_HANDLER": handler,
                "BENCH_NOTES": notes.name,
            }
            process = Process(leashed(command), {**env, **self._worker.env})
            try:
                process.wait_until_ready()
                yield Running(process, Path(notes.name))
            finally:
                process.stop()

    def _wait(
        self, running: Running, amount: Callable[[], int], is_enough: Callable[[int], bool]
    ) -> int:
        """Looks at an amount until it is enough, and gives it."""
        seen, since = -1, time.monotonic()
        while not is_enough(found := amount()):
            if found != seen:
                seen, since = found, time.monotonic()
            elif time.monotonic() - since > STALLED:
                raise Unavailable(f"no progress for {STALLED:.0f} s, at {found} tasks")
            running.process.check()
            time.sleep(LOOK_EVERY)
        return found

    def _costs(self, running: Running) -> tuple[float, float]:
        """The CPU seconds of the worker and of Redis until now."""
        worker = sum(p.cpu_seconds for p in _processes(running.session))
        return worker, server_cpu_seconds(self._server)


class _Usage(NamedTuple):
    """What a process uses; of CPU, also what those have used that it waited for."""

    cpu_seconds: float
    resident: int


def _processes(session: int) -> Iterator[_Usage]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may have anything in it; see proc_pid_stat(5).
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session:
            yield _Usage(sum(map(int, fields[11:15])) / TICKS, int(fields[21]) * PAGE)
