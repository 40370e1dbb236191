"""Where the camera stood: a network's pose outputs to a camera, and a camera to the picture.

The camera is *virtual*: its axis goes through the car's centre, wherever in the picture the car was. It differs from
the real one by the rotation that turns the axis there, and its picture by a homography that is small within a crop.
Positions are in *crop* coordinates: x right, y down, the square that the network saw reaching from -1 to 1.
"""

from typing import NamedTuple, Tuple

import numpy as np

from edge.geometry import look_rotation

#: A pose output of ``camera``: elevation and roll in radians, x and y of the car's centre and log scale in crop
#: coordinates, perspective.
CAMERA = ("elevation", "roll", "x", "y", "log_scale", "perspective")


class Pose(NamedTuple):
    """A virtual camera.

    azimuth, elevation: direction from the car to the camera, degrees; azimuth 0 = before the nose, 90 = on the car's
    left, in -180..180. roll: turn of the picture about the axis, degrees, positive = the car leans clockwise.
    x, y: the car's centre in crop coordinates. scale: crop units per canonical unit at the car's centre.
    perspective: one over the distance from the camera to the car's centre, per canonical unit; 0 = orthographic.
    certainty: probability 0..1 that the azimuth is right to within one and a half bins; 1 for a known pose.
    """

    azimuth: float
    elevation: float
    roll: float
    x: float
    y: float
    scale: float
    perspective: float
    certainty: float = 1.0

    @property
    def direction(self) -> np.ndarray:
        """Unit vector (3,) float64 from the car's centre to the camera, canonical frame."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64, canonical to camera frame: rows right, down, forward."""
        d = self.direction
        r = np.radians(self.roll)
        turn = np.array([[np.cos(r), -np.sin(r), 0.0], [np.sin(r), np.cos(r), 0.0], [0.0, 0.0, 1.0]])
        return turn @ look_rotation((d[0], d[1], d[2])).astype(np.float64)


def decode_pose(azimuth: np.ndarray, camera: np.ndarray) -> Pose:
    """A network's outputs to a pose.

    azimuth: (2 * bins,): logits of the bins, then the offset from each bin's centre in bins. Bin b is centred at
    b * 360 / bins degrees. camera: (6,), see :data:`CAMERA`.
    """
    count = len(azimuth) // 2
    logits = np.asarray(azimuth[:count], np.float64)
    chance = np.exp(logits - logits.max())
    chance /= chance.sum()
    best = int(chance.argmax())
    degrees = (best + float(np.clip(azimuth[count + best], -0.75, 0.75))) * 360.0 / count
    elevation, roll, x, y, log_scale, perspective = (float(v) for v in camera)
    near = float(chance[best] + chance[best - 1] + chance[(best + 1) % count])
    return Pose(
        (degrees + 180.0) % 360.0 - 180.0, float(np.clip(np.degrees(elevation), -89.0, 89.0)), np.degrees(roll), x, y,
        float(np.exp(np.clip(log_scale, -6.0, 6.0))), min(max(perspective, 0.0), 1.9), min(near, 1.0),
    )


def project(points: np.ndarray, pose: Pose) -> Tuple[np.ndarray, np.ndarray]:
    """Canonical points (N, 3) to crop coordinates (N, 2) and depth (N,), both float32.

    Depth is along the axis, canonical units, 0 at the car's centre and growing away from the camera.
    """
    cam = pose.rotation.astype(np.float32) @ np.asarray(points, np.float32).T
    shrink = np.float32(pose.scale) / np.maximum(1.0 + np.float32(pose.perspective) * cam[2], np.float32(0.05))
    # Column by column: NumPy is several times as fast along an axis as over rows of two.
    place = np.empty((2, len(points)), np.float32).T
    place[:, 0] = cam[0] * shrink + np.float32(pose.x)
    place[:, 1] = cam[1] * shrink + np.float32(pose.y)
    return place, cam[2]


def to_pixels(place: np.ndarray, square: Tuple[int, int, int]) -> np.ndarray:
    """Crop coordinates (N, 2) to pixels of the whole picture; square: left, top, side of the crop in it."""
    left, top, side = square
    return (np.asarray(place, np.float32) + 1.0) * np.float32(side / 2.0) + np.array([left, top], np.float32)
