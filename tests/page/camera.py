"""``carcloud serve`` with a camera that does what a file says: python -m tests.page.camera FILE serve FLAGS.

Everything but the camera is the program's own; only its patience with a stall is a minute, so that one can look at it.
The file holds one word: ``live`` (the demo clip, as if from a camera), ``silent`` (no picture, as from a camera that
hangs) or ``gone`` (its device file is not there).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from edge.cli import main as carcloud
from edge.cli import serve as command
from edge.errors import SourceError
from edge.runtime import supervisor
from edge.runtime.sources import Frame, Source, open_source
from edge.runtime.sources.cameras import Camera

URI = "v4l2:///dev/video0"


class FileCamera(Source):
    """Pictures of the demo clip for as long as the file says ``live``."""

    def __init__(self, control: Path) -> None:
        super().__init__(URI)
        self.control = control
        self.clip = open_source(command.demo_uri())
        self.over = False

    def word(self) -> str:
        return self.control.read_text().strip()

    def read(self) -> Frame | None:
        while self.word() == "silent" and not self.over:
            time.sleep(0.05)
        if self.word() == "gone":
            raise SourceError("camera /dev/video0 was unplugged after 99 frames: its file is gone. Check its cable")
        return None if self.over else self.clip.read()

    def stop(self) -> None:
        self.over = True
        self.clip.stop()

    def close(self) -> None:
        self.clip.close()


class Patient(supervisor.SupervisedCamera):
    """The supervised camera, with a minute's patience."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{**more, "limits": supervisor.LIMITS._replace(stall=60.0)})


def camera(control: Path) -> Camera:
    """As ``edge.runtime.sources.find_camera`` gives one."""

    def opened() -> Source:
        if control.read_text().strip() == "gone":
            raise SourceError("there is no camera /dev/video0; this machine has none")
        return FileCamera(control)

    return Camera(URI, opened)


if __name__ == "__main__":
    command.SupervisedCamera = Patient  # type: ignore[misc]
    command.find_camera = lambda uri: camera(Path(sys.argv[1]))  # type: ignore[assignment]
    sys.exit(carcloud(sys.argv[2:]))
