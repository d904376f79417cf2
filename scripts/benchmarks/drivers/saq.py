"""SAQ: https://saq-py.readthedocs.io"""

import asyncio

from saq import Queue  # type: ignore[import-not-found]

from . import driver


async def main() -> None:
    """Connects and serves."""
    # It lets this many travel at once, 20 by default.
    queue = Queue.from_url(driver.url(), max_concurrent_ops=50)
    await queue.connect()

    async def enqueue(number: int) -> None:
        await queue.enqueue(driver.TASK_TYPE, **driver.payload(number))

    async def one_by_one(n: int) -> None:
        for number in range(n):
            await enqueue(number)

    async def paced(n: int, rate: float) -> None:
        for now_ns in driver.paced(n, rate):
            await enqueue(now_ns)

    async def concurrent(n: int, awaiting: int) -> None:
        await driver.crowd(n, awaiting, enqueue)

    await driver.serve_async(
        {"one by one": one_by_one, "concurrent": concurrent, "paced": paced},
        "saq",
        "redis",
        "hiredis",
    )
    await queue.disconnect()


asyncio.run(main())
