"""A file that defines a whole scheduler: tables of tasks, and how it behaves.

.. code-block:: toml

    [scheduler]
    location = "Europe/Berlin"

    [[task]]
    name = "daily-report"
    spec = "0 9 * * mon-fri"
    type = "report:daily"
    payload = { format = "pdf" }
    queue = "reports"
    timeout = "5m"

YAML has the same keys. Spans are numbers of seconds, or text as Go has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from asynq_py.codec import JSON, JSON_SORTED, MSGPACK, Codec
from asynq_py.errors import ConfigError, ScheduleSyntaxError
from asynq_py.options import check_encodable, check_text, duration_ns, normalize
from asynq_py.schedule import parse_schedule
from asynq_py.scheduler.config import LeaderElection, SchedulerConfig
from asynq_py.scheduler.periodic import PeriodicTask
from asynq_py.scheduler.policy import Overlap
from asynq_py.scheduler.table import (
    Check,
    Table,
    days,
    duration,
    items,
    misfire,
    moment,
    number,
    one_of,
    positive,
    table,
)
from asynq_py.task import Task, check_headers

T = TypeVar("T")
#: How often a provider is asked where the file does not say, seconds; as in Go.
DEFAULT_SYNC_INTERVAL_S = 180.0

_CODECS: dict[str, Codec] = {"json": JSON, "json_sorted": JSON_SORTED, "msgpack": MSGPACK}
_TOML_PLACE = re.compile(r"(.*) \(at (?:(line \d+, column \d+)|(end of document))\)", re.DOTALL)


class FileContents(NamedTuple):
    """What a file says."""

    config: SchedulerConfig
    #: How often to look for changes, seconds.
    sync_interval: float
    tasks: list[PeriodicTask]


def load_file(path: str | PathLike[str]) -> FileContents:
    """Reads a file.

    Args:
        path: Ends in .toml, .yaml or .yml.

    Raises:
        ConfigError: With a line for each fault there is: the file, the place, and what is
            wrong.
    """
    faults: list[str] = []
    try:
        contents = _contents(_read(Path(path)), faults)
    except ConfigError as error:
        faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(f"{fspath(path)}: {fault}" for fault in faults))
    return contents


# --- from the file to plain data ---


def _read(path: Path) -> Mapping[object, object]:
    kind = path.suffix.lower()
    if kind not in (".toml", ".yaml", ".yml"):
        raise ConfigError("what is in it is not known: its name must end in .toml, .yaml or .yml")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: this is no UTF-8") from None
    return _toml(text) if kind == ".toml" else _yaml(text)


def _toml(text: str) -> Mapping[object, object]:
    import tomllib  # slow to import, and most programs have no file

    try:
        return table("the file", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        match = _TOML_PLACE.fullmatch(str(error))
        if match is None:
            raise ConfigError(str(error)) from None
        raise ConfigError(f"{match[2] or match[3]}: {match[1]}") from None


def _yaml(text: str) -> Mapping[object, object]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigError("YAML needs another package: pip install pyyaml") from None
    try:
        _check_keys(yaml.compose(text, yaml.SafeLoader))
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{place}{error.problem or error}") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter of a date that does not exist
        raise ConfigError(" ".join(str(error).split())) from None
    return table("the file", {} if data is None else data)


def _check_keys(root: Any) -> None:  # noqa: ANN401
    """Refuses a key that is there twice, of which PyYAML would drop the first."""
    nodes, met = [root], set()
    while nodes:
        node = nodes.pop()
        # What an alias stands for is the very same node, once more.
        if node is None or node.id == "scalar" or node in met:
            continue
        met.add(node)
        if node.id == "sequence":
            nodes.extend(node.value)
            continue
        keys: set[str] = set()
        for key, value in node.value:
            nodes.append(value)
            if key.id == "scalar" and key.value in keys:
                mark = key.start_mark
                place = f"line {mark.line + 1}, column {mark.column + 1}"
                raise ConfigError(f'{place}: the key "{key.value}" is there twice')
            if key.id == "scalar":
                keys.add(key.value)


# --- from plain data to what it means ---


def _contents(data: Mapping[object, object], faults: list[str]) -> FileContents:
    top = Table(data, "", faults)
    config, sync_interval = _scheduler(top.take("scheduler", table) or {}, faults)
    tasks: list[PeriodicTask] = []
    if not top.has("task"):
        top.fault('there is no task; where none is meant, write "task = []" (YAML: "task: []")')
    found = top.take("task", items)
    seen = _Seen()
    for number_, values in enumerate(found or [], 1):
        task = _task(values, number_, config, seen, faults)
        if task is not None:
            tasks.append(task)
    top.end()
    return FileContents(config, sync_interval, tasks)


def _scheduler(values: Mapping[object, object], faults: list[str]) -> tuple[SchedulerConfig, float]:
    """The table [scheduler]; where it is wrong, the defaults stand in."""
    fields = Table(values, "scheduler", faults)
    checks: dict[str, Check[Any]] = {
        "location": check_text,
        "shutdown_timeout": duration,
        "heartbeat_interval": duration,
        "misfire": misfire,
        "dst": check_text,
        "rate_limit": number,
        "max_payload_size": lambda _, value: value,
    }
    given = {name: fields.take(name, _setting(check)) for name, check in checks.items()}
    sync_interval = fields.take("sync_interval", positive)
    election = fields.take("leader_election", table)
    fields.end()
    if election is not None:
        given["leader_election"] = _election(election, faults)
    config = SchedulerConfig(**_given(given))
    if sync_interval is None:
        return config, DEFAULT_SYNC_INTERVAL_S
    return config, duration_ns("sync_interval", sync_interval) / 10**9


def _setting(check: Check[T]) -> Check[T]:
    """A check that SchedulerConfig's own follows."""

    def both(name: str, value: object) -> T:
        checked = check(name, value)
        SchedulerConfig(**{name: checked})  # type: ignore[arg-type]
        return checked

    return both


def _election(values: Mapping[object, object], faults: list[str]) -> LeaderElection | None:
    fields = Table(values, "scheduler.leader_election", faults)
    group = fields.need("group", check_text)
    limits: dict[str, Any] = {n: fields.take(n, duration) for n in ("lease", "renew_every")}
    fields.end()
    if group is None:
        return None
    try:
        return LeaderElection(group, **_given(limits))
    except ConfigError as error:
        fields.fault(str(error))
        return None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class _Seen:
    """The tasks of a file so far, by what must tell them apart."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.fingerprints: dict[str, int] = {}


def _task(
    values: object, number_: int, config: SchedulerConfig, seen: _Seen, faults: list[str]
) -> PeriodicTask | None:
    """One table [[task]]; None where something in it is wrong."""
    place = f"task {number_}"
    if not isinstance(values, Mapping):
        faults.append(f"{place}: it must be a table")
        return None
    before = len(faults)
    if isinstance(values.get("name"), str):
        place += f' ("{values["name"]}")'
    fields = Table(values, place, faults)
    given: dict[str, Any] = {
        "name": fields.take("name", check_text),
        "location": fields.take("location", _location),
    }
    spec = fields.need("spec", _spec(given["location"] or config.location, config.dst))
    task = _payload_and_type(fields)
    given |= {name: fields.take(name, check) for name, check in _RULES.items()}
    given |= {name: fields.take(name, _option(check)) for name, check in _OPTIONS.items()}
    fields.end()
    name = given["name"]
    if name is not None and (first := seen.names.setdefault(name, number_)) != number_:
        fields.fault(f"task {first} has that name already")
    if len(faults) > before or spec is None or task is None:
        return None
    made: PeriodicTask
    try:
        made = PeriodicTask(spec, task, **_given(given))
    except ConfigError as error:
        fields.fault(str(error))
        return None
    if (
        name is None
        and (first := seen.fingerprints.setdefault(made.fingerprint(), number_)) != number_
    ):
        fields.fault(f"it is the same as task {first}; give one of them a name")
        return None
    return made


def _max_runs(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a number of runs, 1 or more, not {value!r}")
    return value


#: The keys beside spec, type and payload that are no enqueue options.
_RULES: dict[str, Check[Any]] = {
    "misfire": misfire,
    "overlap": one_of(*Overlap),
    "jitter": duration,
    "start_at": moment,
    "end_at": moment,
    "max_runs": _max_runs,
    "exclude": days,
}
_OPTIONS: dict[str, Check[Any]] = {
    "queue": check_text,
    "task_id": check_text,
    "max_retry": lambda _, value: value,
    "timeout": duration,
    "deadline": moment,
    "unique": duration,
    "process_in": duration,
    "retention": duration,
    "group": check_text,
}


def _option(check: Check[T]) -> Check[T]:
    """A check that the option's own follows."""

    def both(name: str, value: object) -> T:
        checked = check(name, value)
        normalize({name: checked})
        return checked

    return both


def _location(name: str, value: object) -> str:
    location = check_text(name, value)
    parse_schedule("@daily", location)
    return location


def _spec(location: Any, dst: str) -> Check[str]:  # noqa: ANN401
    def check(name: str, value: object) -> str:
        spec = check_text(name, value)
        try:
            parse_schedule(spec, location, dst=dst)
        except ScheduleSyntaxError as error:
            raise ConfigError(f'{name} "{spec}": {error}') from None
        return spec

    return check


def _payload_and_type(fields: Table) -> Task | None:
    kind = fields.need("type", check_text)
    codec = _CODECS[fields.take("codec", one_of(*_CODECS)) or "json"]
    headers = fields.take("headers", lambda _, value: check_headers(value))
    if fields.has("payload") and fields.has("payload_text"):
        fields.fault("payload and payload_text exclude each other: give one of them")
    # YAML's null is no payload at all, which is not the same as an empty one.
    nothing = None if fields.has("payload") else b""
    payload = fields.take("payload", lambda _, value: _encoded(value, codec))
    text = fields.take("payload_text", _payload_text)
    if kind is None:
        return None
    encoded = text if text is not None else payload if payload is not None else nothing
    return Task(kind, encoded, headers=headers)


def _encoded(value: object, codec: Codec) -> bytes:
    return value if isinstance(value, bytes) else codec.encode(value)


def _payload_text(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, not {type(value).__name__}")
    return check_encodable(name, value).encode()
