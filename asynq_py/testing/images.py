"""The two images, built from this machine's own files: no registry is asked for anything."""

import contextlib
import datetime
import fcntl
import hashlib
import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from docker.errors import APIError, ImageNotFound  # type: ignore[import-untyped]

from asynq_py.testing import go
from asynq_py.testing.engine import Engine
from asynq_py.testing.redis_server import find_redis_server

# Without a fixed command: "--option value" goes to the entry point, as in the official image.
_REDIS = 'FROM scratch\nCOPY . /\nWORKDIR /data\nENTRYPOINT ["/usr/bin/redis-server"]\n'


def redis_image(engine: Engine) -> str:
    """Gives ASYNQ_TEST_REDIS_IMAGE, or an image of this machine's redis-server."""
    named = os.environ.get("ASYNQ_TEST_REDIS_IMAGE")
    if named:
        return named
    binary = find_redis_server()
    files = {"usr/bin/redis-server": Path(binary)}
    for library in shared_libraries(binary):
        files[library.lstrip("/")] = Path(library)
    return _build(engine, "redis", _REDIS, files)


def go_image(engine: Engine) -> str:
    """Gives an image of all Go programs, each at `/<name>`."""
    sources = go.find_sources()
    folder = go.build_programs(sources, system="linux", processor=engine.processor)
    files = {program.name: program for program in sorted(folder.iterdir())}
    return _build(engine, "go", (sources / "Containerfile").read_text(), files)


def shared_libraries(binary: str) -> list[str]:
    """Lists the libraries that a program of this machine needs, by `ldd`; none if static."""
    told = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", told.stdout)


def _build(engine: Engine, name: str, containerfile: str, files: Mapping[str, Path]) -> str:
    content = {path: file.read_bytes() for path, file in sorted(files.items())}
    content["Containerfile"] = containerfile.encode()
    digest = hashlib.sha256()
    for path, data in content.items():
        digest.update(f"{path} {len(data)} ".encode() + data)
    tag = f"localhost/asynq-py/{name}:{digest.hexdigest()[:16]}"
    with _one_at_a_time(name):
        try:
            engine.client.images.get(tag)
        except ImageNotFound:
            engine.client.images.build(
                fileobj=_archive(content),
                custom_context=True,
                dockerfile="Containerfile",
                tag=tag,
                rm=True,
                labels={"asynq-py-image": name},
            )
            _remove_old(engine, name)
    return tag


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Keeps the processes of pytest-xdist from building the same image twice."""
    path = Path(tempfile.gettempdir(), f"asynq-py-image-{name}-{os.getuid()}.lock")
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _archive(content: Mapping[str, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, data in content.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        # Programs expect these, and an image from scratch has none.
        for path in ("tmp", "data"):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)
    out.seek(0)
    return out


def _remove_old(engine: Engine, name: str) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    for image in engine.client.images.list(filters={"label": f"asynq-py-image={name}"}):
        if str(image.attrs.get("Created", "")) < yesterday.isoformat():
            with contextlib.suppress(APIError):  # one that is in use stays
                engine.client.images.remove(image.id)
