"""How arguments are read: spans, moments, and names given by place or by option."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import typer

from asynq_py.errors import ConfigError
from asynq_py.scheduler.table import duration, moment


def span_value(text: str) -> float:
    """Seconds of text like "90" or "1m30s"."""
    with usage():
        try:
            value: object = float(text)
        except ValueError:
            value = text
        seconds = duration("it", value)
        assert isinstance(seconds, (int, float))
        return seconds


def moment_value(text: str) -> datetime:
    """The moment that RFC 3339 text means."""
    with usage():
        return moment("it", text)


def header_values(texts: list[str]) -> dict[str, str]:
    """Headers of texts like NAME=VALUE."""
    headers = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not like NAME=VALUE", param_hint="'--header'")
        headers[name] = value
    return headers


def placed(options: Mapping[str, str | None], *arguments: str | None) -> list[str | None]:
    """The value of each name: by its option, else by the next argument that is left.

    So ``task ls -q default pending`` means the same as ``task ls default pending``.
    """
    left = [argument for argument in arguments if argument is not None]
    values = [left.pop(0) if value is None and left else value for value in options.values()]
    if left:
        raise typer.BadParameter(f"{left[0]!r} is one argument too many")
    return values


def named(options: Mapping[str, str | None], *arguments: str | None) -> list[str]:
    """As :func:`placed`, where every name needs a value."""
    values = placed(options, *arguments)
    missing = [name for name, value in zip(options, values, strict=True) if value is None]
    if missing:
        raise typer.BadParameter(f"missing {' and '.join(missing)}")
    return [value for value in values if value is not None]


@contextmanager
def usage() -> Iterator[None]:
    """What can never work is wrong usage, if it was an argument."""
    try:
        yield
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
