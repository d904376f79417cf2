"""asynq_py's Server. BENCH_UVLOOP tells whether it has uvloop, "yes" or "no"."""

import asyncio
import json
import os

from asynq_py import Context, Server, ServerConfig, Task

from . import work


async def nothing(context: Context, task: Task) -> None:
    """A no-op."""


async def note(context: Context, task: Task) -> None:
    """Notes how late it is."""
    work.note(json.loads(task.payload or b"")["user_id"])


async def wait(context: Context, task: Task) -> None:
    """Is in flight for ever."""
    await note(context, task)
    await asyncio.Event().wait()


if __name__ == "__main__":
    handlers = {"nothing": nothing, "note": note, "wait": wait}
    has_uvloop = os.environ["BENCH_UVLOOP"] == "yes"
    config = ServerConfig(concurrency=work.CONCURRENCY, uvloop=has_uvloop)
    Server(work.URL, config).run(handlers[work.HANDLER])
