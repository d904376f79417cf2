"""Looking at queues and tasks, and steering them: lenient reading, strict acting, in both
worlds. That it agrees with Go's Inspector is proven in interop/test_inspector.py."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from asynq_py import (
    AsynqError,
    Client,
    ConfigError,
    Inspector,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueStateError,
    RejectedError,
    Scheduler,
    Task,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
    WireError,
)
from asynq_py.broker.op import Op, Reply, Request, run
from asynq_py.broker.scripts import UPDATE_PAYLOAD
from asynq_py.broker.steering import ARCHIVE_SIZE, CHUNK_TASKS, update_payload
from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.connection.sync import Connection
from asynq_py.inspector.sync import ITER_TASKS
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode, encode, encode_new
from tests.conftest import Cluster
from tests.support.database import content, dump, pending, task_hash, times_called

QUEUE = "q"
GROUP = "g:1"
PREFIX = f"asynq:{{{QUEUE}}}:"
NOW_S = 1_900_000_000
NOW = datetime.fromtimestamp(NOW_S, UTC)
#: More than two chunks.
MANY = 2 * CHUNK_TASKS + 7

LISTS = ("pending", "active")
STATES = tuple(TaskState)
#: Where each kind of bulk action may be asked for.
BULK = {
    "run_all": ("scheduled", "retry", "archived", "completed", "aggregating"),
    "archive_all": ("pending", "scheduled", "retry", "completed", "aggregating"),
    "delete_all": ("pending", "scheduled", "retry", "archived", "completed", "aggregating"),
}
#: What each leaves a task as.
TARGETS = {"run": "pending", "archive": "archived", "delete": ""}

states = pytest.mark.parametrize("state", STATES, ids=str)
bulk = pytest.mark.parametrize(
    ("call", "state"), [(call, state) for call, found in BULK.items() for state in found]
)


def place(state: str) -> str:
    """The key of the tasks of a state."""
    return f"{PREFIX}g:{GROUP}" if state == "aggregating" else f"{PREFIX}{state}"


def group_of(state: str) -> str | None:
    return GROUP if state == "aggregating" else None


def message(task_id: str, **fields: object) -> bytes:
    """An encoded task message."""
    made = decode(encode_new("t", b"p", task_id, QUEUE, 25, 1800))
    for name, value in fields.items():
        setattr(made, name, value)
    return encode(made)


def put(database: redis.Redis, state: str, *ids: str, start: int = 0, score: float = NOW_S) -> None:
    """Stores tasks of a state as Asynq does, all in one pipeline."""
    with database.pipeline(transaction=False) as pipeline:
        pipeline.sadd("asynq:queues", QUEUE)
        for number, task_id in enumerate(ids, start):
            fields: dict[str, str | bytes] = {"msg": message(task_id), "state": state}
            if state == "aggregating":
                fields |= {"msg": message(task_id, group_key=GROUP), "group": GROUP}
            pipeline.hset(f"{PREFIX}t:{task_id}", mapping=fields)
            if state in LISTS:
                pipeline.lpush(place(state), task_id)
            else:
                pipeline.zadd(place(state), {task_id: score + number})
        if state == "aggregating":
            pipeline.sadd(f"{PREFIX}groups", GROUP)
        pipeline.execute()


def ids(count: int) -> list[str]:
    """Task IDs whose order is that of their numbers."""
    return [f"t{number:05}" for number in range(count)]


def left_of(database: redis.Redis, state: str) -> list[str]:
    """The IDs of the tasks of a state, the next one first."""
    if state in LISTS:
        return [task_id.decode() for task_id in database.lrange(place(state), 0, -1)][::-1]
    return [task_id.decode() for task_id in database.zrange(place(state), 0, -1)]


def hashes(database: redis.Redis) -> set[str]:
    """The IDs of all tasks that have a hash."""
    return {key.decode().split(":t:")[1] for key in database.scan_iter(f"{PREFIX}t:*", count=5000)}


@contextlib.contextmanager
def unchanged(database: redis.Redis) -> Iterator[None]:
    """Nothing changes in the whole database."""
    before = dump(database)
    yield
    assert dump(database) == before


# -- lenient reading --


def _no_hash(database: redis.Redis, key: str) -> None:
    database.delete(key)


def _no_message(database: redis.Redis, key: str) -> None:
    database.hdel(key, "msg")


def _garbage(database: redis.Redis, key: str) -> None:
    database.hset(key, "msg", b"\xff\xff\xff")


def _wrong_type(database: redis.Redis, key: str) -> None:
    database.delete(key)
    database.rpush(key, "x")


#: How a task is damaged, and what is said of it in a listing.
DAMAGES: list[tuple[Callable[[redis.Redis, str], None], str]] = [
    (_no_hash, "it has no hash"),
    (_no_message, "its hash has no message"),
    (_garbage, "no task message: "),
    (_wrong_type, "it has no hash"),
]
damages = pytest.mark.parametrize(("damage", "told"), DAMAGES)


@states
@damages
def test_a_damaged_task_is_listed_as_damaged_between_the_others(
    inspector: Inspector,
    database: redis.Redis,
    state: TaskState,
    damage: Callable[[redis.Redis, str], None],
    told: str,
) -> None:
    put(database, state, "a", "b", "c")
    damage(database, f"{PREFIX}t:b")

    with unchanged(database):
        found = inspector.list_tasks(QUEUE, state, group=group_of(state))
        again = list(inspector.iter_tasks(QUEUE, state, group=group_of(state)))

    assert [(task.id, task.state, task.queue) for task in found] == [
        (task_id, state, QUEUE) for task_id in "abc"
    ]
    assert [task.damage == "" for task in found] == [True, False, True]
    assert found[1].damage.startswith(told)
    assert (found[0].type, found[2].payload) == ("t", b"p")
    assert [task.id for task in again] == ["a", "b", "c"]
    assert again[1].damage == found[1].damage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_no_message, "its hash has no message"),
        (_garbage, "no task message: "),
        (_wrong_type, "it has no hash"),
        (lambda database, key: database.hset(key, "state", "dancing"), "its state is b'dancing'"),
        (lambda database, key: database.hset(key, "state", b"\xff"), "its state is b'\\xff'"),
        (lambda database, key: database.hdel(key, "state"), "it has no hash with a state"),
    ],
)
def test_a_damaged_task_is_shown_as_damaged(
    inspector: Inspector,
    database: redis.Redis,
    damage: Callable[[redis.Redis, str], None],
    told: str,
) -> None:
    put(database, "scheduled", "a", "b")
    damage(database, f"{PREFIX}t:b")

    with unchanged(database):
        assert inspector.get_task(QUEUE, "a").damage == ""
        shown = inspector.get_task(QUEUE, "b")

    assert (shown.id, shown.queue) == ("b", QUEUE)
    assert shown.damage.startswith(told)


def test_a_task_without_a_hash_is_not_there(inspector: Inspector, database: redis.Redis) -> None:
    put(database, "scheduled", "a")
    database.delete(f"{PREFIX}t:a")

    with pytest.raises(TaskNotFoundError) as caught:
        inspector.get_task(QUEUE, "a")

    assert (caught.value.queue, caught.value.task_id) == (QUEUE, "a")


@states
def test_an_id_that_is_no_text_breaks_no_listing(
    inspector: Inspector, database: redis.Redis, state: TaskState
) -> None:
    put(database, state, "a")
    if state in LISTS:
        database.lpush(place(state), b"\xff\xfe")
    else:
        database.zadd(place(state), {b"\xff\xfe": NOW_S + 1})

    found = inspector.list_tasks(QUEUE, state, group=group_of(state))

    assert [(task.id, task.damage) for task in found] == [
        ("a", ""),
        ("\\xff\\xfe", "it has no hash"),
    ]


@pytest.mark.parametrize("score", ["+inf", "-inf", "1e300"])
def test_a_moment_beyond_all_calendars_breaks_no_listing(
    inspector: Inspector, database: redis.Redis, score: str
) -> None:
    put(database, "scheduled", "a")
    database.execute_command("ZADD", place("scheduled"), score, "a")
    database.hset(f"{PREFIX}t:a", "msg", message("a", deadline=2**62, last_failed_at=2**62))

    (listed,) = inspector.list_tasks(QUEUE, "scheduled")

    for task in (listed, inspector.get_task(QUEUE, "a")):
        assert task.damage == ""
        assert task.next_process_at is None or task.next_process_at.year == 9999
        assert task.deadline is not None
        assert task.deadline.year == 9999


def test_a_group_whose_name_is_no_text_breaks_no_listing(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "aggregating", "a")
    database.sadd(f"{PREFIX}groups", b"\xff")
    database.zadd(f"{PREFIX}g:".encode() + b"\xff", {"b": 1})

    assert [(group.group, group.size) for group in inspector.groups(QUEUE)] == [
        (GROUP, 1),
        ("\\xff", 1),
    ]


@pytest.mark.parametrize("damage", [_no_hash, _wrong_type])
def test_damage_breaks_no_look_at_a_queue(
    inspector: Inspector, database: redis.Redis, damage: Callable[[redis.Redis, str], None]
) -> None:
    for state in STATES:
        put(database, state, f"{state}-1", f"{state}-2")
        damage(database, f"{PREFIX}t:{state}-1")
    database.set(f"{PREFIX}processed", "many")

    info = inspector.queue_info(QUEUE)

    assert {state: getattr(info, state) for state in STATES} == dict.fromkeys(STATES, 2)
    assert (info.size, info.groups, info.latency) == (14, 1, timedelta())
    assert info.memory_usage > 0
    (sizes,) = inspector.queue_sizes()
    assert (sizes.size, sizes.groups, sizes.processed_total) == (12, 1, 0)


def test_since_when_a_task_waits_may_be_no_number(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "pending", "a")
    database.hset(f"{PREFIX}t:a", "pending_since", "long")

    assert inspector.queue_info(QUEUE).latency == timedelta()


def test_servers_and_schedulers_that_cannot_be_read_are_left_out(
    inspector: Inspector, database: redis.Redis
) -> None:
    forever = {"asynq:x": 2**40, b"asynq:\xff": 2**40, "asynq:gone": 2**40}
    for listed in ("asynq:servers", "asynq:workers", "asynq:schedulers"):
        database.zadd(listed, forever if listed != "asynq:schedulers" else {"asynq:y": 2**40})
    database.set("asynq:x", b"\xff\xff")
    database.rpush("asynq:y", b"\xff\xff")
    database.zadd("asynq:workers", {"asynq:z": 2**40})
    database.zrem("asynq:workers", "asynq:x")
    database.hset("asynq:z", "t", b"\xff\xff")

    assert inspector.servers() == []
    assert inspector.scheduler_entries() == []


# -- strict acting --


@pytest.mark.parametrize("call", ["run", "archive", "delete"])
@states
def test_a_task_is_moved_from_where_it_may_be(
    inspector: Inspector, database: redis.Redis, call: str, state: TaskState
) -> None:
    put(database, state, "a")
    act = getattr(inspector, f"{call}_task")
    if state == "active" or state == TARGETS[call]:
        with unchanged(database), pytest.raises(TaskStateError) as caught:
            act(QUEUE, "a")
        assert (caught.value.queue, caught.value.task_id) == (QUEUE, "a")
        assert caught.value.written is False
        return

    act(QUEUE, "a")

    target = TARGETS[call]
    assert hashes(database) == ({"a"} if target else set())
    assert left_of(database, state) == []
    if target:
        assert left_of(database, target) == ["a"]
        assert task_hash(database, QUEUE, "a")["state"] == target.encode()
        assert inspector.get_task(QUEUE, "a").state == target
    assert database.smembers(f"{PREFIX}groups") == set()


ACTS = ("run_task", "archive_task", "delete_task")


@pytest.mark.parametrize("call", ACTS)
def test_acting_on_nothing_changes_nothing(
    inspector: Inspector, database: redis.Redis, call: str
) -> None:
    put(database, "scheduled", "a", "gone")
    database.delete(f"{PREFIX}t:gone")

    with unchanged(database):
        for task_id in ("nobody", "gone"):
            with pytest.raises(TaskNotFoundError):
                getattr(inspector, call)(QUEUE, task_id)
            with pytest.raises(TaskNotFoundError):
                inspector.update_payload(QUEUE, task_id, b"")
        with pytest.raises(QueueNotFoundError):
            getattr(inspector, call)("nowhere", "a")


@pytest.mark.parametrize("call", ACTS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda database: database.hset(f"{PREFIX}t:b", "state", "dancing"),
        lambda database: database.hdel(f"{PREFIX}t:b", "state"),
        lambda database: database.hset(f"{PREFIX}t:b", "state", "retry"),
        lambda database: database.hset(f"{PREFIX}t:b", "state", "aggregating"),
        lambda database: database.hset(
            f"{PREFIX}t:b", mapping={"state": "aggregating", "group": "h"}
        ),
        lambda database: _wrong_type(database, f"{PREFIX}t:b"),
        lambda database: database.zrem(place("scheduled"), "b"),
    ],
)
def test_acting_on_damage_changes_nothing(
    inspector: Inspector,
    database: redis.Redis,
    call: str,
    damage: Callable[[redis.Redis], object],
) -> None:
    put(database, "scheduled", "a", "b")
    damage(database)

    with unchanged(database), pytest.raises(TaskStateError, match="doctor"):
        getattr(inspector, call)(QUEUE, "b")


def test_a_task_without_a_message_is_not_run_but_can_be_archived_and_deleted(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "scheduled", "a")
    _no_message(database, f"{PREFIX}t:a")

    with unchanged(database), pytest.raises(TaskStateError, match="no message"):
        inspector.run_task(QUEUE, "a")

    inspector.archive_task(QUEUE, "a")
    assert left_of(database, "archived") == ["a"]
    inspector.delete_task(QUEUE, "a")
    assert content(database) == {"asynq:queues": {QUEUE.encode()}}


@pytest.mark.parametrize(
    ("call", "state", "key"),
    [
        ("run", "scheduled", "pending"),
        ("archive", "scheduled", "archived"),
        ("archive", "pending", "archived"),
        ("run", "aggregating", "groups"),
        ("run", "aggregating", "pending"),
    ],
)
def test_a_key_of_a_wrong_type_loses_no_task(
    inspector: Inspector, database: redis.Redis, call: str, state: str, key: str
) -> None:
    put(database, state, "a", "b")
    database.delete(PREFIX + key)
    database.set(PREFIX + key, "x")

    with unchanged(database):
        with pytest.raises(RejectedError):
            getattr(inspector, f"{call}_task")(QUEUE, "a")
        with pytest.raises(RejectedError):
            getattr(inspector, f"{call}_all")(QUEUE, state, group=group_of(state))


def test_a_queue_is_paused_once_and_resumed_once(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "pending", "a")
    with unchanged(database), pytest.raises(QueueStateError):
        inspector.unpause_queue(QUEUE)

    inspector.pause_queue(QUEUE)

    assert inspector.queue_info(QUEUE).paused
    assert inspector.queue_sizes([QUEUE])[0].paused
    with unchanged(database), pytest.raises(QueueStateError) as caught:
        inspector.pause_queue(QUEUE)
    assert caught.value.queue == QUEUE
    inspector.unpause_queue(QUEUE)
    assert not inspector.queue_info(QUEUE).paused


def test_cancelling_tells_all_workers(inspector: Inspector, database: redis.Redis) -> None:
    with database.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("asynq:cancel")
        heard.get_message(timeout=10)

        inspector.cancel_task("some-id")

        told = heard.get_message(timeout=10)
    assert told is not None
    assert told["data"] == b"some-id"


# -- many at once --


@bulk
def test_many_are_moved_in_chunks(
    inspector: Inspector, database: redis.Redis, call: str, state: str
) -> None:
    names = ids(MANY)
    put(database, state, *names)
    database.config_resetstat()
    told: list[int] = []

    moved = getattr(inspector, call)(QUEUE, state, group=group_of(state), progress=told.append)

    assert moved == MANY
    assert told == [CHUNK_TASKS, 2 * CHUNK_TASKS, MANY]
    # One script call for each chunk (and one that Redis did not know), one to trim the archive.
    calls = times_called(database, "evalsha") + times_called(database, "eval")
    assert calls <= (2 if call == "archive_all" else 1) * (len(told) + 1)
    target = TARGETS[call.removesuffix("_all")]
    assert left_of(database, state) == []
    assert hashes(database) == (set(names) if target else set())
    if target:
        assert left_of(database, target) == names
        assert {task_hash(database, QUEUE, name)["state"] for name in names[::97]} == {
            target.encode()
        }
    assert database.exists(f"{PREFIX}groups") == 0


def test_a_chunk_holds_redis_for_so_many_tasks_and_no_more(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "scheduled", *ids(MANY))
    sizes: list[int] = []

    inspector.delete_all(
        QUEUE,
        "scheduled",
        progress=lambda _: sizes.append(database.zcard(place("scheduled"))),
    )

    assert sizes == [MANY - CHUNK_TASKS, MANY - 2 * CHUNK_TASKS, 0]
    assert CHUNK_TASKS <= 500


@bulk
def test_what_is_gone_is_dropped_and_not_made_anew(
    inspector: Inspector, database: redis.Redis, call: str, state: str
) -> None:
    put(database, state, *ids(CHUNK_TASKS + 3))
    gone = ids(CHUNK_TASKS + 3)[::10]
    database.delete(*(f"{PREFIX}t:{name}" for name in gone))
    database.delete(f"{PREFIX}t:t00001")
    database.rpush(f"{PREFIX}t:t00001", "of another kind")

    moved = getattr(inspector, call)(QUEUE, state, group=group_of(state))

    whole = set(ids(CHUNK_TASKS + 3)) - {*gone, "t00001"}
    target = TARGETS[call.removesuffix("_all")]
    assert moved == len(whole) + (0 if target else 1)
    assert left_of(database, state) == []
    if target:
        assert set(left_of(database, target)) == whole
        assert hashes(database) == whole | {"t00001"}
    else:
        assert hashes(database) == set()


@pytest.mark.parametrize("state", BULK["run_all"])
def test_what_has_no_message_is_archived_where_all_are_run(
    inspector: Inspector, database: redis.Redis, state: str
) -> None:
    put(database, state, "a", "b", "c")
    _no_message(database, f"{PREFIX}t:b")

    assert inspector.run_all(QUEUE, state, group=group_of(state)) == 2

    assert pending(database, QUEUE) == ["a", "c"]
    assert left_of(database, "archived") == ["b"]
    assert inspector.get_task(QUEUE, "b").damage == "its hash has no message"


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ("run_all", "active"),
        ("run_all", "pending"),
        ("archive_all", "active"),
        ("archive_all", "archived"),
        ("delete_all", "active"),
    ],
)
def test_not_every_state_can_be_moved(
    inspector: Inspector, database: redis.Redis, call: str, state: str
) -> None:
    put(database, state, "a")

    with unchanged(database), pytest.raises(ConfigError, match=f"^{state} tasks cannot be"):
        getattr(inspector, call)(QUEUE, state)


def test_what_comes_meanwhile_is_not_waited_for(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "retry", *ids(CHUNK_TASKS + 1))

    def add(_: int) -> None:
        put(database, "retry", "late", start=10**6)

    assert inspector.delete_all(QUEUE, "retry", progress=add) == CHUNK_TASKS + 1
    assert left_of(database, "retry") == ["late"]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_what_is_too_much_in_the_archive_goes_with_its_hash_and_lock(
    inspector: Inspector, database: redis.Redis, server: RedisServer, one_by_one: bool
) -> None:
    # The archive is full, and the oldest in it have locks.
    with Client(server.url) as client:
        client.enqueue(Task("plain"), queue=QUEUE, task_id="plain", unique=3600)
        client.enqueue(Task("group"), queue=QUEUE, task_id="group", group=GROUP, unique=3600)
    inspector.archive_task(QUEUE, "plain")
    inspector.archive_task(QUEUE, "group")
    names = ids(ARCHIVE_SIZE - 3)
    put(database, "archived", *names)
    now = int(time.time())
    database.zadd(place("archived"), dict.fromkeys(names, now - 100))
    database.zadd(place("archived"), {"plain": now - 200, "group": now - 200})
    put(database, "scheduled", "x1", "x2", "x3")
    assert len(database.keys(f"{PREFIX}unique:*")) == 2

    if one_by_one:
        for task_id in ("x1", "x2", "x3"):
            inspector.archive_task(QUEUE, task_id)
    else:
        assert inspector.archive_all(QUEUE, "scheduled") == 3

    archived = set(left_of(database, "archived"))
    assert archived == {*names[1:], "x1", "x2", "x3"}
    assert len(archived) == ARCHIVE_SIZE - 1
    assert hashes(database) == archived
    assert database.keys(f"{PREFIX}unique:*") == []


def test_more_than_the_archive_holds_leaves_no_orphans(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "pending", *ids(ARCHIVE_SIZE + CHUNK_TASKS + 10))

    assert inspector.archive_all(QUEUE, "pending") == ARCHIVE_SIZE + CHUNK_TASKS + 10

    archived = left_of(database, "archived")
    assert len(archived) == ARCHIVE_SIZE - 1
    assert hashes(database) == set(archived)


def test_what_was_archived_long_ago_goes(inspector: Inspector, database: redis.Redis) -> None:
    put(database, "archived", "old", score=1000)
    put(database, "retry", "a")

    inspector.archive_task(QUEUE, "a")

    assert left_of(database, "archived") == ["a"]
    assert hashes(database) == {"a"}


# -- locks --

#: How unique tasks are enqueued, and the state that they wait in.
UNIQUE = [
    ("pending", {}),
    ("scheduled", {"process_in": 3600}),
    ("aggregating", {"group": GROUP}),
]
unique = pytest.mark.parametrize(("state", "options"), UNIQUE)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("name", ["t", "a long name " * 20])
@unique
def test_deleting_frees_the_lock(
    inspector: Inspector,
    database: redis.Redis,
    server: RedisServer,
    state: str,
    options: dict[str, object],
    name: str,
    at_once: bool,
) -> None:
    task = Task(name, {"n": 1})
    with Client(server.url) as client:
        client.enqueue(task, queue=QUEUE, task_id="a", unique=3600, **options)  # type: ignore[arg-type]
        assert len(database.keys(f"{PREFIX}unique:*")) == 1

        if at_once:
            assert inspector.delete_all(QUEUE, state, group=group_of(state)) == 1
        else:
            inspector.delete_task(QUEUE, "a")

        assert content(database) == {"asynq:queues": {QUEUE.encode()}}
        client.enqueue(task, queue=QUEUE, task_id="b", unique=3600, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("at_once", [False, True])
@unique
def test_deleting_frees_no_lock_of_another_task(
    inspector: Inspector,
    database: redis.Redis,
    server: RedisServer,
    state: str,
    options: dict[str, object],
    at_once: bool,
) -> None:
    with Client(server.url) as client:
        client.enqueue(Task("t"), queue=QUEUE, task_id="a", unique=3600, **options)  # type: ignore[arg-type]
        (lock,) = database.keys(f"{PREFIX}unique:*")
        database.set(lock, "another", ex=3600)

        if at_once:
            inspector.delete_all(QUEUE, state, group=group_of(state))
        else:
            inspector.delete_task(QUEUE, "a")

    assert database.get(lock) == b"another"
    assert hashes(database) == set()


@pytest.mark.parametrize(
    ("call", "state", "options"),
    [("run_all", *UNIQUE[1]), ("run_all", *UNIQUE[2]), *(("archive_all", *u) for u in UNIQUE)],
)
def test_moving_keeps_the_lock(
    inspector: Inspector,
    database: redis.Redis,
    server: RedisServer,
    state: str,
    options: dict[str, object],
    call: str,
) -> None:
    with Client(server.url) as client:
        client.enqueue(Task("t"), queue=QUEUE, task_id="a", unique=3600, **options)  # type: ignore[arg-type]
    locks = database.keys(f"{PREFIX}unique:*")

    getattr(inspector, call)(QUEUE, state, group=group_of(state))

    assert len(locks) == 1
    assert database.get(locks[0]) == b"a"


# -- groups and whole queues --


@pytest.mark.parametrize("call", ["run", "archive", "delete"])
def test_a_group_that_is_emptied_is_no_group_any_more(
    inspector: Inspector, database: redis.Redis, call: str
) -> None:
    put(database, "aggregating", "a", "b")
    database.sadd(f"{PREFIX}groups", "other")
    database.zadd(f"{PREFIX}g:other", {"x": 1})

    act = getattr(inspector, f"{call}_task")
    act(QUEUE, "a")
    assert database.smembers(f"{PREFIX}groups") == {GROUP.encode(), b"other"}
    act(QUEUE, "b")

    assert database.smembers(f"{PREFIX}groups") == {b"other"}
    assert [group.group for group in inspector.groups(QUEUE)] == ["other"]


@pytest.mark.parametrize("force", [False, True])
@states
def test_a_queue_with_tasks_is_not_deleted_and_with_active_ones_not_even_by_force(
    inspector: Inspector, database: redis.Redis, state: TaskState, force: bool
) -> None:
    put(database, state, "a")
    if force and state != "active":
        inspector.delete_queue(QUEUE, force=True)
        assert content(database) == {}
        return

    with unchanged(database), pytest.raises(QueueNotEmptyError) as caught:
        inspector.delete_queue(QUEUE, force=force)

    assert caught.value.queue == QUEUE
    with pytest.raises(QueueNotFoundError):
        inspector.delete_queue("nowhere", force=force)


@pytest.mark.parametrize("force", [False, True])
def test_an_empty_queue_leaves_nothing_behind(
    inspector: Inspector, database: redis.Redis, force: bool
) -> None:
    today = datetime.now(UTC).date()
    database.sadd("asynq:queues", QUEUE, "other")
    database.set("asynq:{other}:processed", 1)
    for counter in ("processed", "failed"):
        database.set(PREFIX + counter, 7)
        for days in (0, 1, 89, 90):
            database.set(f"{PREFIX}{counter}:{today - timedelta(days)}", 7)
    database.set(f"{PREFIX}paused", 1)
    database.hset(f"{PREFIX}py:ticks", "entry", "1 1 id")
    database.hset(f"{PREFIX}py:terms", "group", 1)
    before = content(database)

    if force:
        put(database, "pending", "a")
    inspector.delete_queue(QUEUE, force=force)

    assert content(database) == {
        "asynq:queues": {b"other"},
        "asynq:{other}:processed": before["asynq:{other}:processed"],
    }


def test_a_queue_full_of_tasks_leaves_nothing_behind(
    inspector: Inspector, database: redis.Redis, server: RedisServer
) -> None:
    full = [state for state in STATES if state != "active"]
    for state in full:
        put(database, state, *(f"{state}-{name}" for name in ids(CHUNK_TASKS + 2)))
    # What is being aggregated: such sets are groups whose names have one more part.
    held = f"{PREFIX}g:{GROUP}:some-uuid"
    for name in ids(CHUNK_TASKS + 1):
        database.hset(
            f"{PREFIX}t:{name}",
            mapping={"msg": message(name), "state": "aggregating", "group": GROUP},
        )
    database.zadd(held, dict.fromkeys(ids(CHUNK_TASKS + 1), NOW_S))
    database.zadd(f"{PREFIX}aggregation_sets", {held: NOW_S})
    with Client(server.url) as client:
        client.enqueue(Task("t"), queue=QUEUE, unique=3600)
        client.enqueue(Task("u"), queue=QUEUE, unique=3600, group="other")
    total = len(full) * (CHUNK_TASKS + 2) + CHUNK_TASKS + 1 + 2
    told: list[int] = []

    inspector.delete_queue(QUEUE, force=True, progress=told.append)

    assert content(database) == {}
    assert told == sorted(told)
    assert told[-1] == total
    assert inspector.queues() == []


# -- payloads --


def test_a_payload_is_replaced_and_nothing_else(
    inspector: Inspector, database: redis.Redis, server: RedisServer
) -> None:
    with Client(server.url) as client:
        client.enqueue(
            Task("t", b"old", headers={"h": "v"}),
            queue=QUEUE,
            task_id="a",
            process_in=3600,
            unique=60,
        )
    before = content(database)
    old = decode(before[f"{PREFIX}t:a"].pop(b"msg"))

    inspector.update_payload(QUEUE, "a", bytearray(b"new"))

    after = content(database)
    new = decode(after[f"{PREFIX}t:a"].pop(b"msg"))
    assert after == before
    assert new.payload == b"new"
    new.payload = old.payload
    assert new == old


@states
def test_only_a_scheduled_task_gets_another_payload(
    inspector: Inspector, database: redis.Redis, state: TaskState
) -> None:
    put(database, state, "a")
    if state == "scheduled":
        inspector.update_payload(QUEUE, "a", b"")
        assert inspector.get_task(QUEUE, "a").payload == b""
        return

    with unchanged(database), pytest.raises(TaskStateError, match="not scheduled"):
        inspector.update_payload(QUEUE, "a", b"")


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("somebody else", {"msg": message("a", payload=b"theirs")}),
        ("not scheduled", {"state": "pending"}),
    ],
)
def test_what_somebody_else_changed_meanwhile_stays(
    server: RedisServer, database: redis.Redis, told: str, change: dict[str, str | bytes]
) -> None:
    put(database, "scheduled", "a")
    connection = Connection(server.url)

    def send(request: Request) -> list[Reply]:
        return connection.run(_ask(request))

    def between(request: Request) -> list[Reply]:
        if UPDATE_PAYLOAD.sha in str(request):
            database.hset(f"{PREFIX}t:a", mapping=change)  # type: ignore[arg-type]
        return send(request)

    with pytest.raises(TaskStateError, match=told):
        run(update_payload(QUEUE, "a", b"mine"), between)
    connection.close()

    found = task_hash(database, QUEUE, "a")
    assert found["msg"] == change.get("msg", message("a"))
    assert found["state"].decode() == change.get("state", "scheduled")


def _ask(request: Request) -> Op[list[Reply]]:
    return (yield request)


@pytest.mark.parametrize("damage", [_no_message, _garbage, _wrong_type])
def test_a_damaged_task_gets_no_other_payload(
    inspector: Inspector, database: redis.Redis, damage: Callable[[redis.Redis, str], None]
) -> None:
    put(database, "scheduled", "a")
    damage(database, f"{PREFIX}t:a")

    with unchanged(database), pytest.raises((TaskStateError, WireError)):
        inspector.update_payload(QUEUE, "a", b"new")


# -- going through tasks --


@states
def test_pages_follow_one_another(
    inspector: Inspector, database: redis.Redis, state: TaskState
) -> None:
    names = ids(10)
    put(database, state, *names)
    group = group_of(state)

    pages = [
        [task.id for task in inspector.list_tasks(QUEUE, state, group=group, page=page, size=4)]
        for page in (1, 2, 3, 4)
    ]

    assert pages == [names[:4], names[4:8], names[8:], []]
    assert len(inspector.list_tasks(QUEUE, str(state), group=group)) == 10


@pytest.mark.parametrize("count", [0, 1, ITER_TASKS - 1, ITER_TASKS, 2 * ITER_TASKS + 1])
def test_all_tasks_are_iterated_over(
    inspector: Inspector, database: redis.Redis, count: int
) -> None:
    database.sadd("asynq:queues", QUEUE)
    put(database, "retry", *ids(count))

    assert [task.id for task in inspector.iter_tasks(QUEUE, "retry")] == ids(count)


def test_tasks_are_iterated_over_by_type_error_and_age(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "retry", *"abcd")
    fields = {
        "a": {"type": "email:send", "error_msg": "Connection refused", "last_failed_at": NOW_S},
        "b": {"type": "email:open", "error_msg": "timed out", "last_failed_at": NOW_S + 100},
        "c": {"type": "Email:send", "error_msg": "connection reset"},
    }
    for task_id, more in fields.items():
        database.hset(f"{PREFIX}t:{task_id}", "msg", message(task_id, **more))
    database.hdel(f"{PREFIX}t:d", "msg")
    # Only what has never failed is as old as it is due.
    database.zadd(place("retry"), {"c": NOW_S - 50})

    def found(**wanted: object) -> str:
        tasks = inspector.iter_tasks(QUEUE, "retry", **wanted)  # type: ignore[arg-type]
        return "".join(sorted(task.id for task in tasks))

    assert found() == "abcd"
    assert found(type="email:*") == "ab"
    assert found(type="?mail:send") == "ac"
    assert found(type="*") == "abcd"
    assert found(error="CONNECTION") == "ac"
    assert found(error="timed", type="*open") == "b"
    assert found(older_than=NOW) == "c"
    assert found(older_than=NOW + timedelta(seconds=1)) == "ac"
    assert found(older_than=NOW + timedelta(seconds=1), error="refused") == "a"


NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - it is what is refused

WRONG: list[tuple[str, Callable[[Inspector], object]]] = [
    ("state must be one of", lambda i: i.list_tasks(QUEUE, "dancing")),
    ("state must be one of", lambda i: i.run_all(QUEUE, "")),
    ("state must be one of", lambda i: list(i.iter_tasks(QUEUE, "Pending"))),
    ("state must be one of", lambda i: i.delete_all(QUEUE, None)),  # type: ignore[arg-type]
    ("page must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", page=0)),
    ("page must be 1 or more", lambda i: i.scheduler_history("e", page=-1)),
    ("page must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", page=True)),
    ("size must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", size=0)),
    ("size must be 1 or more", lambda i: i.list_tasks(QUEUE, "pending", size=1.5)),  # type: ignore[arg-type]
    ("group must be named", lambda i: i.list_tasks(QUEUE, "aggregating")),
    ("group must be named", lambda i: list(i.iter_tasks(QUEUE, "aggregating"))),
    ("group must be named", lambda i: i.list_tasks(QUEUE, "pending", group="g")),
    ("group must be named", lambda i: i.delete_all(QUEUE, "aggregating")),
    ("group must", lambda i: i.archive_all(QUEUE, "aggregating", group=" ")),
    ("days must be 1 or more", lambda i: i.history(QUEUE, 0)),
    ("older_than must be an aware", lambda i: list(i.iter_tasks(QUEUE, "retry", older_than=NAIVE))),
    ("payload must be bytes", lambda i: i.update_payload(QUEUE, "a", 3)),  # type: ignore[arg-type]
    ("payload must be bytes", lambda i: i.update_payload(QUEUE, "a", "x")),  # type: ignore[arg-type]
    ("queue must", lambda i: i.queue_info("")),
    ("queue must", lambda i: i.groups(" ")),
    ("queue is no valid Unicode", lambda i: i.list_tasks("\ud800", "pending")),
    ("queue must", lambda i: i.delete_queue("")),
    ("queue must", lambda i: i.pause_queue("")),
    ("queue must", lambda i: i.unpause_queue("")),
    ("queue must", lambda i: i.queue_keyslot("")),
    ("task_id must", lambda i: i.get_task(QUEUE, "")),
    ("task_id must", lambda i: i.run_task(QUEUE, "")),
    ("task_id must", lambda i: i.cancel_task(" ")),
    ("entry_id must", lambda i: i.scheduler_history("")),
]


@pytest.mark.parametrize(("told", "ask"), WRONG)
def test_what_can_never_work_is_refused_before_anything_is_sent(
    inspector: Inspector, database: redis.Redis, told: str, ask: Callable[[Inspector], object]
) -> None:
    database.config_resetstat()

    with pytest.raises(ConfigError, match=told):
        ask(inspector)

    assert sum(times_called(database, name) for name in ("sismember", "evalsha", "get")) == 0


def test_only_queues_that_exist_are_looked_at(inspector: Inspector) -> None:
    looks: list[Callable[[], object]] = [
        lambda: inspector.queue_info("nowhere"),
        lambda: inspector.history("nowhere"),
        lambda: inspector.list_tasks("nowhere", "pending"),
        lambda: list(inspector.iter_tasks("nowhere", "pending")),
        lambda: inspector.get_task("nowhere", "a"),
        lambda: inspector.run_all("nowhere", "retry"),
        lambda: inspector.update_payload("nowhere", "a", b""),
    ]
    for look in looks:
        with pytest.raises(QueueNotFoundError) as caught:
            look()
        assert caught.value.queue == "nowhere"
    assert inspector.queues() == []
    assert inspector.groups("nowhere") == []
    assert inspector.queue_sizes() == []
    assert inspector.queue_sizes(["nowhere"])[0].size == 0


def test_an_active_task_whose_lease_is_over_is_orphaned(
    inspect: Callable[..., Inspector], server: RedisServer, database: redis.Redis
) -> None:
    put(database, "active", "a", "b", "c")
    database.zadd(f"{PREFIX}lease", {"a": NOW_S - 1, "b": NOW_S + 1})
    inspector = inspect(server.url, clock=FixedClock(NOW_S * NANOSECONDS))

    tasks = inspector.list_tasks(QUEUE, "active")

    assert {task.id: task.is_orphaned for task in tasks} == {"a": True, "b": False, "c": False}


def test_history_and_latency_go_by_the_clock(
    inspect: Callable[..., Inspector], server: RedisServer, database: redis.Redis
) -> None:
    put(database, "pending", "a", "b")
    database.hset(f"{PREFIX}t:a", "pending_since", (NOW_S - 90) * NANOSECONDS)
    for days, processed, failed in ((0, 5, 1), (2, 7, 0)):
        day = (NOW - timedelta(days)).date()
        database.set(f"{PREFIX}processed:{day}", processed)
        database.set(f"{PREFIX}failed:{day}", failed)
    inspector = inspect(server.url, clock=FixedClock(NOW_S * NANOSECONDS))

    info = inspector.queue_info(QUEUE, memory=False)

    assert (info.latency, info.timestamp) == (timedelta(seconds=90), NOW)
    assert (info.processed, info.failed, info.memory_usage) == (5, 1, 0)
    assert [(day.processed, day.failed) for day in inspector.history(QUEUE, 3)] == [
        (5, 1),
        (0, 0),
        (7, 0),
    ]


# -- schedulers, Redis, clusters --


def test_what_a_running_scheduler_shows_is_seen(
    inspector: Inspector, make_scheduler: Callable[..., Scheduler]
) -> None:
    scheduler = make_scheduler(heartbeat_interval=1)
    task = Task("report", {"n": 1})
    entry_id = scheduler.register("@every 1s", task, queue="reports", max_retry=2)
    scheduler.register("0 9 * * *", Task("daily"))
    scheduler.start()

    events = _until(lambda: inspector.scheduler_history(entry_id, size=2)[1:])
    entries = {entry.id: entry for entry in _until(inspector.scheduler_entries)}

    entry = entries[entry_id]
    assert (entry.spec, entry.type, entry.payload) == ("@every 1s", "report", b'{"n":1}')
    assert entry.options == ('Queue("reports")', "MaxRetry(2)")
    assert entry.next_run is not None
    assert {other.spec for other in entries.values()} == {"@every 1s", "0 9 * * *"}
    newest, older = inspector.scheduler_history(entry_id, size=2)
    assert events
    assert newest.enqueued_at is not None
    assert older.enqueued_at is not None
    assert newest.enqueued_at > older.enqueued_at
    assert inspector.get_task("reports", older.task_id).type == "report"
    (second,) = inspector.scheduler_history(entry_id, page=2, size=1)
    assert second.task_id in {run.task_id for run in inspector.scheduler_history(entry_id)}

    scheduler.stop()
    assert inspector.scheduler_entries() == []
    assert inspector.scheduler_history(entry_id)
    assert inspector.scheduler_history("nobody") == []


def _until(look: Callable[[], object]) -> object:
    """What is seen once there is something; a test's time limit ends the waiting."""
    end = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def test_redis_tells_of_itself(inspector: Inspector, database: redis.Redis) -> None:
    info = inspector.redis_info()

    assert info["redis_version"] == database.info("server")["redis_version"]
    assert info["role"] == "master"
    for ask in (inspector.cluster_info, lambda: inspector.cluster_nodes(QUEUE)):
        with pytest.raises(RejectedError):
            ask()


def test_the_slot_of_a_queue_is_what_redis_says(
    inspect: Callable[..., Inspector], cluster: Cluster
) -> None:
    inspector = inspect(cluster.url)

    for queue in ("default", "q", "{tagged}", "a}b", "}", "{", "täglich", "a b"):
        expected = cluster.server.command("CLUSTER", "KEYSLOT", f"asynq:{{{queue}}}:pending")
        assert inspector.queue_keyslot(queue) == expected, queue


def test_a_cluster_tells_of_itself(inspect: Callable[..., Inspector], cluster: Cluster) -> None:
    inspector = inspect(cluster.url)

    assert inspector.cluster_info()["cluster_state"] == "ok"
    assert inspector.cluster_info()["cluster_slots_assigned"] == "16384"
    (node,) = inspector.cluster_nodes(QUEUE)
    assert node.address == f"127.0.0.1:{cluster.proxy.port}"
    assert node.id == cluster.server.command("CLUSTER", "MYID").decode()
    assert "redis_version" in inspector.redis_info()


def test_a_cluster_is_looked_at_and_steered_as_a_server_is(
    inspect: Callable[..., Inspector], cluster: Cluster
) -> None:
    inspector = inspect(cluster.url)
    with Client(cluster.url) as client:
        for queue in ("a", "b"):
            for n in range(3):
                client.enqueue(
                    Task("t"), queue=queue, task_id=f"{n}", unique=3600 + n, process_in=n
                )
                if n == 0:
                    break
            client.enqueue(Task("u"), queue=queue, task_id="g", group=GROUP)

    assert inspector.queues() == ["a", "b"]
    assert [(sizes.queue, sizes.size) for sizes in inspector.queue_sizes()] == [("a", 1), ("b", 1)]
    assert inspector.queue_info("a").size == 2
    assert inspector.groups("b")[0].size == 1
    assert inspector.history("b", 2)[0].processed == 0
    inspector.archive_task("a", "0")
    assert inspector.run_all("a", "aggregating", group=GROUP) == 1
    assert [task.id for task in inspector.iter_tasks("a", "pending")] == ["g"]
    inspector.pause_queue("a")
    inspector.cancel_task("x")
    inspector.delete_queue("a", force=True)
    inspector.delete_queue("b", force=True)
    assert cluster.server.command("DBSIZE") == 0


def test_a_closed_inspector_says_so(inspect: Callable[..., Inspector], server: RedisServer) -> None:
    inspector = inspect(server.url)
    inspector.close()

    with pytest.raises(AsynqError):
        inspector.queues()
