"""The command asynq-py enqueue, which is also asynq-py task enqueue."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from asynq_py.cli.arguments import header_values, moment_value, placed, span_value, usage
from asynq_py.cli.completion import queues
from asynq_py.cli.options import Output, OutputOption
from asynq_py.cli.where import connected
from asynq_py.client.sync import Client
from asynq_py.connection import RedisConfig
from asynq_py.task import Task

PayloadFileOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--payload-file", metavar="FILE", help='A file with the payload; "-" is standard input.'
    ),
]
JSONOption: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Check that it is JSON, and send it as Go writes JSON."),
]


# Any, as typer.Option itself has it: it stands in annotations.
def _span(*names: str, help: str) -> Any:  # noqa: ANN401
    return typer.Option(*names, metavar="SPAN", parser=span_value, help=help)


# See _span.
def _moment(*names: str, help: str) -> Any:  # noqa: ANN401
    return typer.Option(*names, metavar="RFC3339", parser=moment_value, help=help)


@connected
def enqueue(
    where: RedisConfig,
    type: Annotated[str | None, typer.Argument(metavar="TYPE", help="What to do; or -t.")] = None,
    payload: Annotated[
        str | None,
        typer.Argument(
            metavar="PAYLOAD", help='With what: text as it is; or -l. "-" reads standard input.'
        ),
    ] = None,
    t: Annotated[
        str | None, typer.Option("--type", "-t", "--type-name", metavar="TYPE", help="What to do.")
    ] = None,
    p: Annotated[
        str | None, typer.Option("--payload", "-l", metavar="PAYLOAD", help="With what.")
    ] = None,
    payload_file: PayloadFileOption = None,
    json: JSONOption = False,
    header: Annotated[
        list[str],
        typer.Option("--header", "-H", metavar="NAME=VALUE", help="A header; may be repeated."),
    ] = [],  # noqa: B006  # typer's way; it is not changed
    queue: Annotated[
        str | None,
        typer.Option(
            "--queue", "-q", metavar="QUEUE", help="By default default.", autocompletion=queues
        ),
    ] = None,
    task_id: Annotated[
        str | None,
        typer.Option("--id", "-i", "--task-id", metavar="ID", help="By default a random UUID."),
    ] = None,
    max_retry: Annotated[
        int | None,
        typer.Option(
            "--max-retry", "--retry", min=0, help="How often it is tried again; 25 by default."
        ),
    ] = None,
    timeout: Annotated[
        float | None, _span("--timeout", help="How long one run may take; 30m by default.")
    ] = None,
    deadline: Annotated[
        datetime | None, _moment("--deadline", help="When it must be done.")
    ] = None,
    unique: Annotated[
        float | None,
        _span("--unique", help="How long no other of its queue, type and payload is taken."),
    ] = None,
    process_at: Annotated[
        datetime | None, _moment("--process-at", help="When to run; now by default.")
    ] = None,
    process_in: Annotated[
        float | None, _span("--process-in", help="When to run, from now on.")
    ] = None,
    retention: Annotated[
        float | None, _span("--retention", help="How long it is kept when it is done.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", "-g", metavar="GROUP", help="Whose tasks become one."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Enqueue a task. Spans are seconds, or text like 1m30s."""
    from asynq_py.cli.payload import payload_of
    from asynq_py.cli.tasks import show_enqueued

    name, text = placed({"TYPE": t, "PAYLOAD": p}, type, payload)
    if name is None:
        raise typer.BadParameter("missing TYPE")
    data = payload_of(text, payload_file, json)
    with usage():
        task = Task(
            name,
            data,
            headers=header_values(header),
            queue=queue,
            task_id=task_id,
            max_retry=max_retry,
            timeout=timeout,
            deadline=deadline,
            unique=unique,
            process_at=process_at,
            process_in=process_in,
            retention=retention,
            group=group,
        )
    with Client(where) as client:
        return show_enqueued(client.enqueue(task), output)
