"""The last step: to look at each task with which something may be wrong, in one moment."""

from __future__ import annotations

from collections.abc import Iterator

from asynq_py.broker.diagnosis import PAGE, Diagnosis, Suspect, diagnose
from asynq_py.broker.names import text
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.look import Known, Look
from asynq_py.errors import RejectedError


def judge(look: Look, queue: Known) -> Iterator[Finding]:
    """Looks at all suspects of a queue."""
    ids = [
        task_id
        for task_id in queue.suspects
        if not look.was_told("ghost", queue.prefix + b"t:" + task_id)
    ]
    for start in range(0, len(ids), PAGE):
        page = [
            Suspect(
                task_id,
                queue.suspects[task_id] or queue.held.get(task_id, b""),
                is_repeated=task_id in queue.repeated,
            )
            for task_id in ids[start : start + PAGE]
        ]
        try:
            found = look.run(diagnose(queue.name, page, look.now_s))
        except RejectedError as error:
            what = f"tasks of which something may be wrong: {error}"
            yield queue.finding("not-asked", what)
            return
        look.advance("suspects", len(page))
        for diagnosis in found:
            key = queue.prefix + b"t:" + diagnosis.task_id
            if diagnosis.code and look.is_new(diagnosis.code, key):
                yield of_task(queue, diagnosis)


def of_task(queue: Known, diagnosis: Diagnosis) -> Finding:
    """What a script says of a task, in words."""
    held = " and ".join(diagnosis.places) or "nothing"
    state = f'its hash says "{diagnosis.state}"' if diagnosis.state else "its hash says no state"
    what = f'task "{text(diagnosis.task_id)}" is held by {held}; {state}'
    key = queue.prefix + b"t:" + diagnosis.task_id
    return queue.finding(diagnosis.code, what, key, diagnosis.places)
