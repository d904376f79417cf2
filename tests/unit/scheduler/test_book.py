"""The set of entries: what a new one changes, what the ledger says, what is paused."""

from __future__ import annotations

from typing import Any

import pytest

from asynq_py import (
    ConfigError,
    LeaderElection,
    Misfire,
    NotFoundError,
    Overlap,
    PeriodicTask,
    SchedulerConfig,
    Task,
)
from asynq_py.broker.ledger import Noted
from asynq_py.clock import NANOSECONDS
from asynq_py.scheduler.book import SHARD_ENTRIES, Book, Changes, make_slot, make_slots
from asynq_py.scheduler.entry import Record, RunOutcome, Slot

START_S = 1_700_000_000
PLAIN = SchedulerConfig()
ELECTED = SchedulerConfig(leader_election=LeaderElection("g"))


def periodic(name: str | None = None, spec: str = "@every 10s", **options: Any) -> PeriodicTask:  # noqa: ANN401
    return PeriodicTask(spec, Task("t"), name=name, **options)


def running(*tasks: PeriodicTask, config: SchedulerConfig = PLAIN) -> Book:
    """A book that was begun at START_S."""
    book = Book(config)
    book.replace(make_slots(tasks, config), START_S, running=False)
    book.begin(START_S)
    return book


def apply(book: Book, *tasks: PeriodicTask, now_s: int, config: SchedulerConfig = PLAIN) -> Changes:
    return book.replace(make_slots(tasks, config), now_s, running=True)


def ids(book: Book) -> list[str]:
    return [slot.id for slot in book.slots()]


def taken(book: Book, now_s: int) -> list[tuple[str, int]]:
    due, _ = book.take_due(now_s * NANOSECONDS, 100)
    return [(each.slot.id, each.tick_s - START_S) for each in due]


def read_all(book: Book, now_s: int, tick: int = START_S, runs: int = 0) -> None:
    slots = book.unread(1000)
    book.read(slots, [Noted(tick, runs, "")] * len(slots), now_s)
    book.refill()


# -- replacing --


def test_what_a_new_set_changes_is_counted() -> None:
    book = running(periodic("same"), periodic("changed"), periodic("removed"))

    changes = apply(
        book,
        periodic("same"),
        periodic("changed", queue="low"),
        periodic("new"),
        periodic("newer"),
        now_s=START_S + 1,
    )

    assert changes == Changes(added=2, removed=1, changed=1, unchanged=1)
    assert ids(book) == ["same", "changed", "new", "newer"]


def test_an_entry_that_did_not_change_keeps_its_phase_and_its_history() -> None:
    book = running(periodic("a"))
    before = book.slot("a")
    before.note(Record(START_S, 0, RunOutcome.ENQUEUED, "id", None))

    apply(book, periodic("new"), periodic("a"), now_s=START_S + 3)

    assert book.slot("a") is before
    assert not before.is_gone
    assert before.next_s == START_S + 10
    assert book.slot("new").next_s == START_S + 13


def test_an_entry_that_changed_keeps_its_history_and_begins_anew() -> None:
    book = running(periodic("a"))
    before = book.slot("a")
    before.note(Record(START_S, 0, RunOutcome.FAILED, "id", None))
    before.missed, before.previous_s = 3, START_S

    apply(book, periodic("a", "@every 20s"), now_s=START_S + 3)

    after = book.slot("a")
    assert before.is_gone
    assert not after.is_gone
    assert (after.runs, after.failures, after.missed) == (before.runs, 1, 3)
    assert (after.previous_s, after.next_s) == (START_S, START_S + 23)


def test_an_entry_without_a_name_is_another_when_anything_changes() -> None:
    book = running(periodic())

    same = apply(book, periodic(), now_s=START_S + 1)
    other = apply(book, periodic(queue="low"), now_s=START_S + 1)

    assert same == Changes(0, 0, 0, 1)
    assert other == Changes(1, 1, 0, 0)


def test_what_was_registered_and_is_applied_again_is_the_same_entry() -> None:
    book = Book(PLAIN)
    for task in (periodic("named"), periodic("changed"), periodic()):
        book.add(make_slot(task, PLAIN))
    book.begin(START_S)
    named = book.slot("named")

    changes = apply(
        book, periodic("named"), periodic("changed", queue="low"), periodic(), now_s=START_S + 3
    )

    assert changes == Changes(added=0, removed=0, changed=1, unchanged=2)
    assert book.slot("named") is named


def test_what_was_registered_in_place_of_an_applied_entry_is_another_one() -> None:
    book = Book(PLAIN)
    first = make_slots([periodic("a")], PLAIN)
    book.replace(first, START_S, running=False)
    book.remove("a")
    book.add(make_slot(periodic("a", queue="low"), PLAIN))

    changes = book.replace(make_slots([periodic("a")], PLAIN), START_S, running=False)

    assert changes == Changes(0, 0, 1, 0)
    assert book.slot("a").queue == "default"


def test_what_waits_of_a_removed_entry_is_known_to_be_gone() -> None:
    book = running(periodic("a"), periodic("b"))
    due, _ = book.take_due((START_S + 10) * NANOSECONDS, 100)

    apply(book, periodic("b"), now_s=START_S + 10)

    assert [(each.slot.id, each.slot.is_gone) for each in due] == [("a", True), ("b", False)]
    assert taken(book, START_S + 20) == [("b", 20)]


def test_all_faults_are_named_at_once_and_nothing_is_changed() -> None:
    book = running(periodic("a"))
    before = list(book.slots())

    with pytest.raises(ConfigError) as caught:
        apply(
            book,
            periodic("new"),
            periodic("bad spec", "@sometimes"),
            "no task",  # type: ignore[arg-type]
            periodic("bad zone", location="Mars/Olympus"),
            periodic("new", queue="low"),
            periodic(),
            periodic(),
            now_s=START_S,
        )

    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "task 2 ('bad spec')",
        "task 3",
        "task 4 ('bad zone')",
        "task 5 ('new')",
        "task 7",
    ]
    assert "@sometimes" in lines[0]
    assert lines[1].endswith("must be a PeriodicTask, not str")
    assert "Mars/Olympus" in lines[2]
    assert lines[3].endswith("there is an entry named 'new' already")
    assert lines[4].endswith("there is an entry that is the same in all; give one of them a name")
    assert list(book.slots()) == before


def test_replacing_before_it_begins_has_nothing_tick() -> None:
    book = Book(PLAIN)

    book.replace(make_slots([periodic("a")], PLAIN), START_S, running=False)
    assert book.next_ms is None
    book.begin(START_S + 5)

    assert taken(book, START_S + 15) == [("a", 15)]


# -- one by one --


def test_an_id_is_taken_once() -> None:
    book = Book(ELECTED)
    book.add(make_slot(periodic("a"), ELECTED))
    book.add(make_slot(periodic(), ELECTED))

    for task in (periodic("a", "@daily"), periodic()):
        with pytest.raises(ConfigError):
            book.add(make_slot(task, ELECTED))

    assert len(book) == 2


def test_without_a_ledger_entries_may_be_the_same_in_all() -> None:
    book = Book(PLAIN)
    for _ in range(3):
        book.add(make_slot(periodic(), PLAIN))

    first, second, third = ids(book)

    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_an_entry_that_is_not_there_is_not_found() -> None:
    for ask in (Book(PLAIN).slot, Book(PLAIN).remove):
        with pytest.raises(NotFoundError, match="there is no entry 'a'"):
            ask("a")


# -- which have a ledger --


@pytest.mark.parametrize(
    ("config", "arguments", "field"),
    [
        (PLAIN, {}, None),
        (PLAIN, {"misfire": Misfire.SKIP(grace=5)}, ":a"),
        (PLAIN, {"misfire": Misfire.LATEST}, ":a"),
        (PLAIN, {"misfire": Misfire.ALL}, ":a"),
        (PLAIN, {"overlap": Overlap.SKIP}, ":a"),
        (PLAIN, {"max_runs": 1}, ":a"),
        (ELECTED, {}, "g:a"),
        (ELECTED, {"misfire": Misfire.SKIP}, "g:a"),
        (SchedulerConfig(misfire=Misfire.ALL), {}, ":a"),
    ],
)
def test_the_ledger_is_kept_for_entries_that_need_one(
    config: SchedulerConfig, arguments: dict[str, Any], field: str | None
) -> None:
    assert make_slot(periodic("a", **arguments), config).field == field


def test_an_entry_with_a_ledger_ticks_once_it_is_read_and_after_its_last_tick() -> None:
    book = running(periodic("a", misfire=Misfire.ALL), periodic("plain"))

    assert taken(book, START_S + 10) == [("plain", 10)]
    read_all(book, START_S + 10, tick=START_S - 5, runs=2)

    assert book.slot("a").previous_s == START_S - 5
    assert taken(book, START_S + 10) == [("a", 5)]
    assert taken(book, START_S + 25) == [("a", 15), ("a", 25), ("plain", 20)]


def test_an_entry_that_never_ran_has_no_previous_run() -> None:
    book = running(periodic("a"), config=ELECTED)

    read_all(book, START_S)

    assert book.slot("a").previous_s is None


def test_an_entry_that_has_run_as_often_as_it_may_never_ticks_again() -> None:
    book = running(periodic("a", max_runs=2))

    read_all(book, START_S, runs=2)

    assert book.slot("a").next_s is None
    assert book.next_ms is None


def test_what_is_read_for_an_entry_that_was_replaced_meanwhile_is_forgotten() -> None:
    book = running(periodic("a", misfire=Misfire.ALL))
    slots = book.unread(10)
    apply(book, periodic("a", misfire=Misfire.ALL, queue="low"), now_s=START_S)

    book.read(slots, [Noted(START_S + 1000, 1, "x")], START_S)

    assert [slot.queue for slot in book.unread(10)] == ["low"]
    assert slots[0].next_s == START_S + 10


def test_an_entry_that_is_removed_does_not_wait_for_the_ledger() -> None:
    book = running(periodic("a", misfire=Misfire.ALL))

    apply(book, now_s=START_S)

    assert book.unread(10) == []
    assert ids(book) == []


# -- pausing --


@pytest.mark.parametrize(
    ("config", "names", "paused"),
    [
        (PLAIN, {"a"}, ["a"]),
        (PLAIN, {"/b"}, ["b"]),
        (PLAIN, {"g/a"}, []),
        (ELECTED, {"g/a"}, ["a"]),
        (ELECTED, {"a", "other/b"}, ["a"]),
        (PLAIN, set(), []),
    ],
)
def test_entries_are_paused_by_their_id_in_all_groups_or_in_one(
    config: SchedulerConfig, names: set[str], paused: list[str]
) -> None:
    book = running(periodic("a"), periodic("b"), config=config)

    book.pause(frozenset(names))

    assert [slot.id for slot in book.slots() if slot.paused] == paused


def test_a_paused_entry_that_changes_stays_paused_and_so_does_one_that_comes_later() -> None:
    book = running(periodic("a"))
    book.pause(frozenset({"a", "b"}))

    apply(book, periodic("a", queue="low"), periodic("b"), periodic("c"), now_s=START_S)

    assert [slot.paused for slot in book.slots()] == [True, True, False]


# -- parts --


def test_entries_are_shown_in_parts_and_a_tick_makes_its_part_dirty() -> None:
    tasks = [periodic(f"e{n}", "@every 1h") for n in range(SHARD_ENTRIES)]
    book = running(*tasks, periodic("last", "@every 1s"))
    assert [len(shard) for shard in book.shards] == [SHARD_ENTRIES, 1]
    assert book.dirty_shards == {0, 1}
    book.dirty_shards.clear()

    assert taken(book, START_S + 1) == [("last", 1)]

    assert book.dirty_shards == {1}


def test_a_book_without_entries_has_one_empty_part() -> None:
    assert running().shards == [[]]


def test_a_slot_is_made_the_same_everywhere() -> None:
    def made() -> Slot:
        return make_slot(periodic(jitter=30), ELECTED)

    first, second = made(), made()

    assert (first.id, first.field, first.jitter_ms) == (second.id, second.field, second.jitter_ms)
    assert first.id != make_slot(periodic(jitter=30), SchedulerConfig(dst="once")).id
    assert first.id != make_slot(periodic(jitter=30), SchedulerConfig(location="Asia/Tokyo")).id
