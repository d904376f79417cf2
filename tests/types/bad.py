"""What type checkers must refuse: each marked line gives exactly the error named there."""

# ruff: noqa: T201
from __future__ import annotations

from asynq_py import AsyncClient, Client, Scheduler, Task


def options(client: Client, task: Task) -> None:
    client.enqueue(task, max_retries=3)  # expect: call-arg
    client.enqueue(task, queue=3)  # expect: arg-type
    client.enqueue(task, timeout="10s")  # expect: arg-type
    client.enqueue("task")  # expect: arg-type
    client.enqueue(task, None)  # expect: call-arg
    Task("t", headers={"a": 1})  # expect: dict-item
    Task("t", codec=str)  # expect: arg-type


def places() -> None:
    Client(6379)  # expect: arg-type
    AsyncClient(b"redis://")  # expect: arg-type


def values(task: Task, client: Client) -> None:
    task.payload = b""  # expect: misc
    client.enqueue(task).id = "x"  # expect: misc
    task.headers["a"] = "b"  # expect: index


async def worlds(client: AsyncClient, task: Task) -> None:
    print(client.enqueue(task).id)  # expect: attr-defined
    with client:  # expect: attr-defined
        pass


def scheduling(scheduler: Scheduler, task: Task) -> None:
    scheduler.register("@daily", task, queu="x")  # expect: call-arg
    scheduler.register(task, "@daily")  # expect: arg-type
