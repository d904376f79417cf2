"""Where a test's Redis is: all that a client takes, or a server that this package started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument


@runtime_checkable
class HasUrl(Protocol):
    """A server that can tell where it is."""

    @property
    def url(self) -> str: ...

    def url_for(self, db: int) -> str: ...


#: A URL, a RedisConfig, a ready client; or a server, whose database 0 is meant.
Where: TypeAlias = "RedisArgument | HasUrl"


def redis_argument(where: Where) -> RedisArgument:
    """What a client takes."""
    return where.url if isinstance(where, HasUrl) else where
