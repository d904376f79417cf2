"""Sees to it that a child process does not outlive this one, however this one ends."""

import subprocess

# The shell waits for the end of a pipe that only this process holds: the kernel
# closes it even after SIGKILL. (A "parent death signal" is tied to the thread that
# started the child, and needs code between fork and exec.)
_SCRIPT = 'read -r _; kill -KILL "$1" 2>/dev/null; if [ -n "$2" ]; then rm -rf "$2"; fi'


class Watchdog:
    """Kills a process and removes its directory when this process is gone."""

    def __init__(self, pid: int, directory: str = "") -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "watchdog", str(pid), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Ends the watch. To be called before the watched process is reaped."""
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin:
            self._shell.stdin.close()
