"""The measurements."""

from __future__ import annotations

from ..model import Unavailable
from ..scheduler.arrivals import percentile
from ..scheduler.model import Figure, Part, Values
from .stage import LONGEST, MOST_TASKS, START_SHARE, Stage

MICRO, MILLI, MIB = 1e6, 1e-6, 2**20
#: At how many at a time latency is measured.
USUAL = 10
#: The most that come in a second at half load.
MOST_RATE = 5_000
#: A fixed rate is not for those who can do little more, in parts of what they drain.
BUSY = 0.8

DRAINING = (
    Figure("rate", "tasks/s", spread=True),
    Figure("worker_us", "worker µs", 1, compared=False),
    Figure("redis_us", "Redis µs", 1, compared=False),
)
LATENCY = (
    Figure("p50_ms", "p50, ms", 2),
    Figure("p99_ms", "p99, ms", 2, spread=True),
    Figure("rate", "tasks/s", compared=False),
)
MEMORY = (
    Figure("per_1000_mib", "MiB for each 1,000", 2, spread=True),
    Figure("one_mib", "MiB with one", 1, compared=False),
    Figure("all_mib", "MiB with all", 1, compared=False),
)


def draining(concurrency: int, seconds: float, tasks: int | None, rounds: int) -> Part:
    """Tasks that are there before the worker is.

    Args:
        concurrency: How many are handled at a time.
        seconds: About how long the measured part takes.
        tasks: How many; not more than a worker drains within some seconds.
        rounds: How often.
    """

    def measure(stage: Stage) -> Values:
        rate = stage.rate(concurrency)
        n = min(tasks, rate * LONGEST) if tasks else rate * seconds / (1 - START_SHARE)
        drained = stage.measure(concurrency, max(1, min(MOST_TASKS, round(n))))
        return {
            "rate": drained.rate,
            "worker_us": drained.worker_cpu_seconds / drained.tasks * MICRO,
            "redis_us": drained.redis_cpu_seconds / drained.tasks * MICRO,
        }

    title = f"No-op tasks drained, {concurrency:,} at a time"
    return Part("drain", concurrency, title, DRAINING, rounds, measure)


def latency(rate: int | None, seconds: float, rounds: int) -> Part:
    """Tasks that come one by one, so many a second; None for half of what a worker can do."""

    def measure(stage: Stage) -> Values:
        concurrency = stage.nearest(USUAL)
        drained = stage.rate(concurrency)
        if rate and rate > drained * BUSY:
            raise Unavailable(f"it drains {drained:,.0f} tasks/s")
        wanted = rate or min(MOST_RATE, drained / 2)
        late, came = stage.lateness(concurrency, wanted, max(1, round(wanted * seconds)))
        return {
            "p50_ms": percentile(late, 0.5) * MILLI,
            "p99_ms": percentile(late, 0.99) * MILLI,
            "rate": came,
        }

    load = f"{rate:,} tasks/s" if rate else "half load"
    title = f"From enqueue to the start of the handler, {USUAL} at a time, {load}"
    return Part("latency", rate or 0, title, LATENCY, rounds, measure)


def memory(tasks: int, rounds: int) -> Part:
    """Tasks whose handlers wait, all at the same time."""

    def measure(stage: Stage) -> Values:
        one, everything = (size / MIB for size in stage.resident(tasks))
        return {
            "per_1000_mib": (everything - one) / (tasks - 1) * 1000,
            "one_mib": one,
            "all_mib": everything,
        }

    title = f"Resident memory, {tasks:,} tasks in flight"
    return Part("memory", tasks, title, MEMORY, rounds, measure)
