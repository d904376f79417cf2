"""What the misfire policies make of ticks that are late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import Misfire
from asynq_py.scheduler.due import COUNTED, TOLD, judge

NOW = 1000


def each(distance: int) -> object:
    """Ticks at the multiples of a distance."""
    return lambda after: (after // distance + 1) * distance


@pytest.mark.parametrize(
    ("misfire", "fire", "missed"),
    [
        (Misfire.SKIP, [], [970, 980, 990, 1000]),
        (Misfire.SKIP(grace=5), [1000], [970, 980, 990]),
        (Misfire.LATEST, [1000], [970, 980, 990]),
        (Misfire.ALL, [970, 980, 990, 1000], []),
        (Misfire.ALL(grace=15), [990, 1000], [970, 980]),
        (Misfire.ALL(cap=3), [980, 990, 1000], [970]),
    ],
)
def test_ticks_that_fell_into_downtime(
    misfire: Misfire, fire: list[int], missed: list[int]
) -> None:
    verdict = judge(each(10), 970, NOW, misfire, active_since_s=NOW)  # type: ignore[arg-type]

    assert verdict == (fire, missed, len(missed), 1010)


@pytest.mark.parametrize(
    ("misfire", "fire"),
    [
        (Misfire.SKIP, []),
        (Misfire.SKIP(grace=20), [990]),
        (Misfire.LATEST, [990]),
        (Misfire.LATEST(grace=5), []),
        (Misfire.ALL(grace=5), []),
    ],
)
def test_one_tick_that_fell_into_downtime(misfire: Misfire, fire: list[int]) -> None:
    verdict = judge(each(30), 990, NOW, misfire, active_since_s=NOW)  # type: ignore[arg-type]

    assert verdict.fire == fire
    assert verdict.missed == ([] if fire else [990])


def test_a_scheduler_that_is_slow_runs_the_newest_tick_as_go_does() -> None:
    verdict = judge(each(10), 970, NOW, Misfire.SKIP, active_since_s=0)  # type: ignore[arg-type]

    assert verdict == ([1000], [970, 980, 990], 3, 1010)


def test_very_many_missed_ticks_are_counted_up_to_a_point() -> None:
    verdict = judge(each(1), 1, 10**9, Misfire.LATEST, active_since_s=0)  # type: ignore[arg-type]

    assert verdict.fire == [10**9]
    assert verdict.missed_count == COUNTED
    assert len(verdict.missed) == TOLD


def test_a_schedule_that_ends_has_no_following_tick() -> None:
    verdict = judge(lambda after: None, 970, NOW, Misfire.ALL, active_since_s=0)

    assert verdict == ([970], [], 0, None)


@given(
    st.sampled_from(["skip", "latest", "all"]),
    st.none() | st.integers(0, 200),
    st.integers(1, 50),
    st.integers(1, 40),
    st.integers(1, 1000),
    st.integers(0, 1000),
)
def test_each_tick_is_enqueued_or_missed_and_none_twice(
    policy: str, grace: int | None, cap: int, distance: int, first: int, active_since: int
) -> None:
    next_tick = each(distance)
    first = next_tick(first - 1)  # type: ignore[operator]
    if first > NOW:
        return
    verdict = judge(next_tick, first, NOW, Misfire(policy, grace, cap), active_since)  # type: ignore[arg-type]

    ticks = list(range(first, NOW + 1, distance))
    assert verdict.missed_count + len(verdict.fire) == len(ticks)
    assert verdict.missed == ticks[: verdict.missed_count][-TOLD:]
    assert verdict.fire == ticks[verdict.missed_count :]
    assert verdict.following == ticks[-1] + distance
    if grace is not None:
        assert all(tick >= NOW - grace for tick in verdict.fire)
