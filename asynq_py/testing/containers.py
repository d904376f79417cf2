"""Programs and Redis servers in containers, through testcontainers-python."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import requests
from docker.errors import APIError, ImageNotFound  # type: ignore[import-untyped]
from docker.models.containers import Container  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer

from asynq_py.testing.engine import Engine
from asynq_py.testing.events import EventLog
from asynq_py.testing.redis_server import Option, RedisStartError, free_port, render_options
from asynq_py.testing.resp import ReplyError, ask

_ATTEMPTS = 5


class SessionContainer(DockerContainer):
    """A container of one session, whose output is followed from its first byte.

    `DockerContainer.start` runs the container before anyone can attach to it, and
    reading Podman's log instead is late by up to 0.25 s: so it is created, attached to
    and only then started. It also starts a container that removes the others at the
    end ("Ryuk"), which comes from a registry; `Engine` removes ours.
    """

    def __init__(self, engine: Engine, image: str, **options: Any) -> None:  # noqa: ANN401
        # The version: asking for it takes Podman half a second.
        client = {"version": engine.api_version}
        super().__init__(image, docker_client_kw=client, **options)
        self._engine = engine
        self._discarded = False
        self.output: Any = None

    def start(self) -> Self:
        create = self.get_docker_client().client.containers.create
        options: dict[str, Any] = {
            "command": self._command,
            "environment": self.env,
            "ports": self.ports,
            "labels": self._engine.labels,
        }
        try:
            self._container = create(self.image, **options)
        except ImageNotFound:
            self.get_docker_client().client.images.pull(self.image)
            self._container = create(self.image, **options)
        self.output = self.wrapped.attach(stream=True, demux=True)
        self.wrapped.start()
        return self

    @property
    def wrapped(self) -> Container:
        """The container by the Docker SDK."""
        return self.get_wrapped_container()

    def endpoint(self, port: int) -> tuple[str, int]:
        """Tells where this process reaches a port of the container."""
        if self._engine.name == "podman":
            # testcontainers-python looks for what Podman's answers do not have.
            self.wrapped.reload()
            return "127.0.0.1", int(self.wrapped.ports[f"{port}/tcp"][0]["HostPort"])
        return self.get_container_host_ip(), int(self.get_exposed_port(port))

    def gateway(self) -> str:
        """Tells by which host name containers reach this machine's published ports."""
        self.wrapped.reload()
        networks: dict[str, dict[str, str]] = self.wrapped.attrs["NetworkSettings"]["Networks"]
        gateways = [network.get("Gateway") for network in networks.values()]
        return next(filter(None, gateways), None) or "host.containers.internal"

    def discard(self) -> None:
        """Kills and removes it, if there is one, and closes all connections."""
        if self._discarded:
            return
        self._discarded = True
        if self._container is not None:
            with contextlib.suppress(APIError):
                self._container.kill()  # a gentle end may take ten seconds
            with contextlib.suppress(APIError):
                self._container.remove(force=True, v=True)
        if self.output is not None:
            with contextlib.suppress(OSError):
                self.output.close()
            self.output._response.close()  # the SDK leaves the connection's file open
        self.get_docker_client().client.close()


class ContainerProgram:
    """A program in a container; see `program.Program`."""

    def __init__(
        self,
        engine: Engine,
        image: str,
        command: Sequence[str],
        env: Mapping[str, str],
        ports: Sequence[int] = (),
    ) -> None:
        self._container = SessionContainer(engine, image)
        self._container.with_command(list(command)).with_envs(**env).with_exposed_ports(*ports)
        self._stderr = bytearray()
        try:
            self._container.start()
        except BaseException:
            self._container.discard()
            raise
        name = f"{image} {' '.join(command)}"
        self.log = EventLog(self._chunks(), lambda: f"{name}\nstderr:\n{self.errors}")

    @property
    def errors(self) -> str:
        return self._stderr.decode(errors="replace")

    def endpoint(self, port: int) -> tuple[str, int]:
        return self._container.endpoint(port)

    def terminate(self) -> None:
        self._container.wrapped.kill("SIGTERM")

    def kill(self) -> None:
        self._container.wrapped.kill()
        self.log.join(5)

    def wait(self, timeout: float) -> int:
        try:
            code = int(self._container.wrapped.wait(timeout=timeout)["StatusCode"])
        except requests.exceptions.RequestException as error:
            raise TimeoutError(str(error)) from error
        self.log.join(5)
        return code

    def freeze(self) -> None:
        self._container.wrapped.pause()

    def thaw(self) -> None:
        self._container.wrapped.unpause()

    def close(self) -> None:
        self._container.discard()
        self.log.join(5)

    def _chunks(self) -> Iterator[bytes]:
        for out, err in self._container.output:
            if err:
                self._stderr += err
            if out:
                yield out


class ContainerRedis:
    """A Redis server in a container, with the surface of `RedisServer`.

    Its port on this machine is fixed: it stays when the server is killed and started
    again, while an engine gives the container another address. So the Go programs, too,
    come in by the published port, through their network's gateway.
    """

    def __init__(self, engine: Engine, image: str, **options: Option) -> None:
        self.password = str(options.get("requirepass", ""))
        self._command = [*render_options({"protected_mode": False, **options})]
        self._engine = engine
        self._image = image
        for attempt in range(_ATTEMPTS):
            self.port = free_port()
            self._container = SessionContainer(engine, image).with_command(self._command)
            self._container.with_bind_ports(6379, self.port)
            try:
                self._container.start()
                break
            except APIError as error:
                self._container.discard()
                if "in use" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
        try:
            self._host, _ = self._container.endpoint(6379)
            self.address = f"{self._container.gateway()}:{self.port}"
            self._await_answer()
        except BaseException:
            self._container.discard()
            raise

    @property
    def url(self) -> str:
        """Database 0, for programs on this machine, with the password if there is one."""
        return self.url_for(0)

    def url_for(self, db: int) -> str:
        """Gives the URL of a database."""
        auth = f":{self.password}@" if self.password else ""
        return f"redis://{auth}{self._host}:{self.port}/{db}"

    @property
    def log(self) -> str:
        """What the server has printed."""
        raw: bytes = self._container.wrapped.logs()
        return raw.decode(errors="replace")

    def command(self, *command: str | int | bytes) -> Any:  # noqa: ANN401
        """Sends one command and gives its reply."""
        return ask((self._host, self.port), *command, password=self.password)

    def stop(self) -> None:
        """Removes the container with its data. Does nothing when it is gone."""
        self._container.discard()

    def kill(self) -> None:
        """Kills the server as a crash would; `restart` brings it back."""
        self._container.wrapped.kill()

    def restart(self) -> None:
        """Starts it again on the same port and data, ending it first if it runs."""
        self._container.wrapped.restart(timeout=5)
        self._await_answer()

    def freeze(self) -> None:
        """Stops it from answering, with its connections left open."""
        self._container.wrapped.pause()

    def thaw(self) -> None:
        """Undoes `freeze`."""
        self._container.wrapped.unpause()

    def _await_answer(self, timeout: float = 10.0) -> None:
        end = time.monotonic() + timeout
        reason: Exception | None = None
        while time.monotonic() < end:
            try:
                self.command("PING")
                return
            except (OSError, ReplyError) as error:
                reason = error
            # A starting server tells nobody when it listens: it must be asked.
            time.sleep(0.003)
        raise RedisStartError(f"redis-server does not answer:\n{self.log}") from reason
