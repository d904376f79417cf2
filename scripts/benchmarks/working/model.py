"""A contender of this suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model import Program
from ..scheduler.model import Contender
from .left import Left


@dataclass(frozen=True, kw_only=True)
class Worker(Contender):
    """Who handles tasks; `program` starts it.

    Args:
        producer: A driver who stores its tasks, and knows the versions.
        storing: What the producer is told to store many, beside `n`.
        pacing: What it is told beside `rate` and `n`, and the mode.
        described: Other drivers who know versions.
        left: Tells how many tasks are left.
        done: The Redis command that tells how many are done, if there is one.
        concurrencies: How many at a time it can handle.
        env: What its environment has beside what all have.
    """

    producer: Program
    storing: Mapping[str, str | int]
    pacing: Mapping[str, str] = field(default_factory=dict)
    described: tuple[Program, ...] = ()
    left: Left
    done: tuple[str, str] | None = None
    concurrencies: tuple[int, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        """Whether it is another library for Python."""
        return self.done is None
