"""Long pages: in batches, on a cluster in pipelines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from asynq_py import Client, Inspector, Task
from asynq_py.broker.listing import BATCH
from tests.conftest import Cluster

SIZE = 2 * BATCH + 50


@pytest.mark.parametrize("state", ["pending", "scheduled"])
def test_a_long_page_of_a_cluster_has_all_tasks_in_their_order(
    inspect: Callable[..., Inspector],
    cluster: Cluster,
    connect_raw: Callable[..., redis.Redis],
    state: str,
) -> None:
    options = {"process_in": 3600} if state == "scheduled" else {}
    ids = [f"{n:05}" for n in range(SIZE)]
    with Client(cluster.url) as client:
        for task_id in ids:
            client.enqueue(Task("t", task_id.encode()), queue="q", task_id=task_id, **options)
    raw = connect_raw(cluster.server)
    raw.delete("asynq:{q}:t:00007")
    raw.delete("asynq:{q}:t:00008")
    raw.set("asynq:{q}:t:00008", "no hash")

    page = inspect(cluster.url).list_tasks("q", state, size=SIZE)

    assert [task.id for task in page] == ids
    damaged = [task.id for task in page if task.damage]
    assert damaged == ["00007", "00008"]
    assert [task.payload.decode() for task in page if not task.damage] == [
        task_id for task_id in ids if task_id not in damaged
    ]
