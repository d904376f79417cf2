"""The timetable: who is due, in which order, and what a long sleep makes of missed ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import LeaderElection, Misfire, PeriodicTask, SchedulerConfig, Task
from asynq_py.scheduler.book import make_slot
from asynq_py.scheduler.entry import Slot
from asynq_py.scheduler.timetable import Timetable

START = 1_700_000_000


def slot(entry_id: str, spec: str) -> Slot:
    """An entry that was started at START."""
    made = make_slot(PeriodicTask(spec, Task("t"), name=entry_id), SchedulerConfig())
    made.advance(START)
    return made


def noted_slot(spec: str, misfire: Misfire) -> Slot:
    """An entry with a ledger, which has START as its last tick."""
    definition = PeriodicTask(spec, Task("t"), name="noted", misfire=misfire)
    config = SchedulerConfig(leader_election=LeaderElection("g"))
    made = make_slot(definition, config)
    made.resume_after(START)
    return made


def timetable(*slots: Slot) -> Timetable:
    made = Timetable()
    made.fill(slots)
    return made


def taken(table: Timetable, now_s: int) -> list[tuple[str, int]]:
    due, _ = table.take_due(now_s * 1000, 1000)
    return [(each.slot.id, each.tick_s - START) for each in due]


def next_s(table: Timetable) -> int | None:
    return None if table.next_ms is None else table.next_ms // 1000


def test_an_empty_timetable_has_no_next_tick() -> None:
    table = timetable()

    assert next_s(table) is None
    assert table.take_due(START * 1000, 10) == ([], [])


def test_nothing_is_due_before_its_second() -> None:
    table = timetable(slot("a", "@every 10s"))

    assert next_s(table) == START + 10
    assert taken(table, START + 9) == []
    assert taken(table, START + 10) == [("a", 10)]
    assert taken(table, START + 10) == []
    assert next_s(table) == START + 20


def test_entries_due_at_one_second_come_in_the_order_of_registration() -> None:
    table = timetable(*(slot(name, "@every 10s") for name in "dacb"))

    assert [name for name, _ in taken(table, START + 10)] == ["d", "a", "c", "b"]
    assert [name for name, _ in taken(table, START + 20)] == ["d", "a", "c", "b"]


def test_earlier_entries_come_first() -> None:
    table = timetable(slot("slow", "@every 3s"), slot("fast", "@every 2s"))

    assert taken(table, START + 3) == [("fast", 2), ("slow", 3)]


def test_missed_ticks_collapse_into_one_and_the_next_counts_from_now() -> None:
    late = slot("a", "@every 10s")
    table = timetable(late)

    assert taken(table, START + 35) == [("a", 10)]
    assert late.previous_s == START + 10
    assert next_s(table) == START + 45


def test_an_entry_that_never_ticks_is_not_in_it() -> None:
    never = slot("never", "0 0 30 2 *")

    assert never.next_s is None
    assert next_s(timetable(never)) is None


def test_an_entry_that_ticks_no_more_leaves() -> None:
    # 2096 is the last leap year within the parser's horizon of the years asked below.
    once = slot("once", "0 0 29 2 *")
    once.advance(3_970_000_000)
    table = timetable(once)
    last = next_s(table)
    assert last is not None

    assert len(taken(table, last)) == 1

    assert once.next_s is None
    assert next_s(table) is None


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.lists(st.integers(0, 40), min_size=1, max_size=10),
)
def test_after_taking_what_is_due_everything_else_is_due_later(
    periods: list[int], steps: list[int]
) -> None:
    slots = [slot(str(i), f"@every {period}s") for i, period in enumerate(periods)]
    table = timetable(*slots)
    now_s = START

    for step in steps:
        now_s += step
        due, _ = table.take_due(now_s * 1000, 1000)

        assert all(each.tick_s <= now_s for each in due)
        assert len({each.slot.id for each in due}) == len(due)
        upcoming = min(each.next_s or 0 for each in slots)
        assert next_s(table) == upcoming
        assert upcoming > now_s


@pytest.mark.parametrize("spec", ["@every 1s", "*/5 * * * *"])
def test_filling_replaces_what_was_there(spec: str) -> None:
    table = timetable(slot("old", "@every 1s"))

    table.fill([slot("new", spec)])

    assert [name for name, _ in taken(table, START + 3600)] == ["new"]


def test_with_a_ledger_every_keeps_its_phase_and_all_ticks_are_made_up() -> None:
    table = timetable(noted_slot("@every 10s", Misfire.ALL))

    assert taken(table, START + 35) == [("noted", 10), ("noted", 20), ("noted", 30)]
    assert next_s(table) == START + 40


def test_what_is_left_out_is_told_and_noted_in_the_ledger() -> None:
    slot = noted_slot("@every 10s", Misfire.SKIP)
    slot.active_since_s = START + 35
    table = timetable(slot)

    due, missed = table.take_due((START + 35) * 1000, 10)

    assert [(each.tick_s - START, each.is_noted_only) for each in due] == [(30, True)]
    assert [(each.ticks, each.count) for each in missed] == [
        ([START + 10, START + 20, START + 30], 3)
    ]


def test_a_paused_entry_only_notes_its_ticks() -> None:
    slot = noted_slot("@every 10s", Misfire.ALL)
    slot.paused = True
    table = timetable(slot)

    due, missed = table.take_due((START + 25) * 1000, 10)

    assert [(each.tick_s - START, each.is_noted_only) for each in due] == [(20, True)]
    assert missed == []
    assert next_s(table) == START + 30


def test_jitter_moves_an_entry_by_the_same_span_every_time() -> None:
    definition = PeriodicTask("@every 10s", Task("t"), name="j", jitter=5)
    first, second = (make_slot(definition, SchedulerConfig()) for _ in range(2))
    first.advance(START)

    assert first.jitter_ms == second.jitter_ms
    assert 0 < first.jitter_ms < 5000
    table = timetable(first)
    due_ms = (START + 10) * 1000 + first.jitter_ms
    assert table.next_ms == due_ms
    assert table.take_due(due_ms - 1, 10) == ([], [])
    ((due,), _) = table.take_due(due_ms, 10)
    assert due.tick_s == START + 10


def test_many_entries_are_moved_on_some_at_a_time() -> None:
    table = timetable(*(slot(str(i), "@every 10s") for i in range(10)))

    assert [len(table.take_due((START + 10) * 1000, 4)[0]) for _ in range(4)] == [4, 4, 2, 0]
