"""The ledger of ticks, on a real server: what each tick is answered, and what is noted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from asynq_py import ConflictError, RejectedError, Task, TaskIDConflictError, WireError
from asynq_py.broker.enqueue import Announced, Draft, Fence, Tick
from asynq_py.broker.enqueue_all import enqueue_all
from asynq_py.broker.ledger import CHUNK_FIELDS, Noted, first_seen
from asynq_py.client.prepare import prepare
from asynq_py.connection.sync import Connection
from asynq_py.errors import (
    AsynqError,
    DuplicateTaskError,
    OverlapError,
    RunsExhaustedError,
    TickTakenError,
)
from asynq_py.options import normalize
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.keys import ledger_key, terms_key
from asynq_py.wire.message import TaskState
from tests.support.database import content, dump, pending, task_hash

NOW_NS = 1_900_000_000_000_000_000
LEDGER = ledger_key("default")
TERMS = terms_key("default")


@pytest.fixture
def connection(server: RedisServer) -> Iterator[Connection]:
    made = Connection(server.url)
    yield made
    made.close()


def draft(
    number: int = 100,
    *,
    entry: str = "e",
    task_id: str | None = None,
    unless_undone: bool = False,
    max_runs: int = 0,
    queue: str = "default",
    **options: Any,  # noqa: ANN401
) -> Draft:
    """The task of a tick."""
    made = prepare(
        Task(entry),
        normalize({"queue": queue, **options}),
        now_ns=NOW_NS,
        max_payload_size=None,
        task_id=task_id or f"{entry}:{number}",
    )
    return made._replace(tick=Tick(entry, number, unless_undone, max_runs))


def skipped(number: int, *, entry: str = "e") -> Draft:
    """A tick that is only noted."""
    return Draft("default", "", b"", TaskState.PENDING, tick=Tick(entry, number))


def send(
    connection: Connection, *drafts: Draft, term: int = 0, group: str = "g"
) -> list[AsynqError | None]:
    announced: Announced = {}
    op = enqueue_all(drafts, now_ns=NOW_NS, announced=announced, fence=Fence(group, term))
    return connection.run(op)


def kinds(outcomes: list[AsynqError | None]) -> list[type[AsynqError] | None]:
    return [None if outcome is None else type(outcome) for outcome in outcomes]


def noted(database: redis.Redis, entry: str = "e", queue: str = "default") -> str | None:
    value = database.hget(ledger_key(queue), entry)
    return None if value is None else value.decode()


def same_id(outcome: AsynqError | None) -> bool:
    assert isinstance(outcome, TickTakenError)
    return outcome.same_id


# -- one tick --


def test_a_tick_is_stored_and_noted_in_one(connection: Connection, database: redis.Redis) -> None:
    assert send(connection, draft(100)) == [None]

    assert noted(database) == "100 1 e:100"
    assert pending(database) == ["e:100"]
    assert task_hash(database, "default", "e:100")["state"] == b"pending"


def test_a_task_that_is_no_tick_does_not_touch_the_ledger(
    connection: Connection, database: redis.Redis
) -> None:
    plain = draft(100)._replace(tick=None)
    connection.run(enqueue_all([plain], now_ns=NOW_NS, announced={}))

    assert not database.exists(LEDGER)
    assert not database.exists(TERMS)


@pytest.mark.parametrize("number", [100, 99])
def test_a_tick_that_is_not_after_the_last_one_is_refused(
    connection: Connection, database: redis.Redis, number: int
) -> None:
    send(connection, draft(100))
    before = content(database)

    (outcome,) = send(connection, draft(number, task_id="another"))

    assert kinds([outcome]) == [TickTakenError]
    assert not same_id(outcome)
    assert content(database) == before


def test_the_same_tick_with_the_same_id_is_known_for_an_earlier_attempt(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100))
    # Also where its task is done and gone.
    database.delete("asynq:{default}:pending", "asynq:{default}:t:e:100")
    before = content(database)

    (outcome,) = send(connection, draft(100))

    assert same_id(outcome)
    assert content(database) == before


def test_ticks_are_compared_as_numbers(connection: Connection, database: redis.Redis) -> None:
    large = 1_900_000_000_000_123
    outcomes = send(connection, draft(99), draft(100), draft(large), draft(large + 1), draft(1000))

    assert kinds(outcomes) == [None, None, None, None, TickTakenError]
    assert noted(database) == f"{large + 1} 4 e:{large + 1}"


# -- overlap --


def in_state(database: redis.Redis, state: str, task_id: str = "e:100") -> None:
    database.hset(f"asynq:{{default}}:t:{task_id}", "state", state)


@pytest.mark.parametrize("state", ["pending", "active", "scheduled", "retry", "aggregating"])
def test_a_tick_is_left_out_while_the_last_task_is_not_done(
    connection: Connection, database: redis.Redis, state: str
) -> None:
    send(connection, draft(100))
    in_state(database, state)

    outcomes = send(connection, draft(110, unless_undone=True))

    assert kinds(outcomes) == [OverlapError]
    # Noted, so that nobody makes up for it; its task is still the last one.
    assert noted(database) == "110 1 e:100"
    assert pending(database) == ["e:100"]
    assert kinds(send(connection, draft(110))) == [TickTakenError]


@pytest.mark.parametrize("state", ["completed", "archived", "gone"])
def test_a_tick_is_enqueued_once_the_last_task_is_done(
    connection: Connection, database: redis.Redis, state: str
) -> None:
    send(connection, draft(100))
    if state == "gone":
        database.delete("asynq:{default}:t:e:100")
    else:
        in_state(database, state)

    assert send(connection, draft(110, unless_undone=True)) == [None]

    assert noted(database) == "110 2 e:110"


def test_the_last_task_is_asked_after_ticks_that_were_left_out(
    connection: Connection, database: redis.Redis
) -> None:
    outcomes = send(connection, *(draft(n, unless_undone=True) for n in (100, 110, 120)))

    assert kinds(outcomes) == [None, OverlapError, OverlapError]
    assert noted(database) == "120 1 e:100"


def test_an_entry_that_allows_overlap_does_not_ask(connection: Connection) -> None:
    assert send(connection, draft(100), draft(110)) == [None, None]


def test_a_key_of_a_wrong_type_in_place_of_the_last_task_is_no_task(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100))
    database.delete("asynq:{default}:t:e:100")
    database.set("asynq:{default}:t:e:100", "a string")

    assert send(connection, draft(110, unless_undone=True)) == [None]


# -- the most runs --


def test_an_entry_runs_as_often_as_it_may(connection: Connection, database: redis.Redis) -> None:
    outcomes = send(connection, *(draft(n, max_runs=2) for n in (100, 110, 120, 130)))

    assert kinds(outcomes) == [None, None, RunsExhaustedError, RunsExhaustedError]
    assert noted(database) == "110 2 e:110"
    assert pending(database) == ["e:100", "e:110"]


def test_only_what_was_stored_counts_as_a_run(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, skipped(80), draft(90, task_id="taken", entry="other"))

    outcomes = send(
        connection,
        draft(100, task_id="taken", max_runs=1),
        draft(110, max_runs=1),
        draft(120, max_runs=1),
    )

    assert kinds(outcomes) == [TaskIDConflictError, None, RunsExhaustedError]
    assert noted(database) == "110 1 e:110"


# -- ticks that are not stored --


def test_a_tick_that_is_skipped_is_noted_and_nothing_is_enqueued(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100))

    assert send(connection, skipped(110)) == [None]

    assert noted(database) == "110 1 e:100"
    assert pending(database) == ["e:100"]
    assert kinds(send(connection, draft(110), draft(111))) == [TickTakenError, None]


def test_a_note_does_not_take_the_ledger_back(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100))

    assert kinds(send(connection, skipped(90), skipped(100))) == [TickTakenError] * 2

    assert noted(database) == "100 1 e:100"


def test_a_tick_whose_lock_is_held_is_noted(connection: Connection, database: redis.Redis) -> None:
    outcomes = send(connection, draft(100, unique=60), draft(110, unique=60))

    assert kinds(outcomes) == [None, DuplicateTaskError]
    assert noted(database) == "110 1 e:100"


def test_a_tick_whose_id_is_taken_is_noted(connection: Connection, database: redis.Redis) -> None:
    outcomes = send(connection, draft(100, task_id="x"), draft(110, task_id="x"))

    assert kinds(outcomes) == [None, TaskIDConflictError]
    assert noted(database) == "110 1 x"


def test_a_tick_that_redis_refuses_is_not_noted(
    connection: Connection, database: redis.Redis
) -> None:
    database.set("asynq:{default}:pending", "a string")

    (outcome,) = send(connection, draft(100))

    assert isinstance(outcome, RejectedError)
    assert outcome.code == "WRONGTYPE"
    assert noted(database) is None
    database.delete("asynq:{default}:pending")
    assert send(connection, draft(100)) == [None]


@pytest.mark.parametrize("term", [0, 7])
@pytest.mark.parametrize("what", ["stored", "noted", "overlapping", "locked"])
def test_a_tick_for_which_there_is_no_memory_is_refused_by_that_name(
    start_server: Callable[..., RedisServer], what: str, term: int
) -> None:
    server = start_server()
    connection = Connection(server.url)
    send(connection, draft(100, unique=60))
    server.command("CONFIG", "SET", "maxmemory", "1")
    made = {
        "stored": draft(110),
        "noted": skipped(110),
        "overlapping": draft(110, unless_undone=True),
        "locked": draft(110, unique=60),
    }[what]

    op = enqueue_all([made], now_ns=NOW_NS, announced={"default": NOW_NS}, fence=Fence("g", term))
    (outcome,) = connection.run(op)

    assert isinstance(outcome, RejectedError)
    assert outcome.code == "OOM"
    connection.close()


# -- where else tasks may wait --


def test_ticks_may_be_unique_scheduled_or_in_a_group(
    connection: Connection, database: redis.Redis
) -> None:
    outcomes = send(
        connection,
        draft(100, entry="unique", unique=60),
        draft(100, entry="later", process_in=60),
        draft(100, entry="grouped", group="gr"),
        draft(100, entry="both", group="gr", unique=50),
        draft(100, entry="plain"),
    )

    assert outcomes == [None] * 5
    assert pending(database) == ["unique:100", "plain:100"]
    assert database.zrange("asynq:{default}:scheduled", 0, -1) == [b"later:100"]
    assert set(database.zrange("asynq:{default}:g:gr", 0, -1)) == {b"grouped:100", b"both:100"}
    assert database.smembers("asynq:{default}:groups") == {b"gr"}
    assert database.hgetall(LEDGER) == {
        f"{entry}".encode(): f"100 1 {entry}:100".encode()
        for entry in ("unique", "later", "grouped", "both", "plain")
    }


@pytest.mark.parametrize(
    "options", [{}, {"unique": 60}, {"process_in": 60}, {"group": "gr"}], ids=str
)
def test_a_tick_stores_what_a_client_would_store(
    connection: Connection, database: redis.Redis, options: dict[str, Any]
) -> None:
    made = draft(100, **options)
    connection.run(enqueue_all([made._replace(tick=None)], now_ns=NOW_NS, announced={}))
    by_a_client = dump(database)
    database.flushdb()

    send(connection, made)

    by_a_tick = dump(database)
    assert set(by_a_tick) - set(by_a_client) == {LEDGER}
    assert {key: by_a_tick[key] for key in by_a_client} == by_a_client


# -- batches --


def test_entries_of_a_batch_do_not_get_into_each_others_way(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100, entry="a"))

    outcomes = send(
        connection,
        draft(110, entry="a", unless_undone=True),
        draft(100, entry="b", max_runs=1),
        skipped(100, entry="c"),
        draft(90, entry="a"),
        draft(110, entry="b", max_runs=1),
        draft(110, entry="c", process_in=5),
        draft(100, entry="d"),
        draft(100, entry="d"),
        draft(50, entry="low", queue="low"),
    )

    assert kinds(outcomes) == [
        OverlapError,
        None,
        None,
        TickTakenError,
        RunsExhaustedError,
        None,
        None,
        TickTakenError,
        None,
    ]
    assert [noted(database, entry) for entry in "abcd"] == [
        "110 1 a:100",
        "100 1 b:100",
        "110 1 c:110",
        "100 1 d:100",
    ]
    assert noted(database, "low", "low") == "50 1 low:50"
    assert noted(database, "low") is None


def test_a_large_batch_keeps_the_order_of_each_entrys_ticks(
    connection: Connection, database: redis.Redis
) -> None:
    drafts = [draft(number, entry=entry) for number in range(1, 301) for entry in "ab"]

    assert send(connection, *drafts) == [None] * 600

    assert pending(database) == [each.task_id for each in drafts]
    assert noted(database, "a") == "300 300 a:300"


# -- terms --


def test_a_term_below_the_highest_seen_is_refused_whole(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100), term=7)
    before = content(database)

    outcomes = send(connection, draft(110), skipped(110, entry="other"), term=6)

    assert [getattr(outcome, "code", None) for outcome in outcomes] == ["FENCED"] * 2
    assert "FENCED a leader of term 7 has been here" in str(outcomes[0])
    assert not isinstance(outcomes[0], ConflictError)
    assert content(database) == before


def test_terms_are_kept_by_group_and_by_queue(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100, entry="a"), term=7)

    assert send(connection, draft(100, entry="b"), term=6, group="other") == [None]
    assert send(connection, draft(100, entry="c", queue="low"), term=6) == [None]
    assert send(connection, draft(110, entry="a"), term=7) == [None]
    assert send(connection, draft(120, entry="a"), term=8) == [None]

    assert database.hgetall(TERMS) == {b"g": b"8", b"other": b"6"}
    assert database.hgetall(terms_key("low")) == {b"g": b"6"}


def test_without_an_election_no_term_is_noted_and_none_is_looked_at(
    connection: Connection, database: redis.Redis
) -> None:
    send(connection, draft(100), term=7)

    assert send(connection, draft(110), term=0) == [None]

    assert database.hgetall(TERMS) == {b"g": b"7"}


def test_a_term_is_taken_in_with_the_first_tick_even_if_that_is_not_stored(
    connection: Connection,
) -> None:
    send(connection, draft(100), term=7)
    send(connection, draft(100), term=8)

    (outcome,) = send(connection, draft(110), term=7)

    assert getattr(outcome, "code", None) == "FENCED"


# -- reading --


def test_an_entry_is_noted_when_it_is_first_seen_and_only_then(
    connection: Connection, database: redis.Redis
) -> None:
    fields = [("default", "a"), ("low", "a")]

    first = connection.run(first_seen(fields, baseline_s=100))
    later = connection.run(first_seen([*fields, ("default", "new")], baseline_s=200))

    assert first == [Noted(100, 0, "")] * 2
    assert later == [*first, Noted(200, 0, "")]
    assert noted(database, "a") == "100 0 "


def test_the_first_tick_counts_from_the_baseline(connection: Connection) -> None:
    connection.run(first_seen([("default", "e")], baseline_s=100))

    assert kinds(send(connection, draft(100), draft(101))) == [TickTakenError, None]


def test_what_was_enqueued_is_read_with_an_id_of_any_form(connection: Connection) -> None:
    send(connection, draft(100, task_id="an id: with ü and blanks"))

    assert connection.run(first_seen([("default", "e")], baseline_s=500)) == [
        Noted(100, 1, "an id: with ü and blanks")
    ]
    (outcome,) = send(connection, draft(100, task_id="an id: with ü and blanks"))
    assert same_id(outcome)


def test_very_many_entries_are_read_in_their_order(connection: Connection) -> None:
    fields = [(queue, f"e{n}") for n in range(2 * CHUNK_FIELDS + 1) for queue in ("a", "b")]
    connection.run(first_seen(fields[::2], baseline_s=100))

    read = connection.run(first_seen(fields, baseline_s=200))

    assert [each.tick for each in read] == [100, 200] * (2 * CHUNK_FIELDS + 1)


def test_what_cannot_be_read_is_an_error(connection: Connection, database: redis.Redis) -> None:
    database.hset(LEDGER, "e", "nonsense")

    with pytest.raises(WireError, match="nonsense"):
        connection.run(first_seen([("default", "e")], baseline_s=100))


def test_scripts_that_the_server_has_lost_are_sent_again(
    connection: Connection, database: redis.Redis
) -> None:
    database.script_flush()

    assert (
        connection.run(first_seen([("default", "e"), ("low", "e")], baseline_s=1))
        == [Noted(1, 0, "")] * 2
    )
