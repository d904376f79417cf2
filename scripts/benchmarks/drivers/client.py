"""asynq_py's Client."""

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


driver.serve(
    {"one by one": one_by_one, "batches": batches}, "asynq_py", "redis", "hiredis", "protobuf"
)
