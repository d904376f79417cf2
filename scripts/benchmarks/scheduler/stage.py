"""A contender's process on an empty Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, cast

from redis import Redis

from asynq_py.testing import RedisServer
from asynq_py.wire.keys import SCHEDULERS

from ..process import Process

#: When within a second a scheduler is started: a moment later it is still the same second, so
#: that it is clear from which one `@every` counts.
START_AT = 0.05
#: How often the list of entries is looked for, seconds.
LOOK_EVERY = 0.05


class Traffic(NamedTuple):
    """What Redis has been asked."""

    #: Those that scripts carried out, too.
    commands: int
    #: From its sockets: a command or a pipeline of some is one, unless it is long.
    reads: int
    #: Sent to it.
    size: int


class Stage:
    """Has a scheduler registered, started and stopped, and looks at it from outside.

    Args:
        server: Redis; emptied at once.
        command_line: Starts the contender's program.
        command: What the program is told beside the entries.
    """

    def __init__(
        self, server: RedisServer, command_line: list[str], command: Mapping[str, bool]
    ) -> None:
        server.command("FLUSHALL", "SYNC")
        self._server = server
        self._command = command
        self._process = Process(command_line)
        self._cpu_before = 0.0
        self.redis: Redis = Redis.from_url(server.url)
        #: Of the program's parts.
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.versions = self._process.wait_until_ready()
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.stop()
        self.redis.close()

    def register(self, n: int, specs: Sequence[str]) -> float:
        """Has `n` entries registered that take the specs in turn; gives the seconds it took."""
        self._cpu_before = self._cpu()
        command = {"mode": "register", "n": n, "specs": list(specs), **self._command}
        return float(self._process.ask(command)["seconds"])

    def start(self) -> tuple[int, float]:
        """Starts it; gives the Unix second of the start, and the seconds it took."""
        time.sleep((START_AT - time.time()) % 1)
        second = int(time.time())
        return second, float(self._process.ask({"mode": "start"})["seconds"])

    def stop(self) -> float:
        """Stops it; gives the seconds it took."""
        return float(self._process.ask({"mode": "stop"})["seconds"])

    def cpu_seconds(self) -> float:
        """The CPU time of the process since before the registering, user and system."""
        return self._cpu() - self._cpu_before

    def memory_mib(self) -> tuple[float, float]:
        """Resident memory now, and the most there ever was."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        now, peak = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now, peak

    def wait_until_listed(self, n: int, timeout: float) -> int:
        """Waits until Go's tools would list `n` entries; gives how many they do."""
        deadline = time.monotonic() + timeout
        while True:
            keys = cast("list[bytes]", self.redis.zrange(SCHEDULERS, 0, -1))
            listed = sum(int(self.redis.llen(key)) for key in keys)
            if listed >= n or time.monotonic() > deadline:
                return listed
            time.sleep(LOOK_EVERY)

    def traffic(self) -> Traffic:
        """What Redis has been asked since its start."""
        stats = cast("dict[str, int]", self.redis.info("stats"))
        return Traffic(
            stats["total_commands_processed"],
            stats["total_reads_processed"],
            stats["total_net_input_bytes"],
        )

    def _cpu(self) -> float:
        # Linux's number of the CPU clock of a whole process, as clock_getcpuclockid(3) has it;
        # /proc has the same in hundredths of a second, which are too coarse here.
        return time.clock_gettime((~self._process.pid << 3) | 2)
