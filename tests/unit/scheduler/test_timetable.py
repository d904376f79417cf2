"""The timetable: who is due, in which order, and what a long sleep makes of missed ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import Task, parse_schedule
from asynq_py.scheduler.entry import Slot
from asynq_py.scheduler.timetable import Timetable

START = 1_700_000_000


def slot(entry_id: str, spec: str) -> Slot:
    """An entry that was started at START."""
    made = Slot(entry_id, None, spec, parse_schedule(spec), Task("t"), {})
    made.advance(START)
    return made


def timetable(*slots: Slot) -> Timetable:
    made = Timetable()
    made.fill(slots)
    return made


def taken(table: Timetable, now_s: int) -> list[tuple[str, int]]:
    return [(each.id, due_s - START) for each, due_s in table.take_due(now_s)]


def test_an_empty_timetable_has_no_next_tick() -> None:
    table = timetable()

    assert table.next_s is None
    assert table.take_due(START) == []


def test_nothing_is_due_before_its_second() -> None:
    table = timetable(slot("a", "@every 10s"))

    assert table.next_s == START + 10
    assert taken(table, START + 9) == []
    assert taken(table, START + 10) == [("a", 10)]
    assert taken(table, START + 10) == []
    assert table.next_s == START + 20


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
    assert table.next_s == START + 45


def test_an_entry_that_never_ticks_is_not_in_it() -> None:
    never = slot("never", "0 0 30 2 *")

    assert never.next_s is None
    assert timetable(never).next_s is None


def test_an_entry_that_ticks_no_more_leaves() -> None:
    # 2096 is the last leap year within the parser's horizon of the years asked below.
    once = slot("once", "0 0 29 2 *")
    once.advance(3_970_000_000)
    table = timetable(once)
    last = table.next_s
    assert last is not None

    assert len(table.take_due(last)) == 1

    assert once.next_s is None
    assert table.next_s is None


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
        due = table.take_due(now_s)

        assert all(due_s <= now_s for _, due_s in due)
        assert len({each.id for each, _ in due}) == len(due)
        assert table.next_s == min(each.next_s or 0 for each in slots)
        assert table.next_s > now_s


@pytest.mark.parametrize("spec", ["@every 1s", "*/5 * * * *"])
def test_filling_replaces_what_was_there(spec: str) -> None:
    table = timetable(slot("old", "@every 1s"))

    table.fill([slot("new", spec)])

    assert [name for name, _ in taken(table, START + 3600)] == ["new"]
