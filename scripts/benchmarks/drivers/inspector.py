"""asynq_py's Inspector."""

from asynq_py import Inspector

from . import driver

inspector = Inspector(driver.url())
inspector.queues()


def list_tasks(queue: str, state: str, page: int, size: int, times: int) -> None:
    """Lists a page, and reads every message in it."""
    for _ in range(times):
        tasks = inspector.list_tasks(queue, state, page=page, size=size)
        if len([task for task in tasks if task.payload]) != size:
            raise ValueError(f"a page of {len(tasks)} tasks, not {size}")


def info(queue: str, times: int) -> None:
    """Looks at a queue."""
    for _ in range(times):
        if not inspector.queue_info(queue).size:
            raise ValueError("the queue is empty")


def delete_all(queue: str, state: str) -> None:
    """Deletes all tasks of a state."""
    if not inspector.delete_all(queue, state):
        raise ValueError("nothing was deleted")


driver.serve(
    {"list": list_tasks, "info": info, "delete_all": delete_all},
    "asynq_py",
    "redis",
    "hiredis",
    "protobuf",
)
