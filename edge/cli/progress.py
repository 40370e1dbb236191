"""A progress bar of our own: tqdm is no dependency of the device."""

import sys
import time
from typing import IO, Optional

#: Plain lines, where the output is no terminal, come this many seconds apart.
LINE_S = 5.0
WIDTH = 28


class Progress:
    """Counts to ``total`` on stderr: a bar on a terminal, a line now and then in a pipe."""

    def __init__(self, total: int, what: str, stream: Optional[IO[str]] = None) -> None:
        self._total = max(1, total)
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._start = time.monotonic()
        self._last = self._start
        self._open = False

    def update(self, done: int, note: str = "") -> None:
        """``done`` of ``total`` are finished."""
        now = time.monotonic()
        last = done >= self._total
        if self._terminal:
            filled = WIDTH * done // self._total
            text = "%s [%s%s] %d/%d %s %s" % (
                self._what,
                "#" * filled,
                "." * (WIDTH - filled),
                done,
                self._total,
                self._left(done, now),
                note,
            )
            self._stream.write("\r\033[K" + text[:118] + ("\n" if last else ""))
            self._stream.flush()
            self._open = not last
        elif last or now - self._last >= LINE_S:
            self._last = now
            self._stream.write("%s %d/%d %s\n" % (self._what, done, self._total, self._left(done, now)))
            self._stream.flush()

    def say(self, sentence: str) -> None:
        """A line of its own, above the bar."""
        self._stream.write(("\r\033[K" if self._terminal else "") + sentence + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End an unfinished bar's line."""
        if self._open:
            self._stream.write("\n")
            self._open = False

    def _left(self, done: int, now: float) -> str:
        if done >= self._total:
            return "in %.1f s" % (now - self._start)
        return "%.0f s left" % ((now - self._start) / done * (self._total - done)) if done else ""
