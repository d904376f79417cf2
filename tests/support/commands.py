"""How commands are run by tests, and what they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class Ran:
    """How a command ended."""

    def __init__(self, code: int, captured: Any) -> None:  # noqa: ANN401
        self.code = code
        self.out: str = captured.out
        self.err: str = captured.err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.out)

    @property
    def table(self) -> list[list[str]]:
        """The cells of each line."""
        return [columns(line) for line in self.lines]


Command = Callable[..., Ran]


def columns(line: str) -> list[str]:
    """The cells of a table's line; two blanks or more part them."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]
