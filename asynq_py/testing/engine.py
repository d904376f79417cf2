"""What runs containers here: a Docker daemon, or a Podman that this module starts."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]
from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.core.docker_client import DockerClient, get_docker_host

# The default runtime of some Debian machines fails without a full set of cgroups;
# runc does not. Limits above the machine's own hard ones cannot be set there either.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
"""


class NoEngineError(RuntimeError):
    """Containers cannot be run here; the text says why."""


def find_engine_name() -> str:
    """Tells which engine `Engine` would use, without starting one: "docker" or "podman".

    Raises:
        NoEngineError: There is none.
    """
    if _docker_answers():
        return "docker"
    if shutil.which("podman"):
        return "podman"
    raise NoEngineError("no Docker daemon answers and no podman is installed")


def _docker_answers() -> bool:
    """Asks the daemon itself: a client may be installed without one."""
    host = get_docker_host() or "unix:///var/run/docker.sock"
    if host.startswith("unix://") and not _connects(host.removeprefix("unix://")):
        return False  # the SDK would leave a socket open
    try:
        with contextlib.closing(DockerClient().client) as client:
            return bool(client.ping())
    except DockerException:
        return False


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Engine:
    """A connection to the engine, for one session. `close` removes all its containers.

    While it is open, DOCKER_HOST names the engine for testcontainers-python.
    """

    def __init__(self) -> None:
        self.name = find_engine_name()
        self.session = uuid.uuid4().hex
        self._folder = Path(tempfile.mkdtemp(prefix="asynq-engine-"))
        self._saved = os.environ.get("DOCKER_HOST")
        service: list[str] = []
        if self.name == "podman":
            os.environ["DOCKER_HOST"] = f"unix://{self._folder}/podman.sock"
            service = ["podman", "system", "service", "--time", "0", os.environ["DOCKER_HOST"]]
        self._reaper = self._start_reaper(service)
        try:
            if service:
                self._await_service()
            self.client: docker.DockerClient = DockerClient().client
            # Docker Desktop and others: the machine of the daemon is not this one.
            version: dict[str, Any] = self.client.version()
            self.api_version = str(self.client.api.api_version)
            # DOCKER_HOST may well name a Podman that someone else has started.
            if "podman" in str(version.get("Components", "")).lower():
                self.name = "podman"
            self.processor = str(version.get("Arch", "amd64"))
        except BaseException:
            self._end_reaper()
            raise

    @property
    def labels(self) -> dict[str, str]:
        """What every container of the session must carry to be removed at the end."""
        return {"asynq-py-session": self.session}

    def close(self) -> None:
        """Removes the session's containers and ends what was started for it."""
        self.client.close()
        self._end_reaper()

    def _start_reaper(self, service: list[str]) -> subprocess.Popen[bytes]:
        conf = self._folder / "containers.conf"
        runc = 'runtime = "runc"\n' if shutil.which("runc") else ""
        conf.write_text(_CONTAINERS_CONF + runc)
        env = os.environ | ({"CONTAINERS_CONF": str(conf)} if service else {})
        host = os.environ.get("DOCKER_HOST") or _docker_host()
        script = str(Path(__file__).with_name("reaper.py"))
        label = f"asynq-py-session={self.session}"
        # -P: the script's folder must not shadow modules.
        command = [sys.executable, "-P", script, host, label, str(self._folder), *service]
        with (self._folder / "log").open("wb") as log:
            return subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _end_reaper(self) -> None:
        assert self._reaper.stdin is not None
        self._reaper.stdin.close()
        self._reaper.wait()
        if self._saved is None:
            os.environ.pop("DOCKER_HOST", None)
        else:
            os.environ["DOCKER_HOST"] = self._saved

    def _await_service(self) -> None:
        path = str(self._folder / "podman.sock")
        end = time.monotonic() + 20
        while time.monotonic() < end and self._reaper.poll() is None:
            if _connects(path):
                return
            # Nor does podman tell when its socket answers.
            time.sleep(0.01)
        log = (self._folder / "log").read_text(errors="replace")
        raise NoEngineError(f"podman's service does not start:\n{log}")


def _docker_host() -> str:
    with contextlib.closing(DockerClient().client) as client:
        url: str = client.api.base_url
        if url.startswith("http+docker"):
            return f"unix://{client.api.get_adapter(url).socket_path}"
        return url
