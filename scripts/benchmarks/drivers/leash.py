"""Runs a command that does not speak a driver's protocol, and whatever it starts, on a leash.

It begins with a driver's line, whose `pid` is that of the command and of the session of all that
it starts; all of them are killed when the input ends, or when the command has ended itself.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Runs the command line that is its arguments."""
    child = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    def wait_for_end_of_input() -> None:
        while os.read(0, 1024):
            pass
        kill()

    sys.stdout.write(json.dumps({"ready": True, "versions": {}, "pid": child.pid}) + "\n")
    sys.stdout.flush()
    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    child.wait()
    kill()
    return 0


sys.exit(main())
