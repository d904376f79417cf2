"""The doctor and the server itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from asynq_py.broker.op import Exchange, Reply, Request, run
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, FixedClock
from asynq_py.doctor import Doctor
from asynq_py.doctor.server import check_server
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


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        ("2.8.24", True),
        ("6.0.16", True),
        ("6.2.0", False),
        ("7.0.15", False),
        ("10.0.1", False),
        ("255.255.255", False),
        ("", False),
        ("unstable", False),
    ],
)
def test_a_version_that_is_too_old_is_told(
    version: str, is_old: bool, database: redis.Redis
) -> None:
    """What this server says of itself is read, with another version in it."""

    def send(request: Request) -> list[Reply]:
        assert isinstance(request, Exchange)
        replies = [database.execute_command(*command) for command in request.commands]
        for reply in replies:
            if isinstance(reply, dict) and "redis_version" in reply:
                reply["redis_version"] = version
        return replies

    found = run(check_server(SYSTEM_CLOCK), send)

    told = [each.what for each in found if each.code == "old-redis"]
    assert told == ([f"Redis is version {version}"] if is_old else [])


def test_a_snapshot_that_failed_is_told(start_server: Callable[..., RedisServer]) -> None:
    server = start_server(appendonly=True)
    folder = Path(server.command("CONFIG", "GET", "dir")[1].decode())
    (folder / "dump.rdb" / "in the way").mkdir(parents=True)

    server.command("BGSAVE")
    end = time.monotonic() + 20
    while b"rdb_bgsave_in_progress:1" in server.command("INFO", "persistence"):
        assert time.monotonic() < end

    with Doctor(server.url) as doctor:
        (found,) = doctor.examine()
    assert (found.code, found.what) == ("failed-save", "the last snapshot failed")
    (folder / "dump.rdb" / "in the way").rmdir()
    (folder / "dump.rdb").rmdir()
    server.command("SAVE")
    assert of_server(server.url) == []
