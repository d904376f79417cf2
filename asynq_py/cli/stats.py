"""What the command `stats` does: everything in Redis at a glance."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from asynq_py.cli.options import Output
from asynq_py.cli.output import (
    console,
    heading,
    moment_json,
    note,
    show_json,
    show_json_lines,
    table_text,
)
from asynq_py.cli.queues import STATES, daily, queue_json
from asynq_py.clock import SYSTEM_CLOCK, from_unix_ns
from asynq_py.errors import ConfigError, QueueNotFoundError
from asynq_py.inspector.info import QueueInfo
from asynq_py.inspector.sync import Inspector


@dataclass(frozen=True, slots=True)
class Stats:
    """What there is at a moment."""

    at: datetime
    queues: Sequence[QueueInfo]
    #: What INFO says; of a cluster, CLUSTER INFO.
    redis: Mapping[str, str]
    is_cluster: bool

    def total(self, name: str) -> int:
        """The sum over all queues."""
        return sum(getattr(queue, name) for queue in self.queues)


def run_stats(inspector: Inspector, is_cluster: bool, every: float | None, output: Output) -> int:
    """Prints the stats, once or until it is interrupted; returns the exit code."""
    if every is None:
        stats = _read(inspector, is_cluster)
        if output is Output.JSON:
            show_json(_to_programs(stats))
        else:
            sys.stdout.write(_to_people(stats))
        return 0
    try:
        if output is Output.JSON:
            _repeat(lambda: show_json_lines([_to_programs(_read(inspector, is_cluster))]), every)
        elif sys.stdout.isatty():
            _redraw(lambda: _to_people(_read(inspector, is_cluster)), every)
        else:
            _repeat(
                lambda: sys.stdout.write(_to_people(_read(inspector, is_cluster)) + "\n"), every
            )
    except KeyboardInterrupt:  # how watching ends
        pass
    return 0


def _read(inspector: Inspector, is_cluster: bool) -> Stats:
    queues = []
    for name in inspector.queues():
        try:
            queues.append(inspector.queue_info(name))
        except (QueueNotFoundError, ConfigError):
            note(f'queue "{name}" is left out: it is gone, or its name is no UTF-8')
    redis = inspector.cluster_info() if is_cluster else inspector.redis_info()
    return Stats(from_unix_ns(SYSTEM_CLOCK.now_ns()), queues, redis, is_cluster)


def _repeat(show: Callable[[], object], every: float) -> None:
    while True:
        show()
        sys.stdout.flush()
        time.sleep(every)  # the pace that was asked for; Ctrl-C ends it


def _redraw(text: Callable[[], str], every: float) -> None:
    """Shows it in place of what was there, with the terminal as it was in the end."""
    from rich.live import Live
    from rich.text import Text

    first = Text.from_ansi(text())
    live = Live(first, console=console(), screen=True, auto_refresh=False)
    try:  # not with: an interruption may come while it starts
        live.start(refresh=True)
        while True:
            time.sleep(every)  # as above
            live.update(Text.from_ansi(text()), refresh=True)
    finally:
        live.stop()


def _to_people(stats: Stats) -> str:
    states = [state.value for state in STATES]
    info = stats.redis
    parts = [
        heading("Task Count by State"),
        table_text(states, [[str(stats.total(state)) for state in states]]),
        "\n",
        heading("Task Count by Queue"),
        _by_queue(stats.queues),
        "\n",
        heading(f"Daily Stats {stats.at:%Y-%m-%d} UTC"),
        table_text(
            ("processed", "failed", "error rate"),
            [daily(stats.total("processed"), stats.total("failed"))],
        ),
        "\n",
    ]
    if stats.is_cluster:
        columns: tuple[str, ...] = ("State", "Known Nodes", "Cluster Size")
        cells: tuple[str, ...] = (
            info.get("cluster_state", "").upper(),
            info.get("cluster_known_nodes", ""),
            info.get("cluster_size", ""),
        )
        parts += [heading("Redis Cluster Info"), table_text(columns, [cells])]
    else:
        columns = ("version", "uptime", "connections", "memory usage", "peak memory usage")
        cells = (
            info.get("redis_version", ""),
            f"{info.get('uptime_in_days', '?')} days",
            info.get("connected_clients", ""),
            f"{info.get('used_memory_human', '?')}B",
            f"{info.get('used_memory_peak_human', '?')}B",
        )
        parts += [heading("Redis Info"), table_text(columns, [cells])]
    return "".join(parts)


def _by_queue(queues: Sequence[QueueInfo]) -> str:
    """A column for each queue, as in Go; a line for each where that is too wide."""
    if not queues:
        return "No queues\n"
    titles = [queue.queue + (" (paused)" if queue.paused else "") for queue in queues]
    sizes = [str(queue.size) for queue in queues]
    width = sum(max(map(len, pair)) + 2 for pair in zip(titles, sizes, strict=True))
    if width > console().width:
        return table_text(("queue", "size"), list(zip(titles, sizes, strict=True)))
    return table_text(titles, [sizes])


def _to_programs(stats: Stats) -> dict[str, object]:
    names = (*(state.value for state in STATES), "processed", "failed")
    return {
        "aggregate": {name: stats.total(name) for name in names}
        | {"timestamp": moment_json(stats.at)},
        "queues": [queue_json(queue) for queue in stats.queues],
        "redis": dict(stats.redis),
    }
