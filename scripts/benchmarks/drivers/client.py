"""asynq_py's Client."""

import time

from asynq_py import Client, Task

from . import driver

client = Client(driver.url())
client.ping()


def one_by_one(n: int) -> None:
    """One call and one round trip for each task."""
    for number in range(n):
        client.enqueue(Task(driver.TASK_TYPE, driver.payload(number)))


def batches(n: int, size: int) -> None:
    """`enqueue_many`."""
    for numbers in driver.in_pieces(n, size):
        client.enqueue_many(Task(driver.TASK_TYPE, driver.payload(number)) for number in numbers)


def paced(n: int, rate: float) -> None:
    """`enqueue_many` of what is due."""
    for count in driver.due(n, rate):
        now_ns = time.time_ns()
        client.enqueue_many(Task(driver.TASK_TYPE, driver.payload(now_ns)) for _ in range(count))


driver.serve(
    {"one by one": one_by_one, "batches": batches, "paced": paced},
    "asynq_py",
    "redis",
    "hiredis",
    "protobuf",
)
