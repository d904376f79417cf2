"""A running asynqmon, and its HTTP API."""

import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from asynq_py.testing.program import Program


class AsynqmonError(RuntimeError):
    """asynqmon answered with an error; `str()` is its text, `status` the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Asynqmon:
    """The web page of Asynq, https://github.com/hibiken/asynqmon, beside a Redis.

    It carries asynq v0.24: an older reader than the one of the oracle.

    Attributes:
        url: Where its page is; the API is below `/api`.
    """

    def __init__(self, program: Program, url: str) -> None:
        self._program = program
        self.url = url

    @property
    def errors(self) -> str:
        """Its stderr, where it logs."""
        return self._program.errors

    def wait_until_ready(self, timeout: float) -> None:
        """Returns when it answers.

        Raises:
            RuntimeError: It has not, that many seconds later.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                self.get("queues")
            except OSError as error:
                if time.monotonic() > end:
                    raise RuntimeError(f"asynqmon does not answer: {self.errors}") from error
                # It tells nobody when it listens: it must be asked.
                time.sleep(0.01)
            else:
                return

    def get(self, *path: str, **query: object) -> Any:  # noqa: ANN401
        """Asks the API: `get("queues", "default", "pending_tasks", page=2, size=10)`.

        Raises:
            AsynqmonError: It answered with an error.
        """
        return self.ask("GET", *path, **query)

    def post(self, *path: str, body: object = None) -> Any:  # noqa: ANN401
        """Has it do something: `post("queues", "default:pause")`; None where it says nothing."""
        return self.ask("POST", *path, body=body)

    def delete(self, *path: str) -> Any:  # noqa: ANN401
        """Has it delete something: `delete("queues", "default")`."""
        return self.ask("DELETE", *path)

    def ask(self, method: str, *path: str, body: object = None, **query: object) -> Any:  # noqa: ANN401
        """Makes one request; every part of the path is quoted.

        Raises:
            AsynqmonError: It answered with an error.
        """
        target = "/".join(["/api", *(quote(part, safe=":") for part in path)])
        if query:
            target += f"?{urlencode(query)}"
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        try:
            connection.request(method, target, None if body is None else json.dumps(body))
            with connection.getresponse() as response:
                text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise AsynqmonError(response.status, text.strip())
        return json.loads(text) if text.strip() else None

    def close(self) -> None:
        """Ends it."""
        self._program.close()
