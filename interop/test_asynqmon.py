"""asynqmon, Asynq's web page, on the other side: what it shows of states that Python made, and
what it does to them, is what the Inspector sees. It carries asynq v0.24, an older reader."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from waiting import until

from asynq_py import (
    Client,
    Inspector,
    QueueInfo,
    Scheduler,
    SchedulerConfig,
    Task,
    TaskInfo,
    TaskNotFoundError,
    TaskState,
)
from asynq_py.testing import Asynqmon, AsynqmonError, Redis, Stack
from asynq_py.testing.go import GoError, find_go

#: Nobody takes from the one; a Go worker takes from the other.
QUIET, BUSY = "quiet", "busy"
GROUP = "g:1"
COUNTS = {
    (QUIET, "pending"): 25,
    (QUIET, "scheduled"): 12,
    (QUIET, "archived"): 4,
    (QUIET, "aggregating"): 7,
    (BUSY, "retry"): 3,
    (BUSY, "completed"): 5,
    (BUSY, "archived"): 2,
    (BUSY, "active"): 2,
}
#: What asynqmon shows for bytes that are no text, or none.
NOT_PRINTABLE = "non-printable bytes"
#: The most that two looks may be apart.
NEAR = timedelta(seconds=5)


class View(NamedTuple):
    """Two looks at one Redis."""

    asynqmon: Asynqmon
    inspector: Inspector


@pytest.fixture(scope="module")
def needs_go() -> None:
    """Skips where there is no Go. If asynqmon cannot be built by it, tests fail."""
    try:
        find_go()
    except GoError as error:
        pytest.skip(f"NO ASYNQMON: {error}")


def fill(url: str) -> None:
    """Leaves tasks in all states that a producer can bring about."""
    with Client(url) as client, Inspector(url) as inspector:
        for n in range(COUNTS[QUIET, "pending"]):
            task = Task("email:welcome", {"n": n, "to": "Ü <x@y>"}, headers={"h": str(n)})
            client.enqueue(task, queue=QUIET, task_id=f"pending-{n:02}", unique=3600, max_retry=n)
        client.enqueue(Task("bytes", b"\xff\x00"), queue=QUIET, task_id="pending-last")
        inspector.delete_task(QUIET, "pending-00")
        for n in range(COUNTS[QUIET, "scheduled"]):
            client.enqueue(
                Task("later", {"n": n}), queue=QUIET, task_id=f"s-{n:02}", process_in=3600 + n
            )
        for n in range(COUNTS[QUIET, "archived"]):
            client.enqueue(Task("old", {"n": n}), queue=QUIET, task_id=f"archived-{n}")
            inspector.archive_task(QUIET, f"archived-{n}")
        for n in range(COUNTS[QUIET, "aggregating"]):
            client.enqueue(Task("part", {"n": n}), queue=QUIET, task_id=f"part-{n}", group=GROUP)
        client.enqueue(Task("part"), queue=QUIET, group="other", unique=60)


def work(stack: Stack, server: Redis) -> None:
    """Has a Go worker bring about the other states; it stays at work on two tasks."""
    with Client(server.url) as client:
        for kind, options in (
            ("fail:again", {"max_retry": 3}),
            ("fail:for-good", {"max_retry": 0}),
            ("result:kept", {"retention": 3600}),
        ):
            state = {"a": "retry", "f": "archived"}.get(kind[5], "completed")
            for n in range(COUNTS[BUSY, state]):
                client.enqueue(Task(kind, {"n": n}), queue=BUSY, **options)  # type: ignore[arg-type]
        for n in range(COUNTS[BUSY, "active"]):
            client.enqueue(Task("sleep:long", b"600000"), queue=BUSY, task_id=f"active-{n}")
    stack.worker(server, queues={BUSY: 3, "low": 1}, concurrency=4, retry_delay=3600)


@pytest.fixture(scope="module")
def view(stack: Stack, needs_go: None) -> Iterator[View]:
    server = stack.redis()
    fill(server.url)
    work(stack, server)
    scheduler = Scheduler(server.url, SchedulerConfig(heartbeat_interval=1))
    scheduler.register("@every 1s", Task("tick", {"n": 1}), queue="ticks", max_retry=2, timeout=90)
    scheduler.register("CRON_TZ=Europe/Berlin 0 9 * * 1-5", Task("daily"), name="report")
    asynqmon = stack.asynqmon(server)
    with scheduler, Inspector(server.url) as inspector:
        wanted = {state: count for (queue, state), count in COUNTS.items() if queue == BUSY}
        until(lambda: all(getattr(inspector.queue_info(BUSY), s) == n for s, n in wanted.items()))
        # The heartbeat shows workers some seconds after they began.
        until(lambda: [s for s in inspector.servers() if len(s.active_workers) == 2])
        until(lambda: len(inspector.scheduler_entries()) == 2 and "ticks" in inspector.queues())
        yield View(asynqmon, inspector)
    asynqmon.close()
    server.stop()


@pytest.fixture
def acting(stack: Stack, redis_server: Redis, needs_go: None) -> Iterator[View]:
    """A Redis to be changed."""
    fill(redis_server.url)
    asynqmon = stack.asynqmon(redis_server)
    with Inspector(redis_server.url) as inspector:
        yield View(asynqmon, inspector)
    asynqmon.close()


def printed(data: bytes | None) -> str:
    """Bytes as asynqmon shows them."""
    try:
        text = (data or b"").decode()
    except UnicodeDecodeError:
        return NOT_PRINTABLE
    return text if text.isprintable() and text.strip() else NOT_PRINTABLE


def moment(text: str) -> datetime | None:
    """A time as asynqmon writes it: whole seconds (or Go's zero time) mostly."""
    if text in ("", "-") or text.startswith("0001-01-01"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def whole(when: datetime | None) -> datetime | None:
    return None if when is None else when.replace(microsecond=0)


def assert_same_queue(ours: QueueInfo, theirs: dict[str, Any]) -> None:
    for name in (
        "queue", "size", "groups", "active", "pending", "aggregating", "scheduled", "retry",
        "archived", "completed", "processed", "failed", "paused",
    ):  # fmt: skip
        assert getattr(ours, name) == theirs[name], name
    assert ours.processed - ours.failed == theirs["succeeded"]
    assert ours.memory_usage == pytest.approx(theirs["memory_usage_bytes"], rel=0.05)
    assert abs(ours.latency / timedelta(milliseconds=1) - theirs["latency_msec"]) < 5000
    shown = moment(theirs["timestamp"])
    assert shown is not None
    assert abs(ours.timestamp - shown) < NEAR


def assert_same_row(ours: TaskInfo, theirs: dict[str, Any]) -> None:
    """A line of a list of tasks."""
    for name, shown in {
        "id": "id",
        "type": "type",
        "queue": "queue",
        "max_retry": "max_retry",
        "retried": "retried",
        "last_error": "error_message",
    }.items():
        assert getattr(ours, name) == theirs[shown], name
    assert printed(ours.payload) == theirs["payload"]
    match ours.state:
        case TaskState.SCHEDULED | TaskState.RETRY:
            assert ours.next_process_at == moment(theirs["next_process_at"])
        case TaskState.ARCHIVED:
            assert ours.last_failed_at == moment(theirs["last_failed_at"])
        case TaskState.COMPLETED:
            assert ours.completed_at == moment(theirs["completed_at"])
            assert printed(ours.result) == theirs["result"]
            assert ours.completed_at is not None
            assert ours.retention is not None
            left = ours.completed_at + ours.retention - datetime.now(UTC)
            assert abs(left.total_seconds() - theirs["ttl_seconds"]) < 5
        case TaskState.AGGREGATING:
            assert ours.group == theirs["group"]
        case TaskState.ACTIVE:
            assert ours.is_orphaned == theirs["is_orphaned"]


def listing(queue: str, state: str) -> tuple[str, ...]:
    """The path of a list of tasks."""
    if state == "aggregating":
        return ("queues", queue, "groups", GROUP, f"{state}_tasks")
    return ("queues", queue, f"{state}_tasks")


def group_of(state: str) -> str | None:
    return GROUP if state == "aggregating" else None


# -- what it shows --


def test_it_shows_the_queues_that_we_see(view: View) -> None:
    shown = {queue["queue"]: queue for queue in view.asynqmon.get("queues")["queues"]}

    # The ticks go on meanwhile.
    assert sorted(shown) == view.inspector.queues() == [BUSY, QUIET, "ticks"]
    for queue in (QUIET, BUSY):
        assert_same_queue(view.inspector.queue_info(queue), shown[queue])
        alone = view.asynqmon.get("queues", queue)
        assert_same_queue(view.inspector.queue_info(queue), alone["current"])
        assert [
            (day["date"], day["processed"], day["failed"], day["succeeded"])
            for day in alone["history"]
        ] == [
            (f"{day.date:%Y-%m-%d}", day.processed, day.failed, day.processed - day.failed)
            for day in view.inspector.history(queue, 10)
        ]
    for (queue, state), count in COUNTS.items():
        more = {(QUIET, "aggregating"): 1}.get((queue, state), 0)
        assert shown[queue][state] == count + more


@pytest.mark.parametrize(("queue", "state"), list(COUNTS))
@pytest.mark.parametrize(("page", "size"), [(1, 20), (2, 4), (1, 100), (9, 20)])
def test_it_lists_the_tasks_that_we_list(
    view: View, queue: str, state: str, page: int, size: int
) -> None:
    answer = view.asynqmon.get(*listing(queue, state), page=page, size=size)
    ours = view.inspector.list_tasks(queue, state, group=group_of(state), page=page, size=size)

    assert (
        len(ours)
        == len(answer["tasks"])
        == max(0, min(size, COUNTS[queue, state] - size * (page - 1)))
    )
    for mine, other in zip(ours, answer["tasks"], strict=True):
        assert_same_row(mine, other)
    assert_same_queue(view.inspector.queue_info(queue), answer["stats"])


@pytest.mark.parametrize(("queue", "state"), list(COUNTS))
def test_it_shows_a_task_that_we_show(view: View, queue: str, state: str) -> None:
    for listed in view.inspector.list_tasks(queue, state, group=group_of(state), size=3):
        ours = view.inspector.get_task(queue, listed.id)
        theirs = view.asynqmon.get("queues", queue, "tasks", listed.id)

        for name, shown in {
            "id": "id",
            "queue": "queue",
            "type": "type",
            "state": "state",
            "max_retry": "max_retry",
            "retried": "retried",
            "last_error": "error_message",
        }.items():
            assert getattr(ours, name) == theirs[shown], name
        assert (ours.timeout or timedelta()).total_seconds() == theirs["timeout_seconds"]
        assert printed(ours.payload) == theirs["payload"]
        assert printed(ours.result) == theirs["result"]
        assert whole(ours.last_failed_at) == moment(theirs["last_failed_at"])
        assert whole(ours.deadline) == moment(theirs["deadline"])
        assert whole(ours.completed_at) == moment(theirs["completed_at"])
        next_run = moment(theirs["next_process_at"])
        if state == "pending":
            # It is "now".
            assert ours.next_process_at is not None
            assert next_run is not None
            assert abs(ours.next_process_at - next_run) < NEAR
        else:
            assert whole(ours.next_process_at) == next_run


def test_it_shows_the_groups_that_we_see(view: View) -> None:
    answer = view.asynqmon.get("queues", QUIET, "groups")

    assert {group["group"]: group["size"] for group in answer["groups"]} == {
        group.group: group.size for group in view.inspector.groups(QUIET)
    }
    assert_same_queue(view.inspector.queue_info(QUIET), answer["stats"])


def test_it_shows_the_servers_that_we_see(view: View) -> None:
    (theirs,) = view.asynqmon.get("servers")["servers"]
    (ours,) = view.inspector.servers()

    for name, shown in {
        "id": "id",
        "host": "host",
        "pid": "pid",
        "concurrency": "concurrency",
        "queues": "queue_priorities",
        "strict_priority": "strict_priority_enabled",
        "status": "status",
    }.items():
        assert getattr(ours, name) == theirs[shown], name
    assert whole(ours.started_at) == moment(theirs["start_time"])
    workers = sorted(theirs["active_workers"], key=lambda worker: worker["task_id"])
    assert len(ours.active_workers) == len(workers) == COUNTS[BUSY, "active"]
    for mine, other in zip(ours.active_workers, workers, strict=True):
        assert (mine.task_id, mine.queue, mine.type) == (
            other["task_id"],
            other["queue"],
            other["task_type"],
        )
        assert printed(mine.payload) == other["task_payload"]
        assert whole(mine.started_at) == moment(other["start_time"])
    # In the list of active tasks there is more of the same.
    for task in view.asynqmon.get("queues", BUSY, "active_tasks")["tasks"]:
        (mine,) = (worker for worker in ours.active_workers if worker.task_id == task["id"])
        assert whole(mine.started_at) == moment(task["start_time"])
        assert whole(mine.deadline) == moment(task["deadline"])


def test_it_shows_the_entries_of_a_python_scheduler(view: View) -> None:
    # Each heartbeat publishes them anew: look again if one came between the two looks.
    def look() -> bool:
        theirs = {entry["id"]: entry for entry in view.asynqmon.get("scheduler_entries")["entries"]}
        ours = {entry.id: entry for entry in view.inspector.scheduler_entries()}
        assert ours.keys() == theirs.keys()
        assert len(ours) == 2
        moments = []
        for entry_id, mine in ours.items():
            other = theirs[entry_id]
            assert (mine.spec, mine.type) == (other["spec"], other["task_type"])
            assert printed(mine.payload) == other["task_payload"]
            assert list(mine.options) == other["options"]
            moments += [
                whole(mine.next_run) == moment(other["next_enqueue_at"]),
                whole(mine.previous_run) == moment(other.get("prev_enqueue_at", "")),
            ]
        return all(moments)

    until(look)


def test_it_shows_the_runs_of_a_python_scheduler(view: View) -> None:
    (entry,) = (e for e in view.inspector.scheduler_entries() if e.type == "tick")
    until(lambda: len(view.inspector.scheduler_history(entry.id)) >= 3)

    def look() -> bool:
        answer = view.asynqmon.get("scheduler_entries", entry.id, "enqueue_events", page=1, size=3)
        ours = view.inspector.scheduler_history(entry.id, size=3)
        return [(run.task_id, whole(run.enqueued_at)) for run in ours] == [
            (event["task_id"], moment(event["enqueued_at"])) for event in answer["events"]
        ]

    until(look)


def test_it_shows_the_redis_that_we_see(view: View) -> None:
    answer = view.asynqmon.get("redis_info")
    ours = view.inspector.redis_info()

    assert answer["cluster"] is False
    for name in ("redis_version", "run_id", "tcp_port", "role"):
        assert answer["info"][name] == ours[name]


# -- what it does --


def ids(view: View, state: str) -> list[str]:
    """The IDs of the tasks of the quiet queue in a state."""
    return [task.id for task in view.inspector.iter_tasks(QUIET, state, group=group_of(state))]


ACTIONS = [
    ("run", "scheduled", "pending"),
    ("run", "archived", "pending"),
    ("run", "aggregating", "pending"),
    ("archive", "pending", "archived"),
    ("archive", "scheduled", "archived"),
    ("archive", "aggregating", "archived"),
    ("delete", "pending", ""),
    ("delete", "scheduled", ""),
    ("delete", "archived", ""),
    ("delete", "aggregating", ""),
]


@pytest.mark.parametrize(("action", "state", "target"), ACTIONS)
def test_what_it_does_to_tasks_is_seen(acting: View, action: str, state: str, target: str) -> None:
    before = ids(acting, state)
    first, second, third = before[:3]
    path = listing(QUIET, state)

    def gone() -> list[str]:
        left = ids(acting, state)
        return [task_id for task_id in before if task_id not in left]

    # One.
    if action == "delete":
        acting.asynqmon.delete(*path, first)
    else:
        acting.asynqmon.post(*path, f"{first}:{action}")
    assert gone() == [first]
    if target:
        assert acting.inspector.get_task(QUIET, first).state == target
    else:
        with pytest.raises(TaskNotFoundError):
            acting.inspector.get_task(QUIET, first)

    # Some, and one that is not there.
    batch = (*path[:-1], f"{path[-1]}:batch_{action}")
    answer = acting.asynqmon.post(*batch, body={"task_ids": [second, "nobody", third]})
    done = {"run": "pending_ids", "archive": "archived_ids", "delete": "deleted_ids"}[action]
    assert answer[done] == [second, third]
    assert sorted(gone()) == sorted([first, second, third])

    # All that are left.
    every = (*path[:-1], f"{path[-1]}:{action}_all")
    answer = acting.asynqmon.ask("DELETE" if action == "delete" else "POST", *every)
    word = {"run": "scheduled", "archive": "archived", "delete": "deleted"}[action]
    assert answer == {word: len(before) - 3}
    assert ids(acting, state) == []
    if target:
        assert set(before) <= set(ids(acting, target))


def test_what_we_do_to_tasks_it_shows(acting: View) -> None:
    acting.inspector.run_task(QUIET, "s-00")
    acting.inspector.archive_task(QUIET, "pending-01")
    acting.inspector.update_payload(QUIET, "s-01", b"changed")
    assert acting.inspector.run_all(QUIET, "aggregating", group=GROUP) == 7

    shown = acting.asynqmon.get
    assert shown("queues", QUIET, "tasks", "s-00")["state"] == "pending"
    assert shown("queues", QUIET, "tasks", "pending-01")["state"] == "archived"
    assert shown("queues", QUIET, "tasks", "s-01")["payload"] == "changed"
    assert [group["group"] for group in shown("queues", QUIET, "groups")["groups"]] == ["other"]
    acting.inspector.delete_queue(QUIET, force=True)
    assert shown("queues") == {"queues": []}


def test_a_queue_is_paused_by_one_and_resumed_by_the_other(acting: View) -> None:
    acting.asynqmon.post("queues", f"{QUIET}:pause")
    assert acting.inspector.queue_info(QUIET).paused
    acting.inspector.unpause_queue(QUIET)
    assert acting.asynqmon.get("queues", QUIET)["current"]["paused"] is False

    acting.inspector.pause_queue(QUIET)
    assert acting.asynqmon.get("queues", QUIET)["current"]["paused"] is True
    acting.asynqmon.post("queues", f"{QUIET}:resume")
    assert not acting.inspector.queue_info(QUIET).paused


def test_what_it_refuses_says_why(acting: View) -> None:
    with pytest.raises(AsynqmonError) as caught:
        acting.asynqmon.delete("queues", QUIET)
    assert caught.value.status == 400
    assert "not empty" in str(caught.value)
    with pytest.raises(AsynqmonError):
        acting.asynqmon.get("queues", "nowhere")


def test_it_cancels_what_a_go_worker_is_at_and_so_do_we(view: View) -> None:
    assert len(view.inspector.list_tasks(BUSY, "active")) == 2

    view.asynqmon.post("queues", BUSY, "active_tasks", "active-0:cancel")
    until(lambda: view.inspector.get_task(BUSY, "active-0").state == "retry")
    view.inspector.cancel_task("active-1")
    until(lambda: view.asynqmon.get("queues", BUSY, "tasks", "active-1")["state"] == "retry")

    assert view.asynqmon.get("queues", BUSY, "active_tasks")["tasks"] == []
