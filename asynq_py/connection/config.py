"""Where Redis is and how to get in: RedisConfig, and the URLs that stand for one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

from asynq_py.errors import ConfigError

Address: TypeAlias = tuple[str, int]

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

_UNREADABLE = (
    "the Redis URL cannot be read: write an IPv6 address in brackets, and what is special in a"
    " user's name or password as %xx"
)
_SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    "redis-socket://",
    "redis-sentinel://",
    "redis-cluster://",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """How to reach a Redis: one server, a unix socket, Sentinel or a cluster.

    Secrets are left out of the repr.
    """

    kind: Literal["standalone", "unix", "sentinel", "cluster"] = "standalone"
    #: Host and port; of each sentinel or of some nodes where there are several.
    addresses: tuple[Address, ...] = (("localhost", DEFAULT_PORT),)
    #: The socket's path, for "unix".
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    #: The master's name, for "sentinel".
    master: str = ""
    #: The sentinels' own credentials.
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    #: Whether to speak TLS; the certificate and the host's name are checked.
    tls: bool = False
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_check_hostname: bool = True
    #: Seconds to wait for a connection, and for a reply.
    connect_timeout: float = 5.0
    timeout: float = 5.0

    @classmethod
    def from_url(cls, url: str) -> RedisConfig:
        """Reads a URL.

        ``redis://[[user]:password@]host[:port][/db]``, ``rediss://`` (the same over TLS),
        ``unix://[[user]:password@]/path[?db=n]`` (also ``redis-socket://``),
        ``redis-sentinel://[[user]:password@]host[:port],...[/db]?master=name`` (the
        credentials are the sentinels', as in Go), ``redis-cluster://host[:port],...``.

        Raises:
            ConfigError: What is wrong with the URL; a password in it is not repeated.
        """
        parts = _split(url)
        # A socket's path may have an "@"; elsewhere a password was cut at its "/", "?" or "#".
        may_have_at = "socket" in parts.scheme or parts.scheme == "unix"
        if "@" in parts.path + parts.query + parts.fragment and not (
            may_have_at and ("@" in parts.netloc or ":" not in parts.netloc)
        ):
            raise ConfigError('"/", "?" and "#" in a password are written %2F, %3F and %23')
        credentials, _, place = parts.netloc.rpartition("@")
        user, _, secret = credentials.partition(":")
        username = unquote(user) or None
        password = unquote(secret) or None
        query = _query(parts.query, {"redis-sentinel": ("master",)}.get(parts.scheme, ("db",)))
        match parts.scheme:
            case "redis" | "rediss":
                return cls(
                    addresses=_addresses(place, DEFAULT_PORT, most=1),
                    db=_db(parts.path, query),
                    username=username,
                    password=password,
                    tls=parts.scheme == "rediss",
                )
            case "unix" | "redis-socket":
                # "unix://path" has its first segment where a host would stand.
                path = unquote(place + parts.path)
                if not path.strip("/"):
                    raise ConfigError(f"a {parts.scheme}:// URL must name the socket's path")
                return cls(
                    kind="unix",
                    path=path,
                    db=_db("", query),
                    username=username,
                    password=password,
                )
            case "redis-sentinel":
                if not query.get("master"):
                    raise ConfigError("a redis-sentinel:// URL must end in ?master=<its name>")
                return cls(
                    kind="sentinel",
                    addresses=_addresses(place, DEFAULT_SENTINEL_PORT),
                    db=_db(parts.path, query),
                    master=query["master"],
                    sentinel_username=username,
                    sentinel_password=password,
                )
            case "redis-cluster":
                if parts.path.strip("/") or query.get("db"):
                    raise ConfigError("a redis-cluster:// URL has no database: clusters have one")
                return cls(
                    kind="cluster",
                    addresses=_addresses(place, DEFAULT_PORT),
                    username=username,
                    password=password,
                )
        shown = f"{parts.scheme}://" if parts.scheme else "no scheme"
        raise ConfigError(f"a Redis URL begins with one of {', '.join(_SCHEMES)}, not {shown}")

    def with_password(self, password: str) -> RedisConfig:
        """The same place with another password."""
        return replace(self, password=password)


class _Parts(NamedTuple):
    scheme: str
    netloc: str
    path: str
    query: str
    fragment: str


_URL = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)


def _split(url: str) -> _Parts:
    """The parts of a URL, by RFC 3986, appendix B.

    Not urlsplit: some releases of Python refuse several hosts with an IPv6 address among them.
    """
    match = _URL.fullmatch(url.strip())
    assert match is not None  # every text matches
    scheme, *others = (part or "" for part in match.groups())
    return _Parts(scheme.lower(), *others)


def _query(text: str, known: tuple[str, ...]) -> dict[str, str]:
    query = dict(parse_qsl(text, keep_blank_values=True))
    for name in query:
        if name not in known:
            raise ConfigError(
                f"unknown parameter {name!r} in the Redis URL (there is {', '.join(known)});"
                " use RedisConfig for more"
            )
    return query


def _db(path: str, query: dict[str, str]) -> int:
    text = path.strip("/") or query.get("db", "") or "0"
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"the database in a Redis URL must be a number, not {text!r}")
    return int(text)


def _addresses(place: str, default_port: int, *, most: int | None = None) -> tuple[Address, ...]:
    texts = place.split(",")
    if most is not None and len(texts) > most:
        raise ConfigError(
            "a redis:// URL names one host; redis-sentinel:// and redis-cluster:// name several"
        )
    return tuple(_address(text, default_port) for text in texts)


def _address(text: str, default_port: int) -> Address:
    if text.startswith("["):  # IPv6
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
        if not bracket or (rest and rest == port):
            raise ConfigError(_UNREADABLE)
    elif text.count(":") > 1 or "[" in text or "]" in text:
        raise ConfigError(_UNREADABLE)
    else:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"the port in a Redis URL must be from 1 to 65535, not {port!r}")
    return unquote(host) or "localhost", int(port) if port else default_port
