"""Taskiq's worker, for its list and for its stream; it has uvloop if that is installed."""

from taskiq_redis import ListQueueBroker, RedisStreamBroker  # type: ignore[import-not-found]

from .. import driver
from . import work


async def welcome(user_id: int, email: str, template: str) -> None:
    """The task."""
    work.note(user_id)


in_list = ListQueueBroker(work.URL, queue_name="taskiq-list")
# From its beginning: by default it has only what comes after its start.
in_stream = RedisStreamBroker(work.URL, queue_name="taskiq-stream", consumer_id="0")
for broker in (in_list, in_stream):
    broker.register_task(welcome, task_name=driver.TASK_TYPE)
