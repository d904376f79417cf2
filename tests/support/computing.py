"""Handlers that processes import; what they say goes to a list in the Redis of their payload."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import redis

from asynq_py import Context, PayloadError, RevokeTask, SkipRetry, Task

#: The list.
SAID = "said"


def say(url: str, *words: object) -> None:
    with redis.Redis.from_url(url) as database:
        database.rpush(SAID, " ".join(str(word) for word in words))


def tell(context: Context, task: Task) -> None:
    """Says what it was given."""
    say(
        (task.payload or b"").decode(),
        *(context.task_id, context.queue, context.retry_count, context.max_retry),
        *(context.deadline.isoformat(), dict(context.headers), context.cancelled),
        *(isinstance(context, Context), task.type),
    )


def own_pid(context: Context, task: Task) -> None:
    say((task.payload or b"").decode(), os.getpid())


def await_word(context: Context, task: Task) -> None:
    """Waits for something in the list "words"."""
    url = (task.payload or b"").decode()
    say(url, os.getpid())
    with redis.Redis.from_url(url, socket_timeout=None) as database:
        database.blpop(["words"])
    say(url, "went on")


def hang(context: Context, task: Task) -> None:
    """Hangs with a program that it has started."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    say((task.payload or b"").decode(), os.getpid(), program.pid)
    threading.Event().wait()


def write(context: Context, task: Task) -> None:
    context.write_result(b"first")
    context.write_result(b"second")


def write_and_fail(context: Context, task: Task) -> None:
    context.write_result(b"so far")
    raise ValueError("no further")


def crash(context: Context, task: Task) -> None:
    """Dies as the type of the task says."""
    match task.type.partition(":")[2]:
        case "exit":
            os._exit(7)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


class TooMuchError(Exception):
    """Cannot be read again from a pickle."""

    def __init__(self, limit: int, found: int) -> None:
        super().__init__(f"{found} of {limit}")


class CodeError(Exception):
    """Is another one when it is read again."""

    def __init__(self, code: object) -> None:
        super().__init__(f"code {code}")


def fail(context: Context, task: Task) -> None:
    """Fails as the type of the task says."""
    match task.type.partition(":")[2]:
        case "plain":
            raise KeyError("a") from ValueError("b")
        case "unpicklable":
            raise TooMuchError(1, 2)
        case "changed":
            raise CodeError(5)
        case "skip":
            raise SkipRetry("never again")
        case "revoke":
            raise RevokeTask
        case "unpicklable-skip":
            raise TooMuchError(1, 2) from SkipRetry()
        case "subclass":
            raise PayloadError("unreadable")
        case "exit":
            sys.exit("no more")


def chatter(context: Context, task: Task) -> None:
    """Prints and logs."""
    print("printed")  # noqa: T201
    print("to stderr", file=sys.stderr)  # noqa: T201
    logging.getLogger("chatter").info("logged at info")
    logging.getLogger("chatter").debug("logged at debug")


def close_streams(context: Context, task: Task) -> None:
    sys.stdout.close()
    sys.stderr.close()


@dataclass
class Order:
    url: str
    amount: int


def take_order(context: Context, order: Order) -> None:
    say(order.url, order.amount + 1)
