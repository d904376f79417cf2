"""asynq_py's AsyncClient."""

import asyncio

from asynq_py import AsyncClient, Task

from . import driver


async def main() -> None:
    """Connects and serves."""
    async with AsyncClient(driver.url()) as client:
        await client.ping()

        async def enqueue(number: int) -> None:
            await client.enqueue(Task(driver.TASK_TYPE, driver.payload(number)))

        async def one_by_one(n: int) -> None:
            for number in range(n):
                await enqueue(number)

        async def concurrent(n: int, awaiting: int) -> None:
            await driver.crowd(n, awaiting, enqueue)

        await driver.serve_async({"one by one": one_by_one, "concurrent": concurrent}, "asynq_py")


asyncio.run(main())
