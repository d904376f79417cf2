"""dramatiq: https://dramatiq.io"""

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]

from . import driver


def noop(user_id: int, email: str, template: str) -> None:
    """The task."""


dramatiq.set_broker(RedisBroker(url=driver.url()))
task = dramatiq.actor(noop, actor_name=driver.TASK_TYPE)


def enqueue(number: int) -> None:
    """`send`."""
    task.send(**driver.payload(number))


def one_by_one(n: int) -> None:
    """One call for each task."""
    for number in range(n):
        enqueue(number)


def paced(n: int, rate: float) -> None:
    """Tasks when they are due."""
    for now_ns in driver.paced(n, rate):
        enqueue(now_ns)


driver.serve({"one by one": one_by_one, "paced": paced}, "dramatiq", "redis", "hiredis")
