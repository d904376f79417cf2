"""SAQ's worker."""

import asyncio
from typing import Any

import uvloop
from saq import Queue  # type: ignore[import-not-found]

from .. import driver
from . import work

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def welcome(context: Any, *, user_id: int, email: str, template: str) -> None:  # noqa: ANN401
    """The task."""
    work.note(user_id)


settings = {
    # It lets this many travel at once, 20 by default.
    "queue": Queue.from_url(work.URL, max_concurrent_ops=max(50, work.CONCURRENCY)),
    "functions": [(driver.TASK_TYPE, welcome)],
    "concurrency": work.CONCURRENCY,
}
