"""The entrance: Redis servers, Go workers, a Go producer, the oracle and asynqmon, for one
session."""

import json
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from asynq_py.testing import go
from asynq_py.testing.asynqmon import Asynqmon
from asynq_py.testing.backend import Backend, Mode, Redis, choose_mode, open_backend
from asynq_py.testing.oracle import Oracle
from asynq_py.testing.program import ProcessProgram, Program
from asynq_py.testing.redis_server import Option, free_port
from asynq_py.testing.worker import GoWorker


class _Closable(Protocol):
    def close(self) -> None: ...


class Stack:
    """Starts what a test needs, and removes at its end whatever is left.

    Args:
        mode: "containers" (or fail), "processes", "auto" (containers if there are any); by
            default what ASYNQ_INTEROP says, else "auto".
    """

    def __init__(self, mode: Mode | None = None) -> None:
        self._backend: Backend = open_backend(mode or choose_mode())
        self._servers: list[Redis] = []
        self._open: list[_Closable] = []

    @property
    def name(self) -> str:
        """What it runs on: "containers (docker)", "containers (podman)" or "processes"."""
        return self._backend.name

    def redis(self, **options: Option) -> Redis:
        """Starts an empty Redis server.

        Args:
            options: Redis's own, with underscores: `requirepass="x"`, `appendonly=True`.

        Returns:
            A server with `url` for this process and `address` for the Go programs.
        """
        server = self._backend.redis(options)
        self._servers.append(server)
        return server

    def worker(
        self,
        redis: Redis,
        *,
        db: int = 0,
        queues: Mapping[str, int] | None = None,
        concurrency: int = 10,
        strict: bool = False,
        interval: float = 0.1,
        retry_delay: float | None = None,
        group_grace: float | None = None,
        group_max_size: int | None = None,
        group_max_delay: float | None = None,
        shutdown_timeout: float | None = None,
        timeout: float = 20.0,
    ) -> GoWorker:
        """Starts the worker of `interop/cmd/worker` and returns when it consumes.

        ASYNQ_TEST_WORKER_IMAGE names another image, whose entry point then takes the same
        flags and prints the same events.

        Args:
            redis: Where it works.
            db: Which database.
            queues: Priorities; by default `{"default": 1}`.
            concurrency: Handlers at a time.
            strict: Strict priority.
            interval: Seconds between looks for pending and for due tasks.
            retry_delay: Seconds before a retry; asynq's own rule by default (15 s and more).
            group_grace: Seconds, at least 1; any of these three turns aggregation on.
            group_max_size: Size at which a group is merged.
            group_max_delay: Seconds that a group waits at most.
            shutdown_timeout: Seconds that `stop` waits for handlers; 8 by default.
            timeout: Seconds until it must be ready.
        """
        names = queues or {"default": 1}
        flags: dict[str, object] = {
            "redis": redis.address,
            "password": redis.password,
            "db": db,
            "queues": ",".join(f"{name}={priority}" for name, priority in names.items()),
            "concurrency": concurrency,
            "strict": str(strict).lower(),
            "interval": _seconds(interval),
            "retry-delay": _seconds(retry_delay),
            "group-grace": _seconds(group_grace),
            "group-max-size": group_max_size,
            "group-max-delay": _seconds(group_max_delay),
            "shutdown-timeout": _seconds(shutdown_timeout),
        }
        args = _flags(flags)
        image = os.environ.get("ASYNQ_TEST_WORKER_IMAGE")
        if image:
            program = self._backend.user_program(image, args, {})
        else:
            program = self._backend.go_program("worker", args)
        return self._ready_worker(program, "ready", timeout)

    def own_worker(
        self,
        redis: Redis,
        *,
        image: str | None = None,
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        db: int = 0,
        ready: str | None = None,
        timeout: float = 20.0,
    ) -> GoWorker:
        """Starts a worker of one's own, from an image or (without containers) a command.

        In the command and the environment, `{redis}` stands for host:port, `{host}`, `{port}`,
        `{password}`, `{db}` for each part and `{url}` for all of it.

        Args:
            redis: Where it works.
            image: The image; None for a command on this machine.
            command: The container's command, or the program and its arguments.
            env: Variables to set.
            db: What `{db}` stands for.
            ready: Text of a line of its stdout that tells that it consumes. None: wait for
                nothing.
            timeout: Seconds until that line must come.

        Returns:
            A worker whose `tasks` are empty unless it prints our events. Its lines and
            stderr, and Redis by `oracle().inspect`, tell what it does.
        """
        host, _, port = redis.address.rpartition(":")
        auth = f":{redis.password}@" if redis.password else ""
        words = {
            "redis": redis.address,
            "host": host,
            "port": port,
            "password": redis.password,
            "db": str(db),
            "url": f"redis://{auth}{redis.address}/{db}",
        }

        def fill(text: str) -> str:
            for word, value in words.items():
                text = text.replace("{" + word + "}", value)
            return text

        filled = {name: fill(value) for name, value in (env or {}).items()}
        program = self._backend.user_program(image, [fill(part) for part in command], filled)
        return self._ready_worker(program, ready, timeout)

    def produce(
        self, redis: Redis, *, db: int = 0, timeout: float = 30.0, **flags: object
    ) -> list[dict[str, Any]]:
        """Runs the Go producer to its end.

        Args:
            redis: Where it enqueues.
            db: Which database.
            timeout: Seconds until it must have ended.
            flags: Its flags, with underscores: `n=3, type="email", payload="{i}",
                queue="critical", process_in="1s"`; a list repeats a flag (`header=["k=v"]`).
                The task's timeout is `timeout_`.

        Returns:
            For each task its TaskInfo, or `error` and `kind`.

        Raises:
            RuntimeError: It failed; the text is its stderr.
        """
        where = {"redis": redis.address, "password": redis.password, "db": db}
        args = _flags(
            where | {name.rstrip("_").replace("_", "-"): value for name, value in flags.items()}
        )
        program = self._backend.go_program("producer", args)
        try:
            if program.wait(timeout):
                raise RuntimeError(f"producer: {program.errors}")
            return [json.loads(line) for line in program.log.lines]
        finally:
            program.close()

    def oracle(self) -> Oracle:
        """Starts an oracle. One is enough for a session."""
        program = self._backend.go_program("oracle", [self._backend.listen_flag()], [8080])
        self._open.append(program)
        told = program.log.wait_for_event("ready", timeout=20)
        port = int(told["listen"].rpartition(":")[2])
        return Oracle(program, program.endpoint(port))

    def asynqmon(self, redis: Redis, *, db: int = 0, timeout: float = 20.0) -> Asynqmon:
        """Starts asynqmon v0.7.2, the web page of Asynq, and returns when it answers.

        It is a process of this machine, also where everything else is in containers: it only
        needs to reach Redis, as this process does. The first time it is built, for which Go
        fetches its sources.

        Args:
            redis: What it shows.
            db: Which database.
            timeout: Seconds until it must answer.

        Raises:
            GoError: It cannot be built.
        """
        program = go.install_asynqmon(go.binaries_folder(go.find_sources()))
        port = free_port()
        flags = _flags({"port": port, "redis-url": redis.url_for(db)})
        running = ProcessProgram([str(program), *flags], os.environ)
        found = Asynqmon(running, f"http://127.0.0.1:{port}")
        self._open.append(found)
        found.wait_until_ready(timeout)
        return found

    def close(self) -> None:
        """Ends everything that was started here."""
        try:
            while self._open:
                self._open.pop().close()
            while self._servers:
                self._servers.pop().stop()
        finally:
            self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ready_worker(self, program: Program, ready: str | None, timeout: float) -> GoWorker:
        worker = GoWorker(program)
        self._open.append(worker)
        if ready == "ready":
            worker.log.wait_for_event("ready", timeout=timeout)
        elif ready is not None:
            worker.log.wait_for_line(ready, timeout=timeout)
        return worker


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:f}s"


def _flags(values: Mapping[str, object]) -> list[str]:
    out = []
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                out.append(f"-{name}={each}")
    return out
