"""Hypothesis strategies: text as it may be stored, names, options, messages."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from asynq_py import Task
from asynq_py.wire.message import TaskMessage

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)

#: Any text that has a UTF-8 form.
texts = st.text(st.characters(codec="utf-8"), max_size=30)
#: Text that is not blank: types, queues, IDs, groups.
names = texts.filter(lambda text: bool(text.strip()) and not text.isspace())
#: Names of queues that stay inside their hash tag (Redis ends a tag at the first "}").
queues = names.filter(lambda text: "}" not in text)
payloads = st.binary(max_size=60)
headers = st.dictionaries(texts, texts, max_size=5)


@st.composite
def messages(draw: st.DrawFn) -> TaskMessage:
    """Any message that the wire can hold."""
    message = TaskMessage(
        type=draw(texts),
        payload=draw(payloads),
        id=draw(texts),
        queue=draw(texts),
        retry=draw(INT32),
        retried=draw(INT32),
        error_msg=draw(texts),
        timeout=draw(INT64),
        deadline=draw(INT64),
        unique_key=draw(texts),
        last_failed_at=draw(INT64),
        retention=draw(INT64),
        completed_at=draw(INT64),
        group_key=draw(texts),
    )
    message.headers.update(draw(headers))
    return message


#: Few values, so that tasks get into each other's way.
few_options = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.sampled_from(["default", "low", "q:ü"]),
        "task_id": st.sampled_from(["a", "b", "c", "d"]),
        "unique": st.sampled_from([1000, 2000]),
        "process_in": st.sampled_from([0, 3600, 7200]),
        "group": st.sampled_from(["g1", "g:2"]),
        "retention": st.sampled_from([0, 60]),
        "max_retry": st.sampled_from([0, 3]),
        "timeout": st.sampled_from([0, 10]),
    },
)


@st.composite
def few_tasks(draw: st.DrawFn) -> Task:
    """A task of a small world, in which IDs, locks and groups collide often."""
    options: dict[str, Any] = draw(few_options)
    # Two tasks without an ID of their own could not be told from one another.
    options.setdefault("task_id", draw(st.sampled_from(["a", "b", "c", "d"])))
    payload = draw(st.sampled_from([None, b"", b"one", b"two"]))
    return Task(draw(st.sampled_from(["t", "u"])), payload, **options)
