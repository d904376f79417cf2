"""Whom to compare at what, and the aims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..options import Options
from ..programs import go, own
from ..scheduler.model import Aim, Contender, Part
from ..scheduler.suite import GO
from .parts import deleting, listing, looking

OWN = "own"
CONTENDERS = (
    Contender(GO, "Go asynq", go("Go", "bench")),
    Contender(OWN, "asynq_py", own("asynq_py", "inspector")),
)

TASKS, QUICK_TASKS = 1_000_000, 100_000
PAGE = 1_000
#: Parts of the tasks: there are so many times fewer groups, and tasks to delete.
GROUPS_SHARE, DELETED_SHARE = 100, 5
#: How long Redis may serve nobody else, milliseconds.
BLOCKED_MS = 50

LEGEND = (
    "A page: with every task's message read. The longest PING: on a connection of its own, with "
    "the time that the machine",
    "takes to wake the one who waits; by Redis' clock: of one command or script, in which it "
    "serves nobody else.",
)


def parts(options: Options) -> tuple[Part, ...]:
    """What to measure."""
    n = options.tasks or (QUICK_TASKS if options.quick else TASKS)
    rounds = options.rounds or (2 if options.quick else 5)
    size = min(PAGE, n)
    return (
        listing(n, size, "pending", rounds),
        listing(n, size, "scheduled", rounds),
        looking(max(1, n // GROUPS_SHARE), rounds),
        deleting(max(1, n // DELETED_SHARE), rounds),
    )


def aims(chosen: Iterable[Part]) -> tuple[Aim, ...]:
    """The aims: reading no slower than Go, and nobody waits for long."""
    return tuple(aim for part in chosen for aim in _aims(part))


def _aims(part: Part) -> Iterator[Aim]:
    if part.kind == "delete":
        for key, name in (("ping_ms", "PING"), ("command_ms", "command")):
            text = f"{part.title}: the longest {name}, ms"
            yield Aim(text, part.key, key, OWN, BLOCKED_MS)
        return
    for figure in part.figures:
        if not figure.key.endswith("_cpu_ms"):
            name = figure.name.removesuffix(", ms")
            against = ((part.key, GO),)
            yield Aim(f"{part.title}: {name}, of Go's", part.key, figure.key, OWN, 1.0, against)
