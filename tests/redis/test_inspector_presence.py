"""What schedulers, Redis and clusters show of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from asynq_py import Client, Inspector, RejectedError, Scheduler, Task
from tests.conftest import Cluster
from tests.support.tasks import GROUP, QUEUE


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


@pytest.mark.parametrize("queue", ["a}b", "{", "{{}}"])
def test_braces_in_the_name_of_a_queue_do_no_harm_in_a_cluster(
    inspect: Callable[..., Inspector], cluster: Cluster, queue: str
) -> None:
    inspector = inspect(cluster.url)
    with Client(cluster.url) as client:
        client.enqueue(Task("t"), queue=queue, task_id="a")

    inspector.archive_task(queue, "a")
    assert inspector.run_all(queue, "archived") == 1
    assert inspector.queue_info(queue).pending == 1
    inspector.delete_queue(queue, force=True)
    assert cluster.server.command("DBSIZE") == 0


def test_a_name_that_scatters_a_queue_over_a_cluster_is_refused(
    inspect: Callable[..., Inspector], cluster: Cluster
) -> None:
    inspector = inspect(cluster.url)
    cluster.server.command("SADD", "asynq:queues", "}")
    looks: list[Callable[[], object]] = [
        lambda: inspector.queue_info("}"),
        lambda: inspector.run_all("}", "retry"),
        lambda: inspector.delete_queue("}"),
    ]
    for look in looks:
        with pytest.raises(RejectedError, match="no queue's name may begin with }") as caught:
            look()
        assert (caught.value.code, caught.value.written) == ("CROSSSLOT", False)
