"""From the text of a spec to a schedule: zone prefix, descriptors, fields."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from asynq_py.errors import ConfigError
from asynq_py.schedule.cron import Cron
from asynq_py.schedule.every import Every, parse_every
from asynq_py.schedule.extended import YEARS, parse_extended
from asynq_py.schedule.fields import Fields
from asynq_py.schedule.golang import SPACES
from asynq_py.schedule.grammar import DESCRIPTORS, parse_fields
from asynq_py.schedule.instants import Rule
from asynq_py.schedule.once import EachShowing, Once
from asynq_py.schedule.problem import Problem
from asynq_py.schedule.schedule import Schedule
from asynq_py.schedule.zone import Zone, find_zone, load_zone

_DIALECTS = ("asynq", "extended")
_DST = ("asynq", "once")
_EVERY = "@every "


def parse_schedule(
    spec: str, location: str | ZoneInfo = "UTC", *, dialect: str = "asynq", dst: str = "asynq"
) -> Schedule:
    """Reads a cron spec.

    Dialect "asynq" is robfig/cron's standard syntax: five fields (minute, hour,
    day of month, month, day of week), ``@hourly``, ``@daily``, ``@weekly``,
    ``@monthly``, ``@yearly`` and their synonyms, ``@every 1h30m``. Dialect
    "extended" has croniter's fields instead, among them L, # and W: five, or six
    with the *seconds first*; it looks 50 years ahead instead of five. In both, a
    prefix ``TZ=Asia/Tokyo `` or ``CRON_TZ=Asia/Tokyo `` decides the zone; ``TZ=Local``
    stands for ``location``.

    Where the clock changes, ``dst="asynq"`` does what asynq does: in general a
    skipped local time is skipped, a repeated one runs twice. In the extended dialect
    that holds without exception. ``dst="once"`` runs each local time once: a skipped
    one at the instant of the change (several skipped by one change make one
    run), a repeated one the first time. That is for times of day. A spec whose hour
    field covers all 24 hours (``*/15 * * * *``, ``@hourly``) is an interval: it runs
    whenever the local clock shows a match, so it keeps its pace through a repeated
    hour and makes no extra run after a gap. ``@every`` counts real seconds in any case.

    Args:
        spec: The text.
        location: IANA name of the zone of the spec without a prefix, or a ZoneInfo
            (taken by its key).
        dialect: "asynq" or "extended".
        dst: "asynq" or "once".

    Raises:
        ScheduleSyntaxError: The spec cannot be read. For the asynq dialect its text
            starts with that of robfig/cron.
        ConfigError: Another argument can never work.

    Source: robfig/cron v3.0.1, ParseStandard, as used by asynq v0.26.0.
    """
    if dialect not in _DIALECTS:
        raise ConfigError(f"dialect={dialect!r}: choose one of {', '.join(_DIALECTS)}")
    if dst not in _DST:
        raise ConfigError(f"dst={dst!r}: choose one of {', '.join(_DST)}")
    if not isinstance(spec, str):
        raise ConfigError(f"spec={spec!r}: needs text")
    return _parse(spec, load_zone(location), dialect, dst)


@lru_cache(maxsize=1024)
def _parse(spec: str, zone: Zone, dialect: str, dst: str) -> Schedule:
    offset = 0
    try:
        if not spec:
            raise Problem("empty spec string")
        text = spec
        if spec.startswith(("TZ=", "CRON_TZ=")):
            zone, text = _split_prefix(spec, zone)
            offset = len(spec) - len(text)
            text = text.rstrip(SPACES)
        rule = _rule(text, zone, dialect, dst)
    except Problem as problem:
        raise problem.error(spec, offset) from problem.__cause__
    return Schedule(spec, zone.name, dialect, dst, rule, zone)


def _split_prefix(spec: str, location: Zone) -> tuple[Zone, str]:
    """Returns the zone that a prefix names, and the rest without blanks in front."""
    start = spec.index("=") + 1
    end = spec.find(" ")
    if end < 0:  # robfig panics
        missing = "a blank is missing after the time zone"
        raise Problem(f"{missing}: {spec}", len(spec), "time zone")
    name = spec[start:end]
    rest = spec[end:].lstrip(SPACES)
    if name == "Local":
        return location, rest
    # Go knows such names for attempts at other files, and says so.
    if name[:1] in ("/", "\\") or ".." in name:
        wrong = "time: invalid location name"
        raise Problem(f"provided bad location {name}: {wrong}", start, "time zone")
    zone = find_zone(name or "UTC")
    if zone is None:
        wrong = f"unknown time zone {name}"
        raise Problem(f"provided bad location {name}: {wrong}", start, "time zone")
    return zone, rest


def _rule(text: str, zone: Zone, dialect: str, dst: str) -> Rule:
    if text.startswith(_EVERY):
        return _every(text)
    fields: Fields
    if text.startswith("@"):
        if text not in DESCRIPTORS:
            raise Problem(f"unrecognized descriptor: {text}", 0, "descriptor")
        fields = DESCRIPTORS[text]
    elif dialect == "extended":
        calendar = parse_extended(text)
        kind = Once if dst == "once" else EachShowing
        return kind(calendar, zone, YEARS)
    else:
        fields = parse_fields(text)
    return Once(fields, zone, 5) if dst == "once" else Cron(fields, zone)


def _every(text: str) -> Every:
    try:
        return parse_every(text[len(_EVERY) :])
    except Problem as problem:
        said = f"failed to parse duration {text}: {problem.text}"
        raise Problem(said, len(_EVERY) + problem.position, "duration") from None
