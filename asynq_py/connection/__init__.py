"""The way to Redis. Only this package imports redis-py, and only once a connection is made."""

from asynq_py.connection.config import RedisConfig

__all__ = ["RedisConfig"]
