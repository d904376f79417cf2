"""A scheduler in the hands of many threads: nothing hangs, and nothing but what is documented
is raised."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

import pytest

from asynq_py import (
    ConfigError,
    LeaderElection,
    NotFoundError,
    PeriodicTask,
    Scheduler,
    SchedulerConfig,
    SchedulerRunningError,
    SchedulerStoppedError,
    Task,
)
from asynq_py.clock import SYSTEM_CLOCK
from asynq_py.connection.sync import Connection
from asynq_py.scheduler.book import Book
from asynq_py.scheduler.elector import Elector
from asynq_py.scheduler.publisher import Publisher
from asynq_py.testing.redis_server import RedisServer

MakeScheduler = Callable[..., Scheduler]
#: Longer than anything here may take, seconds.
PATIENCE_S = 15
LOG = logging.getLogger("asynq_py.scheduler")
NAMES = ("a", "b", "c", "d")


class Crew:
    """Threads that begin together; what they raise is kept."""

    def __init__(self) -> None:
        self._begin = threading.Event()
        self._threads: list[threading.Thread] = []
        self.raised: list[BaseException] = []

    def add(self, work: Callable[[], object]) -> None:
        """Has a thread do something."""

        def run() -> None:
            self._begin.wait()
            try:
                work()
            except BaseException as error:
                self.raised.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def work(self) -> list[BaseException]:
        """Lets them begin, and waits for all; gives what they raised."""
        self._begin.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in self._threads), "a thread hangs"
        return self.raised


# -- what many may do at once --


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("election", [None, LeaderElection("g", lease=1, renew_every=0.2)])
def test_any_calls_from_many_threads_end_as_documented(
    make_scheduler: MakeScheduler, seed: int, election: LeaderElection | None
) -> None:
    scheduler = make_scheduler(leader_election=election, heartbeat_interval=0.05)
    starts = threading.Semaphore(0)
    stopped: list[bool] = []

    def register(chance: random.Random) -> None:
        name = chance.choice(NAMES)
        assert scheduler.register("@every 1s", Task("t"), name=name) == name

    def apply(chance: random.Random) -> None:
        names = chance.sample(NAMES, chance.randint(0, len(NAMES)))
        every = chance.choice((1, 2))
        changes = scheduler.apply(
            PeriodicTask(f"@every {every}s", Task("t"), name=name) for name in names
        )
        assert changes.added + changes.changed + changes.unchanged == len(names)

    def start(chance: random.Random) -> None:
        if chance.random() < 0.1:
            scheduler.start()
            starts.release()

    def stop(chance: random.Random) -> None:
        if chance.random() < 0.02:
            scheduler.stop()
            stopped.append(not scheduler.is_running)

    def read(chance: random.Random) -> None:
        ids = [entry.id for entry in scheduler.entries()]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= set(NAMES)

    def look(chance: random.Random) -> None:
        assert scheduler.entry(chance.choice(NAMES)).id in NAMES

    calls: dict[Callable[[random.Random], None], tuple[type[Exception], ...]] = {
        register: (ConfigError, SchedulerRunningError, SchedulerStoppedError),
        lambda chance: scheduler.unregister(chance.choice(NAMES)): (
            NotFoundError,
            SchedulerRunningError,
            SchedulerStoppedError,
        ),
        apply: (SchedulerStoppedError,),
        start: (SchedulerRunningError, SchedulerStoppedError),
        stop: (),
        read: (),
        look: (NotFoundError,),
        lambda chance: scheduler.is_running: (),
        lambda chance: scheduler.is_leader: (),
        lambda chance: scheduler.counts(): (),
    }

    def play(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        for _ in range(150):
            call = chance.choice(list(calls))
            try:
                call(chance)
            except calls[call]:
                pass

    crew = Crew()
    for number in range(8):
        crew.add(lambda number=number: play(number))  # type: ignore[misc]

    assert crew.work() == []

    scheduler.stop()
    assert not scheduler.is_running
    assert not scheduler.is_leader
    # It was started at most once, whoever tried.
    assert not (starts.acquire(blocking=False) and starts.acquire(blocking=False))
    assert all(stopped)
    read(random.Random(seed))
    left = {each.name for each in threading.enumerate() if each.name.startswith("asynq-")}
    # Its wait for a message may outlast it; it acts on none.
    assert left <= {"asynq-scheduler-listener"}


@pytest.mark.parametrize("election", [None, LeaderElection("g")])
def test_starting_and_stopping_at_once_leaves_a_scheduler_that_is_stopped_or_runs(
    make_scheduler: MakeScheduler, election: LeaderElection | None
) -> None:
    for _ in range(20):
        scheduler = make_scheduler(leader_election=election, heartbeat_interval=1000)
        crew = Crew()
        crew.add(scheduler.start)
        for _ in range(3):
            crew.add(scheduler.stop)

        raised = crew.work()

        assert raised == []
        scheduler.stop()
        assert not scheduler.is_running


def test_of_many_who_start_one_succeeds(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    crew = Crew()
    for _ in range(8):
        crew.add(scheduler.start)

    raised = crew.work()

    assert [type(error) for error in raised] == [SchedulerRunningError] * 7
    assert scheduler.is_running


# -- what must not be slept through --


class Unlucky(threading.Event):
    """Something happens right before it is cleared."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    def clear(self) -> None:
        self._happens()
        super().clear()


def test_an_elector_does_not_sleep_through_its_end(server: RedisServer) -> None:
    connection = Connection(server.url)
    election = LeaderElection("g", lease=1200, renew_every=600)
    elector = Elector(connection, election, "me", lambda event: None, LOG)
    elector._wake = Unlucky(elector.stop)
    elector.wake()
    crew = Crew()
    crew.add(elector.run)
    elector._wake.set()

    assert crew.work() == []
    connection.close()


def test_a_publisher_does_not_sleep_through_its_end(server: RedisServer) -> None:
    connection = Connection(server.url)
    config = SchedulerConfig(heartbeat_interval=1000)
    publisher = Publisher(connection, "s", Book(config), lambda: 0, config, SYSTEM_CLOCK, LOG)
    publisher._wake = Unlucky(publisher.stop)
    publisher.wake()
    crew = Crew()
    crew.add(publisher.run)

    assert crew.work() == []
    connection.close()
