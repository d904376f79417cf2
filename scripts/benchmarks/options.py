"""What the command line asks of a suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from .model import BenchmarkError

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What was asked for; None where a suite's own choice holds."""

    quick: bool = False
    rounds: int | None = None
    tasks: int | None = None
    #: Texts in the names of contenders.
    only: tuple[str, ...] = ()
    #: Texts in the titles of tables.
    tables: tuple[str, ...] = ()


def having(
    things: Iterable[T], texts: tuple[str, ...], what: str, name_of: Callable[[T], str]
) -> tuple[T, ...]:
    """The things whose names have one of the texts in them; all of them if there is no text.

    Raises:
        BenchmarkError: There are none.
    """
    wanted = [text.lower() for text in texts] or [""]
    kept = tuple(t for t in things if any(text in name_of(t).lower() for text in wanted))
    if not kept:
        raise BenchmarkError(f"no {what} is named like {' or '.join(texts)}")
    return kept
