"""Redis away for a while, on real servers: what was due meanwhile runs as its policy says, nothing
runs twice, and nothing spins."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
import redis

from asynq_py import (
    LeaderElection,
    Misfire,
    RedisConfig,
    RunOutcome,
    Scheduler,
    SchedulerConfig,
    Task,
    UnavailableError,
)
from asynq_py.scheduler.config import Leadership
from asynq_py.testing.redis_server import RedisServer
from tests.redis.test_scheduler import message_of, take
from tests.support.proxy import Proxy

MakeScheduler = Callable[..., Scheduler]
StartServer = Callable[..., RedisServer]
ConnectRaw = Callable[..., redis.Redis]

#: Only an enqueueing names it.
ENQUEUEING = b"py:terms"


class Queue(queue.SimpleQueue[Any]):
    """Takes what hooks are told: ``Queue()`` is a hook."""

    def __call__(self, *arguments: Any) -> None:  # noqa: ANN401
        self.put(arguments)

    def next(self) -> Any:  # noqa: ANN401
        """Waits for the next call."""
        return self.get(timeout=20)


class Messages(logging.Handler):
    """Waits for what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._messages = Queue()
        self.logger = logging.Logger("test")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._messages(record.getMessage())

    def wait(self, *texts: str) -> None:
        """Waits until each of these texts was in a message, in whatever order."""
        missing = set(texts)
        while missing:
            message = str(self._messages.next()[0])
            missing = {text for text in missing if text not in message}


@pytest.fixture
def durable(start_server: StartServer) -> RedisServer:
    """A server that loses nothing it has answered."""
    return start_server(appendonly=True, appendfsync="always")


def election(**options: Any) -> LeaderElection:  # noqa: ANN401
    return LeaderElection(group="g", **options)


def moments(database: redis.Redis, entry: str) -> list[int]:
    """The ticks that were enqueued of an entry, each as often as a worker would get it."""
    ids = [task.decode() for task in database.lrange("taken", 0, -1)]
    ids += [task.decode() for task in database.lrange("asynq:{default}:pending", 0, -1)]
    headers = [dict(message_of(database, task_id).headers) for task_id in ids]
    return sorted(
        int(datetime.fromisoformat(each["asynq-scheduled-for"]).timestamp())
        for each in headers
        if each["asynq-entry"] == entry
    )


def is_unbroken(ticks: list[int]) -> bool:
    """Whether they are seconds, each once and none left out."""
    return bool(ticks) and ticks == list(range(ticks[0], ticks[-1] + 1))


# -- what was due meanwhile --


def test_a_leader_that_stays_leader_keeps_what_is_due_and_sends_it_later(
    durable: RedisServer, make_scheduler: MakeScheduler, connect_raw: ConnectRaw
) -> None:
    failures, changes = Queue(), Queue()
    scheduler = make_scheduler(
        durable.url,
        error_handler=failures,
        leader_election=election(lease=30, renew_every=1, on_change=changes),
    )
    for entry in ("a", "b", "c"):
        scheduler.register("@every 1s", Task("t"), name=entry)

    with scheduler:
        take(connect_raw(durable))
        durable.kill()
        for _ in range(3 * 3):
            failures.next()
        durable.restart()
        for _ in range(3 * 5):
            take(connect_raw(durable))
    counts = scheduler.counts()

    for entry in ("a", "b", "c"):
        ticks = moments(connect_raw(durable), entry)
        assert is_unbroken(ticks), (entry, ticks)
        assert len(ticks) >= 5
        runs = [run for run in scheduler.entry(entry).runs if run.lateness]
        assert max(run.lateness.total_seconds() for run in runs if run.lateness) > 2
    assert set(counts) <= {"enqueued", "waiting", "elected", "resigned"}
    assert [changes.next()[0].event for _ in range(2)] == ["elected", "resigned"]


def test_a_leader_that_lost_its_lease_makes_up_for_what_was_due_once_it_leads_again(
    durable: RedisServer, make_scheduler: MakeScheduler, connect_raw: ConnectRaw
) -> None:
    changes = Queue()
    scheduler = make_scheduler(
        durable.url, leader_election=election(lease=2, renew_every=0.5, on_change=changes)
    )
    for entry in ("a", "b", "c"):
        scheduler.register("@every 1s", Task("t"), name=entry)

    with scheduler:
        take(connect_raw(durable))
        durable.kill()
        events: list[Leadership] = [changes.next()[0], changes.next()[0]]
        durable.restart()
        events.append(changes.next()[0])
        for _ in range(3 * 4):
            take(connect_raw(durable))

    for entry in ("a", "b", "c"):
        ticks = moments(connect_raw(durable), entry)
        assert is_unbroken(ticks), (entry, ticks)
    assert [event.event for event in events] == ["elected", "lost", "elected"]
    assert events[0].term < events[2].term


def test_of_a_plain_entry_only_the_newest_tick_of_the_outage_runs(
    durable: RedisServer, make_scheduler: MakeScheduler, connect_raw: ConnectRaw
) -> None:
    failures, settled = Queue(), Queue()
    scheduler = make_scheduler(durable.url, error_handler=failures, post_enqueue=settled)
    scheduler.register("@every 1s", Task("t"), name="plain")

    with scheduler:
        # Its reply has come: what became of it is known.
        settled.next()
        durable.kill()
        for _ in range(4):
            failures.next()
        durable.restart()
        for _ in range(3):
            take(connect_raw(durable))
    runs = scheduler.entry("plain").runs

    seconds = [int(run.scheduled_at.timestamp()) for run in runs]
    assert is_unbroken(seconds), seconds
    missed = [run for run in runs if run.outcome is RunOutcome.MISSED]
    enqueued = [int(r.scheduled_at.timestamp()) for r in runs if r.outcome is RunOutcome.ENQUEUED]
    assert len(missed) + len(enqueued) == len(runs)
    assert moments(connect_raw(durable), "plain") == enqueued
    # Four failed; at least three of them were given up for a newer one, all in one gap.
    gaps = [later - sooner - 1 for sooner, later in pairwise(enqueued) if later - sooner > 1]
    assert gaps == [len(missed)]
    assert len(missed) >= 3


def test_a_scheduler_that_starts_while_redis_is_away_leads_once_it_is_back(
    durable: RedisServer, make_scheduler: MakeScheduler, connect_raw: ConnectRaw
) -> None:
    durable.kill()
    messages, changes = Messages(), Queue()
    scheduler = make_scheduler(
        durable.url,
        logger=messages.logger,
        leader_election=election(lease=2, renew_every=0.5, on_change=changes),
    )
    scheduler.register("@every 1s", Task("t"), name="e")

    with scheduler:
        messages.wait("leadership of 'g' is not decided", "the ledger of ticks cannot be read")
        assert not scheduler.is_leader
        durable.restart()
        assert changes.next()[0].event == "elected"
        for _ in range(2):
            take(connect_raw(durable))
        assert scheduler.is_leader

    assert is_unbroken(moments(connect_raw(durable), "e"))


# -- nothing twice --


def test_a_tick_whose_reply_was_lost_is_not_repeated_though_a_worker_is_done_with_it(
    server: RedisServer, proxy: Proxy, make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    done: list[str] = []
    is_done = threading.Event()

    def consume(data: bytes) -> None:
        # As a fast worker would, between the attempt that was stored and the next one.
        if ENQUEUEING in data and proxy.has_cut.is_set() and not done:
            task_id = take(database)
            database.lrem("taken", 1, task_id)
            database.delete(f"asynq:{{default}}:t:{task_id}")
            done.append(task_id)
            is_done.set()

    proxy.on_request = consume
    scheduler = make_scheduler(proxy.url, leader_election=election())
    scheduler.register("@every 1s", Task("t"), name="e")

    with scheduler:
        # Not the first one, for which the server may have no script.
        take(database)
        proxy.cut("reply", ENQUEUEING)
        assert is_done.wait(20)
        take(database)
    runs = scheduler.entry("e").runs
    enqueued = [int(run.scheduled_at.timestamp()) for run in runs]

    assert runs[1].task_id == done[0]
    assert is_unbroken(enqueued)
    assert moments(database, "e") == [enqueued[0], *enqueued[2:]]
    # It was ours, whatever became of the reply.
    assert [run.outcome for run in runs] == [RunOutcome.ENQUEUED] * len(runs)


def test_of_two_schedulers_without_election_the_ledger_lets_one_have_each_tick(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    settled = Queue()
    both = [make_scheduler(misfire=Misfire.ALL, post_enqueue=settled) for _ in range(2)]
    for scheduler in both:
        for entry in range(20):
            scheduler.register("@every 1s", Task("t"), name=f"e{entry}")
        scheduler.start()
    # Three ticks of both.
    for _ in range(3 * 2 * 20):
        settled.next()
    for scheduler in both:
        scheduler.stop()

    outcomes: Counter[RunOutcome] = Counter()
    for entry in range(20):
        ticks = moments(database, f"e{entry}")
        assert is_unbroken(ticks)
        by_tick: dict[datetime, list[RunOutcome]] = {}
        for scheduler in both:
            for run in scheduler.entry(f"e{entry}").runs:
                by_tick.setdefault(run.scheduled_at, []).append(run.outcome)
                outcomes[run.outcome] += 1
        assert all(got.count(RunOutcome.ENQUEUED) == 1 for got in by_tick.values()), by_tick
    assert set(outcomes) == {RunOutcome.ENQUEUED, RunOutcome.DUPLICATE}
    # The history, too, has each of them once.
    for entry in range(20):
        history = database.zcard(f"asynq:scheduler_history:e{entry}")
        assert history == len(moments(database, f"e{entry}"))


def test_a_term_that_a_batch_does_not_trust_any_more_and_that_goes_on_loses_no_tick(
    make_scheduler: MakeScheduler, database: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow Redis: the trust in the lease ends, and then comes the reply that renewed it. The
    # sender looked in between, and the ticker did not.
    scheduler = make_scheduler(leader_election=election())
    scheduler.register("@every 1s", Task("t"), name="e")
    sender = scheduler._engine._sender
    trust = sender._leadership
    looks = iter([False, True, True, False])
    monkeypatch.setattr(sender, "_leadership", lambda: None if next(looks, False) else trust())

    with scheduler:
        for _ in range(5):
            take(database)

    assert is_unbroken(moments(database, "e"))
    assert scheduler.counts()["lost_leadership"] >= 1


# -- nothing spins, nothing hangs --


@pytest.mark.parametrize("leads", [True, False], ids=["leader", "candidate"])
def test_nothing_spins_while_redis_is_away(
    durable: RedisServer, make_scheduler: MakeScheduler, connect_raw: ConnectRaw, leads: bool
) -> None:
    changes, connected = Queue(), Queue()
    with Proxy(durable.port) as proxy:
        scheduler = make_scheduler(
            proxy.url,
            leader_election=election(
                lease=60 if leads else 1.0, renew_every=0.5, on_change=changes
            ),
        )
        for entry in range(100):
            scheduler.register("@every 1s", Task("t"), name=f"e{entry}")
        with scheduler:
            take(connect_raw(durable))
            proxy.on_connect = connected
            durable.kill()
            began = time.monotonic()
            assert changes.next()[0].event == "elected"
            if not leads:
                assert changes.next()[0].event == "lost"
            # Five threads: their first attempts come at once, then they take their time.
            for _ in range(50):
                connected.next()
            took_s = time.monotonic() - began
            durable.restart()
            for _ in range(200):
                take(connect_raw(durable))

    assert took_s > 3.0
    for entry in range(100):
        assert is_unbroken(moments(connect_raw(durable), f"e{entry}"))


def test_stop_does_not_wait_for_a_ledger_that_does_not_answer(
    server: RedisServer, proxy: Proxy, database: redis.Redis
) -> None:
    asked, release = threading.Event(), threading.Event()

    def hold(data: bytes) -> None:
        if b"py:ticks" in data:
            asked.set()
            release.wait(60)

    proxy.on_request = hold
    patient = RedisConfig(addresses=(("127.0.0.1", proxy.port),), timeout=300)
    scheduler = Scheduler(
        patient, SchedulerConfig(shutdown_timeout=0.5, leader_election=election())
    )
    scheduler.register("@every 1s", Task("t"), name="e")
    scheduler.start()
    assert asked.wait(20)

    began = time.monotonic()
    stopping = threading.Thread(target=scheduler.stop)
    stopping.start()
    stopping.join(10)
    took_s = time.monotonic() - began
    release.set()
    stopping.join(20)

    assert took_s < 5
    assert not scheduler.is_running


def test_errors_of_an_outage_say_that_nothing_was_written(
    durable: RedisServer, make_scheduler: MakeScheduler, connect_raw: ConnectRaw
) -> None:
    failures = Queue()
    scheduler = make_scheduler(
        durable.url, error_handler=failures, leader_election=election(lease=30)
    )
    scheduler.register("@every 1s", Task("t"), name="e", timeout=7)

    with scheduler:
        take(connect_raw(durable))
        durable.kill()
        (_, _, first), (task, options, second) = failures.next(), failures.next()
        durable.restart()

    assert isinstance(first, UnavailableError)
    assert isinstance(second, UnavailableError)
    assert second.written is False
    assert (task.type, options["timeout"]) == ("t", 7)
