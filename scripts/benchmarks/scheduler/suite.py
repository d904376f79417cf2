"""Whom to compare at what, and the aims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..options import Options
from ..programs import go, own
from .model import Aim, Contender, Part
from .parts import idle, spread, together

_OWN = own("asynq_py", "scheduler")

GO = "go"
CONTENDERS = (
    Contender(GO, "Go asynq", go("Go", "bench")),
    Contender("own", "asynq_py", _OWN),
    Contender("leader", "asynq_py, leader election", _OWN, {"leader": True}),
)

SIZES = (1_000, 20_000, 100_000)
QUICK_SIZES = (1_000, 20_000)
#: The largest number of entries that are due soon after the start.
FEW = 20_000
#: How soon, and how soon more are: all must have been enqueued before they are due again. And
#: neither is a multiple of ten seconds, when Go's entries are listed anew.
SOON, LATER = 8, 34
IDLE_ENTRIES = 100
#: What the aims for a wave are for: with few entries, memory is that of the bare interpreter.
MANY = 100_000


def parts(options: Options) -> tuple[Part, ...]:
    """What to measure. Only the waves have several rounds; the others take minutes each."""
    rounds = options.rounds or (1 if options.quick else 3)
    sizes: tuple[int, ...] = QUICK_SIZES if options.quick else SIZES
    many, window, idling = (5_000, 20, 20) if options.quick else (MANY, 60, 60)
    if options.tasks:
        sizes, many = (options.tasks,), options.tasks
    return (
        *(together(n, SOON if n <= FEW else LATER, rounds) for n in sizes),
        spread(many, window, 1),
        idle(IDLE_ENTRIES, idling, 1),
    )


def aims(chosen: Iterable[Part]) -> tuple[Aim, ...]:
    """The aims; those for a wave are for the largest one of a run."""
    waves = [part for part in chosen if part.kind == "together"]
    wave = max(waves, key=lambda part: part.entries, default=None)
    flow = next((part for part in chosen if part.kind == "spread"), None)
    return tuple(
        aim
        for contender in CONTENDERS
        if contender.key != GO
        for aim in (*_wave_aims(wave, contender), *_flow_aims(flow, contender))
    )


def _wave_aims(part: Part | None, contender: Contender) -> Iterator[Aim]:
    if part is None:
        return
    text = f"{contender.name}, {part.entries:,} at once"

    def aim(what: str, figure: str, at_most: float, *against: str) -> Aim:
        pairs = tuple((part.key, key) for key in against)
        return Aim(f"{text}: {what}", part.key, figure, contender.key, at_most, pairs)

    yield aim("tasks missing", "missing", 0)
    if part.entries < MANY:
        return
    yield aim("spread, of Go's", "spread_s", 1.0, GO)
    yield aim("resident memory, of Go's", "rss_mib", 0.3, GO)
    yield aim("CPU of the whole run, of Go's", "cpu_s", 0.5, GO)
    yield aim("registered, seconds", "register_s", 3.0)


def _flow_aims(part: Part | None, contender: Contender) -> Iterator[Aim]:
    if part is None:
        return
    text = f"{contender.name}, {part.entries:,} spread"
    yield Aim(f"{text}: lateness p99, ms", part.key, "p99_ms", contender.key, 150)
    yield Aim(f"{text}: tasks missing", part.key, "missing", contender.key, 0)
