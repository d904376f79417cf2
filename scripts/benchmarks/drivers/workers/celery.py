"""Celery's worker."""

from celery import Celery  # type: ignore[import-not-found]

from .. import driver
from . import work

app = Celery("bench", broker=work.URL)
app.conf.task_ignore_result = True
app.conf.worker_disable_rate_limits = True
# Many at a time on their way to the pool: with the usual 4, it waits for Redis.
app.conf.worker_prefetch_multiplier = max(1, 256 // work.CONCURRENCY)


@app.task(name=driver.TASK_TYPE)  # type: ignore[untyped-decorator]
def welcome(user_id: int, email: str, template: str) -> None:
    """The task."""
    work.note(user_id)
