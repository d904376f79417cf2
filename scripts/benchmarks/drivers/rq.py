"""RQ: https://python-rq.org"""

from redis import Redis
from rq import Queue  # type: ignore[import-not-found]

from . import driver

#: In a module that RQ's worker can import.
FUNCTION = f"{__package__}.workers.rq.welcome"

queue = Queue(connection=Redis.from_url(driver.url()))
queue.connection.ping()


def one_by_one(n: int) -> None:
    """`enqueue`."""
    for number in range(n):
        queue.enqueue(FUNCTION, kwargs=driver.payload(number))


def batches(n: int, size: int) -> None:
    """`enqueue_many`, a pipeline."""
    for numbers in driver.in_pieces(n, size):
        queue.enqueue_many(
            [Queue.prepare_data(FUNCTION, kwargs=driver.payload(number)) for number in numbers]
        )


def paced(n: int, rate: float) -> None:
    """`enqueue`, when they are due."""
    for now_ns in driver.paced(n, rate):
        queue.enqueue(FUNCTION, kwargs=driver.payload(now_ns))


driver.serve(
    {"one by one": one_by_one, "batches": batches, "paced": paced}, "rq", "redis", "hiredis"
)
