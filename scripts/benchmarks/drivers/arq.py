"""arq: https://arq-docs.helpmanual.io"""

import asyncio

from arq import create_pool  # type: ignore[import-not-found]
from arq.connections import RedisSettings  # type: ignore[import-not-found]

from . import driver


async def main() -> None:
    """Connects and serves."""
    pool = await create_pool(RedisSettings.from_dsn(driver.url()))

    async def enqueue(number: int) -> None:
        await pool.enqueue_job(driver.TASK_TYPE, **driver.payload(number))

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
        "arq",
        "redis",
        "hiredis",
    )
    await pool.aclose()


asyncio.run(main())
