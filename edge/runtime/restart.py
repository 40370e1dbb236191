"""The one command that restarts a camera daemon, as the settings give it."""

import shlex
import subprocess
import time
from typing import Callable, Optional

from edge.errors import SettingsError

#: A restart may take so many seconds before the camera is tried without waiting for its end.
LIMIT_S = 60.0
#: How often a stop is looked for meanwhile, seconds.
POLL_S = 0.2


class DaemonRestart:
    """Runs a command, such as ``sudo -n systemctl restart nvargus-daemon``, without a shell; never twice at a time.

    Raises SettingsError if the command is empty or a quotation mark in it is left open.
    """

    def __init__(self, command: str, limit_s: float = LIMIT_S) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SettingsError("camera_restart is %r: %s; write it as in a shell" % (command, error))
        if not self._words:
            raise SettingsError(
                "camera_restart is empty; give a command, such as sudo -n systemctl restart nvargus-daemon"
            )
        self._text = command
        self._limit_s = limit_s
        self._process: "Optional[subprocess.Popen[str]]" = None

    def run(self, stopped: Callable[[], bool]) -> str:
        """Run it and wait for its end, at most ``limit_s`` seconds or until ``stopped()``; then it runs on by itself.

        Returns the sentence that says what went wrong, "" if nothing did.
        """
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    self._words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    universal_newlines=True, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                return "the camera daemon was not restarted: %s does not start: %s" % (self._words[0], error.strerror)
        deadline = time.monotonic() + self._limit_s
        while not stopped():
            try:
                _, complaint = self._process.communicate(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    # It may run as root, and then is not ours to end.
                    return "the camera daemon was not restarted: %s still runs after %g s" % (self._text, self._limit_s)
                continue
            status, self._process = self._process.returncode, None
            return "" if status == 0 else self._failure(status, complaint)
        return ""

    def _failure(self, status: int, complaint: str) -> str:
        lines = complaint.strip().splitlines()
        why = "ended with exit code %d" % status if status > 0 else "was ended by signal %d" % -status
        return "the camera daemon was not restarted: %s %s%s" % (self._text, why, ": " + lines[-1] if lines else "")
