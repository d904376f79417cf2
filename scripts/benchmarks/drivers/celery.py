"""Celery: https://docs.celeryq.dev"""

from celery import Celery, group  # type: ignore[import-not-found]

from . import driver


def noop(user_id: int, email: str, template: str) -> None:
    """The task."""


app = Celery("bench", broker=driver.url())
app.conf.task_ignore_result = True
task = app.task(noop, name=driver.TASK_TYPE)


def one_by_one(n: int) -> None:
    """`delay`, which takes a producer from the app's pool."""
    for number in range(n):
        task.delay(**driver.payload(number))


def one_producer(n: int) -> None:
    """`apply_async` with one producer for all."""
    with app.producer_or_acquire() as producer:
        for number in range(n):
            task.apply_async(kwargs=driver.payload(number), producer=producer)


def batches(n: int, size: int) -> None:
    """Groups."""
    for numbers in driver.in_pieces(n, size):
        group(task.s(**driver.payload(number)) for number in numbers).apply_async()


def paced(n: int, rate: float) -> None:
    """`apply_async` with one producer, when they are due."""
    with app.producer_or_acquire() as producer:
        for now_ns in driver.paced(n, rate):
            task.apply_async(kwargs=driver.payload(now_ns), producer=producer)


driver.serve(
    {
        "one by one": one_by_one,
        "one producer": one_producer,
        "batches": batches,
        "paced": paced,
    },
    "celery",
    "kombu",
    "redis",
    "hiredis",
)
