"""Payloads: from an argument, a file or standard input."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from asynq_py.cli.arguments import usage
from asynq_py.codec import JSON
from asynq_py.errors import ConfigError


def payload_of(text: str | None, file: Path | None, is_json: bool) -> bytes | None:
    """The bytes that are meant; None where nothing is given."""
    if text is not None and file is not None:
        raise typer.BadParameter("a payload and --payload-file exclude each other")
    if text == "-" or (file is not None and str(file) == "-"):
        data = sys.stdin.buffer.read()
    elif file is not None:
        data = _contents(file)
    elif text is not None:
        data = os.fsencode(text)  # the very bytes that the shell gave
    else:
        return None
    return _as_go_writes_it(data) if is_json else data


def _contents(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: it cannot be read: {error.strerror}") from error


def _as_go_writes_it(data: bytes) -> bytes:
    """The same JSON without blanks, so that unique locks agree with those of other producers."""
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:  # no JSON, or no UTF-8
        raise typer.BadParameter(f"the payload is no JSON: {error}") from None
    except RecursionError:
        raise typer.BadParameter("the payload is nested too deeply") from None
    with usage():
        return JSON.encode(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")
