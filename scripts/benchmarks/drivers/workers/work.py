"""What a worker is told by its environment, and what a handler does. Standard library only.

    BENCH_REDIS        where Redis is, `host:port`
    BENCH_CONCURRENCY  how many tasks it handles at a time
    BENCH_HANDLER      what a handler does: "nothing"; "note": it notes how late it began;
                       "wait": it notes that, and then waits for ever
    BENCH_NOTES        the file of notes: nanoseconds, eight bytes each, the lowest first

The `user_id` of a task whose lateness matters is the moment when it was enqueued, in Unix
nanoseconds.
"""

import os
import struct
import time

URL = f"redis://{os.environ.get('BENCH_REDIS', '')}/0"
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "1"))
HANDLER = os.environ.get("BENCH_HANDLER", "nothing")

#: Written to at its end: a note is whole, whichever process writes it.
_notes = (
    None if HANDLER == "nothing" else os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_APPEND)
)


def note(enqueued_ns: int) -> None:
    """What a handler does first, if it does anything."""
    if _notes is not None:
        os.write(_notes, struct.pack("<q", time.time_ns() - enqueued_ns))
