"""streaQ: https://streaq.readthedocs.io"""

import asyncio

from streaq import Worker  # type: ignore[import-not-found]

from . import driver


async def noop(user_id: int, email: str, template: str) -> None:
    """The task."""


async def main() -> None:
    """Connects and serves."""
    worker = Worker(redis_url=driver.url())
    task = worker.task(name=driver.TASK_TYPE)(noop)

    async def enqueue(number: int) -> None:
        await task.enqueue(**driver.payload(number))

    async def one_by_one(n: int) -> None:
        for number in range(n):
            await enqueue(number)

    async def paced(n: int, rate: float) -> None:
        for now_ns in driver.paced(n, rate):
            await enqueue(now_ns)

    async def batches(n: int, size: int) -> None:
        for numbers in driver.in_pieces(n, size):
            await worker.enqueue_many([task.enqueue(**driver.payload(i)) for i in numbers])

    async def concurrent(n: int, awaiting: int) -> None:
        await driver.crowd(n, awaiting, enqueue)

    async with worker:
        await driver.serve_async(
            {
                "one by one": one_by_one,
                "batches": batches,
                "concurrent": concurrent,
                "paced": paced,
            },
            "streaq",
            "coredis",
        )


asyncio.run(main())
