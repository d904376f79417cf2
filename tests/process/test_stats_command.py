"""asynq-py stats and server: everything at a glance, and who is at work."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import redis

from asynq_py import Client, Task
from asynq_py.clock import NANOSECONDS
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.asynq_pb2 import ServerInfo, WorkerInfo
from asynq_py.wire.keys import SERVERS, WORKERS, failed_key, processed_key
from asynq_py.wire.presence import timestamp
from tests.conftest import Cluster
from tests.support.commands import Command
from tests.support.states import put


@pytest.fixture
def filled(database: redis.Redis) -> redis.Redis:
    """Two queues, one of them paused."""
    for n in range(3):
        put(database, "pending", f"p{n}", queue="critical")
    put(database, "aggregating", "a", queue="low", group="g")
    put(database, "retry", "r", queue="low")
    database.set("asynq:{low}:paused", 1)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    for queue, processed, failed in (("critical", 100, 1), ("low", 100, 0)):
        database.set(processed_key(queue, day), processed)
        database.set(failed_key(queue, day), failed)
    return database


def test_everything_is_shown_as_go_shows_it(asynq: Command, filled: redis.Redis) -> None:
    ran = asynq("stats")

    assert (ran.code, ran.err) == (0, "")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert ran.lines[:13] == [
        "Task Count by State",
        "active  pending  aggregating  scheduled  retry  archived  completed",
        "0       3        1            0          1      0         0",
        "",
        "Task Count by Queue",
        "critical  low (paused)",
        "3         2",
        "",
        f"Daily Stats {day} UTC",
        "processed  failed  error rate",
        "200        1       0.50%",
        "",
        "Redis Info",
    ]
    assert ran.table[13] == [
        "version",
        "uptime",
        "connections",
        "memory usage",
        "peak memory usage",
    ]
    version, uptime, connections, memory, peak = ran.table[14]
    assert version == filled.info()["redis_version"]
    assert uptime == "0 days"
    assert int(connections) >= 2
    assert memory.endswith("B")
    assert peak.endswith("B")
    assert len(ran.lines) == 15


def test_everything_is_there_for_programs(asynq: Command, filled: redis.Redis) -> None:
    found = asynq("stats", "--output", "json").json

    assert found["aggregate"].pop("timestamp").endswith("Z")
    assert found["aggregate"] == {
        "active": 0,
        "pending": 3,
        "aggregating": 1,
        "scheduled": 0,
        "retry": 1,
        "archived": 0,
        "completed": 0,
        "processed": 200,
        "failed": 1,
    }
    assert [(queue["queue"], queue["size"]) for queue in found["queues"]] == [
        ("critical", 3),
        ("low", 2),
    ]
    assert found["redis"]["redis_version"] == filled.info()["redis_version"]


def test_an_empty_redis_has_stats(asynq: Command) -> None:
    ran = asynq("stats")

    assert ran.code == 0
    assert ran.lines[5] == "No queues"
    assert ran.table[9] == ["0", "0", "N/A"]


def test_a_queue_whose_name_is_no_utf_8_does_not_hide_the_others(
    asynq: Command, filled: redis.Redis
) -> None:
    filled.sadd("asynq:queues", b"\xff")

    ran = asynq("stats")

    assert ran.code == 0
    assert ran.lines[5] == "critical  low (paused)"
    assert ran.err == ('asynq-py: queue "\\xff" is left out: it is gone, or its name is no UTF-8\n')


def test_a_cluster_has_stats(command: Command, cluster: Cluster) -> None:
    with Client(cluster.url) as client:
        client.enqueue(Task("t"))

    ran = command("stats", "--redis", cluster.url)

    assert (ran.code, ran.err) == (0, "")
    assert ran.table[-3:] == [
        ["Redis Cluster Info"],
        ["State", "Known Nodes", "Cluster Size"],
        ["OK", "1", "1"],
    ]


@pytest.mark.parametrize("output", ["table", "json"])
def test_stats_are_shown_again_and_again_until_interrupted(
    output: str, server: RedisServer, filled: redis.Redis
) -> None:
    watch = ["--watch=0.1"] if output == "json" else ["--watch", "0.1"]
    arguments = ["stats", *watch, "--output", output, "--redis", server.url]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "asynq_py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if output == "json":
            pending = json.loads(line)["aggregate"]["pending"]
        elif found := re.fullmatch(r"0 +(\d+) +1 +0 +1 +0 +0\n", line):
            pending = int(found[1])
        else:
            continue
        if pending == 4:
            break
        filled.lrem("asynq:{critical}:pending", 0, "more")
        put(filled, "pending", "more", queue="critical")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("arguments", [["5"], ["--watch", "0"], ["--watch", "x"], ["--watch="]])
def test_wrong_usage_exits_with_2(arguments: list[str], command: Command) -> None:
    ran = command("stats", *arguments)

    assert (ran.code, ran.out) == (2, "")


# -- server ls --


def show_server(database: redis.Redis, host: str, pid: int, **fields: object) -> None:
    """Shows a server as one does, with a task at work."""
    started = timestamp((int(time.time()) - 65) * NANOSECONDS)
    info = ServerInfo(
        **{  # type: ignore[arg-type]
            "host": host,
            "pid": pid,
            "server_id": "id",
            "concurrency": 10,
            "queues": {"low": 1, "critical": 6, "default": 1},
            "status": "active",
            "start_time": started,
            "active_worker_count": 1,
        }
        | fields
    )
    worker = WorkerInfo(
        host=host,
        pid=pid,
        server_id=info.server_id,
        task_id="task",
        task_type="t",
        task_payload=b"\xff",
        queue="low",
        start_time=started,
        deadline=started,
    )
    for key, index in (("servers", SERVERS), ("workers", WORKERS)):
        name = f"asynq:{key}:{{{host}:{pid}:{info.server_id}}}"
        database.zadd(index, {name: int(time.time()) + 60})
        if key == "servers":
            database.set(name, info.SerializeToString())
        else:
            database.hset(name, "task", worker.SerializeToString())


def test_servers_are_listed_as_go_lists_them(asynq: Command, database: redis.Redis) -> None:
    show_server(database, "b", 1, server_id="x")
    show_server(database, "a", 20, server_id="y", status="stopped")
    show_server(database, "a", 3, server_id="z")

    ran = asynq("server", "ls")

    assert (ran.code, ran.err) == (0, "")
    queues = "critical:6 default:1 low:1"
    assert [row[:5] for row in ran.table] == [
        ["Host", "PID", "State", "Active Workers", "Queues"],
        ["a", "3", "active", "1/10", queues],
        ["a", "20", "stopped", "1/10", queues],
        ["b", "1", "active", "1/10", queues],
    ]
    assert all(re.fullmatch(r"1m[56]s ago", row[5]) for row in ran.table[1:])


def test_servers_are_there_for_programs(asynq: Command, database: redis.Redis) -> None:
    show_server(database, "a", 1)

    (found,) = asynq("server", "ls", "--output", "json").json

    assert found.pop("started_at").endswith("Z")
    (worker,) = found.pop("active_workers")
    assert found == {
        "id": "id",
        "host": "a",
        "pid": 1,
        "status": "active",
        "concurrency": 10,
        "queues": {"critical": 6, "default": 1, "low": 1},
        "strict_priority": False,
    }
    assert worker.pop("started_at") == worker.pop("deadline")
    assert worker == {"task_id": "task", "type": "t", "payload_base64": "/w==", "queue": "low"}


def test_no_servers_are_said_to_be_none(asynq: Command) -> None:
    assert asynq("server", "ls").out == "No running servers\n"
    assert asynq("server", "ls", "--output", "json").json == []


# -- completion --


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("task ls ", {"critical", "low"}),
        ("task ls l", {"low"}),
        ("task ls -q c", {"critical"}),
        ("task ls low a", {"active", "aggregating", "archived"}),
        ("task ls low aggregating -g ", {"g"}),
        ("queue pause low c", {"critical"}),
        ("enqueue --queue c", {"critical"}),
        ("ta", {"task"}),
    ],
)
def test_a_shell_is_offered_what_there_is(
    words: str, offered: set[str], server: RedisServer, filled: redis.Redis
) -> None:
    assert complete(words, server.url) == offered
    assert complete(f"--redis {server.url} {words}", "redis://localhost:1") == offered


def test_without_redis_a_shell_is_offered_nothing() -> None:
    assert complete("task ls ", "redis://localhost:1") == set()


def complete(words: str, url: str) -> set[str]:
    """What bash is offered for the last of the words."""
    typed = f"asynq-py {words}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "asynq_py"],
        env=os.environ
        | {
            "_ASYNQ_PY_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split(" ")) - 1),
            "ASYNQ_REDIS_URL": url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return set(done.stdout.split())
