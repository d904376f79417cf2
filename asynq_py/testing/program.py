"""A running program, whether it is a process or a container."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from asynq_py.testing.events import EventLog
from asynq_py.testing.watchdog import Watchdog


class Program(Protocol):
    """What the harness needs of a program. `close` may be called in any state."""

    log: EventLog
    """Its stdout."""

    @property
    def errors(self) -> str:
        """Its stderr so far."""

    def endpoint(self, port: int) -> tuple[str, int]:
        """Tells at which address this process reaches a port that the program listens on."""

    def terminate(self) -> None:
        """Asks it to end (SIGTERM)."""

    def kill(self) -> None:
        """Ends it as a crash would (SIGKILL)."""

    def wait(self, timeout: float) -> int:
        """Waits for its end and gives the exit code. Raises TimeoutError."""

    def freeze(self) -> None:
        """Stops all its threads."""

    def thaw(self) -> None:
        """Undoes `freeze`."""

    def close(self) -> None:
        """Kills it if it runs and frees what belongs to it."""


class ProcessProgram:
    """A program as a child process of this one."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            start_new_session=True,
        )
        self._watchdog: Watchdog | None = Watchdog(self._process.pid)
        name = command[0]
        self.log = EventLog(self._chunks(), lambda: f"{name}\nstderr:\n{self.errors}")

    @property
    def errors(self) -> str:
        if self._stderr.closed:
            return ""
        # A second position in the file, so that reading does not move the writer's.
        with open(f"/dev/fd/{self._stderr.fileno()}", "rb") as stderr:
            stderr.seek(0)
            return stderr.read().decode(errors="replace")

    def endpoint(self, port: int) -> tuple[str, int]:
        return "127.0.0.1", port

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self.wait(5)

    def wait(self, timeout: float) -> int:
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(str(error)) from error
        if self._watchdog:
            self._watchdog.dismiss()
            self._watchdog = None
        self.log.join(5)
        return code

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        if self._process.stdout:
            self._process.stdout.close()
        self._stderr.close()

    def _chunks(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        while chunk := self._process.stdout.read(65536):
            yield chunk
