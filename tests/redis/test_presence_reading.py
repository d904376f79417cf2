"""Reading what schedulers show: their entries, and the runs of an entry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from asynq_py import WireError
from asynq_py.broker.presence import (
    EnqueueEvent,
    PublishedEntries,
    list_schedulers,
    read_enqueue_events,
    read_scheduler_entries,
    record_enqueue_events,
    write_scheduler_entries,
)
from asynq_py.clock import NANOSECONDS
from asynq_py.connection.sync import Connection
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.keys import scheduler_history_key, scheduler_key
from asynq_py.wire.presence import scheduler_entry, timestamp_ns
from tests.conftest import Cluster

NOW_NS = 1_700_000_000 * NANOSECONDS


def entry(entry_id: str, next_ns: int | None = NOW_NS) -> object:
    return scheduler_entry(
        entry_id, "@daily", "t", b"\xff", ['Queue("q")'], next_ns=next_ns, previous_ns=None
    )


@pytest.fixture(params=["server", "cluster"])
def connection(
    request: pytest.FixtureRequest, server: RedisServer, cluster: Cluster
) -> Iterator[Connection]:
    """A connection to an emptied server, or to a cluster."""
    connection = Connection((server if request.param == "server" else cluster).url)
    yield connection
    connection.close()


def publish(connection: Connection, scheduler_id: str, *ids: str, ttl_s: int = 20) -> None:
    entries = [entry(entry_id) for entry_id in ids]
    connection.run(
        write_scheduler_entries(scheduler_id, entries, ttl_s=ttl_s, now_ns=NOW_NS)  # type: ignore[arg-type]
    )


def test_the_schedulers_in_force_are_listed(connection: Connection) -> None:
    publish(connection, "a", "1", ttl_s=30)
    publish(connection, "b", "2", ttl_s=20)

    assert connection.run(list_schedulers(NOW_NS)) == [scheduler_key("b"), scheduler_key("a")]
    assert connection.run(list_schedulers(NOW_NS + 20 * NANOSECONDS)) == [
        scheduler_key("b"),
        scheduler_key("a"),
    ]
    assert connection.run(list_schedulers(NOW_NS + 21 * NANOSECONDS)) == [scheduler_key("a")]
    assert connection.run(list_schedulers(NOW_NS + 31 * NANOSECONDS)) == []


def test_the_entries_of_all_schedulers_are_read_as_they_were_written(
    connection: Connection,
) -> None:
    publish(connection, "a", "1", "2")
    publish(connection, "b", "3")
    keys = [scheduler_key("a"), scheduler_key("gone"), scheduler_key("b")]

    found = connection.run(read_scheduler_entries(keys))

    # LPUSH turns the order around, in Go too.
    assert found == PublishedEntries([entry("2"), entry("1"), entry("3")], 0)  # type: ignore[list-item]


def test_no_schedulers_have_no_entries(connection: Connection) -> None:
    assert connection.run(read_scheduler_entries([])) == PublishedEntries([], 0)


def test_what_cannot_be_read_is_left_out_and_counted(
    server: RedisServer, database: redis.Redis
) -> None:
    connection = Connection(server.url)
    publish(connection, "a", "1")
    database.rpush(scheduler_key("a"), b"\xff\xff", b"\x0a\x7f")

    found = connection.run(read_scheduler_entries([scheduler_key("a")]))
    connection.close()

    assert ([found_entry.id for found_entry in found.entries], found.unreadable) == (["1"], 2)


def test_the_newest_runs_come_first_and_page_by_page(connection: Connection) -> None:
    runs = [EnqueueEvent("e", f"task-{n}", NOW_NS + n * NANOSECONDS) for n in range(5)]
    connection.run(record_enqueue_events(runs))

    def page(start: int, count: int) -> list[str]:
        return [event.task_id for event in connection.run(read_enqueue_events("e", start, count))]

    assert page(0, 2) == ["task-4", "task-3"]
    assert page(2, 2) == ["task-2", "task-1"]
    assert page(4, 2) == ["task-0"]
    assert page(6, 2) == []
    assert page(0, 0) == []
    (newest,) = connection.run(read_enqueue_events("e", 0, 1))
    assert timestamp_ns(newest.enqueue_time) == NOW_NS + 4 * NANOSECONDS


def test_an_unreadable_run_fails_the_reading_as_in_go(
    server: RedisServer, database: redis.Redis
) -> None:
    connection = Connection(server.url)
    database.zadd(scheduler_history_key("e"), {b"\xff\xff": 1})

    with pytest.raises(WireError, match="no SchedulerEnqueueEvent"):
        connection.run(read_enqueue_events("e", 0, 10))
    connection.close()
