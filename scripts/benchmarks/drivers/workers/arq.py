"""arq's worker."""

import asyncio
from typing import Any

import uvloop
from arq import func  # type: ignore[import-not-found]
from arq.connections import RedisSettings  # type: ignore[import-not-found]

from .. import driver
from . import work

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

#: Instead of a line for each task.
LOGGING = {"version": 1}


async def welcome(context: dict[str, Any], user_id: int, email: str, template: str) -> None:
    """The task."""
    work.note(user_id)


class Settings:
    """With the usual half second between looks it takes some hundred tasks a second."""

    functions = (func(welcome, name=driver.TASK_TYPE, keep_result=0),)
    redis_settings = RedisSettings.from_dsn(work.URL)
    max_jobs = work.CONCURRENCY
    poll_delay = 0.001
