"""A server without a camera behind it, for the page to look at."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from edge.pose import Pose
from edge.runtime.colour import FILLED, MIRRORED, SEEN
from edge.runtime.following import Sight
from edge.runtime.outputs import BodyClass, Length
from edge.runtime.pipeline import Glimpse
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from tests.edge.server.fake import car_cloud, result

TOKEN = "a-token-of-good-length"


class Stage:
    """A server whose hub gets two or three car clouds a second until it is stopped.

    coloured: as from a network that tells the pose: blue where it was seen, half of it, and facts of the car.
    quiet: nothing is published before ``publishing`` is set. tls: for https.
    sight: the cars that are seen. followed: the numbers that visitors chose.
    """

    def __init__(
        self, settings: ServerSettings, coloured: bool = False, quiet: bool = False, tls: Any = None,
        sight: Sight | None = None,
    ) -> None:  # fmt: skip
        self.coloured = coloured
        self.sight = sight
        self.followed: list[int | None] = []
        self.hub = Hub()
        self.server = Server(create_app(self.hub, settings, self.follow), port=0, tls=tls)
        self.server.start()
        self.publishing = threading.Event()
        if not quiet:
            self.publishing.set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.publish)
        self.thread.start()

    def publish(self) -> None:
        clouds = [car_cloud(6000, seed) for seed in range(4)]
        count = 0
        while not self.over.wait(0.4):  # each one is drawn by the CPU
            if self.publishing.is_set():
                count += 1
                made = result(count, clouds[count % 4])._replace(sight=self.sight)
                self.hub.publish(coloured(made) if self.coloured else made)

    def show_street(self) -> None:
        """One picture without a car."""
        street = np.full((240, 320, 3), 90, np.uint8)
        self.hub.publish_unseen(Glimpse(1, street, {"find": 9.0}, time.monotonic(), "", 5.0, Sight((), None, 9.0)))

    def follow(self, number: int | None) -> bool:
        self.followed.append(number)
        return True

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.hub.close()
        self.server.stop()


def coloured(made: Any) -> Any:
    """A result with colours, marks, pose, length and class."""
    cloud = made.reconstruction.cloud
    mark = np.where(cloud.points[:, 1] > 0, SEEN, np.where(cloud.points[:, 2] > 0, MIRRORED, FILLED)).astype(np.uint8)
    rgb = np.tile(np.array([20, 60, 220], np.uint8), (len(mark), 1))
    pose = Pose(38.0, 12.0, 0.0, 0.5, 0.5, 0.8, 0.2, 0.9)
    return made._replace(reconstruction=made.reconstruction._replace(
        cloud=cloud._replace(rgb=rgb, mark=mark), pose=pose, length=Length(4.4, 0.05),
        body_class=BodyClass("sedan", 0.7),
    ))  # fmt: skip
