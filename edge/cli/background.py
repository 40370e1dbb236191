"""Engines that are missing, built while the server serves: ``carcloud build`` as a process of its own."""

import subprocess
import sys
import threading
from typing import List, Optional, Sequence

from edge.runtime.backends import Backend, Fallback
from edge.settings import Settings


class BackgroundBuild:
    """Builds the engines of a bundle and lets the backends that wait for them try again.

    Whatever becomes of it (killed, no memory, no room, wrong results), the backends go on with what they have; its last
    line says why. Nothing happens, and :attr:`wanted` is False, where none of the backends waits.
    """

    def __init__(self, backends: Sequence[Backend], bundle: str, settings: Settings) -> None:
        self._waiting: List[Fallback] = [backend for backend in backends if isinstance(backend, Fallback)]
        self._command = [sys.executable, "-m", "edge", "build", "--background", "--bundle", bundle]
        self._command += ["--precision", settings.precision]
        if settings.engines is not None:
            self._command += ["--engines", settings.engines]
        self._process: Optional["subprocess.Popen[str]"] = None
        self._thread: Optional[threading.Thread] = None

    @property
    def wanted(self) -> bool:
        """Whether a backend waits for an engine."""
        return bool(self._waiting)

    def start(self) -> None:
        """Begin, if that is wanted."""
        if not self.wanted:
            return
        print("build: TensorRT engines are built in the background (--no-build does without)", flush=True)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._follow, name="build", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        process = self._process
        assert process is not None and process.stdout is not None
        for line in process.stdout:
            print("build: %s" % line.rstrip(), flush=True)
        status = process.wait()
        if status == 0:
            for backend in self._waiting:
                backend.retry()
        elif status > 0:
            print("build: it failed; ONNX Runtime goes on", flush=True)
        else:
            print("build: it was ended by signal %d; ONNX Runtime goes on" % -status, flush=True)

    def close(self) -> None:
        """End the build, if it still runs, with its workers."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        if self._thread is not None:
            self._thread.join()
