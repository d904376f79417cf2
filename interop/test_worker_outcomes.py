"""What becomes of tasks: the same ones, handled by a Go worker and by a Python worker, leave the
same keyspace behind, for every way in which a task can end."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from keyspace import GO, PYTHON, SOURCE, Dump, differences
from twins import Twins, task
from waiting import until

from asynq_py import Inspector
from asynq_py.testing import Oracle, Redis, Stack
from asynq_py.wire.message import decode, encode
from asynq_py.wire.presence import ServerInfo, WorkerInfo

HOUR_MS = 3_600_000
#: What Go tells of a panic beside its text: where in the Go program it was.
PANIC = re.compile(r"^panic error cause by: panic \[[^]]*\]: ")


@pytest.fixture
def twins(stack: Stack, oracle: Oracle, redis_server: Redis) -> Iterator[Twins]:
    """Nothing is enqueued yet, nobody works."""
    twins = Twins(stack, oracle, redis_server)
    yield twins
    twins.kill()


class Outcome(NamedTuple):
    """Tasks that end in some way, and what a queue with nothing else then shows."""

    tasks: list[dict[str, Any]]
    shown: dict[str, int]


def done(number: int = 1) -> dict[str, int]:
    return {"size": 0, "processed": number, "failed": 0}


def kept(number: int = 1) -> dict[str, int]:
    return {"completed": number, "processed": number, "failed": 0}


def again(number: int = 1) -> dict[str, int]:
    return {"retry": number, "processed": number, "failed": number}


def for_good(number: int = 1) -> dict[str, int]:
    return {"archived": number, "processed": number, "failed": number}


LONG_AGO = "2020-01-01T00:00:00Z"
SLEEPY = {"payload": "60000", "timeout_ms": 1000}
TEXTS = ["ünïcode 😀\u2028", "two\nlines", '"<quoted> & %q"', "x" * 100_000, "\x00"]

#: By queue.
OUTCOMES = {
    "success": Outcome([task("plain:a", "{}")], done()),
    "success kept": Outcome([task("plain:a", retention_ms=HOUR_MS, headers={"a": "ü"})], kept()),
    "success unique": Outcome([task("plain:a", unique_ms=HOUR_MS)], done()),
    "success {1}:ü": Outcome([task("plain:ü"), task("plain:", retention_ms=HOUR_MS)],
                             {"completed": 1, "processed": 2}),
    "result": Outcome([task("result:a", "42")], done()),
    "result kept": Outcome([task("result:a", "\x00ü", retention_ms=HOUR_MS)], kept()),
    "result empty": Outcome([task("result:a", "", retention_ms=HOUR_MS)], kept()),
    "failure": Outcome([task("fail:a", "{}", max_retry=3, headers={"a": "1", "b": "2"})], again()),
    "failure unique": Outcome([task("fail:a", unique_ms=HOUR_MS)], again()),
    "failure kept": Outcome([task("fail:a", retention_ms=HOUR_MS)], again()),
    "failure after a result": Outcome([task("partly:a", "half")], again()),
    "texts": Outcome([task("error:a", text) for text in TEXTS], again(len(TEXTS))),
    "excused": Outcome([task("excuse:a")], {"retry": 1, "processed": 0, "failed": 0}),
    "excused but the last": Outcome([task("excuse:a", max_retry=0)], for_good()),
    "last failure": Outcome([task("fail:a", max_retry=0)], for_good()),
    "last failure unique": Outcome([task("fail:a", max_retry=0, unique_ms=HOUR_MS)], for_good()),
    "skipped": Outcome([task("skip:a", max_retry=5, retention_ms=HOUR_MS)], for_good()),
    "revoked": Outcome([task("revoke:a", unique_ms=HOUR_MS, retention_ms=HOUR_MS)], done()),
    "no handler": Outcome([task("unhandled:a"), task('unhandled:ü"\n\x01')], again(2)),
    "panic": Outcome([task("panic:a"), task("panic:b", max_retry=0)],
                     {"retry": 1, "archived": 1, "processed": 2, "failed": 2}),
    "timeout": Outcome([task("sleep:a", **SLEEPY), task("sleep:b", **SLEEPY, max_retry=0)],
                       {"retry": 1, "archived": 1, "processed": 2, "failed": 2}),
    "timeout in a thread": Outcome([task("sleep:thread", **SLEEPY)], again()),
    "too late": Outcome([task("plain:a", deadline=LONG_AGO)], again()),
}  # fmt: skip


def test_every_outcome_leaves_what_go_leaves(twins: Twins, subtests: pytest.Subtests) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=6)
    outcomes = OUTCOMES | {
        "deadline": Outcome([task("sleep:a", "60000", deadline=deadline.isoformat())], again())
    }
    for queue, outcome in outcomes.items():
        named = [{**t, "queue": queue, "task_id": f"id {n}"} for n, t in enumerate(outcome.tasks)]
        twins.enqueue(*named)
    twins.start(dict.fromkeys(outcomes, 1), concurrency=50)

    twins.share()
    twins.until_quiet(*outcomes)
    twins.stop()

    go, python = twins.dumps()
    found = differences(without_place_of_panic(go), python)
    for queue, outcome in outcomes.items():
        with subtests.test(queue=queue):
            assert [line for line in found if f"{{{queue}}}:" in line] == []
            seen = twins.info(PYTHON, queue)
            assert {name: getattr(seen, name) for name in outcome.shown} == outcome.shown
    assert found == []


def without_place_of_panic(dump: Dump) -> Dump:
    """Leaves of a panic what the handler said."""
    for entry in dump.values():
        if entry["type"] == "hash" and "msg" in entry["value"]:
            message = decode(base64.b64decode(entry["value"]["msg"]))
            message.error_msg, number = PANIC.subn("", message.error_msg)
            if number:
                entry["value"]["msg"] = base64.b64encode(encode(message)).decode()
    return dump


def test_retries_until_the_last(twins: Twins) -> None:
    twins.enqueue(
        task("fail:a", task_id="a", max_retry=2, unique_ms=HOUR_MS),
        task("flaky:b", task_id="b", retention_ms=HOUR_MS, unique_ms=HOUR_MS),
        task("flaky:c", task_id="c"),
        task("fail:d", task_id="d", process_in_ms=1000, max_retry=0),
    )
    twins.start({"default": 1}, retry_delay=1)

    twins.share()
    twins.until_quiet("default")
    twins.stop()

    assert twins.differences() == []
    seen = twins.info(PYTHON, "default")
    assert (seen.archived, seen.completed, seen.size) == (2, 1, 3)
    assert (seen.processed, seen.failed) == (3 + 2 + 2 + 1, 3 + 1 + 1 + 1)


def test_what_is_due_is_forwarded_to_a_paused_queue_and_stays_there(twins: Twins) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    twins.enqueue(
        *(task("plain:a", task_id=f"now {n}") for n in range(3)),
        *(
            task(
                "plain:a", task_id=f"due {n}", process_at=(soon + timedelta(seconds=n)).isoformat()
            )
            for n in range(3)
        ),
        task("plain:a", task_id="later", process_in_ms=HOUR_MS),
    )
    with Inspector(twins.redis.url_for(SOURCE)) as inspector:
        inspector.pause_queue("default")
    twins.start({"default": 1})

    twins.share()
    for db in (GO, PYTHON):
        until(lambda db=db: twins.info(db, "default").pending == 6)
    twins.stop()

    assert twins.differences() == []
    assert twins.info(PYTHON, "default").scheduled == 1


def test_completed_tasks_are_deleted_when_their_retention_is_over(twins: Twins) -> None:
    twins.enqueue(
        # More than one step of the janitor takes.
        *(task("result:a", "x", task_id=f"{n}", retention_ms=1000) for n in range(150)),
        *(task("plain:a", task_id=f"keep {n}", retention_ms=HOUR_MS) for n in range(10)),
    )
    twins.start({"default": 1})

    twins.share()
    for db in (GO, PYTHON):
        until(
            lambda db=db: (
                (twins.info(db, "default").processed, twins.info(db, "default").size) == (160, 10)
            )
        )
    twins.stop()

    assert twins.differences() == []


def test_cancelled(twins: Twins) -> None:
    kinds = ("sleep:a", "sleep:thread")
    twins.enqueue(*(task(kind, "60000", task_id=kind) for kind in kinds))
    workers = twins.start({"default": 1})

    twins.share()
    for worker in workers:
        worker.wait_for(2)
    # Who listens hears it, whatever the database.
    with twins.raw(GO) as raw:
        until(lambda: raw.pubsub_numsub("asynq:cancel") == [(b"asynq:cancel", 2)])
    for kind in kinds:
        twins.oracle.inspect(twins.redis, "cancel_task", id=kind)
    twins.until_quiet("default")
    twins.stop()

    assert twins.differences() == []
    assert twins.info(PYTHON, "default").retry == 2


def test_a_shutdown_gives_tasks_back(twins: Twins) -> None:
    twins.enqueue(
        task("sleep:a", "60000", task_id="a", unique_ms=HOUR_MS, headers={"a": "b"}),
        task("plain:b", task_id="b"),
        task("plain:c", task_id="c"),
    )
    workers = twins.start({"default": 1}, concurrency=1, shutdown_timeout=0.3)

    twins.share()
    for worker in workers:
        worker.wait_for(1)
    twins.stop()

    assert twins.differences() == []
    with Inspector(twins.redis.url_for(PYTHON)) as inspector:
        pending = [each.id for each in inspector.list_tasks("default", "pending")]
    assert pending[0] == "a", "it is the next to run"
    assert len(pending) == 3
    assert twins.info(PYTHON, "default").processed == 0


def test_an_archive_is_trimmed_to_its_size_and_age(twins: Twins) -> None:
    twins.enqueue(*(task("fail:a", task_id=f"{n}", max_retry=0) for n in range(60)))
    now = int(time.time())
    with twins.raw(SOURCE) as raw:
        asked = raw.pipeline()
        for n in range(9_999):
            # The first fifty are older than 90 days, and of the others some are too many.
            at = now - 91 * 86400 if n < 50 else now - 10_000 + n
            asked.zadd("asynq:{default}:archived", {f"old {n}": at})
            asked.hset(f"asynq:{{default}}:t:old {n}", mapping={"state": "archived", "msg": b""})
        asked.execute()
    twins.start({"default": 1}, concurrency=1)

    twins.share()
    twins.until_quiet("default")
    for db in (GO, PYTHON):
        until(lambda db=db: twins.info(db, "default").archived == 9_999)
    twins.stop()

    assert twins.differences() == []


LEFT_AT_WORK = (
    task("sleep:again", "60000", task_id="again", unique_ms=HOUR_MS),
    task("sleep:for good", "60000", task_id="for good", max_retry=0, unique_ms=HOUR_MS),
)


def end_leases(twins: Twins, number: int) -> None:
    """Has the leases of all tasks at work be as they would be in a minute."""
    for db in (GO, PYTHON):
        with twins.raw(db) as raw:
            held: list[bytes] = raw.zrange("asynq:{default}:lease", 0, -1)
            assert len(held) == number
            raw.zadd("asynq:{default}:lease", dict.fromkeys(held, int(time.time()) - 31))


def left_by_a_crash(twins: Twins, **options: object) -> None:
    """Has workers that are killed leave tasks at work, and others take them up."""
    twins.enqueue(*LEFT_AT_WORK)
    workers = twins.start({"default": 1})
    twins.share()
    for worker in workers:
        worker.wait_for(len(LEFT_AT_WORK))
    twins.kill()
    end_leases(twins, len(LEFT_AT_WORK))
    twins.start({"default": 1}, **options)
    twins.until_quiet("default")
    twins.stop()


def test_a_lease_that_ended_is_taken_up(twins: Twins) -> None:
    left_by_a_crash(twins)

    assert twins.differences() == []
    seen = twins.info(PYTHON, "default")
    assert (seen.retry, seen.archived, seen.processed, seen.failed) == (1, 1, 2, 2)


def test_a_crash_is_free_in_python_unless_it_is_not_to_be(twins: Twins) -> None:
    left_by_a_crash(twins, free_crashes=1)

    found = twins.differences()
    seen = twins.info(PYTHON, "default")
    assert (seen.retry, seen.archived, seen.processed, seen.failed) == (2, 0, 0, 0)
    with Inspector(twins.redis.url_for(PYTHON)) as inspector:
        crashed = inspector.list_tasks("default", "retry")
    assert [(each.retried, each.last_error) for each in crashed] == [
        (0, "asynq: task lease expired")
    ] * 2
    with twins.raw(PYTHON) as raw:
        assert raw.hget("asynq:{default}:t:again", "py_crashes") == b"1"
    assert sorted(line.split(": ")[0] for line in found) == sorted([
        *(f"asynq:{{default}}:t:{each}" for each in ("again", "for good")),
        "asynq:{default}:retry",
        *(
            f"only Go has asynq:{{default}}:{key}"
            for key in ("archived", *(
                f"{kind}{day}" for kind in ("processed", "failed")
                for day in ("", f":{datetime.now(UTC).date()}")
            ))
        ),
    ])  # fmt: skip


def test_a_worker_that_comes_back_leaves_alone_what_others_took_up(twins: Twins) -> None:
    twins.enqueue(task("sleep:a", "1500", task_id="a", unique_ms=HOUR_MS, retention_ms=HOUR_MS))
    frozen = twins.start({"default": 1})
    twins.share()
    for worker in frozen:
        worker.wait_for(1)
        worker.freeze()
    end_leases(twins, 1)

    twins.start({"default": 1})
    twins.until_quiet("default")
    for worker in frozen:
        worker.thaw()
        worker.wait_for_done("a")
    twins.stop()

    assert twins.differences() == []
    seen = twins.info(PYTHON, "default")
    assert (seen.retry, seen.completed, seen.processed, seen.failed) == (1, 0, 1, 1)


def test_the_tasks_of_a_group_become_one(twins: Twins) -> None:
    twins.enqueue(
        *(
            task("plain:a", f'{{"n":{n}}}', task_id=f"{n}", group="kept:one", headers={"n": "<1>"})
            for n in range(3)
        ),
        *(
            task("plain:b", f"{n}", task_id=f"b{n}", group="kept:ü: 2", unique_ms=HOUR_MS)
            for n in range(2)
        ),
        # It waits for others.
        task("plain:c", task_id="c", group="large"),
    )
    twins.start({"default": 1}, group_max_size=2, group_grace=20)

    twins.share()
    for db in (GO, PYTHON):
        until(lambda db=db: twins.info(db, "default").completed == 2)
    twins.stop()

    assert twins.differences() == []
    seen = twins.info(PYTHON, "default")
    # One of three is left over, and waits for the end of the grace period.
    assert (seen.completed, seen.aggregating, seen.groups) == (2, 2, 2)


def test_a_group_of_which_all_are_taken_is_listed_no_more(twins: Twins) -> None:
    twins.enqueue(*(task("plain:a", task_id=f"{n}", group="kept:all") for n in range(5)))
    twins.start({"default": 1}, group_grace=1)

    twins.share()
    twins.until_quiet("default")
    twins.stop()

    assert twins.differences() == []
    assert twins.info(PYTHON, "default").completed == 1


def test_a_task_of_a_group_that_was_run_alone_and_failed_joins_its_group_again(
    twins: Twins,
) -> None:
    twins.enqueue(task("fail:a", task_id="a", group="g"))
    with Inspector(twins.redis.url_for(SOURCE)) as inspector:
        inspector.run_task("default", "a")
    workers = twins.start({"default": 1}, retry_delay=1)

    twins.share()
    for worker, db in zip(workers, (GO, PYTHON), strict=True):
        worker.wait_for_done("a")
        with twins.raw(db) as raw:
            until(lambda raw=raw: raw.zcard("asynq:{default}:g:g"))
    twins.stop()

    # Go forgets to list the group, so that nobody would ever look at it.
    assert twins.differences() == ["only Python has asynq:{default}:groups"]


def test_servers_show_the_same_of_themselves(twins: Twins) -> None:
    twins.enqueue(
        task("sleep:a", "60000", task_id="a", timeout_ms=90_000),
        task("sleep:b", "60000", task_id="b", queue="low", deadline="2100-01-01T00:00:00Z"),
        task("sleep:c", "60000", task_id="c", queue="low"),
    )
    workers = twins.start(
        {"default": 3, "low": 1}, concurrency=7, strict=True, shutdown_timeout=0.3
    )
    twins.share()
    for worker in workers:
        worker.wait_for(3)

    shown = []
    for db in (GO, PYTHON):
        # The heartbeat tells of a task some seconds after it began.
        until(lambda db=db: len(_presence(twins, db)["workers"]) == 3)
        shown.append(_presence(twins, db))
    go, python = shown

    assert python == go
    twins.stop()
    for db in (GO, PYTHON):
        with twins.raw(db) as raw:
            assert raw.keys("asynq:servers*") + raw.keys("asynq:workers*") == []


def _presence(twins: Twins, db: int) -> dict[str, Any]:
    """What the one server of a database shows, except for who it is: that is checked."""
    now = time.time()
    with twins.raw(db) as raw:
        keys: dict[str, tuple[bytes, float]] = {}
        for name in ("servers", "workers"):
            ((key, until_s),) = raw.zrange(f"asynq:{name}", 0, -1, withscores=True)
            keys[name] = key, until_s
            assert now < until_s <= now + 11
        data: bytes = raw.get(keys["servers"][0])
        items: dict[bytes, bytes] = raw.hgetall(keys["workers"][0])
        lives = [raw.pttl(key) for key, _ in keys.values()]
        kinds = [raw.type(key) for key, _ in keys.values()]
    server = ServerInfo.FromString(data)
    me = f"{{{server.host}:{server.pid}:{server.server_id}}}"
    assert keys["servers"][0].decode() == f"asynq:servers:{me}"
    assert keys["workers"][0].decode() == f"asynq:workers:{me}"
    assert len(server.server_id) == 36
    assert all(0 < life <= 10_000 for life in lives if life != -2)
    workers = []
    for field, item in sorted(items.items()):
        worker = WorkerInfo.FromString(item)
        assert (worker.host, worker.pid) == (server.host, server.pid)
        assert worker.server_id == server.server_id
        assert 0 <= worker.start_time.seconds - server.start_time.seconds < 60
        assert worker.start_time.nanos
        begun_s = worker.start_time.ToNanoseconds() / 1e9
        # A deadline that follows from a timeout begins with the task.
        left_s = worker.deadline.ToNanoseconds() / 1e9 - begun_s
        if left_s < 86400:
            worker.ClearField("deadline")
        for own in ("host", "pid", "server_id", "start_time"):
            worker.ClearField(own)
        workers.append((field, worker, round(left_s) if left_s < 86400 else 0))
    assert abs(server.start_time.ToNanoseconds() / 1e9 - now) < 60
    for own in ("host", "pid", "server_id", "start_time"):
        server.ClearField(own)
    return {"server": server, "workers": workers, "kinds": kinds}
