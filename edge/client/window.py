"""The window of ``carcloud view``, by Open3D: turn with the mouse, keys as in ``View.KEYS``."""

import os
import sys
import time
from typing import Any, Callable, List, Sequence

import numpy as np

from edge.client.viewing import FRONT, Feed, View, framing, point_size
from edge.errors import WindowError

WIDTH, HEIGHT = 1280, 800
BACKGROUND = (0.09, 0.10, 0.12)
NO_SCREEN = ("no window can be opened: is there a screen (DISPLAY)? Over SSH, look at the server's page in a browser, "
             "or save a picture: xvfb-run -a carcloud view URL --screenshot FILE")
#: Seconds between two looks for new clouds, and between two lines of words.
TICK, LINE_EVERY = 0.02, 0.5
#: GLFW's numbers of the keys that are no letters: = (with +), - and those of the keypad.
KEYS = {"+": (61, 334), "-": (45, 333)}
#: Steps of 5 degrees from Open3D's narrowest field of view, 5; in its usual 60 what is near looks too large.
WIDER = 1


class Window:
    """One Open3D window over some feeds. Belongs to the thread that made it. Raises WindowError: no Open3D, no screen.

    folder: where screenshots go.
    """

    def __init__(self, feeds: Sequence[Feed], view: View, folder: str = ".") -> None:
        try:
            import open3d
        except (ImportError, OSError) as error:
            raise WindowError("the window is made by Open3D, which does not start here (%s); type: pip install "
                              "open3d-cpu, or look at the server's page in a browser" % error)
        self._open3d = open3d
        self._feeds, self._view, self._folder = feeds, view, folder
        # Without a screen, Open3D from 0.20 on draws for nobody, and says so in a line of its own only.
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise WindowError(NO_SCREEN)
        self._window = open3d.visualization.VisualizerWithKeyCallback()
        names = ", ".join(feed.name for feed in feeds)
        if not self._window.create_window("carcloud %s" % names, WIDTH, HEIGHT):
            raise WindowError(NO_SCREEN)
        self._points = open3d.geometry.PointCloud()
        self._placed = 0
        self._over = False
        self._window.get_render_option().background_color = np.array(BACKGROUND)
        for key in View.KEYS:
            for number in KEYS.get(key, (ord(key),)):
                self._window.register_key_callback(number, self._pressed(key))

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        self._window.destroy_window()

    def run(self, stopped: Callable[[], bool], say: Callable[[List[str]], None]) -> None:
        """Show clouds until the window is closed, Q is pressed or ``stopped()``. say: gets the lines now and then."""
        said = 0.0
        while not stopped() and not self._over and self.refresh():
            now = time.monotonic()
            if now - said >= LINE_EVERY:
                said = now
                say([feed.line(now) for feed in self._feeds] + [self._view.line()])
            time.sleep(TICK)

    def refresh(self) -> bool:
        """Draw what is new, and obey the mouse and the keys; False when the window was closed."""
        newest = [feed.newest for feed in self._feeds]
        composed = self._view.compose(newest)
        if composed is not None:
            self._points.points = self._open3d.utility.Vector3dVector(composed[0])
            self._points.colors = self._open3d.utility.Vector3dVector(composed[1])
            shown = sum(packet is not None for packet in newest)
            if shown > self._placed:  # one more device: all of them are to be seen
                if self._placed:
                    self._window.remove_geometry(self._points, reset_bounding_box=False)
                self._window.add_geometry(self._points)
                self._look()
                self._placed = shown
            elif self._placed:
                self._window.update_geometry(self._points)
        going = self._window.poll_events()
        self._window.update_renderer()
        return bool(going)

    def screenshot(self, path: str = "") -> str:
        """Save what is shown as PNG under a path, or the next free name in the folder; returns it."""
        path = path or next_name(self._folder)
        self._window.capture_screen_image(path, do_render=True)
        if not os.path.isfile(path):
            raise WindowError("cannot write the screenshot %s; start carcloud view in another folder" % path)
        if self._placed and np.ptp(np.asarray(self._open3d.io.read_image(path)), axis=(0, 1)).max() == 0:
            raise WindowError("the screenshot %s is empty: the screen %s did not answer; is it there? Try again"
                              % (path, os.environ.get("DISPLAY", "")))
        return path

    def _look(self) -> None:
        points = np.asarray(self._points.points)
        centre, half = framing(points, WIDTH / HEIGHT)
        control = self._window.get_view_control()
        control.change_field_of_view(-100)
        control.change_field_of_view(WIDER)
        control.set_front(FRONT)
        control.set_up((0.0, 0.0, 1.0))
        control.set_lookat(centre)
        control.set_zoom(half / float(np.ptp(points, axis=0).max()))  # Open3D counts in the largest side
        size = point_size(max(len(feed.newest.cloud.points) for feed in self._feeds if feed.newest), HEIGHT / half / 2)
        self._window.get_render_option().point_size = size

    def _pressed(self, key: str) -> Callable[[Any], bool]:
        def obey(_: Any) -> bool:
            if key == "S":
                print("saved %s" % self.screenshot(), flush=True)
            elif key == "R":
                self._look()
            elif key == "Q":
                self._over = True
            else:
                self._view.press(key)
            return False

        return obey


def next_name(folder: str) -> str:
    """The first of carcloud-0001.png, carcloud-0002.png ... in a folder that is not there yet."""
    number = 1
    while os.path.exists(os.path.join(folder, "carcloud-%04d.png" % number)):
        number += 1
    return os.path.join(folder, "carcloud-%04d.png" % number)
