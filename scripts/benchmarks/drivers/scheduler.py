"""asynq_py's Scheduler: one after another is registered, started and stopped."""

import gc

from asynq_py import LeaderElection, Scheduler, SchedulerConfig, Task

from . import driver

GROUP = "bench"

current: list[Scheduler] = []


def register(n: int, specs: list[str], leader: bool = False) -> None:
    """Makes a scheduler of `n` entries, which take the specs in turn.

    Args:
        n: How many entries.
        specs: When they are due.
        leader: With leader election; then its entries are named, since the ledger knows them
            by their names.
    """
    config = SchedulerConfig(leader_election=LeaderElection(group=GROUP)) if leader else None
    scheduler = Scheduler(driver.url(), config)
    for number in range(n):
        task = Task("report:daily", {"n": number})
        name = f"e{number}" if leader else None
        scheduler.register(specs[number % len(specs)], task, name=name)
    # As docs/scheduler.md advises, and `asynq-py scheduler run` does.
    gc.freeze()
    current.append(scheduler)


def start() -> None:
    """Starts it."""
    current[0].start()


def stop() -> None:
    """Stops it."""
    current.pop().stop()


driver.serve(
    {"register": register, "start": start, "stop": stop},
    "asynq_py",
    "redis",
    "hiredis",
    "protobuf",
)
