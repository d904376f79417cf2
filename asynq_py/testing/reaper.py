"""Removes a session's containers when the session is over, however it ended.

Run as a program by `engine.py`: it starts Podman's service if it is given one, waits
for the end of its stdin, which only the session holds, removes every container with
the session's label and ends the service.

    python reaper.py SOCKET LABEL FOLDER [SERVICE-COMMAND ...]

The folder is the session's own and goes last.
"""

import contextlib
import shutil
import subprocess
import sys


def remove_containers(host: str, label: str) -> None:
    """Removes all containers with a label, running or not."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import APIError  # type: ignore[import-untyped]

    with contextlib.closing(docker.DockerClient(base_url=host)) as client:
        for container in client.containers.list(all=True, filters={"label": label}):
            with contextlib.suppress(APIError):
                container.kill()  # a gentle end may take ten seconds
            with contextlib.suppress(APIError):
                container.remove(force=True, v=True)


def main() -> None:
    """Does what the module's docstring says."""
    host, label, folder, *command = sys.argv[1:]
    service = subprocess.Popen(command) if command else None
    try:
        sys.stdin.buffer.read()
        remove_containers(host, label)
    finally:
        if service:
            service.terminate()
            service.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
