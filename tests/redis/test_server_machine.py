"""Whatever workers do in whatever order, Redis holds what a simple model says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from asynq_py.broker.due import delete_expired, forward
from asynq_py.broker.finish import Finished, Outcome, finish, write_result
from asynq_py.broker.leases import expired_leases, extend_leases
from asynq_py.broker.take import LEASE_S, take_turn
from asynq_py.connection.sync import Connection
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import TaskMessage, decode, encode
from tests.support.states import put
from tests.support.tasks import NOW_S

IDS = ["a", "b", "c", "d", "e"]
QUEUE = "q"
PREFIX = f"asynq:{{{QUEUE}}}:"
ids = st.sampled_from(IDS)
seconds = st.sampled_from([0, 1, 20, 100])


def test_any_sequence_of_what_workers_do_is_as_the_model_says(server: RedisServer) -> None:
    class Here(WorkingMachine):
        where = server

    run_state_machine_as_test(
        Here, settings=settings(max_examples=100, stateful_step_count=30, deadline=None)
    )


@pytest.fixture(autouse=True)
def _empty_again(server: RedisServer) -> Iterator[None]:
    yield
    server.command("FLUSHALL")


@dataclass
class Kept:
    """A task as it must be."""

    state: str
    #: When it is due, expires, or until when it is leased.
    score: int = 0
    retried: int = 0
    crashes: int = 0
    result: bytes | None = None
    locks: bool = False


class WorkingMachine(RuleBasedStateMachine):
    """Workers, a forwarder, a recoverer and a janitor; one queue, few tasks."""

    where: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.database = redis.Redis.from_url(self.where.url)
        self.database.flushdb()
        self.connection = Connection(self.where.url)
        self.now_s = NOW_S
        self.tasks: dict[str, Kept] = {}
        #: The next one last.
        self.pending: list[str] = []
        self.processed = self.failed = 0
        self.paused = False

    def teardown(self) -> None:
        self.connection.close()
        self.database.close()

    @property
    def now_ns(self) -> int:
        return self.now_s * 10**9

    # -- what producers do --

    @rule(task_id=ids, later=seconds, locks=st.booleans())
    def enqueue(self, task_id: str, later: int, locks: bool) -> None:
        if task_id in self.tasks:
            return
        state = "scheduled" if later else "pending"
        lock = f"{PREFIX}unique:{task_id}" if locks else ""
        put(self.database, state, task_id, queue=QUEUE, score=self.now_s + later, unique_key=lock)
        if lock:
            self.database.set(lock, task_id)
        self.tasks[task_id] = Kept(state, self.now_s + later, locks=locks)
        if not later:
            self.pending.insert(0, task_id)

    @rule(task_id=ids)
    def take_the_lock_over(self, task_id: str) -> None:
        if task_id in self.tasks and self.tasks[task_id].locks:
            self.database.set(f"{PREFIX}unique:{task_id}", "another")
            self.tasks[task_id].locks = False

    # -- what people do --

    @rule()
    def lose_the_scripts(self) -> None:
        self.database.script_flush()

    @rule(by=seconds)
    def let_time_pass(self, by: int) -> None:
        self.now_s += by

    @rule()
    def pause_or_go_on(self) -> None:
        self.paused = not self.paused
        if self.paused:
            self.database.set(f"{PREFIX}paused", 1)
        else:
            self.database.delete(f"{PREFIX}paused")

    @rule(ghost=st.sampled_from(["x", "y"]))
    def leave_an_id_without_a_task(self, ghost: str) -> None:
        if ghost not in self.pending:
            self.database.lpush(f"{PREFIX}pending", ghost)
            self.pending.insert(0, ghost)

    # -- what servers do --

    @rule(most=st.integers(1, 4))
    def take(self, most: int) -> None:
        turn = self.connection.run(
            take_turn([], [QUEUE], most, lambda queues, slots: {queues[0]: slots}, self.now_ns)
        )
        expected: list[bytes] = []
        ghosts = 0
        for _ in range(0 if self.paused else 99):
            if len(expected) == most or not self.pending:
                break
            task_id = self.pending.pop()
            if task_id not in self.tasks:
                ghosts += 1
                continue
            expected.append(task_id.encode())
            self.tasks[task_id].state = "active"
            self.tasks[task_id].score = self.now_s + LEASE_S
        assert [each.task_id for each in turn.taken] == expected
        assert turn.ghosts.get(QUEUE, 0) == ghosts

    @rule(chosen=st.lists(ids, min_size=1, max_size=3, unique=True), data=st.data())
    def hand_in(self, chosen: list[str], data: st.DataObject) -> None:
        finished = []
        for task_id in chosen:
            outcome = data.draw(st.sampled_from(list(Outcome)))
            score = self.now_s + data.draw(seconds)
            finished.append(self._finished(task_id, outcome, score))
        expected = [self._finish(each) for each in finished]

        assert self.connection.run(finish(finished, self.now_ns)) == expected

    @rule()
    def forward(self) -> None:
        due = [
            (state, task.score, task_id)
            for state in ("scheduled", "retry")
            for task_id, task in self.tasks.items()
            if task.state == state and task.score <= self.now_s
        ]
        # Scheduled ones first, each kind by score and ID.
        for _, _, task_id in sorted(due, key=lambda each: (each[0] != "scheduled", *each[1:])):
            self.tasks[task_id].state = "pending"
            self.pending.insert(0, task_id)
        assert self.connection.run(forward(QUEUE, self.now_ns)) == len(due)

    @rule(chosen=st.lists(ids, max_size=3, unique=True))
    def renew(self, chosen: list[str]) -> None:
        self.connection.run(extend_leases({QUEUE: chosen}, self.now_ns))
        for task_id in chosen:
            if task_id in self.tasks and self.tasks[task_id].state == "active":
                self.tasks[task_id].score = self.now_s + LEASE_S

    @rule(renewed=ids)
    def recover(self, renewed: str) -> None:
        """One task is renewed after the leases were looked at."""
        cutoff_s = self.now_s - 30
        expired = self.connection.run(expired_leases(QUEUE, cutoff_s))
        assert {each.task_id.decode() for each in expired} == {
            task_id
            for task_id, task in self.tasks.items()
            if task.state == "active" and task.score <= cutoff_s
        }
        self.renew([renewed])
        found = [
            self._finished(each.task_id.decode(), Outcome.CRASH, self.now_s + 1)._replace(
                lease_at_most=cutoff_s
            )
            for each in expired
        ]
        expected = [self._finish(each) for each in found]
        assert self.connection.run(finish(found, self.now_ns)) == expected

    @rule()
    def clean(self) -> None:
        old = [
            task_id
            for task_id, task in self.tasks.items()
            if task.state == "completed" and task.score <= self.now_s
        ]
        for task_id in old:
            del self.tasks[task_id]
        assert self.connection.run(delete_expired(QUEUE, self.now_ns, 2)) == len(old)

    @rule(task_id=ids)
    def write(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        is_so = task is not None and task.state == "active"
        assert self.connection.run(write_result(QUEUE, task_id, b"r")) == is_so
        if task is not None and is_so:
            task.result = b"r"

    # -- the model --

    def _finished(self, task_id: str, outcome: Outcome, score: int) -> Finished:
        task = self.tasks.get(task_id)
        retried = (task.retried if task else 0) + (outcome is Outcome.RETRY)
        data = encode(TaskMessage(type="t", id=task_id, queue=QUEUE, retry=25, retried=retried))
        lets_go = outcome in (Outcome.DONE, Outcome.COMPLETE)
        lock = f"{PREFIX}unique:{task_id}" if lets_go else ""
        plain = outcome in (Outcome.DONE, Outcome.REQUEUE)
        return Finished(QUEUE, task_id, outcome, b"" if plain else data, score, lock)

    def _finish(self, finished: Finished) -> bool:
        task = self.tasks.get(finished.task_id)
        if task is None or task.state != "active":
            return False
        if finished.lease_at_most is not None and task.score > finished.lease_at_most:
            return False
        if finished.lock:
            task.locks = False
        match finished.outcome:
            case Outcome.DONE:
                del self.tasks[finished.task_id]
            case Outcome.REQUEUE:
                task.state = "pending"
                self.pending.append(finished.task_id)
            case Outcome.COMPLETE:
                task.state = "completed"
            case Outcome.ARCHIVE:
                task.state = "archived"
            case Outcome.RETRY | Outcome.POSTPONE | Outcome.CRASH:
                task.state = "retry"
        if finished.outcome is not Outcome.REQUEUE:
            task.score = finished.score
        task.retried += finished.outcome is Outcome.RETRY
        task.crashes += finished.outcome is Outcome.CRASH
        self.failed += finished.outcome in (Outcome.RETRY, Outcome.ARCHIVE)
        self.processed += finished.outcome in (
            *(Outcome.RETRY, Outcome.ARCHIVE, Outcome.DONE, Outcome.COMPLETE),
        )
        return True

    @invariant()
    def lists_and_sets_hold_what_they_must(self) -> None:
        stored = [each.decode() for each in self.database.lrange(f"{PREFIX}pending", 0, -1)]
        assert stored == self.pending
        active = {task_id for task_id, task in self.tasks.items() if task.state == "active"}
        stored = [each.decode() for each in self.database.lrange(f"{PREFIX}active", 0, -1)]
        assert sorted(stored) == sorted(active)
        for state in ("lease", "scheduled", "retry", "archived", "completed"):
            of_state = "active" if state == "lease" else state
            found = self.database.zrange(f"{PREFIX}{state}", 0, -1, withscores=True)
            assert {task_id.decode(): score for task_id, score in found} == {
                task_id: task.score
                for task_id, task in self.tasks.items()
                if task.state == of_state
            }

    @invariant()
    def hashes_say_what_they_must(self) -> None:
        stored = {key.decode().removeprefix(f"{PREFIX}t:") for key in self._keys("t:*")}
        assert stored == set(self.tasks)
        for task_id, task in self.tasks.items():
            fields = self.database.hgetall(f"{PREFIX}t:{task_id}")
            assert fields[b"state"].decode() == task.state
            assert decode(fields[b"msg"]).retried == task.retried
            assert int(fields.get(b"py_crashes", 0)) == task.crashes
            assert fields.get(b"result") == task.result

    @invariant()
    def locks_are_held_by_those_who_must(self) -> None:
        held = {
            key.decode().rpartition(":")[2]
            for key in self._keys("unique:*")
            if self.database.get(key) != b"another"
        }
        assert held == {task_id for task_id, task in self.tasks.items() if task.locks}

    @invariant()
    def counters_are_right(self) -> None:
        for name, count in (("processed", self.processed), ("failed", self.failed)):
            (total, *days) = [
                int(self.database.get(key) or 0)
                for key in (f"{PREFIX}{name}", *self._keys(f"{name}:*"))
            ]
            assert total == sum(days) == count

    def _keys(self, pattern: str) -> list[bytes]:
        return list(self.database.scan_iter(f"{PREFIX}{pattern}"))
