"""Whatever befalls the replicas of a scheduler, each tick is enqueued once, and none is lost.

The replicas are the scheduler's own parts, without its threads: each step of the elector, the
ticker and the sender is taken by hand, in any order, also in the middle of another's request.
Clocks are moved by hand; Redis is real.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from asynq_py import LeaderElection, Leadership, Misfire, Overlap, PeriodicTask, SchedulerConfig
from asynq_py import Task as AsynqTask
from asynq_py.broker.scripts import ENQUEUE
from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.connection.sync import Connection
from asynq_py.scheduler import sender as sender_module
from asynq_py.scheduler.book import Book, make_slots
from asynq_py.scheduler.elector import Elector
from asynq_py.scheduler.hooks import Hooks
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.sender import Sender
from asynq_py.scheduler.ticker import Ticker
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.keys import leader_key, ledger_key, pending_key, terms_key
from asynq_py.wire.message import decode
from tests.support.proxy import Proxy

GROUP = "g"
LEASE_S = 15
LEADER = leader_key(GROUP)
LEDGER = ledger_key("default")
TERMS = terms_key("default")
PENDING = pending_key("default")
START_S = 1_900_000_000
EVERY = Misfire.ALL(cap=1_000_000)
PERIODS = {"minutes": 60, "sevens": 7, "thrice": 50, "alone": 30, "latest": 20, "skip": 11}
#: Entries of which every tick is enqueued, but for the limit.
WHOLE = ("minutes", "sevens", "thrice")
REPLICAS = 3
#: What is in a request with ticks, and in no other.
SENDS = ENQUEUE.sha.encode()
STEPS = ("elect", "tick", "send")
#: How many ticks go at a time: few, so that a backlog takes several batches.
SMALL, LARGE = 3, 500

ENTRIES = [
    PeriodicTask("* * * * *", AsynqTask("t"), name="minutes", misfire=EVERY),
    PeriodicTask("@every 7s", AsynqTask("t"), name="sevens", misfire=EVERY),
    PeriodicTask("@every 50s", AsynqTask("t"), name="thrice", misfire=EVERY, max_runs=3),
    PeriodicTask("@every 30s", AsynqTask("t"), name="alone", misfire=EVERY, overlap=Overlap.SKIP),
    PeriodicTask("@every 20s", AsynqTask("t"), name="latest", misfire=Misfire.LATEST),
    PeriodicTask("@every 11s", AsynqTask("t"), name="skip", misfire=Misfire.SKIP),
]


def test_each_tick_is_enqueued_once_whatever_happens(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "BATCH", SMALL)

    class Here(SchedulingMachine):
        where = server

    run_state_machine_as_test(
        Here, settings=settings(max_examples=80, stateful_step_count=40, deadline=None)
    )


def test_a_tick_given_up_is_not_passed_over_by_those_after_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A backlog of several batches; the term ends with the first, and another begins at once.
    monkeypatch.setattr(sender_module, "BATCH", SMALL)
    with machine(server) as here:
        here.set_the_clock(0, 3600)
        here.take(0, "tick")
        here.lapse(0)
        here.take(0, "send")
        here.take(0, "elect")

        here.take(0, "send")

        here.come_to_rest(0)


def test_a_tick_given_up_is_made_up_for_when_the_same_term_goes_on(server: RedisServer) -> None:
    with machine(server) as here:
        here.set_the_clock(0, 7)
        here.take(0, "tick")
        leader = here.replicas[0]
        term = leader.elector.term

        def while_the_renewal_is_late(data: bytes) -> None:
            leader.proxy.on_request = ignore
            leader.monotonic.seconds += 9
            leader.take("send")

        # Asked 5 s and answered 14 s after the last renewal, which was trusted for 13.5 s.
        leader.monotonic.seconds += 5
        leader.proxy.on_request = while_the_renewal_is_late
        here.take(0, "elect")
        assert leader.elector.term == term
        assert here.enqueued["sevens"] == []
        here.set_the_clock(0, 7)

        here.work(0)

        assert here.enqueued["sevens"] == [START_S + 7, START_S + 14]


@contextlib.contextmanager
def machine(server: RedisServer) -> Iterator[SchedulingMachine]:
    """Replicas for one story; the first leads."""

    class Here(SchedulingMachine):
        where = server

    here = Here()
    try:
        here.two_stand_by()
        yield here
        here.nothing_failed_meanwhile()
    finally:
        here.close()


class Replica:
    """One scheduler, whose threads the test plays."""

    def __init__(self, number: int, proxy: Proxy, clock: FixedClock, monotonic: Clockwork) -> None:
        config = SchedulerConfig(
            leader_election=LeaderElection(GROUP, lease=LEASE_S), max_waiting=1_000_000
        )
        log = logging.Logger("silent", logging.CRITICAL + 1)
        self.proxy = proxy
        self.clock = clock
        self.monotonic = monotonic
        #: By its clock, when it was elected last.
        self.elected_s = 0
        self.connection = Connection(proxy.url)
        book = Book(config)
        self.elector = Elector(
            self.connection,
            LeaderElection(GROUP, lease=LEASE_S),
            f"replica {number}",
            self._on_change,
            log,
            monotonic,
        )
        self.outbox = Outbox(config.max_waiting)
        self.sender = Sender(
            self.connection,
            book,
            self.outbox,
            Hooks(log),
            config,
            lambda: self.elector.term,
            self.elector.step_down,
            clock,
            log,
            monotonic,
        )
        self.ticker = Ticker(
            self.connection,
            book,
            self.outbox,
            self.sender,
            lambda: self.elector.term,
            clock,
            log,
            monotonic,
        )
        with book.lock.write():
            book.replace(make_slots(ENTRIES, config), self.now_s, running=False)
            book.begin(self.now_s)

    @property
    def now_s(self) -> int:
        return self.clock.now_ns() // NANOSECONDS

    def take(self, step: str) -> Any:  # noqa: ANN401
        """One step of one thread."""
        if step == "elect":
            return self.elector.step()
        return self.ticker.step() if step == "tick" else self.sender.step()

    def _on_change(self, event: Leadership) -> None:
        if event.event == "elected":
            self.elected_s = self.now_s


class Clockwork:
    """A monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


#: The first one mostly, so that much happens to one.
replicas = st.sampled_from([0, 0, 0, 1, 1, 2])
#: What may happen while somebody waits for Redis: who does what.
meanwhiles = st.lists(
    st.tuples(replicas, st.sampled_from([*STEPS, "work", "lapse", "end_lease", "time", "down"])),
    min_size=1,
    max_size=6,
)

courses = st.lists(
    st.sampled_from([*STEPS, "send", "lapse", "end_lease", "time"]), min_size=3, max_size=10
)


TROUBLES: dict[str, Callable[[SchedulingMachine, int], object]] = {
    "its trust lapses": lambda here, number: here.lapse(number),
    # Also while the holder trusts it still: its clock is slow, or it is frozen.
    "the lease ends": lambda here, number: here.end_lease(),
    "it resigns": lambda here, number: here.replicas[number].elector.resign(),
    "it crashes": lambda here, number: here.restart(number),
    "its request is lost": lambda here, number: here.proxies[number].cut("request", b"EVALSHA"),
    "the reply is lost": lambda here, number: here.proxies[number].cut("reply", b"EVALSHA"),
    "its network fails": lambda here, number: here.fail([number]),
    "Redis fails": lambda here, number: here.fail(range(REPLICAS)),
    "Redis is back": lambda here, number: here.fail([]),
    "the scripts are lost": lambda here, number: here.database.script_flush(),
}


class SchedulingMachine(RuleBasedStateMachine):
    """Has replicas meet with everything, and keeps books of what they enqueued."""

    where: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.database = redis.Redis.from_url(self.where.url)
        self.database.flushdb()
        self.proxies = [Proxy(self.where.port) for _ in range(REPLICAS)]
        self.clocks = [FixedClock(START_S * NANOSECONDS) for _ in range(REPLICAS)]
        self.monotonics = [Clockwork() for _ in range(REPLICAS)]
        self.replicas = [self._replica(number) for number in range(REPLICAS)]
        self.latest_s = START_S
        #: By entry: the tick after which all count, as the ledger had it first.
        self.baselines: dict[str, int] = {}
        #: By entry: what was enqueued.
        self.enqueued: dict[str, list[int]] = {name: [] for name in PERIODS}
        #: The last values of numbers that must not fall.
        self.highest: dict[str, int] = {}
        #: The one task that nobody has worked off yet.
        self.undone: bytes | None = None
        self.failures: list[BaseException] = []

    # -- what happens --

    @initialize()
    def two_stand_by(self) -> None:
        for replica in self.replicas[:2]:
            self._work(replica)

    @rule(seconds=st.sampled_from([1, 7, 20, 61]))
    def let_time_pass(self, seconds: int) -> None:
        for number in range(REPLICAS):
            self._move(number, seconds)
            self.monotonics[number].seconds += seconds

    @rule(number=replicas, seconds=st.sampled_from([-3600, -90, -1, 1, 90, 90, 90, 3600]))
    def set_the_clock(self, number: int, seconds: int) -> None:
        self._move(number, seconds)

    @rule(number=replicas)
    def work(self, number: int) -> None:
        self._work(self.replicas[number])

    @rule(number=replicas, course=courses)
    def run_its_course(self, number: int, course: list[str]) -> None:
        """Its threads run in any order, while its lease and its time run, too."""
        for what in course:
            self._happen(None, "", number, what)

    @rule(number=replicas, where=st.sampled_from(["request", "reply"]), course=courses)
    def lose_the_line_with_ticks(self, number: int, where: Any, course: list[str]) -> None:  # noqa: ANN401
        """As a leader, if it can be one; its threads go on."""
        self.let_time_pass(7)
        self.take(number, "elect")
        self.take(number, "tick")
        self.proxies[number].cut(where, SENDS)
        self.take(number, "send")
        for what in course:
            self._happen(None, "", number, what)

    @rule(
        number=replicas,
        step=st.sampled_from(STEPS),
        nth=st.integers(1, 3),
        meanwhile=meanwhiles,
    )
    def freeze_in_a_step(
        self, number: int, step: str, nth: int, meanwhile: list[tuple[int, str]]
    ) -> None:
        """Between looking at its term and sending, say; it thaws, and sends all the same."""
        self._interrupt(self.replicas[number], step, nth, meanwhile)

    @rule(number=replicas, what=st.sampled_from(sorted(TROUBLES)))
    def meet_with(self, number: int, what: str) -> None:
        TROUBLES[what](self, number)

    @rule()
    def finish_the_task(self) -> None:
        """A worker is done with the task of which there is one at a time."""
        if self.undone is not None:
            self.database.delete(self.undone)
            self.undone = None

    @rule(number=replicas)
    def come_to_rest(self, number: int) -> None:
        """All is well again: one leader, Redis within reach, a clock beyond all others."""
        for proxy in self.proxies:
            proxy.is_down = False
            proxy.forget_cut()
        self.end_lease()
        leader = self.replicas[number]
        self.lapse(number)
        self._move(number, self.latest_s + 1 - leader.now_s)
        self._drain(leader)
        for _ in range(3):
            self._move(number, PERIODS["skip"])
            self._drain(leader)
            assert self.enqueued["skip"][-1] == self._newest("skip", leader.now_s)
        for name in WHOLE:
            expected = self._all("minutes" if name == "minutes" else name, leader.now_s)
            if name == "thrice":
                expected = expected[:3]
            assert self.enqueued[name] == expected, name
        newest = self._newest("latest", leader.now_s)
        if newest > self.baselines["latest"]:
            assert self.enqueued["latest"][-1] == newest
        self.finish_the_task()
        before = len(self.enqueued["alone"])
        self._move(number, PERIODS["alone"])
        self._drain(leader)
        assert len(self.enqueued["alone"]) == before + 1

    # -- what must be so --

    @invariant()
    def nothing_failed_meanwhile(self) -> None:
        if self.failures:
            raise self.failures.pop()

    def teardown(self) -> None:
        try:
            if not self.failures:
                self.come_to_rest(0)
        finally:
            self.close()

    def close(self) -> None:
        for replica in self.replicas:
            replica.connection.close()
        for proxy in self.proxies:
            proxy.close()
        self.database.close()

    def _observe(self, replica: Replica, since_s: int) -> None:
        """Takes all tasks, and looks at each, and at the numbers that only grow."""
        for field, value in self.database.hgetall(LEDGER).items():
            name = field.decode().removeprefix(f"{GROUP}:")
            tick, runs, _ = value.decode().split(" ", 2)
            self.baselines.setdefault(name, int(tick))
            self._must_not_fall(f"tick of {name}", int(tick))
            self._must_not_fall(f"runs of {name}", int(runs))
        for group, term in self.database.hgetall(TERMS).items():
            self._must_not_fall(f"term of {group!r} in the queue", int(term))
        self._must_not_fall("term", int(self.database.hget(LEADER, "term") or 0))

        ids = self.database.lrange(PENDING, 0, -1)[::-1]
        if not ids:
            return
        keys = [b"asynq:{default}:t:" + task_id for task_id in ids]
        pipeline = self.database.pipeline()
        for key in keys:
            pipeline.hget(key, "msg")
        messages = pipeline.execute()
        taken: list[bytes] = [PENDING.encode()]
        for key, data in zip(keys, messages, strict=True):
            headers = dict(decode(data).headers)
            name = headers["asynq-entry"]
            tick_s = int(datetime.fromisoformat(headers["asynq-scheduled-for"]).timestamp())
            self._check(name, tick_s, since_s)
            self.enqueued[name].append(tick_s)
            if name == "alone":
                assert self.undone is None, "a second task while the last one is not done"
                self.undone = key
            else:
                taken.append(key)
        self.database.delete(*taken)

    def _check(self, name: str, tick_s: int, since_s: int) -> None:
        before = self.enqueued[name]
        assert tick_s not in before, f"{name}: {tick_s} twice"
        last = before[-1] if before else self.baselines[name]
        assert tick_s > last, f"{name}: {tick_s} after {last}"
        assert tick_s == self._newest(name, tick_s), f"{name}: {tick_s} is out of phase"
        if name in WHOLE:
            assert tick_s == self._all(name, tick_s)[len(before)], f"{name}: a gap before {tick_s}"
        if name == "thrice":
            assert len(before) < 3
        if name == "skip":
            assert tick_s > since_s, "a tick that fell into downtime"

    def _must_not_fall(self, what: str, value: int) -> None:
        assert value >= self.highest.get(what, 0), f"{what} fell to {value}"
        self.highest[what] = value

    def _all(self, name: str, until_s: int) -> list[int]:
        """All ticks of an entry that count."""
        period, baseline = PERIODS[name], self.baselines[name]
        first = baseline + period
        if name == "minutes":
            first -= baseline % period
        return list(range(first, until_s + 1, period))

    def _newest(self, name: str, until_s: int) -> int:
        """The last of them; the baseline if there is none."""
        anchor = 0 if name == "minutes" else self.baselines[name]
        newest = until_s - (until_s - anchor) % PERIODS[name]
        return max(newest, self.baselines[name])

    # -- how --

    def _replica(self, number: int) -> Replica:
        return Replica(number, self.proxies[number], self.clocks[number], self.monotonics[number])

    def _move(self, number: int, seconds: int) -> None:
        replica = self.replicas[number]
        self.clocks[number].advance(seconds)
        self.latest_s = max(self.latest_s, replica.now_s)
        replica.elected_s = min(replica.elected_s, replica.now_s)

    def take(self, number: int, step: str) -> None:
        self._take(self.replicas[number], step)

    def _take(self, replica: Replica, step: str) -> Any:  # noqa: ANN401
        since_s = replica.elected_s
        answer = replica.take(step)
        self._observe(replica, since_s)
        return answer

    def _work(self, replica: Replica) -> None:
        for step in STEPS:
            self._take(replica, step)

    def _drain(self, replica: Replica) -> None:
        """Works until nothing waits."""
        before, sender_module.BATCH = sender_module.BATCH, LARGE
        try:
            for _ in range(10):
                self._take(replica, "elect")
                self._take(replica, "tick")
                while self._take(replica, "send") is not None:
                    pass
                if replica.elector.term is not None and not len(replica.outbox):
                    return
            raise AssertionError("it does not come to rest")
        finally:
            sender_module.BATCH = before

    def restart(self, number: int) -> None:
        self.replicas[number].connection.close()
        self.replicas[number] = self._replica(number)

    def fail(self, numbers: Iterable[int]) -> None:
        for number, proxy in enumerate(self.proxies):
            proxy.is_down = number in numbers

    def lapse(self, number: int) -> None:
        self.monotonics[number].seconds += LEASE_S

    def end_lease(self) -> None:
        if self.database.exists(LEADER):
            self.database.hset(LEADER, "until", 0)

    def _interrupt(
        self, replica: Replica, step: str, nth: int, meanwhile: list[tuple[int, str]]
    ) -> None:
        left = nth
        since_s = replica.elected_s

        def on_request(data: bytes) -> None:
            nonlocal left
            left -= 1
            if left:
                return
            replica.proxy.on_request = ignore
            try:
                self._observe(replica, since_s)
                for number, what in meanwhile:
                    self._happen(replica, step, number, what)
            except BaseException as error:
                self.failures.append(error)

        replica.proxy.on_request = on_request
        try:
            replica.take(step)
        finally:
            replica.proxy.on_request = ignore
        if not self.failures:
            self._observe(replica, since_s)

    def _happen(self, frozen: Replica | None, frozen_step: str, number: int, what: str) -> None:
        """Something, while a thread of a replica is frozen; its other threads go on."""
        other = self.replicas[number]
        if what == "lapse":
            self.lapse(number)
        elif what == "end_lease":
            self.end_lease()
        elif what == "time":
            self.let_time_pass(7)
        elif what == "down":
            other.proxy.is_down = not other.proxy.is_down
        elif what == "work":
            for step in STEPS:
                self._happen(frozen, frozen_step, number, step)
        elif other is not frozen or what != frozen_step:
            self._take(other, what)


def ignore(data: bytes) -> None:
    """Nothing happens."""


@pytest.fixture(autouse=True)
def _empty_again(server: RedisServer) -> Iterator[None]:
    yield
    server.command("FLUSHALL")
