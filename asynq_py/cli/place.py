"""Where Redis is, in words without secrets."""

from __future__ import annotations

from asynq_py.connection import RedisConfig


def place_of(config: RedisConfig) -> str:
    """The address, or the addresses, and what is special about them."""
    if config.kind == "unix":
        return f"{config.path} db {config.db}"
    addresses = ", ".join(f"{host}:{port}" for host, port in config.addresses)
    match config.kind:
        case "cluster":
            return f"cluster {addresses}"
        case "sentinel":
            return f"master {config.master} of sentinels {addresses} db {config.db}"
    return f"{addresses} db {config.db}"
