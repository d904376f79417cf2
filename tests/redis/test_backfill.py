"""Backfills: the ticks of a past range, each once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis

from asynq_py import ConfigError, LeaderElection, NotFoundError, Scheduler, SchedulerConfig, Task
from asynq_py.clock import FixedClock
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support.database import pending
from tests.support.proxy import Proxy

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MakeScheduler = Callable[..., Scheduler]


@pytest.fixture
def make(server: RedisServer) -> MakeScheduler:
    def make_one(url: str = server.url, **config: object) -> Scheduler:
        clock = FixedClock(int(NOW.timestamp()) * 10**9)
        return Scheduler(url, SchedulerConfig(**config), clock=clock)  # type: ignore[arg-type]

    return make_one


def moments(database: redis.Redis, queue: str = "default") -> list[str]:
    """Of each pending task the moment it is for, oldest first."""
    found = []
    for task_id in pending(database, queue):
        data = database.hget(f"asynq:{{{queue}}}:t:{task_id}", "msg")
        assert isinstance(data, bytes)
        headers = decode(data).headers
        assert headers["asynq-entry"] == "hourly"
        found.append(headers["asynq-scheduled-for"])
    return found


def test_each_tick_of_a_range_is_enqueued_and_both_ends_belong_to_it(
    make: MakeScheduler, database: redis.Redis
) -> None:
    scheduler = make()
    scheduler.register("0 * * * *", Task("t"), name="hourly")

    done = scheduler.backfill("hourly", NOW - timedelta(hours=2), NOW)

    assert done == (3, 0)
    assert moments(database) == [f"2026-03-01T{hour}:00:00.000Z" for hour in (10, 11, 12)]


def test_ranges_that_overlap_enqueue_a_tick_once(
    make: MakeScheduler, database: redis.Redis
) -> None:
    election = LeaderElection("g")
    for hours in (2, 4, 3):
        # Every time another scheduler, which knows nothing of the others.
        scheduler = make(leader_election=election)
        scheduler.register("0 * * * *", Task("t"), name="hourly")
        scheduler.backfill("hourly", NOW - timedelta(hours=hours), NOW)

    assert sorted(moments(database)) == [
        f"2026-03-01T{hour:02}:00:00.000Z" for hour in range(8, 13)
    ]


def test_a_payload_is_made_for_each_tick(make: MakeScheduler, database: redis.Redis) -> None:
    scheduler = make()
    scheduler.register("0 * * * *", Task("t"), name="hourly", payload=lambda at: {"hour": at.hour})

    scheduler.backfill("hourly", NOW - timedelta(hours=1), NOW)

    payloads = [
        decode(database.hget(f"asynq:{{default}}:t:{i}", "msg")).payload  # type: ignore[arg-type]
        for i in pending(database)
    ]
    assert payloads == [b'{"hour":11}', b'{"hour":12}']


@pytest.mark.parametrize("where", ["request", "reply"])
def test_a_lost_connection_does_not_enqueue_twice_and_loses_nothing(
    make: MakeScheduler, proxy: Proxy, database: redis.Redis, where: str
) -> None:
    scheduler = make(proxy.url)
    scheduler.register("* * * * *", Task("t"), name="hourly")
    proxy.cut(where, b"EVALSHA")  # type: ignore[arg-type]

    done = scheduler.backfill("hourly", NOW - timedelta(minutes=9), NOW)

    assert done == (10, 0)
    assert len(set(moments(database))) == len(moments(database)) == 10


@pytest.mark.parametrize(
    ("start", "end", "limit", "why"),
    [
        (NOW, NOW + timedelta(seconds=1), 10, "in the future"),
        (NOW, NOW - timedelta(hours=1), 10, "before start"),
        (NOW - timedelta(hours=11), NOW, 11, "more than 11 ticks"),
        (NOW.replace(tzinfo=None), NOW, 10, "aware"),
    ],
)
def test_a_range_that_can_never_work_is_refused_and_nothing_enqueued(
    make: MakeScheduler,
    database: redis.Redis,
    start: datetime,
    end: datetime,
    limit: int,
    why: str,
) -> None:
    scheduler = make()
    scheduler.register("0 * * * *", Task("t"), name="hourly")

    with pytest.raises(ConfigError, match=why):
        scheduler.backfill("hourly", start, end, limit=limit)

    assert database.keys() == []


def test_an_entry_that_has_no_lasting_ticks_is_refused(make: MakeScheduler) -> None:
    scheduler = make()
    every = scheduler.register("@every 1m", Task("t"), name="every")

    with pytest.raises(ConfigError, match="@every"):
        scheduler.backfill(every, NOW - timedelta(hours=1), NOW)
    with pytest.raises(NotFoundError):
        scheduler.backfill("nobody", NOW - timedelta(hours=1), NOW)
