"""redis-benchmark running enqueue.lua: how fast Redis is if nobody has to think.

The arguments are those of a task that Client has stored; where its ID stands, redis-benchmark
puts 36 random digits, as long as a UUID.
"""

import re
import resource
import shutil
import subprocess
import sys

from asynq_py import Client, Task
from asynq_py.broker.scripts import ENQUEUE
from asynq_py.testing.resp import ask
from asynq_py.wire.keys import ledger_key, pending_key, task_key, terms_key

from . import driver

QUEUE = "limit"
RANDOM_ID = "__rand_int__" * 3

found = shutil.which("redis-benchmark")
if found is None:
    sys.exit("redis-benchmark is not on PATH")
program = found
host, port = driver.address().split(":")


def sample() -> bytes:
    """The message of a task as Redis has it."""
    with Client(driver.url()) as client:
        task = client.enqueue(Task(driver.TASK_TYPE, driver.payload(12345)), queue=QUEUE)
    message: bytes = ask((host, int(port)), "HGET", task_key(QUEUE, task.id), "msg")
    if b"\0" in message:
        sys.exit("redis-benchmark cannot send a message that has a NUL")
    return message


message = sample()
ask((host, int(port)), "SCRIPT", "LOAD", ENQUEUE.text)


def script(n: int, connections: int = 1, pipeline: int = 1, size: int = 1) -> float:
    """Runs the script until `n` tasks are stored, `size` at a time.

    Returns:
        The seconds by redis-benchmark's own measure, without its start.
    """
    keys = [pending_key(QUEUE), ledger_key(QUEUE), terms_key(QUEUE)]
    keys += [task_key(QUEUE, RANDOM_ID)] * size
    head = ["1700000000000000000", "", ""]
    task: list[str | bytes] = ["pending", "0", RANDOM_ID, message]
    command: list[str | bytes] = [program, "-h", host, "-p", port, "-r", str(2**31 - 1), "--csv"]
    command += ["-c", str(connections), "-P", str(pipeline), "-n", str(n // size)]
    command += ["EVALSHA", ENQUEUE.sha, str(len(keys)), *keys, *head, *task * size]
    done = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    # A line of columns: test, which is the command, bytes and all; rps; latencies.
    told = re.search(rb'","([\d.]+)"(?:,"[\d.]+")*\s*\Z', done.stdout)
    if told is None:
        raise RuntimeError(f"redis-benchmark: {done.stderr!r}, {done.stdout[-200:]!r}")
    return n / size / float(told[1])


told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
version = re.search(r"\d+\.\d+\.\d+", told)
driver.serve(
    {"script": script},
    usage=resource.RUSAGE_CHILDREN,
    **{"redis-benchmark": version[0] if version else told.strip()},
)
