"""The doctor and the server itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import redis

from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.doctor import Doctor
from asynq_py.testing.redis_server import RedisServer
from tests.support.damage import Q, put


def of_server(url: str, **arguments: Any) -> list[str]:  # noqa: ANN401
    with Doctor(url, **arguments) as doctor:
        return sorted(finding.code for finding in doctor.examine())


def test_settings_that_lose_tasks_are_told(start_server: Callable[..., RedisServer]) -> None:
    server = start_server(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    assert of_server(server.url) == ["eviction", "no-persistence"]

    server.command("CONFIG", "SET", "appendonly", "yes")
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert of_server(server.url) == []
    server.command("CONFIG", "SET", "appendonly", "no")
    server.command("CONFIG", "SET", "save", "60 1")
    server.command("CONFIG", "SET", "maxmemory", "100000")
    assert of_server(server.url) == ["memory-full"]


def test_a_replica_can_be_looked_at_and_says_that_it_is_one(
    start_server: Callable[..., RedisServer],
    connect_raw: Callable[..., redis.Redis],
) -> None:
    server = start_server()
    server.command("CONFIG", "SET", "save", "60 1")
    database = connect_raw(server)
    put(database, "x", "pending")
    database.delete(Q + "t:x")
    database.set(Q + "unique:t:", "x")
    server.command("REPLICAOF", "127.0.0.1", "1")

    assert of_server(server.url) == ["ghost", "read-only", "stale-lock"]


def test_a_clock_that_is_off_is_told(server: RedisServer) -> None:
    for seconds, way in ((-2.5, "ahead of"), (2.5, "behind")):
        clock = FixedClock(time.time_ns() + round(seconds * NANOSECONDS))
        with Doctor(server.url, clock=clock) as doctor:
            found = [f for f in doctor.examine() if f.code == "clock-skew"]
        assert len(found) == 1
        told = re.search(r"is ([\d.]+) s (ahead of|behind)", found[0].what)
        assert told
        assert told[2] == way
        assert abs(float(told[1]) - 2.5) < 1
