"""Whatever is enqueued in whatever order, Redis stays consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asynq_py import ConflictError, Task
from asynq_py.clock import FixedClock
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support import strategies
from tests.support.worlds import Producer, World, close_producer, open_producer

QUEUES = ["default", "low", "q:ü"]
NOW = 1_900_000_000_000_000_000


def test_any_sequence_of_operations_keeps_the_invariants(server: RedisServer, world: World) -> None:
    class Here(ProducingMachine):
        where = server
        inside: World = world

    run_state_machine_as_test(
        Here, settings=settings(max_examples=25, stateful_step_count=15, deadline=None)
    )


class ProducingMachine(RuleBasedStateMachine):
    """Enqueues, and keeps books of what must be there."""

    where: RedisServer
    inside: World

    def __init__(self) -> None:
        super().__init__()
        self.database = redis.Redis.from_url(self.where.url)
        self.database.flushdb()
        self.clock = FixedClock(NOW)
        self.client: Producer = open_producer(self.inside, self.where.url, clock=self.clock)
        self.stored: set[tuple[str, str]] = set()
        self.used: set[str] = set()

    def teardown(self) -> None:
        close_producer(self.client)
        self.database.close()

    @rule(task=strategies.few_tasks())
    def enqueue(self, task: Task) -> None:
        queue, task_id = _place(task)
        self.used.add(queue)
        taken = (queue, task_id) in self.stored
        try:
            self.client.enqueue(task)
            stored = True
        except ConflictError:
            stored = False
        assert stored != taken or "unique" in task.options
        assert not (stored and taken)
        if stored:
            self.stored.add((queue, task_id))

    @rule(tasks=st.lists(strategies.few_tasks(), max_size=6))
    def enqueue_many(self, tasks: list[Task]) -> None:
        for task, result in zip(tasks, self.client.enqueue_many(tasks), strict=True):
            place = _place(task)
            self.used.add(place[0])
            if result.ok:
                assert place not in self.stored
                self.stored.add(place)
            else:
                assert isinstance(result.error, ConflictError)

    @rule()
    def lose_the_scripts(self) -> None:
        self.database.script_flush()

    @rule(seconds=st.sampled_from([-5, 1, 40]))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A task is done: what a worker leaves of it."""
        queue, task_id = data.draw(st.sampled_from(sorted(self.stored)))
        prefix = f"asynq:{{{queue}}}:"
        lock = self.database.hget(f"{prefix}t:{task_id}", "msg")
        assert lock is not None
        unique_key = decode(lock).unique_key
        if unique_key and self.database.get(unique_key) == task_id.encode():
            self.database.delete(unique_key)
        for key in [f"{prefix}scheduled", *_groups(self.database, queue)]:
            self.database.zrem(key, task_id)
        self.database.lrem(f"{prefix}pending", 0, task_id)
        self.database.delete(f"{prefix}t:{task_id}")
        self.stored.discard((queue, task_id))

    @invariant()
    def every_task_is_in_one_place_and_its_hash_names_it(self) -> None:
        for queue in QUEUES:
            prefix = f"asynq:{{{queue}}}:"
            places: Counter[tuple[str, str]] = Counter()
            for task_id in self.database.lrange(f"{prefix}pending", 0, -1):
                places[task_id.decode(), "pending"] += 1
            for task_id in self.database.zrange(f"{prefix}scheduled", 0, -1):
                places[task_id.decode(), "scheduled"] += 1
            for key in _groups(self.database, queue):
                for task_id in self.database.zrange(key, 0, -1):
                    places[task_id.decode(), "aggregating"] += 1

            expected = {task_id for stored_in, task_id in self.stored if stored_in == queue}
            assert sorted(task_id for task_id, _ in places.elements()) == sorted(expected)
            for task_id, state in places:
                fields = self.database.hgetall(f"{prefix}t:{task_id}")
                assert fields[b"state"] == state.encode()
                assert (b"pending_since" in fields) == (state == "pending")
                assert (b"group" in fields) == (state == "aggregating")
                message = decode(fields[b"msg"])
                assert (message.queue, message.id) == (queue, task_id)

    @invariant()
    def every_hash_and_every_lock_belongs_to_a_task(self) -> None:
        hashes = set()
        for key in self.database.scan_iter("asynq:{*}:t:*"):
            queue, _, task_id = key.decode().removeprefix("asynq:{").partition("}:t:")
            hashes.add((queue, task_id))
        assert hashes == self.stored
        for key in self.database.scan_iter("asynq:{*}:unique:*"):
            queue = key.decode().removeprefix("asynq:{").partition("}")[0]
            holder = self.database.get(key)
            assert holder is not None
            assert (queue, holder.decode()) in self.stored
            message = decode(self.database.hget(f"asynq:{{{queue}}}:t:{holder.decode()}", "msg"))
            assert message.unique_key == key.decode()
            assert self.database.ttl(key) > 0

    @invariant()
    def every_queue_used_is_listed(self) -> None:
        listed = {name.decode() for name in self.database.smembers("asynq:queues")}
        assert listed == self.used


def _place(task: Task) -> tuple[str, str]:
    options = task.options
    return options.get("queue", "default"), options["task_id"]


def _groups(database: redis.Redis, queue: str) -> Iterator[str]:
    for group in database.smembers(f"asynq:{{{queue}}}:groups"):
        yield f"asynq:{{{queue}}}:g:{group.decode()}"


@pytest.fixture(autouse=True)
def _empty_again(server: RedisServer) -> Iterator[None]:
    yield
    server.command("FLUSHALL")
