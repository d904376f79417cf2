"""What a suite is made of, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

#: Tells people what is going on.
Say: TypeAlias = Callable[[str], None]


class BenchmarkError(RuntimeError):
    """The run is worth nothing; the text says why."""


class Unavailable(RuntimeError):
    """A contender cannot be measured; the text is the reason."""


@dataclass(frozen=True)
class Program:
    """What is started to measure contenders.

    Args:
        name: Whose it is.
        command: Makes ready what is missing and gives the command line, with the address of
            Redis in it; may raise Unavailable.
    """

    name: str
    command: Callable[[str, Say], list[str]]


@dataclass(frozen=True)
class Contender:
    """One line of a table.

    Args:
        key: For suites and JSON.
        name: For people.
        section: The table it stands in.
        program: Who does it.
        command: What the program is told, beside `n`.
        count: The Redis command that tells how many tasks are stored.
        baseline: The keys of those whose best is 1.00 for this one.
        multiple: `n` is a multiple of this.
    """

    key: str
    name: str
    section: str
    program: Program
    command: Mapping[str, str | int]
    count: tuple[str, str]
    baseline: tuple[str, ...] = ()
    multiple: int = 1


@dataclass(frozen=True)
class Burst:
    """One measurement."""

    tasks: int
    seconds: float
    client_cpu_seconds: float
    server_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds


@dataclass
class Measured:
    """All measurements of one contender; without any, `reason` says why."""

    contender: Contender
    bursts: list[Burst] = field(default_factory=list)
    reason: str = ""

    @property
    def rate(self) -> float:
        """Tasks per second, median."""
        return median(burst.rate for burst in self.bursts)

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest burst, tasks per second."""
        rates = [burst.rate for burst in self.bursts]
        return min(rates), max(rates)

    @property
    def client_us(self) -> float:
        """CPU time of the client for one task, microseconds, median."""
        return median(burst.client_cpu_seconds / burst.tasks for burst in self.bursts) * 1e6

    @property
    def server_us(self) -> float:
        """CPU time of Redis for one task, microseconds, median."""
        return median(burst.server_cpu_seconds / burst.tasks for burst in self.bursts) * 1e6


@dataclass(frozen=True)
class Aim:
    """What the project wants: the rate of one contender against the best of others."""

    text: str
    contender: str
    against: tuple[str, ...]
    at_least: float


@dataclass(frozen=True)
class Suite:
    """Contenders who are measured in one run."""

    name: str
    title: str
    contenders: tuple[Contender, ...]
    aims: tuple[Aim, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How long to measure: `rounds` bursts of about `seconds`, or of `tasks`, for each."""

    rounds: int
    seconds: float
    tasks: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run gave. `versions` has the names of programs and then of their parts."""

    suite: Suite
    settings: Settings
    machine: Mapping[str, str]
    versions: Mapping[str, Mapping[str, str]]
    measured: tuple[Measured, ...]

    def best(self, keys: tuple[str, ...]) -> float | None:
        """The highest rate among some contenders; None if none of them was measured."""
        rates = [m.rate for m in self.measured if m.contender.key in keys and m.bursts]
        return max(rates, default=None)
