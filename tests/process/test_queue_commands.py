"""asynq-py queue and group: looking at queues, pausing and removing them."""

from __future__ import annotations

import time

import pytest
import redis

from asynq_py import Client, Task
from asynq_py.wire.keys import failed_key, pending_key, processed_key
from tests.conftest import Cluster
from tests.support.commands import Command
from tests.support.states import put


@pytest.fixture
def filled(database: redis.Redis) -> redis.Redis:
    """A queue with a task or more in every state, and today's work."""
    now = int(time.time())
    for n, (state, count) in enumerate(
        [
            ("active", 1),
            ("pending", 2),
            ("scheduled", 3),
            ("retry", 4),
            ("archived", 5),
            ("completed", 6),
        ]
    ):
        for i in range(count):
            put(database, state, f"{n}-{i}", queue="mail", score=now + 1000)
    put(database, "aggregating", "a", queue="mail", group="g1")
    put(database, "aggregating", "b", queue="mail", group="g2")
    put(database, "aggregating", "c", queue="mail", group="g2")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    database.set(processed_key("mail", day), 300)
    database.set(failed_key("mail", day), 1)
    return database


def test_the_names_of_queues_are_listed(asynq: Command, filled: redis.Redis) -> None:
    put(filled, "pending", "x", queue="a \x1b[31m")

    for word in ("ls", "list"):
        ran = asynq("queue", word)
        assert (ran.code, ran.err) == (0, "")
        assert ran.lines == ["a \\x1b[31m", "mail"]
    red, mail = asynq("queue", "ls", "--output", "json").json
    assert red["queue"] == "a \x1b[31m"
    # Without those in groups, which would have to be counted.
    assert (mail["queue"], mail["size"], mail["archived"], mail["paused"]) == ("mail", 21, 5, False)


def test_no_queues_are_said_to_be_none(asynq: Command) -> None:
    ran = asynq("queue", "ls")

    assert (ran.code, ran.out, ran.err) == (0, "", "asynq-py: there are no queues\n")
    assert asynq("queue", "ls", "--output", "json").json == []


def test_the_queues_of_a_cluster_are_listed_with_their_nodes(
    command: Command, cluster: Cluster
) -> None:
    with Client(cluster.url) as client:
        client.enqueue(Task("t"))

    ran = command("queue", "ls", "--redis", cluster.url)
    found = command("queue", "ls", "--redis", cluster.url, "--output", "json").json

    slot = cluster.server.command("CLUSTER", "KEYSLOT", pending_key("default"))
    address = f"127.0.0.1:{cluster.proxy.port}"
    assert ran.table == [
        ["Queue", "Cluster KeySlot", "Cluster Nodes"],
        ["default", str(slot), address],
    ]
    assert found[0]["keyslot"] == slot
    assert found[0]["nodes"][0]["address"] == address


def test_a_name_that_is_no_utf_8_is_shown_escaped(asynq: Command, database: redis.Redis) -> None:
    database.sadd("asynq:queues", b"\xff")

    assert asynq("queue", "ls").out == "\\xff\n"
    assert asynq("queue", "ls", "--output", "json").json[0]["queue"] == "\\xff"


def test_a_queue_is_shown_as_go_shows_it(asynq: Command, filled: redis.Redis) -> None:
    ran = asynq("queue", "inspect", "mail")

    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [
        "Queue Info",
        "Name:   mail",
        "Size:   24",
        "Groups: 2",
        "Paused: false",
        "",
        "Task Count by State",
        "active  pending  aggregating  scheduled  retry  archived  completed",
        "1       2        3            3          4      5         6",
        "",
        f"Daily Stats {day} UTC",
        "processed  failed  error rate",
        "300        1       0.33%",
    ]


def test_a_queue_is_there_for_programs(asynq: Command, filled: redis.Redis) -> None:
    (found,) = asynq("queue", "inspect", "mail", "--output", "json").json

    assert found.pop("memory_usage") > 0
    assert found.pop("latency") >= 0
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "queue": "mail",
        "size": 24,
        "groups": 2,
        "pending": 2,
        "active": 1,
        "scheduled": 3,
        "retry": 4,
        "archived": 5,
        "completed": 6,
        "aggregating": 3,
        "processed": 300,
        "failed": 1,
        "processed_total": 0,
        "failed_total": 0,
        "paused": False,
    }


def test_what_is_missing_is_said_and_the_others_are_shown(
    asynq: Command, filled: redis.Redis
) -> None:
    ran = asynq("queue", "inspect", "nope", "mail")

    assert (ran.code, ran.err) == (1, 'asynq-py: there is no queue "nope"\n')
    assert ran.lines[1] == "Name:   mail"
    assert asynq("queue", "inspect", "nope", "--output", "json").json == []


def test_the_days_of_a_queue_are_shown(asynq: Command, filled: redis.Redis) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime())

    ran = asynq("queue", "history", "mail", "-x", "2")
    found = asynq("queue", "history", "mail", "--output", "json").json

    assert ran.lines[0] == "Queue: mail"
    assert ran.table[2] == ["date (UTC)", "processed", "failed", "error rate"]
    assert ran.table[3] == [today, "300", "1", "0.33%"]
    assert ran.table[4][1:] == ["0", "0", "N/A"]
    assert len(ran.lines) == 5
    assert len(found) == 10
    assert found[0] == {"queue": "mail", "date": today, "processed": 300, "failed": 1}


@pytest.mark.parametrize("resume", ["resume", "unpause"])
def test_a_queue_is_paused_and_resumed(resume: str, asynq: Command, filled: redis.Redis) -> None:
    ran = asynq("queue", "pause", "mail", "nope")

    assert ran.out == ('Successfully paused queue "mail"\nSuccessfully paused queue "nope"\n')
    assert (ran.code, ran.err) == (0, 'asynq-py: there is no queue "nope" yet\n')
    assert "Paused: true" in asynq("queue", "inspect", "mail").lines
    ran = asynq("queue", "pause", "mail")
    assert (ran.code, ran.err) == (1, 'asynq-py: queue "mail" is already paused\n')
    ran = asynq("queue", resume, "mail", "mail")
    assert (ran.code, ran.err) == (1, 'asynq-py: queue "mail" is not paused\n')
    assert ran.out == 'Successfully unpaused queue "mail"\n'


def test_which_queues_were_changed_is_there_for_programs(
    asynq: Command, database: redis.Redis
) -> None:
    database.sadd("asynq:queues", "a", "b")

    def change(action: str, *queues: str) -> object:
        ran = asynq("queue", action, *queues, "nope", "--output", "json")
        assert ran.code == 1
        assert ran.err.splitlines()[-1].startswith("asynq-py: ")
        return ran.json

    asynq("queue", "pause", "nope")
    assert change("pause", "a", "b") == [
        {"queue": "a", "paused": True},
        {"queue": "b", "paused": True},
    ]
    asynq("queue", "resume", "nope")
    assert change("resume", "a") == [{"queue": "a", "paused": False}]
    assert change("rm", "b") == [{"queue": "b", "removed": True}]
    assert change("rm", "b") == []


def test_an_empty_queue_is_removed_unasked(asynq: Command, database: redis.Redis) -> None:
    database.sadd("asynq:queues", "mail")

    ran = asynq("queue", "rm", "mail")

    assert (ran.code, ran.out, ran.err) == (0, 'Successfully removed queue "mail"\n', "")
    assert database.keys() == []


def test_a_queue_with_tasks_is_removed_only_by_force_and_agreement(
    asynq: Command, filled: redis.Redis
) -> None:
    ran = asynq("queue", "rm", "mail")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == ('asynq-py: queue "mail" is not empty; --force removes it with its tasks\n')
    ran = asynq("queue", "rm", "mail", "--force")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "asynq-py: nobody can be asked here; --yes does it without asking\n"
    ran = asynq("queue", "rm", "mail", "-f", "-y")
    assert (ran.code, ran.err) == (1, 'asynq-py: queue "mail" has active tasks\n')

    asynq("queue", "rm", "nope", "--force", "--yes")
    filled.delete("asynq:{mail}:active", "asynq:{mail}:lease", "asynq:{mail}:t:0-0")
    assert asynq("queue", "rm", "mail", "-f", "-y").code == 0
    assert filled.keys() == []


@pytest.mark.parametrize("arguments", [["low"], ["-q", "low"], ["--queue=low"]])
def test_the_groups_of_a_queue_are_listed(
    arguments: list[str], asynq: Command, database: redis.Redis
) -> None:
    for group, task_id in (("b", "1"), ("a", "2"), ("b", "3")):
        put(database, "aggregating", task_id, queue="low", group=group)

    assert asynq("group", "ls", *arguments).out == "a\nb\n"
    assert asynq("group", "ls", *arguments, "--output", "json").json == [
        {"group": "a", "size": 1},
        {"group": "b", "size": 2},
    ]


def test_no_groups_are_said_to_be_none(asynq: Command, database: redis.Redis) -> None:
    database.sadd("asynq:queues", "low")

    assert asynq("group", "ls", "low").out == 'No groups found in queue "low"\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ["queue"],
        ["queue", "nope"],
        ["queue", "inspect"],
        ["queue", "inspect", " "],
        ["queue", "history", "q", "-x", "0"],
        ["queue", "pause", ""],
        ["queue", "rm"],
        ["queue", "ls", "--output", "jsonl"],
        ["group", "ls"],
        ["group", "ls", "a", "-q", "b"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], command: Command) -> None:
    ran = command(*arguments)

    assert ran.code == 2
    assert "Traceback" not in ran.err
