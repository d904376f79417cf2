"""Taskiq with taskiq-redis, its list and its stream: https://taskiq-python.github.io"""

import asyncio

from taskiq_redis import ListQueueBroker, RedisStreamBroker  # type: ignore[import-not-found]

from . import driver


async def noop(user_id: int, email: str, template: str) -> None:
    """The task."""


async def main() -> None:
    """Connects and serves."""
    brokers = {
        "list": ListQueueBroker(driver.url(), queue_name="taskiq-list"),
        "stream": RedisStreamBroker(driver.url(), queue_name="taskiq-stream"),
    }
    tasks = {
        name: broker.register_task(noop, task_name=driver.TASK_TYPE)
        for name, broker in brokers.items()
    }
    for broker in brokers.values():
        await broker.startup()

    async def one_by_one(n: int, broker: str) -> None:
        task = tasks[broker]
        for number in range(n):
            await task.kiq(**driver.payload(number))

    async def concurrent(n: int, awaiting: int, broker: str) -> None:
        task = tasks[broker]
        await driver.crowd(n, awaiting, lambda number: task.kiq(**driver.payload(number)))

    async def paced(n: int, rate: float, broker: str) -> None:
        task = tasks[broker]
        for now_ns in driver.paced(n, rate):
            await task.kiq(**driver.payload(now_ns))

    await driver.serve_async(
        {"one by one": one_by_one, "concurrent": concurrent, "paced": paced},
        "taskiq",
        "taskiq-redis",
        "redis",
        "hiredis",
    )
    for broker in brokers.values():
        await broker.shutdown()


asyncio.run(main())
