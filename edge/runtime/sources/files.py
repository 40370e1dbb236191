"""Clips and folders of pictures."""

import logging
import os
import time
from typing import Any, List, Optional

import cv2

from edge.errors import ImageError, SourceError
from edge.runtime.images import list_images, read_image
from edge.runtime.sources.base import Frame, Pacer, Source
from edge.runtime.sources.uri import Parameters, SourceUri

LOG = logging.getLogger("carcloud.source")
#: Taken for a clip that does not say its rate.
UNKNOWN_FPS = 25.0


class ClipSource(Source):
    """``file://clip.mp4?loop=1&pace=0``: a clip, at its own rate unless pace=0.

    Raises SourceError when opened: missing, not a clip, without a single frame.
    """

    def __init__(self, uri: SourceUri) -> None:
        parameters = Parameters(uri, ("loop", "pace"))
        self._loop = parameters.flag("loop", False)
        paced = parameters.flag("pace", True)
        super().__init__(uri.text, on_demand=not paced)
        self.path = os.path.expanduser(uri.target)
        if not os.path.isfile(self.path):
            raise SourceError("there is no clip %s; give the path of an existing file" % self.path)
        self._capture: Any = self._open()
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._fps_known = 0.1 <= fps <= 1000
        self.fps = fps if self._fps_known else UNKNOWN_FPS
        self._pacer = Pacer(self.fps if paced else 0)
        self._seq = 0
        self._round = 0
        # The first frame is read now: a file that opens and yields nothing is refused at once.
        found, self._first = self._capture.read()
        if not found:
            self.close()
            raise SourceError("%s has no picture that OpenCV can decode; is it cut short?" % self.path)
        self._size = (self._first.shape[1], self._first.shape[0])

    def read(self) -> Optional[Frame]:
        if not self._pacer.wait():
            self.ending = self.ending or "%s was stopped" % self.uri
            return None
        image = self._next()
        if image is None:
            self.ending = "%s ended after %d frames" % (self.uri, self._seq)
            return None
        self._seq += 1
        return Frame(image, self._seq, time.monotonic(), os.path.basename(self.path))

    def describe(self) -> str:
        rate = "%.4g frames/s%s" % (self.fps, "" if self._fps_known else " (assumed, the clip does not say)")
        return "clip %s, %d x %d, %s%s" % (
            self.path,
            self._size[0],
            self._size[1],
            rate,
            ", looped" if self._loop else "",
        )

    def stop(self) -> None:
        self._pacer.stop()

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> Any:
        capture = cv2.VideoCapture(self.path)
        if not capture.isOpened():
            raise SourceError("%s is no clip OpenCV can read (not a video, cut short, or an unknown codec)" % self.path)
        return capture

    def _next(self) -> Any:
        if self._first is not None:
            image, self._first = self._first, None
            return image
        found, image = self._capture.read()
        if not found and self._loop:
            # Opened again rather than wound back: seeking to 0 is not exact in every container.
            self._capture.release()
            self._capture = self._open()
            found, image = self._capture.read()
        return image if found else None


class PicturesSource(Source):
    """``dir://photos/?loop=1&fps=2``: the pictures of a folder in counting order; fps=0 gives them as fast as asked.

    Also one picture, ``file://photo.jpg``. A picture that cannot be read is reported once and left out;
    SourceError if that leaves none.
    """

    def __init__(self, uri: SourceUri, paths: Optional[List[str]] = None) -> None:
        parameters = Parameters(uri, ("loop", "fps"))
        self._loop = parameters.flag("loop", False)
        self.fps = parameters.number("fps", 2.0, 0.0, 1000.0)
        super().__init__(uri.text, on_demand=self.fps == 0)
        folder = os.path.expanduser(uri.target)
        self._paths = [os.path.join(folder, name) for name in list_images(folder)] if paths is None else list(paths)
        self._what = "folder %s" % folder if paths is None else "picture %s" % folder
        #: Sentences about the pictures that were left out.
        self.skipped: List[str] = []
        self._pacer = Pacer(self.fps)
        self._at = 0
        self._seq = 0

    def read(self) -> Optional[Frame]:
        if not self._pacer.wait():
            self.ending = self.ending or "%s was stopped" % self.uri
            return None
        while True:
            if self._at >= len(self._paths):
                if not self._paths:
                    raise SourceError("no picture of %s could be read: %s" % (self.uri, "; ".join(self.skipped[:3])))
                if not self._loop:
                    self.ending = "%s ended after %d pictures" % (self.uri, self._seq)
                    return None
                self._at = 0
            path = self._paths[self._at]
            try:
                image = read_image(path)
            except ImageError as error:
                LOG.warning("skipped: %s", error)
                self.skipped.append(str(error))
                del self._paths[self._at]
                continue
            self._at += 1
            self._seq += 1
            return Frame(image, self._seq, time.monotonic(), os.path.basename(path))

    def describe(self) -> str:
        count = len(self._paths)
        rate = "%.4g a second" % self.fps if self.fps else "as fast as asked"
        return "%s, %d picture%s, %s%s" % (self._what, count, "s"[: count != 1], rate, ", looped" if self._loop else "")

    def stop(self) -> None:
        self._pacer.stop()
