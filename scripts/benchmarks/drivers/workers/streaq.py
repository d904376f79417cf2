"""streaQ's worker."""

from streaq import Worker  # type: ignore[import-not-found]

from .. import driver
from . import work

worker = Worker(redis_url=work.URL, concurrency=work.CONCURRENCY, anyio_kwargs={"use_uvloop": True})


# Silent: without lines for each task.
@worker.task(name=driver.TASK_TYPE, ttl=0, silent=True)  # type: ignore[untyped-decorator]
async def welcome(user_id: int, email: str, template: str) -> None:
    """The task."""
    work.note(user_id)
