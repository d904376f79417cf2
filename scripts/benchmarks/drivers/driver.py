"""What all drivers have in common: one contender in a process of its own.

A driver is started with the address of Redis (`host:port`), connects, and then takes commands
on stdin, one JSON object a line, so that neither its start nor the connecting is measured:
`mode` names one of its modes and the rest are that mode's arguments. It begins with a line
{"ready", "versions"} and answers each command with a line {"seconds", "cpu_seconds"} or
{"error"}. It ends with its input. Standard library only.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

TASK_TYPE = "email:welcome"


def address() -> str:
    """Where Redis is, `host:port`."""
    return sys.argv[1]


def url() -> str:
    """Where Redis is, as a URL."""
    return f"redis://{address()}/0"


def payload(number: int) -> dict[str, Any]:
    """What each task is about."""
    return {"user_id": number, "email": "user@example.com", "template": "welcome"}


def in_pieces(n: int, size: int) -> Iterator[range]:
    """The numbers below `n`, some at a time."""
    return (range(start, min(start + size, n)) for start in range(0, n, size))


def due(n: int, rate: float) -> Iterator[int]:
    """How many of `n` tasks are due, whenever some are: at random, `rate` a second; and for
    everybody at the same moments."""
    chance = random.Random(n)
    start = time.monotonic()
    moment, done, count = 0.0, 0, 0
    while done < n:
        now = time.monotonic() - start
        while done + count < n and moment <= now:
            moment += chance.expovariate(rate)
            count += 1
        if count:
            yield count
            done, count = done + count, 0
        else:
            # Not for less than a millisecond: a busy producer takes the time of others.
            time.sleep(max(0.001, moment - now))


def paced(n: int, rate: float) -> Iterator[int]:
    """As `due`, one by one: the moment for each, Unix nanoseconds."""
    for count in due(n, rate):
        for _ in range(count):
            yield time.time_ns()


async def crowd(n: int, awaiting: int, enqueue: Callable[[int], Awaitable[object]]) -> None:
    """Shares `n` tasks among coroutines, each taking the next when it is done with one."""
    numbers = iter(range(n))

    async def member() -> None:
        for number in numbers:
            await enqueue(number)

    await asyncio.gather(*(member() for _ in range(awaiting)))


def serve(
    modes: Mapping[str, Callable[..., object]],
    *packages: str,
    usage: int = resource.RUSAGE_SELF,
    **versions: str,
) -> None:
    """Carries out commands with blocking functions.

    Args:
        modes: What it can do; a function gets the command's other fields by name. One that
            knows better than the clock how many seconds it took returns them.
        packages: Distributions whose versions matter; what is not installed is left out.
        usage: Whose CPU time counts, as for `resource.getrusage`.
        versions: Further versions that matter.
    """
    channel = _Channel(packages, versions, usage)
    for mode, arguments in channel.commands():
        with channel.answering() as result:
            result.append(modes[mode](**arguments))


async def serve_async(
    modes: Mapping[str, Callable[..., Awaitable[object]]], *packages: str
) -> None:
    """As `serve`, with coroutines; between commands the event loop stands still."""
    channel = _Channel(packages, {}, resource.RUSAGE_SELF)
    for mode, arguments in channel.commands():
        with channel.answering() as result:
            result.append(await modes[mode](**arguments))


class _Channel:
    """Stdin and stdout; whatever else a library prints goes to stderr."""

    def __init__(self, packages: tuple[str, ...], versions: dict[str, str], usage: int) -> None:
        self._usage = usage
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        found = dict(_versions(packages)) | versions
        self._send({"ready": True, "versions": found})

    def commands(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for line in sys.stdin:
            arguments = json.loads(line)
            yield arguments.pop("mode"), arguments

    @contextmanager
    def answering(self) -> Iterator[list[object]]:
        result: list[object] = []
        cpu, start = self._cpu_seconds(), time.perf_counter()
        try:
            yield result
        except Exception as error:
            traceback.print_exc()
            self._send({"error": f"{type(error).__name__}: {error}"})
        else:
            seconds, cpu = time.perf_counter() - start, self._cpu_seconds() - cpu
            if isinstance(result[0], float):
                seconds = result[0]
            self._send({"seconds": seconds, "cpu_seconds": cpu})

    def _cpu_seconds(self) -> float:
        used = resource.getrusage(self._usage)
        return used.ru_utime + used.ru_stime

    def _send(self, line: object) -> None:
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


def _versions(packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for package in packages:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
