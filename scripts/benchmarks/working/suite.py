"""What to measure, and the aims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..options import Options
from ..scheduler.model import Aim, Part
from ..scheduler.suite import GO
from .model import Worker
from .parts import draining, latency, memory
from .workers import EVERY, OWN, OWN_ASYNCIO

#: Modest, and the same for all: tasks a second.
MODEST = 200
IN_FLIGHT, QUICK_IN_FLIGHT = 5_000, 2_000
#: What asynq_py's rate shall be in terms of Go's, by how many are handled at a time; and in terms
#: of the best of its peers, whatever setting that has.
FASTER = {(OWN, 10): 1.5, (OWN, 100): 2.5, (OWN_ASYNCIO, 100): 1.0}
AHEAD = 3.0

LEGEND = (
    "Drained: tasks are stored, then the worker is started; what is done after the first fifth is "
    "measured, up to the last",
    "acknowledgement, so that no start counts. tasks/s: median over rounds; min - max: slowest and "
    "fastest round; worker µs,",
    "Redis µs: CPU time for one task, of all the worker's processes. Half load: half of the "
    "tasks/s that the worker drains,",
    "at most 5,000. Everybody has one process for the handlers, but Celery's prefork one for each "
    "task at a time; RQ handles one",
    "at a time, and forks for each or, as SimpleWorker, does not. Go and asynq_py have their usual "
    "settings; peers take many",
    "ahead where that helps, log nothing, keep no results if they can, and have uvloop if they "
    "can. Celery acknowledges before",
    "it handles, and what is taken from a Taskiq list needs no acknowledgement.",
)


def parts(options: Options) -> tuple[Part, ...]:
    """What to measure."""
    rounds = options.rounds or (1 if options.quick else 5)
    few = options.rounds or (1 if options.quick else 3)
    seconds, window = (0.5, 3.0) if options.quick else (1.5, 6.0)
    return (
        *(draining(concurrency, seconds, options.tasks, rounds) for concurrency in EVERY),
        latency(MODEST, window, few),
        latency(None, window, few),
        memory(QUICK_IN_FLIGHT if options.quick else IN_FLIGHT, few),
    )


def takes_part(worker: Worker, part: Part) -> bool:
    """Whether a worker is measured in a part."""
    match part.kind:
        case "drain":
            return part.entries in worker.concurrencies
        case "memory":
            return not worker.is_peer
    return True


def aims(workers: Sequence[Worker], chosen: Iterable[Part]) -> tuple[Aim, ...]:
    """The aims: faster than Go, ahead of all peers, and no later."""
    found = list(chosen)
    drains = [part for part in found if part.kind == "drain"]
    peers = [
        (part.key, worker.key)
        for part in drains
        for worker in workers
        if worker.is_peer and takes_part(worker, part)
    ]
    return (
        *(aim for part in drains for aim in _drain_aims(part, peers)),
        *(aim for part in found if part.kind == "latency" for aim in _latency_aims(part)),
    )


def _drain_aims(part: Part, peers: Sequence[tuple[str, str]]) -> Iterator[Aim]:
    names = {OWN: "asynq_py, uvloop", OWN_ASYNCIO: "asynq_py, asyncio"}
    for (key, concurrency), bound in FASTER.items():
        if concurrency == part.entries:
            text = f"{names[key]}: {concurrency} at a time, of Go's tasks/s"
            yield Aim(text, part.key, "rate", key, bound, ((part.key, GO),), reach=True)
    if (OWN, part.entries) in FASTER and peers:
        text = f"{names[OWN]}: {part.entries} at a time, of the best peer's tasks/s anywhere"
        yield Aim(text, part.key, "rate", OWN, AHEAD, tuple(peers), reach=True)


def _latency_aims(part: Part) -> Iterator[Aim]:
    load = f"{part.entries} tasks/s" if part.entries else "half load"
    text = f"asynq_py, uvloop: {load}, p99 latency, of Go's"
    yield Aim(text, part.key, "p99_ms", OWN, 1.0, ((part.key, GO),))
