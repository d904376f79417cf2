"""Every producing operation, performed by Go and by Python on two databases: the whole
keyspace must come out the same, whichever way Python enqueues."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keyspace import differences

from asynq_py import (
    AsyncClient,
    AsynqError,
    Client,
    DuplicateTaskError,
    Task,
    TaskIDConflictError,
)
from asynq_py.testing import Oracle, Redis, Stack

GO, PYTHON = 0, 1
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)

#: One value or more of each option, in Python's form.
OPTIONS: dict[str, list[object]] = {
    "queue": ["critical", "Großer Vorrat {1}:x"],
    "max_retry": [0, 3, 2**31 - 1],
    "timeout": [1, timedelta(minutes=5)],
    "deadline": [SOON],
    "unique": [60],
    "process_at": [SOON, datetime(2020, 1, 1, tzinfo=UTC)],
    "process_in": [0, 3600],
    "retention": [86400],
    "group": ["g1", "a:b c"],
}


@dataclass
class Operation:
    """One enqueueing."""

    type: str = "email:send"
    payload: bytes | None = b'{"user_id":42}'
    headers: dict[str, str] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def task(self) -> Task:
        return Task(self.type, self.payload, headers=self.headers)

    def for_go(self, target: dict[str, Any]) -> dict[str, Any]:
        payload = None if self.payload is None else base64.b64encode(self.payload).decode()
        task = {"type": self.type, "payload": payload, "headers": self.headers}
        options = dict(_go_option(name, value) for name, value in self.options.items())
        return {**target, "task": task, **options}


def _go_option(name: str, value: object) -> tuple[str, object]:
    if isinstance(value, datetime):
        return name, value.isoformat().replace("+00:00", "Z")
    if name in ("timeout", "unique", "process_in", "retention"):
        span = value if isinstance(value, timedelta) else timedelta(seconds=float(str(value)))
        return f"{name}_ms", span // timedelta(milliseconds=1)
    return name, value


def _verdict(error: AsynqError | None) -> str:
    match error:
        case None:
            return "ok"
        case DuplicateTaskError():
            return "duplicate"
        case TaskIDConflictError():
            return "id_conflict"
        case _:
            return "other"


def one_by_one(url: str, operations: Sequence[Operation]) -> list[str]:
    verdicts = []
    with Client(url) as client:
        for operation in operations:
            try:
                client.enqueue(operation.task(), **operation.options)
                verdicts.append("ok")
            except AsynqError as error:
                verdicts.append(_verdict(error))
    return verdicts


def as_batch(url: str, operations: Sequence[Operation]) -> list[str]:
    with Client(url) as client:
        tasks = [Task(o.type, o.payload, headers=o.headers, **o.options) for o in operations]
        return [_verdict(result.error) for result in client.enqueue_many(tasks)]


def concurrently(url: str, operations: Sequence[Operation]) -> list[str]:
    async def enqueue() -> list[str]:
        async with AsyncClient(url) as client:
            # Tasks start in this order, and so their enqueueings gather in it.
            results = await asyncio.gather(
                *(client.enqueue(o.task(), **o.options) for o in operations),
                return_exceptions=True,
            )
        return [_verdict(r if isinstance(r, AsynqError) else None) for r in results]

    return asyncio.run(enqueue())


WAYS = [one_by_one, as_batch, concurrently]
Way = Callable[[str, Sequence[Operation]], list[str]]


class Twins:
    """Two databases of one server: Go's and Python's."""

    def __init__(self, oracle: Oracle, redis: Redis) -> None:
        self._oracle = oracle
        self._redis = redis

    def perform(self, operations: Sequence[Operation], way: Way) -> tuple[list[str], list[str]]:
        """Performs the operations on both, from empty; returns the two lists of verdicts."""
        self._redis.command("FLUSHALL")
        target = self._oracle.target(self._redis, GO)
        answers = self._oracle.post("/enqueue", [o.for_go(target) for o in operations])
        go = [answer.get("kind", "ok") for answer in answers]
        return go, way(self._redis.url_for(PYTHON), operations)

    def differences(self) -> list[str]:
        return differences(
            self._oracle.dump(self._redis, GO), self._oracle.dump(self._redis, PYTHON)
        )

    def keys(self, db: int) -> set[str]:
        return set(self._oracle.dump(self._redis, db))


@pytest.fixture(scope="module")
def twins(stack: Stack, oracle: Oracle) -> Iterable[Twins]:
    """One server for the module; every comparison begins by emptying it."""
    redis = stack.redis()
    yield Twins(oracle, redis)
    redis.stop()


def _each_option_and_pair() -> list[Operation]:
    singles = [{name: value} for name, values in OPTIONS.items() for value in values]
    pairs = [
        {one: OPTIONS[one][0], other: OPTIONS[other][0]}
        for one, other in itertools.combinations(OPTIONS, 2)
        if {one, other} != {"process_at", "process_in"}
    ]
    scheduled_group = {"group": "g", "process_in": 60, "unique": 30, "retention": 9}
    chosen = [{}, *singles, *pairs, scheduled_group]
    return [
        # Types of their own, so that no lock stands against another case.
        Operation(type=f"case:{number}", options={"task_id": f"id-{number}", **options})
        for number, options in enumerate(chosen)
    ]


PAYLOADS = [None, b"", b"\x00\xff", b"x" * 100_000, "ü€😀".encode()]
HEADERS = [None, {}, {"k": "v"}, {"": ""}, {"a": "1", "b": "ü", "c": ""}]


@pytest.mark.parametrize("way", WAYS)
def test_every_option_leaves_what_go_leaves(twins: Twins, way: Way) -> None:
    operations = _each_option_and_pair()

    go, python = twins.perform(operations, way)

    assert go == python == ["ok"] * len(operations)
    assert twins.differences() == []


@pytest.mark.parametrize("way", WAYS)
def test_every_payload_and_header_leaves_what_go_leaves(twins: Twins, way: Way) -> None:
    operations = [
        Operation("t", payload, headers, {"task_id": f"{p}-{h}", "queue": f"{p}-{h}", **unique})
        for p, payload in enumerate(PAYLOADS)
        for h, headers in enumerate(HEADERS)
        for unique in ({}, {"unique": 60, "task_id": f"{p}-{h}-u"})
    ]

    go, python = twins.perform(operations, way)

    assert go == python == ["ok"] * len(operations)
    assert twins.differences() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", [{}, {"process_in": 60}, {"group": "g"}])
def test_conflicts_and_duplicates_are_refused_as_by_go(
    twins: Twins, way: Way, when: dict[str, Any]
) -> None:
    operations = [
        Operation(options={"task_id": "1", "unique": 60, **when}),
        Operation(options={"task_id": "2", "unique": 60, **when}),
        Operation(options={"task_id": "1", **when}),
        Operation(payload=b"other", options={"task_id": "2", "unique": 60, **when}),
        Operation(options={"task_id": "1", "queue": "elsewhere", "unique": 60, **when}),
    ]

    go, python = twins.perform(operations, way)

    assert go == python == ["ok", "duplicate", "id_conflict", "ok", "ok"]
    assert twins.differences() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", [{}, {"process_in": 60}, {"group": "g"}])
def test_an_id_conflict_leaks_the_lock_in_go_and_not_in_python(
    twins: Twins, way: Way, when: dict[str, Any]
) -> None:
    operations = [
        Operation(type="t", options={"task_id": "1"}),
        Operation(type="u", options={"task_id": "1", "unique": 60, **when}),
    ]

    go, python = twins.perform(operations, way)

    assert go == python == ["ok", "id_conflict"]
    leaked = twins.keys(GO) - twins.keys(PYTHON)
    assert [key.rsplit(":", 1)[0] for key in leaked] == ["asynq:{default}:unique:u"]
    assert twins.differences() == [f"only Go has {key}" for key in leaked]


@st.composite
def sequences(draw: st.DrawFn) -> list[Operation]:
    """Few types, payloads, IDs and queues, so that operations get into each other's way."""

    def operation() -> Operation:
        options = {
            name: draw(st.sampled_from(values))
            for name, values in OPTIONS.items()
            if name not in ("queue", "process_at") and draw(st.integers(0, 3)) == 0
        }
        options["queue"] = draw(st.sampled_from(["default", "critical"]))
        # Random IDs differ between the two sides, so each has one. An ID that is taken
        # never comes with a lock: there Go leaks it (see above).
        free = "unique" in options
        number = draw(st.integers(0, 10**9) if free else st.integers(0, 5))
        options["task_id"] = f"{'free' if free else 'id'}-{number}"
        return Operation(
            type=draw(st.sampled_from(["a", "b"])),
            payload=draw(st.sampled_from([None, b"", b"x"])),
            headers=draw(st.sampled_from(HEADERS)),
            options=options,
        )

    return [operation() for _ in range(draw(st.integers(1, 12)))]


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(operations=sequences())
def test_any_sequence_of_operations_leaves_what_go_leaves(
    twins: Twins, way: Way, operations: list[Operation]
) -> None:
    free = [o.options["task_id"] for o in operations if o.options["task_id"].startswith("free")]
    assume(len(set(free)) == len(free))  # no ID with a lock was drawn twice

    go, python = twins.perform(operations, way)

    assert go == python
    assert twins.differences() == []
