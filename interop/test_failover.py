"""Schedulers with the same entries, on trial: killed, frozen, stopped, and Redis gone. A Go worker
says what came of it: each tick exactly once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from replica import QUEUE
from replicas import Replica, Replicas, faults, tick_of

from asynq_py.testing import ConsumedTask, GoWorker, Oracle, Redis, Stack

StartWorker = Callable[..., GoWorker]

#: What a fail-over may take beside the lease on a machine with other things to do, seconds.
SLACK_S = 1.0


@pytest.fixture
def redis_server(stack: Stack) -> Iterator[Redis]:
    """A Redis server that loses nothing it has answered, for this test alone."""
    server = stack.redis(appendonly=True, appendfsync="always")
    yield server
    server.stop()


@pytest.fixture
def consumer(worker: StartWorker) -> GoWorker:
    """A Go worker that consumes all the time."""
    return worker(queues={QUEUE: 1})


def test_no_tick_is_lost_or_repeated_by_a_kill_a_freeze_and_a_redis_restart(
    replicas: Replicas, consumer: GoWorker, redis_server: Redis, oracle: Oracle
) -> None:
    entries, lease = 100, 3
    some_seconds = 10 * entries
    for _ in range(3):
        replicas.start(entries=entries, lease=lease)
    began = time.time()

    # The leader is killed.
    first, first_term = replicas.wait_for_leader()
    _consume(consumer, some_seconds)
    first.kill()
    killed_at = time.time()
    frozen, frozen_term = replicas.wait_for_leader(after=first_term)
    replicas.start(entries=entries, lease=lease)

    # The next one is frozen for longer than its lease, and woken while another leads.
    _consume(consumer, some_seconds)
    frozen.freeze()
    frozen_at = time.time()
    third, third_term = replicas.wait_for_leader(after=frozen_term)
    _consume(consumer, some_seconds)
    frozen.thaw()
    end = replicas.wait_for_end_of(frozen_term, frozen)
    _consume(consumer, some_seconds)

    # Redis is away until the leader does not trust its lease any more, and comes back.
    redis_server.kill()
    redis_killed_at = time.time()
    replicas.wait_for_end_of(third_term, third)
    redis_server.restart()
    _, fourth_term = replicas.wait_for_leader(after=third_term)
    redis_back_at = time.time()
    _consume(consumer, some_seconds)

    # The one that was frozen stands again, in the same process: it leads when nobody else can.
    counts = [replica.stop() for replica in replicas.all if replica not in (first, frozen)]
    replicas.wait_for(_latest(frozen, "elected"), what="second term of the frozen one")
    _consume(consumer, 2 * entries)
    counts.append(frozen.stop())
    ended = time.time()
    tasks = _all_consumed(consumer, redis_server)
    left = _left_to_asynq(oracle, redis_server)

    assert faults([*tasks, *left]) == []
    moments = [tick_of(task.headers)[1] for task in tasks]
    assert {tick_of(task.headers)[0] for task in tasks} == {f"e{n}" for n in range(entries)}
    for entry in range(entries):
        ticks = [tick_of(t.headers)[1] for t in tasks if tick_of(t.headers)[0] == f"e{entry}"]
        # All the time, not only while nothing happened.
        assert min(ticks) <= began + 2 * lease
        assert max(ticks) >= ended - 3
    assert len({tick_of(task.headers) for task in tasks}) >= 40 * entries
    # What Asynq's recovery gave out once more, it had in its hands when Redis was killed.
    recovered = [task for task in (*tasks, *left) if task.retried]
    assert len(recovered) <= 20
    assert all(tick_of(t.headers)[1] <= redis_killed_at for t in recovered)
    assert end["event"] == "lost"
    assert frozen.leadership[-1]["event"] == "resigned"
    assert [e["event"] for e in frozen.leadership].count("elected") >= 2
    _print(
        f"{len(moments)} ticks of {entries} entries from {min(moments)} to {max(moments)}",
        f"{ended - began:.1f} s; again by Asynq: {len(recovered)}, left to it: {len(left)}",
        f"kill to leader {frozen_term['at'] - killed_at:.2f} s",
        f"freeze to leader {third_term['at'] - frozen_at:.2f} s",
        f"Redis away {redis_back_at - redis_killed_at:.2f} s, terms until {fourth_term['term']}",
        f"latest {max(_latenesses(tasks)):.2f} s, counts {counts}",
    )


def test_a_clean_stop_hands_over_within_a_second(replicas: Replicas, consumer: GoWorker) -> None:
    for _ in range(2):
        replicas.start(lease=10, renew_every=3)
    leader, term = replicas.wait_for_leader()
    _consume(consumer, 2)

    asked_at = time.time()
    leader.stop()
    successor, next_term = replicas.wait_for_leader(after=term)
    _consume(consumer, 2)
    successor.stop()

    assert successor is not leader
    assert next_term["at"] - asked_at < 1.0
    assert faults(consumer.tasks) == []


def test_a_crash_hands_over_within_one_lease(replicas: Replicas, consumer: GoWorker) -> None:
    lease = 4
    for _ in range(3):
        replicas.start(lease=lease, renew_every=1)
    leader, term = replicas.wait_for_leader()
    _consume(consumer, 2)

    leader.kill()
    killed_at = time.time()
    _, next_term = replicas.wait_for_leader(after=term)
    _consume(consumer, 6)

    assert next_term["at"] - killed_at < lease + SLACK_S
    assert faults(consumer.tasks) == []


def test_the_very_first_tick_is_not_lost_when_the_leader_dies_before_it(
    replicas: Replicas, consumer: GoWorker, redis_server: Redis
) -> None:
    # The tick falls into the time without a leader: 5 s after the start, and until 8 s nobody
    # leads.
    for _ in range(2):
        replicas.start(lease=8, renew_every=1, spec="@every 5s")
    leader, term = replicas.wait_for_leader()
    baseline = _until(lambda: _ledger(redis_server).get("replicas:e0"))

    leader.kill()
    killed_at = time.time()
    _, next_term = replicas.wait_for_leader(after=term)
    tasks = _consume(consumer, 2)

    first = int(baseline.split()[0])
    assert killed_at < first + 5 < next_term["at"], "the test was too slow to prove anything"
    assert [tick_of(task.headers)[1] for task in tasks] == [first + 5, first + 10]
    assert faults(consumer.tasks, period=5) == []


@pytest.mark.parametrize("entries", [1, 60])
def test_a_leader_that_sleeps_between_looking_at_its_term_and_sending_repeats_nothing(
    replicas: Replicas, consumer: GoWorker, entries: int
) -> None:
    # It stops itself in a hook that comes after that look; sixty ticks go in several calls.
    zombie = replicas.start(entries=entries, freeze_at=3 * entries)
    _, term = replicas.wait_for_leader()
    replicas.start(entries=entries)
    zombie.log.wait_for_event("freezing", timeout=20)

    replicas.wait_for_leader(after=term)
    # The other has made up for what the zombie was about to send.
    _consume(consumer, 4 * entries)
    zombie.thaw()
    replicas.wait_for_end_of(term, zombie)
    _consume(consumer, 3 * entries)
    counts = zombie.stop()

    assert counts["lost_leadership"] >= entries
    assert counts["enqueued"] == len({task.id for task in consumer.tasks[: 2 * entries]})
    assert faults(consumer.tasks) == []


def test_two_that_both_enqueue_enqueue_each_tick_once(
    replicas: Replicas, consumer: GoWorker
) -> None:
    # Without election nothing keeps them apart but the ledger.
    entries = 50
    for _ in range(2):
        replicas.start(group="", entries=entries)
    _consume(consumer, 8 * entries)
    counts = [replica.stop() for replica in replicas.all]
    tasks = consumer.tasks

    assert faults(tasks) == []
    assert sum(each.get("enqueued", 0) for each in counts) >= len({task.id for task in tasks})
    # Both were at it, for the same ticks, and each tells which were its own.
    duplicates = sum(each.get("duplicate", 0) for each in counts)
    assert duplicates >= 4 * entries
    print(f"\n  {len(tasks)} ticks consumed, counts {counts}")  # noqa: T201


def test_one_that_sleeps_before_it_sends_is_refused_by_the_ledger_alone(
    replicas: Replicas, consumer: GoWorker
) -> None:
    # No election, so no term gives it away; and Go is done with the tasks, so no ID is taken.
    entries = 20
    late = replicas.start(group="", entries=entries, freeze_at=3 * entries)
    replicas.start(group="", entries=entries)
    late.log.wait_for_event("freezing", timeout=20)

    _consume(consumer, 3 * entries)
    late.thaw()
    _consume(consumer, 3 * entries)
    counts = late.stop()

    assert faults(consumer.tasks) == []
    assert counts["duplicate"] >= 2 * entries


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_run_ends_by_sigterm_within_the_shutdown_timeout(
    replicas: Replicas, consumer: GoWorker, role: str
) -> None:
    for _ in range(2):
        replicas.start(entries=100)
    leader, _ = replicas.wait_for_leader()
    (follower,) = [replica for replica in replicas.all if replica is not leader]
    _consume(consumer, 300)

    asked_at = time.monotonic()
    (leader if role == "leader" else follower).stop()

    # Its shutdown_timeout is 5 s, which it does not need.
    assert time.monotonic() - asked_at < 2.0


def test_go_lists_the_leaders_entries_once_and_a_whole_history_across_a_fail_over(
    replicas: Replicas, consumer: GoWorker, redis_server: Redis, oracle: Oracle
) -> None:
    entries = 5
    ids = sorted(f"e{n}" for n in range(entries))

    def listed() -> list[str]:
        return sorted(e["id"] for e in oracle.inspect(redis_server, "scheduler_entries"))

    for _ in range(3):
        replicas.start(entries=entries)
    leader, term = replicas.wait_for_leader()
    _consume(consumer, 3 * entries)
    before = listed()
    assert _publishers(redis_server) == {leader.pid}

    leader.kill()
    successor, _ = replicas.wait_for_leader(after=term)
    # What the dead one had published ends with its life of two heartbeats.
    _until(lambda: _publishers(redis_server) == {successor.pid})
    after = listed()
    _consume(consumer, 3 * entries)
    for replica in replicas.all:
        if replica is not leader:
            replica.stop()
    tasks = _all_consumed(consumer, redis_server)
    histories = {
        entry: oracle.inspect(redis_server, "scheduler_events", id=entry, size=1000)
        for entry in ids
    }

    assert (before, after) == (ids, ids)
    assert listed() == []
    assert faults(tasks) == []
    for entry in ids:
        consumed = {t.id for t in tasks if tick_of(t.headers)[0] == entry}
        recorded = Counter(event["task_id"] for event in histories[entry])
        assert max(recorded.values()) == 1
        assert recorded.keys() <= consumed
        # One may be missing: the leader was killed, perhaps between a task and its record.
        assert len(consumed - recorded.keys()) <= 1


def _consume(consumer: GoWorker, count: int) -> list[ConsumedTask]:
    """Waits until so many more tasks were consumed."""
    return consumer.wait_for(len(consumer.tasks) + count, timeout=60)


def _all_consumed(consumer: GoWorker, redis: Redis) -> list[ConsumedTask]:
    """Waits until nothing is pending any more, and ends the worker."""
    _until(lambda: redis.command("LLEN", f"asynq:{{{QUEUE}}}:pending") == 0)
    assert consumer.stop() == 0
    return consumer.tasks


def _left_to_asynq(oracle: Oracle, redis: Redis) -> list[ConsumedTask]:
    """The tasks that Asynq's recovery will still deliver: given to a worker whose answer, or
    whose call, was lost with Redis."""
    left: list[dict[str, Any]] = []
    for state in ("active", "retry", "scheduled", "archived"):
        left += oracle.inspect(redis, "list_tasks", queue=QUEUE, state=state, size=1000)
    return [
        ConsumedTask(
            id=task["id"],
            type=task["type"],
            queue=QUEUE,
            payload=b"",
            headers=task["headers"],
            # It will be retried; that it is here is not a first delivery.
            retried=max(1, task["retried"]),
            max_retry=task["max_retry"],
            at_ns=0,
        )
        for task in left
    ]


def _latest(replica: Replica, event: str) -> Callable[[], bool | None]:
    """Whether that is what happened to its leadership last."""
    return lambda: (bool(replica.leadership) and replica.leadership[-1]["event"] == event) or None


def _latenesses(tasks: list[ConsumedTask]) -> list[float]:
    return [task.at_ns / 1e9 - tick_of(task.headers)[1] for task in tasks if not task.retried]


def _ledger(redis: Redis) -> dict[str, str]:
    pairs = [each.decode() for each in redis.command("HGETALL", f"asynq:{{{QUEUE}}}:py:ticks")]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _publishers(redis: Redis) -> set[int]:
    """The process IDs of the schedulers that show entries."""
    now = math.ceil(time.time())
    keys = redis.command("ZRANGEBYSCORE", "asynq:schedulers", now, "+inf")
    return {int(key.decode().split(":")[-2]) for key in keys}


def _until(look: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever look returns
    """Asks another process again and again (a round trip each) until it has an answer."""
    end = time.monotonic() + 15
    while not (found := look()):
        assert time.monotonic() < end, "nothing within 15 s"
    return found


def _print(*lines: str) -> None:
    """For people: `pytest -s`."""
    print("\n  " + "\n  ".join(lines))  # noqa: T201
