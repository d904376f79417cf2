"""The buffer between the ticker and the sender: its order and its bounds."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from asynq_py import PeriodicTask, SchedulerConfig, Task
from asynq_py.scheduler.book import make_slot
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.timetable import Due

SLOT = make_slot(PeriodicTask("@every 1s", Task("t"), name="n"), SchedulerConfig())


def ticks(*seconds: int) -> list[Due]:
    return [Due(SLOT, second) for second in seconds]


def seconds(taken: Sequence[Due]) -> list[int]:
    return [due.tick_s for due in taken]


def test_ticks_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox(10)
    outbox.put(ticks(1, 2))
    outbox.put(ticks(3))

    assert seconds(outbox.take(2)) == [1, 2]
    assert seconds(outbox.take(2)) == [3]
    assert outbox.take(2) == []


def test_several_ticks_of_an_entry_come_out_a_few_at_a_time() -> None:
    others = [
        make_slot(PeriodicTask("@every 1s", Task("t"), name=f"n{n}"), SchedulerConfig())
        for n in range(10)
    ]
    outbox = Outbox(100)
    outbox.put([Due(slot, 0) for slot in others])
    outbox.put(ticks(*range(1, 7)))

    assert len(outbox.take(10, 4)) == 10
    assert seconds(outbox.take(10, 4)) == [1, 2, 3, 4]
    assert seconds(outbox.take(10, 4)) == [5, 6]


def test_ticks_that_are_put_back_come_before_the_others() -> None:
    outbox = Outbox(10)
    outbox.put(ticks(1, 2, 3, 4))
    taken = outbox.take(3)

    outbox.put_back(taken[1:])

    assert seconds(outbox.take_all()) == [2, 3, 4]


def test_when_it_is_full_the_oldest_go_and_are_told() -> None:
    outbox = Outbox(3)

    assert outbox.put(ticks(1, 2)) == []
    assert seconds(outbox.put(ticks(3, 4, 5))) == [1, 2]
    assert seconds(outbox.take_all()) == [3, 4, 5]


def test_what_was_put_back_counts_for_the_bound_with_the_next_that_comes() -> None:
    outbox = Outbox(2)
    outbox.put(ticks(1, 2))
    taken = outbox.take(2)
    outbox.put(ticks(3, 4))
    outbox.put_back(taken)

    assert len(outbox) == 4
    assert seconds(outbox.put(ticks(5))) == [1, 2, 3]


@given(st.lists(st.integers(-3, 5), max_size=40), st.integers(1, 6))
def test_nothing_is_lost_or_doubled_but_what_is_told(steps: list[int], most: int) -> None:
    outbox = Outbox(most)
    put, out = 0, []
    for step in steps:
        if step <= 0:
            out += seconds(outbox.take(-step))
            continue
        out += seconds(outbox.put(ticks(*range(put, put + step))))
        put += step
        assert len(outbox) <= most

    assert out + seconds(outbox.take_all()) == list(range(put))


def test_who_waits_is_woken_by_a_tick_or_a_call() -> None:
    outbox = Outbox(10)
    for wake in (lambda: outbox.put(ticks(1)), outbox.wake):
        woken = threading.Event()
        thread = threading.Thread(target=lambda: (outbox.wait(), woken.set()), daemon=True)  # noqa: B023
        thread.start()

        wake()

        assert woken.wait(15)


def test_a_tick_that_comes_before_the_wait_is_not_waited_for() -> None:
    outbox = Outbox(10)
    outbox.put(ticks(1))

    outbox.wait()

    assert len(outbox) == 1
