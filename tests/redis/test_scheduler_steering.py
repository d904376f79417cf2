"""Pause, resume and trigger: asked of any scheduler of a group, done by the one that leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from asynq_py import LeaderElection, NotFoundError, RunOutcome, Scheduler, Task
from asynq_py.wire.message import decode
from tests.support.database import pending, task_hash
from tests.support.keyevents import KeyEvents

MakeScheduler = Callable[..., Scheduler]
PENDING = "asynq:{default}:pending"
LEDGER = "asynq:{default}:py:ticks"
NEVER = "0 0 30 2 *"


@pytest.fixture
def pair(make_scheduler: MakeScheduler) -> Callable[[str], tuple[Scheduler, Scheduler]]:
    """Starts a leader and a follower with one entry, "e"."""

    def start(spec: str) -> tuple[Scheduler, Scheduler]:
        election = LeaderElection("g", lease=5, renew_every=1)
        leader, follower = (make_scheduler(leader_election=election) for _ in range(2))
        for scheduler in (leader, follower):
            scheduler.register(spec, Task("t"), name="e")
        return leader, follower

    return start


def noted_until(key_events: KeyEvents, done: Callable[[], bool]) -> None:
    """Waits through ticks of the ledger until something is so."""
    for _ in range(20):
        if done():
            return
        key_events.wait("hset", LEDGER)
    raise AssertionError("not within twenty ticks")


def test_a_follower_pauses_and_resumes_and_ticks_of_the_pause_are_not_made_up_for(
    pair: Callable[[str], tuple[Scheduler, Scheduler]],
    key_events: KeyEvents,
    database: redis.Redis,
) -> None:
    leader, follower = pair("@every 1s")
    leader.start()
    key_events.wait("lpush", PENDING)
    follower.start()

    follower.pause("e")
    noted_until(key_events, lambda: leader.entry("e").paused)
    before = pending(database)
    for _ in range(2):
        key_events.wait("hset", LEDGER)
    assert pending(database) == before

    last_left_out = int(database.hget(LEDGER, "g:e").split()[0])  # type: ignore[union-attr]
    follower.resume("e")
    key_events.wait("lpush", PENDING)
    after = pending(database)[len(before) :]
    assert all(int(task_id.rsplit(":", 1)[1]) > last_left_out for task_id in after)
    assert not leader.entry("e").paused


def test_a_pause_outlives_the_schedulers(
    pair: Callable[[str], tuple[Scheduler, Scheduler]],
    make_scheduler: MakeScheduler,
    key_events: KeyEvents,
    database: redis.Redis,
) -> None:
    leader, _ = pair("@every 1s")
    leader.start()
    leader.pause("e")
    noted_until(key_events, lambda: leader.entry("e").paused)
    leader.stop()
    before = pending(database)

    again, _ = pair("@every 1s")
    again.start()
    noted_until(key_events, lambda: again.entry("e").paused)
    key_events.wait("hset", LEDGER)

    # What it may have enqueued before it had read what is paused.
    assert len(pending(database)) <= len(before) + 1
    assert again.entry("e").paused


def test_a_trigger_runs_the_entry_once_beside_its_schedule(
    pair: Callable[[str], tuple[Scheduler, Scheduler]],
    key_events: KeyEvents,
    database: redis.Redis,
) -> None:
    leader, follower = pair(NEVER)
    leader.start()
    key_events.wait("hset", "asynq:py:leader:g")
    key_events.wait("expire", "asynq:schedulers:{")
    follower.start()

    follower.trigger("e")
    key_events.wait("zadd", "asynq:scheduler_history:e")
    follower.trigger("e")
    key_events.wait("zadd", "asynq:scheduler_history:e")

    ids = pending(database)
    assert len(ids) == len(set(ids)) == 2
    for task_id in ids:
        headers = decode(task_hash(database, "default", task_id)["msg"]).headers
        assert headers["asynq-entry"] == "e"
        assert task_id.startswith("g:e:now:")
    leader.stop()
    runs = leader.entry("e").runs
    assert [(run.outcome, run.task_id) for run in runs] == [
        (RunOutcome.ENQUEUED, task_id) for task_id in ids
    ]
    assert leader.entry("e").next_run is None


def test_a_trigger_that_a_leader_died_of_is_run_by_the_next_one(
    pair: Callable[[str], tuple[Scheduler, Scheduler]],
    key_events: KeyEvents,
    database: redis.Redis,
) -> None:
    leader, follower = pair(NEVER)
    # Somebody leads who does nothing: as if it died with the request in its hands.
    database.hset("asynq:py:leader:g", mapping={"holder": "x", "term": 1, "until": 2**52})
    leader.start()
    follower.start()
    key_events.wait("hset", LEDGER)
    leader.trigger("e")
    key_events.wait("xadd", "asynq:py:control")
    assert pending(database) == []

    database.hset("asynq:py:leader:g", "until", 0)
    database.xadd("asynq:py:control", {"action": "resigned", "entry": "", "group": "g"})
    key_events.wait("zadd", "asynq:scheduler_history:e")

    assert len(pending(database)) == 1


def test_an_entry_that_is_not_there_cannot_be_steered(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()

    for steer in (scheduler.pause, scheduler.resume, scheduler.trigger):
        with pytest.raises(NotFoundError):
            steer("nobody")
