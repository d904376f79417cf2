"""Where programs run: in containers, or as plain processes where there are none."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from asynq_py.testing import go
from asynq_py.testing.program import ProcessProgram, Program
from asynq_py.testing.redis_server import Option, RedisServer

Mode = Literal["auto", "containers", "processes"]
logger = logging.getLogger("asynq_py.testing")


class Redis(Protocol):
    """A Redis server: `RedisServer` or `ContainerRedis`."""

    password: str

    @property
    def address(self) -> str:
        """`host:port` as the Go programs see it."""

    @property
    def url(self) -> str:
        """Database 0, as this process sees it."""

    @property
    def log(self) -> str:
        """What the server has printed."""

    def url_for(self, db: int) -> str:
        """Gives the URL of a database."""

    def command(self, *command: str | int | bytes) -> Any:  # noqa: ANN401
        """Sends one command and gives its reply."""

    def stop(self) -> None:
        """Ends it; its data are gone."""

    def kill(self) -> None:
        """Kills it as a crash would."""

    def restart(self) -> None:
        """Starts it again, at the same address."""

    def freeze(self) -> None:
        """Stops it from answering."""

    def thaw(self) -> None:
        """Undoes `freeze`."""


class Backend(Protocol):
    """How a stack starts things."""

    @property
    def name(self) -> str:
        """For people, such as "containers (podman)"."""

    def redis(self, options: Mapping[str, Option]) -> Redis:
        """Starts a Redis server."""

    def go_program(self, name: str, args: Sequence[str], ports: Sequence[int] = ()) -> Program:
        """Starts one of the Go programs, `name` being its folder in `interop/cmd`."""

    def user_program(
        self, image: str | None, command: Sequence[str], env: Mapping[str, str]
    ) -> Program:
        """Starts a user's own program: from an image, or a command on this machine."""

    def listen_flag(self) -> str:
        """The `-listen` of a Go program that is to be reached by the tests."""

    def close(self) -> None:
        """Removes what is left."""


class Containers:
    """Everything in containers."""

    def __init__(self) -> None:
        from asynq_py.testing.engine import Engine

        self._engine = Engine()
        self._images: dict[str, str] = {}

    @property
    def name(self) -> str:
        return f"containers ({self._engine.name})"

    def redis(self, options: Mapping[str, Option]) -> Redis:
        from asynq_py.testing.containers import ContainerRedis

        return ContainerRedis(self._engine, self._image("redis"), **options)

    def go_program(self, name: str, args: Sequence[str], ports: Sequence[int] = ()) -> Program:
        from asynq_py.testing.containers import ContainerProgram

        command = [f"/{name}", *args]
        return ContainerProgram(self._engine, self._image("go"), command, {}, ports)

    def user_program(
        self, image: str | None, command: Sequence[str], env: Mapping[str, str]
    ) -> Program:
        from asynq_py.testing.containers import ContainerProgram

        if image is None:
            raise ValueError("a worker of one's own needs an image when there are containers")
        return ContainerProgram(self._engine, image, command, env)

    def listen_flag(self) -> str:
        return "-listen=:8080"

    def close(self) -> None:
        self._engine.close()

    def _image(self, name: str) -> str:
        from asynq_py.testing import images

        if name not in self._images:
            build = {"redis": images.redis_image, "go": images.go_image}[name]
            self._images[name] = build(self._engine)
        return self._images[name]


class Processes:
    """Everything as processes of this machine."""

    name = "processes"

    def __init__(self) -> None:
        self._programs: str | None = None

    def redis(self, options: Mapping[str, Option]) -> Redis:
        given: dict[str, Any] = dict(options)
        return RedisServer(**given).start()

    def go_program(self, name: str, args: Sequence[str], ports: Sequence[int] = ()) -> Program:
        if self._programs is None:
            system = {"win32": "windows"}.get(sys.platform, sys.platform)
            self._programs = str(go.build_programs(go.find_sources(), system=system))
        return ProcessProgram([os.path.join(self._programs, name), *args], os.environ)

    def user_program(
        self, image: str | None, command: Sequence[str], env: Mapping[str, str]
    ) -> Program:
        if image is not None or not command:
            raise ValueError(
                f"no containers here, so the image {image!r} cannot run: give a command instead"
            )
        return ProcessProgram(command, os.environ | dict(env))

    def listen_flag(self) -> str:
        return "-listen=127.0.0.1:0"

    def close(self) -> None:
        pass


def choose_mode() -> Mode:
    """Reads ASYNQ_INTEROP: "containers" (or fail), "processes", or unset for what there is."""
    mode = os.environ.get("ASYNQ_INTEROP") or "auto"
    if mode not in ("auto", "containers", "processes"):
        raise ValueError(f"ASYNQ_INTEROP={mode!r}: neither 'containers' nor 'processes'")
    return mode  # type: ignore[return-value]


def describe(mode: Mode) -> str:
    """Tells in a line which backend `open_backend` would give, without starting anything."""
    if mode == "processes":
        return "processes, as asked for"
    try:
        from asynq_py.testing.engine import find_engine_name

        return f"containers ({find_engine_name()})"
    except Exception as error:
        if mode == "containers":
            return f"NO CONTAINERS: {error}"
        return f"WARNING: PLAIN PROCESSES INSTEAD OF CONTAINERS: {error}"


def open_backend(mode: Mode) -> Backend:
    """Gives containers, or plain processes with a warning if there are none and none must be.

    Raises:
        Exception: The mode is "containers" and they cannot be had; the engine's own error.
    """
    if mode == "processes":
        return Processes()
    try:
        return Containers()
    except Exception as error:
        if mode == "containers":
            raise
        logger.warning("WARNING: PLAIN PROCESSES INSTEAD OF CONTAINERS: %s", error)
        return Processes()
