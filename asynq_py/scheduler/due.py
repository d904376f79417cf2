"""Which ticks of an entry are due now, and what the misfire policy makes of them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil
from typing import NamedTuple, TypeAlias

from asynq_py.scheduler.policy import Misfire

#: Gives the first tick after a second, or None: never again. Unix seconds.
NextTick: TypeAlias = Callable[[int], "int | None"]

#: How many ticks that were missed are counted one by one; of more it is said "or more".
COUNTED = 10_000
#: How many of them are told one by one.
TOLD = 20


class Verdict(NamedTuple):
    """What is to be done about the ticks that are due."""

    #: To be enqueued, oldest first.
    fire: list[int]
    #: The newest of those that are left out, oldest first, and how many there are in all.
    missed: list[int]
    missed_count: int
    #: The next tick, which is not due yet; None for never.
    following: int | None


def judge(
    next_tick: NextTick, first: int, now_s: int, misfire: Misfire, active_since_s: int
) -> Verdict:
    """Says of all ticks from ``first`` up to ``now_s`` which are enqueued.

    Args:
        next_tick: The schedule.
        first: The first tick that is due.
        now_s: Unix seconds.
        misfire: What happens to ticks that came too late.
        active_since_s: Ticks up to this second fell into downtime. Later ones only wait for
            a scheduler that is slow: "skip" enqueues the newest of them, as Go does.
    """
    grace_s = misfire.grace_s
    oldest = now_s - grace_s if grace_s is not None else float("-inf")
    following = next_tick(first)
    if following is None or following > now_s:
        may_fire = first >= oldest and (
            misfire.policy != "skip" or grace_s is not None or first > active_since_s
        )
        if may_fire:
            return Verdict([first], [], 0, following)
        return Verdict([], [first], 1, following)
    if misfire.policy == "all":
        start = first if first >= oldest else next_tick(max(first, ceil(oldest) - 1))
        fire, following = _ticks(next_tick, start, now_s, misfire.cap)
    else:
        newest = _newest(next_tick, first, now_s)
        following = next_tick(newest)
        is_late = newest < oldest or (
            misfire.policy == "skip" and grace_s is None and newest <= active_since_s
        )
        fire = [] if is_late else [newest]
    missed, count = _missed(next_tick, first, fire[0] if fire else now_s + 1)
    return Verdict(fire, missed, count, following)


def _ticks(
    next_tick: NextTick, start: int | None, now_s: int, most: int
) -> tuple[list[int], int | None]:
    """The newest ticks from ``start`` up to now, and the one after them."""
    ticks: deque[int] = deque(maxlen=most)
    while start is not None and start <= now_s:
        ticks.append(start)
        start = next_tick(start)
    return list(ticks), start


def _newest(next_tick: NextTick, first: int, now_s: int) -> int:
    """The last tick up to now; looked for from now backwards, since there may be many."""
    back = 1
    while True:
        begin = max(first, now_s - back)
        tick = next_tick(begin)
        if begin == first or (tick is not None and tick <= now_s):
            break
        back *= 4
    newest = first
    while tick is not None and tick <= now_s:
        newest, tick = tick, next_tick(tick)
    return newest


def _missed(next_tick: NextTick, first: int, before: int) -> tuple[list[int], int]:
    """The newest ticks from ``first`` to ``before``, and how many there are."""
    told: deque[int] = deque(maxlen=TOLD)
    count = 0
    tick: int | None = first
    while tick is not None and tick < before and count < COUNTED:
        told.append(tick)
        count += 1
        tick = next_tick(tick)
    return list(told), count
