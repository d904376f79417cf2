"""The file of --config, which says where Redis is, and files with secrets."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from asynq_py.errors import ConfigError

#: The keys of [redis], and the option that each stands for.
_KEYS = {
    "url": "redis",
    "username": "username",
    "password": "password",
    "password_file": "password_file",
    "tls": "tls",
    "tls_ca": "tls_ca",
    "tls_cert": "tls_cert",
    "tls_key": "tls_key",
    "no_tls_hostname_check": "no_tls_hostname_check",
}
_SWITCHES = ("tls", "no_tls_hostname_check")
_FILES = ("password_file", "tls_ca", "tls_cert", "tls_key")


def read_config(path: Path) -> dict[str, Any]:
    """What a file says of Redis, by the names of the options and "password".

    It has ``redis = "URL"``, or a table [redis]; files in it are looked for beside it.

    Raises:
        ConfigError: It cannot be read, or means nothing.
    """
    contents = _contents(path)
    try:
        values = tomllib.loads(contents.decode())
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigError(f"{path}: {error}") from error
    redis = values.get("redis", {})
    if isinstance(redis, str):
        return {"redis": redis}
    if not isinstance(redis, Mapping):
        kind = type(redis).__name__
        raise ConfigError(f"{path}: redis must be a URL in quotes or a table, not {kind}")
    said = {_KEYS[key]: value for key, value in redis.items() if _check(path, key, value)}
    for name in _FILES:
        if name in said:
            said[name] = path.parent / said[name]
    if "password_file" in said:
        said.setdefault("password", read_secret(said["password_file"]))
    return said


def read_secret(path: Path) -> str:
    """The text of a file without the end of its line.

    Raises:
        ConfigError: It cannot be read.
    """
    contents = _contents(path)
    try:
        return contents.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is no UTF-8 text") from None


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be read: {error.strerror}") from error


def _check(path: Path, key: str, value: object) -> bool:
    if key not in _KEYS:
        near = get_close_matches(key, _KEYS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f" (there are {', '.join(_KEYS)})"
        raise ConfigError(f"{path}: unknown key {key!r} in [redis]{hint}")
    wanted = bool if key in _SWITCHES else str
    if not isinstance(value, wanted):
        kind = "true or false" if wanted is bool else "text in quotes"
        raise ConfigError(f"{path}: {key} in [redis] must be {kind}, not {type(value).__name__}")
    return True
