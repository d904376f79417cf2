"""The measurements."""

from __future__ import annotations

import time
from dataclasses import dataclass

from asynq_py.clock import NANOSECONDS

from ..model import Unavailable
from .arrivals import Arrival, percentile, read, watch
from .model import Figure, Part, Values
from .stage import Stage

#: How long to wait for idle entries to be listed; Go's are after ten seconds.
LISTED_WITHIN = 15.0
#: From the last to the first that is due once more, seconds.
PAUSE = 10
MILLI = NANOSECONDS // 1000

MISSING = Figure("missing", "tasks that never came", compared=False)
LISTED = Figure("listed", "entries that Go's tools list", compared=False)
RSS = Figure("rss_mib", "resident memory after the last task, MiB", 1)
PEAK = Figure("peak_mib", "the most resident memory, MiB", 1)
CPU = Figure("cpu_s", "CPU of the whole run, s", 2)

TOGETHER = (
    Figure("register_s", "registering, s", 3),
    Figure("start_s", "starting, s", 3, compared=False),
    Figure("first_ms", "lateness of the first task, ms", 1, compared=False),
    Figure("spread_s", "spread: first to last task in Redis, s", 3),
    Figure("stamped_s", "first to last pending_since, s", 3),
    RSS,
    PEAK,
    CPU,
    LISTED,
    MISSING,
)
SPREAD = (
    Figure("p50_ms", "lateness in Redis, median, ms", 1),
    Figure("p99_ms", "lateness in Redis, p99, ms", 1),
    Figure("max_ms", "lateness in Redis, most, ms", 1),
    Figure("stamped_p50_ms", "lateness of pending_since, median, ms", 1),
    Figure("stamped_p99_ms", "lateness of pending_since, p99, ms", 1),
    RSS,
    CPU,
    LISTED,
    MISSING,
)
IDLE = (
    Figure("commands_per_min", "commands a minute"),
    Figure("reads_per_min", "round trips a minute"),
    Figure("kib_per_min", "sent to Redis a minute, KiB", 1),
    Figure("cpu_ms_per_min", "CPU a minute, ms", 1),
)


def together(n: int, delay: int, rounds: int) -> Part:
    """All entries are due at one second, `delay` after the start; once."""

    def measure(stage: Stage) -> Values:
        wave = _wave(stage, n, delay, 1)
        arrived = [one.arrived_ns for one in wave.arrivals]
        stamped = [one.stamped_ns for one in wave.arrivals]
        first_due = min(one.due_ns for one in wave.arrivals)
        return {
            **wave.values,
            "first_ms": (min(arrived) - first_due) / MILLI,
            "spread_s": (max(arrived) - min(arrived)) / NANOSECONDS,
            "stamped_s": (max(stamped) - min(stamped)) / NANOSECONDS,
        }

    return Part("together", n, f"{n:,} entries due at one second", TOGETHER, rounds, measure)


def spread(n: int, seconds: int, rounds: int) -> Part:
    """Each second for some seconds, as many entries are due as in each other; each once."""

    def measure(stage: Stage) -> Values:
        # The first has a delay that is longer than all of it: none is due twice meanwhile.
        wave = _wave(stage, n, seconds + PAUSE, seconds)
        late = [(one.arrived_ns - one.due_ns) / MILLI for one in wave.arrivals]
        stamped = [(one.stamped_ns - one.due_ns) / MILLI for one in wave.arrivals]
        return {
            **wave.values,
            "p50_ms": percentile(late, 0.5),
            "p99_ms": percentile(late, 0.99),
            "max_ms": max(late),
            "stamped_p50_ms": percentile(stamped, 0.5),
            "stamped_p99_ms": percentile(stamped, 0.99),
        }

    title = f"{n:,} entries spread over {seconds} s: lateness"
    return Part("spread", n, title, SPREAD, rounds, measure)


def idle(n: int, seconds: int, rounds: int) -> Part:
    """A running scheduler none of whose entries is due."""

    def measure(stage: Stage) -> Values:
        # Half a day away from now.
        hour = (time.gmtime().tm_hour + 12) % 24
        stage.register(n, [f"0 {hour} * * *"])
        stage.start()
        # What it does once is over then, and what it does now and then has begun.
        stage.wait_until_listed(n, LISTED_WITHIN)
        before, cpu, begun = stage.traffic(), stage.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        after, cpu = stage.traffic(), stage.cpu_seconds() - cpu
        minutes = (time.monotonic() - begun) / 60
        stage.stop()
        return {
            # One is ours, the first look at the traffic; its few bytes do not matter.
            "commands_per_min": (after.commands - before.commands - 1) / minutes,
            "reads_per_min": (after.reads - before.reads - 1) / minutes,
            "kib_per_min": (after.size - before.size) / 1024 / minutes,
            "cpu_ms_per_min": cpu * 1000 / minutes,
        }

    title = f"{n:,} daily entries, idle for {seconds} s"
    return Part("idle", n, title, IDLE, rounds, measure)


@dataclass(frozen=True)
class _Wave:
    arrivals: list[Arrival]
    values: dict[str, float]


def _wave(stage: Stage, n: int, delay: int, seconds: int) -> _Wave:
    """Has each of `n` entries fire once: `delay` after the start, and on for some seconds."""
    registering = stage.register(n, [f"@every {delay + i}s" for i in range(seconds)])
    started, starting = stage.start()
    first = started + delay
    # A second before the entries that were first are due again.
    end = first + delay - 1
    moments = watch(stage.redis, n, first, first + seconds - 1, end)
    resident, _ = stage.memory_mib()
    listed = stage.wait_until_listed(n, end - time.time())
    stopping = stage.stop()
    cpu = stage.cpu_seconds()
    _, peak = stage.memory_mib()
    arrivals = read(stage.redis, moments, lambda number: first + number % seconds)
    if not arrivals:
        raise Unavailable(f"none of {n} tasks came")
    values = {
        "register_s": registering,
        "start_s": starting,
        "stop_s": stopping,
        "rss_mib": resident,
        "peak_mib": peak,
        "cpu_s": cpu,
        "missing": n - len(arrivals),
        "listed": listed,
    }
    return _Wave(arrivals, values)
