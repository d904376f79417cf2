"""The measurements."""

from __future__ import annotations

from ..model import BenchmarkError
from ..scheduler.model import Figure, Part, Values
from .stage import QUEUE, Stage, grouped, tasks

#: How often a contender lists or looks in one turn.
TIMES = 10
#: Tasks in each group.
PER_GROUP = 2
#: How long a scheduled task waits, seconds: none is due meanwhile.
LATER = 86_400

FIRST = Figure("first_ms", "the first page, ms", 2)
MIDDLE = Figure("middle_ms", "a page in the middle, ms", 2)
FIRST_CPU = Figure("first_cpu_ms", "CPU of the client for the first page, ms", 2)
LISTING = (FIRST, MIDDLE, FIRST_CPU)
LOOK = Figure("look_ms", "queue info, ms", 2)
LOOK_CPU = Figure("look_cpu_ms", "CPU of the client for it, ms", 2)
DELETING = (
    Figure("seconds", "deleting all, s", 2),
    Figure("ping_ms", "the longest that a PING waited meanwhile, ms", 1),
    Figure("command_ms", "the longest command by Redis' clock, ms", 1),
)


def listing(n: int, size: int, state: str, rounds: int) -> Part:
    """A page of tasks among `n` of a state."""
    options = {"process_in": LATER} if state == "scheduled" else {}

    def measure(stage: Stage) -> Values:
        stage.fill(f"{n:,} {state} tasks", tasks(**options), n)
        middle = max(1, n // size // 2)
        stage.milliseconds(1, mode="list", state=state, page=1, size=size)
        first, cpu = stage.milliseconds(TIMES, mode="list", state=state, page=1, size=size)
        half, _ = stage.milliseconds(TIMES, mode="list", state=state, page=middle, size=size)
        return {"first_ms": first, "middle_ms": half, "first_cpu_ms": cpu}

    title = f"A page of {size:,} among {n:,} {state} tasks"
    return Part(f"list {state}", n, title, LISTING, rounds, measure)


def looking(groups: int, rounds: int) -> Part:
    """The info of a queue with many groups."""

    def measure(stage: Stage) -> Values:
        stage.fill(f"tasks of {groups:,} groups", grouped(groups), groups * PER_GROUP)
        stage.milliseconds(1, mode="info")
        look, cpu = stage.milliseconds(TIMES, mode="info")
        return {"look_ms": look, "look_cpu_ms": cpu}

    title = f"The info of a queue with {groups:,} groups"
    return Part("info", groups, title, (LOOK, LOOK_CPU), rounds, measure)


def deleting(n: int, rounds: int) -> Part:
    """All of `n` scheduled tasks deleted."""

    def measure(stage: Stage) -> Values:
        what = f"{n:,} scheduled tasks to delete"
        stage.fill(what, tasks(process_in=LATER), n, anew=True)
        answer, blocked = stage.blocked(mode="delete_all", state="scheduled")
        left = stage.server.command("DBSIZE")
        if left > 1:  # the set of the queues' names
            raise BenchmarkError(f"deleting {what} from {QUEUE} left {left} keys")
        return {
            "seconds": answer["seconds"],
            "ping_ms": blocked.ping_ms,
            "command_ms": blocked.command_ms,
        }

    return Part("delete", n, f"delete_all of {n:,} scheduled tasks", DELETING, rounds, measure)
