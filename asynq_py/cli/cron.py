"""The commands around schedules: asynq-py cron ..."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from asynq_py.cli.options import Output, OutputOption, connect
from asynq_py.cli.steer import Steer, run_pause, run_resume, run_trigger
from asynq_py.cli.where import commands_of, connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector

app = commands_of("Look at schedules, and at what schedulers do.")

EntryArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="ENTRY_ID", help="As `cron ls` shows it; a name, if it has one.")
]
GroupOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="GROUP",
        help="Only in the schedulers of this leader-election group.",
        show_default=False,
    ),
]


class Dialect(StrEnum):
    """The syntax of a spec."""

    ASYNQ = "asynq"
    EXTENDED = "extended"


class Dst(StrEnum):
    """The rule for clock changes."""

    ASYNQ = "asynq"
    ONCE = "once"


@app.command()
def explain(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help='In quotes, like "0 9 * * mon-fri".')],
    tz: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Its time zone; UTC by default.", show_default=False),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many runs.")] = 5,
    dialect: Annotated[Dialect, typer.Option(help="The syntax of SPEC.")] = Dialect.ASYNQ,
    dst: Annotated[
        Dst, typer.Option(help="What happens to skipped and repeated local times.")
    ] = Dst.ASYNQ,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ISO",
            help="After which moment, like 2026-03-28T12:00 (in the zone) or ...Z; now by default.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show when a schedule runs next, and what clock changes do to it."""
    from asynq_py.cli.explain import run_explain

    return run_explain(spec, tz, n, dialect.value, dst.value, start, output)


@app.command("list", hidden=True)
@app.command("ls")
@connected
def list_(where: RedisConfig, output: OutputOption = Output.TABLE) -> int:
    """List the entries of all running schedulers, Go's too; the next to run first."""
    from asynq_py.cli.entries import run_list

    with closing(connect(where)) as connection:
        return run_list(connection, output)


@app.command()
@connected
def history(
    where: RedisConfig,
    entry_ids: Annotated[
        list[str],
        typer.Argument(metavar="ENTRY_ID...", help="As `cron ls` shows them; a name, if any."),
    ],
    page: Annotated[int, typer.Option(min=1, help="Which page; 1 has the newest.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Runs on a page.")] = 30,
    output: OutputOption = Output.TABLE,
) -> int:
    """List the tasks that entries have enqueued, newest first."""
    from asynq_py.cli.entries import run_history

    with Inspector(where) as inspector:
        return run_history(inspector, entry_ids, page, size, output)


def _on_entry(act: Steer) -> Callable[..., int]:
    """A command that steers an entry."""

    @connected
    def command(
        where: RedisConfig,
        entry_id: EntryArgument,
        group: GroupOption = None,
        output: OutputOption = Output.TABLE,
    ) -> int:
        with closing(connect(where)) as connection:
            return act(connection, entry_id, group, output)

    return command


app.command(
    "pause",
    help="Let an entry run no more until it is resumed, whatever is restarted meanwhile.",
)(_on_entry(run_pause))
app.command(
    "resume",
    help="Let a paused entry run again; name the group just as when it was paused.",
)(_on_entry(run_resume))
app.command(
    "trigger",
    help="Ask running Python schedulers for one run of an entry now, beside its schedule.",
)(_on_entry(run_trigger))
