"""A clip through the very pipeline that runs on the device, but by the clip's own clock: the same on any machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from edge.bundle import Bundle
from edge.errors import BundleError, ImageError, SettingsError, SourceError
from edge.geometry import Cloud
from edge.pose import Pose
from edge.runtime.backends import open_backend
from edge.runtime.capture import NewestFrame
from edge.runtime.finder import Detection, Finder
from edge.runtime.following import Follower, Sight
from edge.runtime.images import is_image, list_images
from edge.runtime.memory import Known, Memory
from edge.runtime.pipeline import Glimpse, Pipeline, Result
from edge.runtime.reconstructor import Reconstruction, Reconstructor
from edge.runtime.silhouette import open_silhouette
from edge.runtime.sources import Frame, Source
from edge.runtime.sources.files import ClipSource, PicturesSource
from edge.runtime.sources.uri import SourceUri

#: Frames a second of a folder of pictures that does not say.
FOLDER_FPS = 10.0


class Moment(NamedTuple):
    """One frame. number: 0, 1, ...; image: (H, W, 3) uint8 BGR. sight: the cars that are seen. reconstruction: None
    without a car; its cloud is the mean so far, where clouds are averaged. single: the cloud of this frame alone."""

    number: int
    image: np.ndarray
    sight: Sight
    reconstruction: Reconstruction | None
    single: Cloud | None


class ByIndex(NewestFrame):
    """Frames whose time is their number over ``fps``, in seconds, and not when they happened to be read."""

    def __init__(self, source: Source, fps: float) -> None:
        self._fps = fps
        super().__init__(source)

    def get(self, after_seq: int = 0, timeout: float | None = None) -> Frame | None:
        frame = super().get(after_seq, timeout)
        return None if frame is None else frame._replace(captured=(frame.seq - 1) / self._fps)


class Hearing(Memory):
    """A memory that keeps the cloud it was told last, before it is averaged."""

    told: Cloud | None = None

    def shape(self, cloud: Cloud, pose: Pose | None) -> Known:
        self.told = cloud
        return super().shape(cloud, pose)


class Heard(Pipeline):
    """The device's pipeline, from which the single clouds can be had, too."""

    def __init__(self, newest: NewestFrame, reconstructor: Reconstructor, follower: Follower, average: bool,
                 tell: Callable[[Moment], None]) -> None:  # fmt: skip
        super().__init__(newest, reconstructor, self._seen, None, follower, self._none, average)
        self._tell = tell
        if self._memory is not None:
            self._memory = Hearing()

    def _seen(self, result: Result) -> None:
        single: Cloud | None = result.reconstruction.cloud
        if isinstance(self._memory, Hearing):
            single = self._memory.told
        assert result.sight is not None, "with a follower there is one"
        self._tell(Moment(result.seq - 1, result.frame, result.sight, result.reconstruction, single))

    def _none(self, glimpse: Glimpse) -> None:
        self._tell(Moment(glimpse.seq - 1, glimpse.frame, glimpse.sight, None, None))


class Remembering(Finder):
    """A finder that remembers what it found last, whoever asked. found: that, None until it is asked."""

    found: list[Detection] | None = None

    def __enter__(self) -> Remembering:
        return self

    def find(self, image_bgr: np.ndarray) -> list[Detection]:
        self.found = super().find(image_bgr)
        return self.found


def open_remembering(bundle: Bundle, threads: int = 0, threshold: float | None = None) -> Remembering:
    """The bundle's finder. threshold: None for the product's own. Raises BundleError for a bundle without one."""
    if bundle.finder is None:
        raise BundleError(f"bundle {bundle.path} has no finder, so nothing is found or followed; give another --bundle")
    finder = Remembering(bundle.finder, open_backend(bundle, "auto", threads, bundle.finder.graph))
    if threshold is not None:
        if not 0 < threshold < 1:
            raise SettingsError(f"--threshold {threshold:g} is no score; give one between 0 and 1, for example 0.35")
        finder.threshold = threshold
    return finder


def numbered(folder: Path) -> list[str]:
    """Paths of a folder's pictures in counting order: only those with a plain number for a name, if there are any.

    Raises SourceError.
    """
    names = list_images(str(folder))
    plain = [name for name in names if Path(name).stem.isdigit()]
    return [str(folder / name) for name in plain or names]


def open_clip(clip: Path, fps: float | None) -> tuple[Source, float]:
    """A video, or a folder of pictures, that waits for nobody; and its frames a second: ``fps``, or its own.

    Raises SourceError: missing, or neither of the two. SettingsError: an impossible rate.
    """
    if fps is not None and not 0.1 <= fps <= 1000:
        raise SettingsError(f"--fps {fps:g} is no rate; give 0.1 to 1000 frames a second")
    if clip.is_dir():
        uri = SourceUri("dir", str(clip), {"fps": "0"}, str(clip))
        return PicturesSource(uri, numbered(clip)), fps or FOLDER_FPS
    if not clip.is_file():
        raise SourceError(f"there is no clip {clip}; give a video file, or a folder of pictures 1.png, 2.png, ...")
    if is_image(clip.name):
        raise SourceError(f"{clip} is one picture, not a clip; give a video, or the folder of a clip's pictures")
    source = ClipSource(SourceUri("file", str(clip), {"pace": "0"}, str(clip)))
    return source, fps or source.fps


def play(
    clip: Path, bundle: Bundle, tell: Callable[[Moment], None], fps: float | None = None, average: bool = True,
    max_points: int = 16384, threads: int = 0, threshold: float | None = None,
) -> float:
    """Play a clip (:func:`open_clip`) and ``tell`` every frame, in order; returns its frames a second.

    Raises what :func:`open_clip` and :func:`open_remembering` do, ImageError for a picture that cannot be read: a gap
    would pass for a jump of the car.
    """
    source, fps = open_clip(clip, fps)
    with ExitStack() as stack:
        newest = ByIndex(source, fps)
        stack.callback(newest.close)
        backend = stack.enter_context(open_backend(bundle, "auto", threads))
        finder = stack.enter_context(open_remembering(bundle, threads, threshold))
        bar = stack.enter_context(tqdm(desc="frames", unit="frame", mininterval=1.0, disable=None))

        def told(moment: Moment) -> None:
            tell(moment)
            bar.update()

        silhouette = open_silhouette(bundle, "auto", threads)
        if silhouette is not None:
            stack.enter_context(silhouette)
        reconstructor = Reconstructor(bundle, backend, max_points, silhouette=silhouette)
        Heard(newest, reconstructor, Follower(finder), average, told).run(threading.Event())
    skipped = getattr(source, "skipped", [])
    if skipped:
        raise ImageError(f"{skipped[0]}; without it the clip has a gap")
    return fps
