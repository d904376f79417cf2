"""Asks the Go libraries what they do: the client of `interop/cmd/oracle`."""

import http.client
import json
from typing import Any, Protocol

from asynq_py.testing.program import Program


class OracleError(RuntimeError):
    """Go answered with an error; `str()` is its text, `status` the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Target(Protocol):
    """A Redis server that Go programs can reach."""

    password: str

    @property
    def address(self) -> str:
        """`host:port` as Go programs see it."""


class Oracle:
    """A running oracle. It keeps nothing between requests, except schedulers.

    Bytes are base64 in requests and answers, times are RFC 3339 in UTC, durations have
    their unit in their name (`timeout_ms`).
    """

    def __init__(self, program: Program, endpoint: tuple[str, int]) -> None:
        self._program = program
        self._endpoint = endpoint

    def post(self, path: str, payload: object, *, timeout: float = 60) -> Any:  # noqa: ANN401
        """Posts JSON and gives the answer. May be called from many threads.

        Raises:
            OracleError: The handler failed, or there is none at that path.
        """
        connection = http.client.HTTPConnection(*self._endpoint, timeout=timeout)
        try:
            connection.request("POST", path, json.dumps(payload))
            with connection.getresponse() as response:
                body = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise OracleError(response.status, body.strip())
        return json.loads(body)

    @staticmethod
    def target(redis: Target, db: int = 0) -> dict[str, Any]:
        """The part of every request that names the database."""
        return {"redis": redis.address, "password": redis.password, "db": db}

    def enqueue(
        self, redis: Target, task: dict[str, Any], *, db: int = 0, **options: object
    ) -> dict[str, Any]:
        """Enqueues by Go's client.

        Args:
            redis: Where.
            task: `type`, `payload` (base64 or None), `headers` (or None), and options as
                the task's own defaults.
            db: Which database.
            options: Those of the call: `queue`, `task_id`, `max_retry`, `timeout_ms`,
                `deadline`, `unique_ms`, `process_at`, `process_in_ms`, `retention_ms`, `group`.

        Returns:
            The TaskInfo, or `{"error": text, "kind": "duplicate" | "id_conflict" | "other"}`.
        """
        request = {**self.target(redis, db), "task": task, **options}
        answer: dict[str, Any] = self.post("/enqueue", request)
        return answer

    def inspect(self, redis: Target, call: str, *, db: int = 0, **args: object) -> Any:  # noqa: ANN401
        """Calls Go's Inspector: `inspect(redis, "get_task", queue="q", id="1")`.

        The calls and their arguments stand in `interop/cmd/oracle/inspect.go`. A call that
        returns nothing gives None; Go's error is raised as `OracleError`.
        """
        return self.post("/inspect", {**self.target(redis, db), "call": call, "args": args})

    def dump(self, redis: Target, db: int = 0) -> dict[str, dict[str, Any]]:
        """Reads a whole database in a comparable form: key -> `type`, `value`, `ttl_ms`.

        Values are base64; sets are sorted, a hash is an object, a sorted set is a list of
        `[member, score]`. `ttl_ms` is -1 for a key that does not expire.
        """
        answer: dict[str, dict[str, Any]] = self.post("/dump", self.target(redis, db))
        return answer

    def start_scheduler(
        self,
        redis: Target,
        entries: list[dict[str, Any]],
        *,
        db: int = 0,
        heartbeat_ms: int = 1000,
        location: str = "",
    ) -> dict[str, Any]:
        """Starts a real asynq.Scheduler, which runs until `stop_scheduler`.

        Args:
            redis: Where.
            entries: Each `spec`, `type`, `payload`, `headers` and Register's options.
            db: Which database.
            heartbeat_ms: Whole seconds: asynq gives twice of it to Redis as a TTL. Nothing is
                published before the first one is over.
            location: A time zone; empty is UTC.

        Returns:
            `id`, `entry_ids` in the order of the entries, and `enqueued` so far.
        """
        request = {
            **self.target(redis, db),
            "entries": entries,
            "heartbeat_ms": heartbeat_ms,
            "location": location,
        }
        answer: dict[str, Any] = self.post("/scheduler", request)
        return answer

    def scheduler_report(self, scheduler_id: str) -> dict[str, Any]:
        """Tells what a running scheduler has enqueued, as `start_scheduler` does."""
        answer: dict[str, Any] = self.post("/scheduler/report", {"id": scheduler_id})
        return answer

    def stop_scheduler(self, scheduler_id: str) -> dict[str, Any]:
        """Shuts it down, which clears what it has published, and gives the last report."""
        answer: dict[str, Any] = self.post("/scheduler/stop", {"id": scheduler_id})
        return answer

    def close(self) -> None:
        """Ends it."""
        self._program.close()
