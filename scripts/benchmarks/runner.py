"""Measures the contenders of a suite in turn, round after round, on one fresh Redis."""

from __future__ import annotations

from typing import Self

from asynq_py.testing import RedisServer

from .machine import describe, server_cpu_seconds
from .model import BenchmarkError, Burst, Contender, Measured, Outcome, Settings, Suite, Unavailable
from .process import Process
from .progress import Progress

#: The first burst of each contender; it tells how large the next must be.
FIRST_TASKS = 100
#: How long the second one takes, in bursts.
SECOND_SHARE = 0.15


def run(suite: Suite, settings: Settings, progress: Progress) -> Outcome:
    """Runs a suite.

    Raises:
        BenchmarkError: A contender did not store what it said it would.
    """
    with RedisServer() as server:
        machine = describe(server)
        with _Field(suite, server, progress) as field:
            measured = [Measured(contender) for contender in suite.contenders]
            _measure(field, measured, settings, progress)
            return Outcome(suite, settings, machine, field.versions, tuple(measured))


def _measure(
    field: _Field, measured: list[Measured], settings: Settings, progress: Progress
) -> None:
    progress.say("warming up")
    sizes: dict[str, int] = {}
    for one in measured:
        progress.now(f"warming up: {one.contender.name}")
        try:
            sizes[one.contender.key] = _warm_up(field, one.contender, settings)
        except Unavailable as reason:
            _drop_out(one, reason, progress)
    for number in range(1, settings.rounds + 1):
        progress.say(f"round {number} of {settings.rounds}")
        # There and back again: whatever grows with time strikes all alike.
        for one in measured if number % 2 else reversed(measured):
            if one.reason:
                continue
            progress.now(f"round {number}: {one.contender.name}")
            try:
                one.bursts.append(field.burst(one.contender, sizes[one.contender.key]))
            except Unavailable as reason:
                _drop_out(one, reason, progress)
    progress.now("")


def _warm_up(field: _Field, contender: Contender, settings: Settings) -> int:
    """Opens connections and fills caches; gives how many tasks make a burst."""
    if settings.tasks:
        tasks = _rounded(settings.tasks, contender)
        field.burst(contender, _rounded(min(tasks, FIRST_TASKS), contender))
        return tasks
    tasks = _rounded(FIRST_TASKS, contender)
    for share in (SECOND_SHARE, 1.0):
        rate = field.burst(contender, tasks).rate
        tasks = _rounded(rate * settings.seconds * share, contender)
    return tasks


def _rounded(tasks: float, contender: Contender) -> int:
    return max(1, round(tasks / contender.multiple)) * contender.multiple


def _drop_out(one: Measured, reason: Unavailable, progress: Progress) -> None:
    one.reason = str(reason)
    one.bursts.clear()
    progress.say(f"{one.contender.name}: not measured: {reason}")


class _Field:
    """The processes of the contenders, and the Redis between them."""

    def __init__(self, suite: Suite, server: RedisServer, progress: Progress) -> None:
        #: Of each program, its parts and their versions.
        self.versions: dict[str, dict[str, str]] = {}
        self._server = server
        self._progress = progress
        self._programs = {c.program.name: c.program for c in suite.contenders}
        self._processes: dict[str, Process] = {}
        self._missing: dict[str, Unavailable] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.stop()

    def burst(self, contender: Contender, tasks: int) -> Burst:
        """Has a contender store tasks in an empty Redis, and checks that they are there."""
        name = contender.program.name
        if name in self._missing:
            raise self._missing[name]
        self._server.command("FLUSHALL", "SYNC")
        before = server_cpu_seconds(self._server)
        answer = self._processes[name].ask({**contender.command, "n": tasks})
        server_cpu = server_cpu_seconds(self._server) - before
        stored = self._server.command(*contender.count)
        if stored != tasks:
            raise BenchmarkError(
                f"{contender.name}: {tasks} tasks were enqueued, "
                f"but {' '.join(contender.count)} finds {stored}"
            )
        return Burst(tasks, answer["seconds"], answer["cpu_seconds"], server_cpu)

    def _start(self) -> None:
        """Starts them all before it waits for any."""
        for name, program in self._programs.items():
            self._progress.now(f"starting {name}")
            try:
                command = program.command(self._server.address, self._progress.say)
                self._processes[name] = Process(command)
            except Unavailable as reason:
                self._missing[name] = reason
        for name, process in self._processes.items():
            self._progress.now(f"waiting for {name}")
            try:
                self.versions[name] = process.wait_until_ready()
            except Unavailable as reason:
                self._missing[name] = reason
