"""Results as the pipeline gives them, made from a car-like surface: for tests of everything after the network."""

import time

import numpy as np

from edge.geometry import Cloud
from edge.runtime.pipeline import Result
from edge.runtime.reconstructor import Reconstruction

#: Side view of a hatchback, x forward and z up, car length 1: height of the roof line over x.
_PROFILE_X = [-0.5, -0.49, -0.40, -0.26, -0.05, 0.12, 0.24, 0.42, 0.49, 0.5]
_PROFILE_Z = [-0.04, 0.01, 0.10, 0.165, 0.17, 0.145, 0.045, 0.015, -0.03, -0.07]
_FLOOR = -0.115


def car_cloud(count=6000, seed=0):
    """A Cloud of ``count`` points on a hatchback's outside, canonical frame, with confidence."""
    random = np.random.RandomState(seed)
    parts = [_roof(random, count * 9 // 20), _sides(random, count * 8 // 20)]
    points = np.concatenate(parts + [_wheels(random, count - sum(map(len, parts)))]).astype(np.float32)
    confidence = np.clip(0.97 - 0.5 * random.rand(count) ** 6, 0, 1).astype(np.float32)
    return Cloud(points, confidence)


def _half_width(x, z):
    cabin = np.clip((z - 0.02) / 0.15, 0, 1)
    return (0.2 - 0.025 * (2 * np.abs(x)) ** 4) * (1 - 0.22 * cabin ** 1.3)


def _roof(random, count):
    x = np.interp(random.rand(count), np.linspace(0, 1, 10), _PROFILE_X)
    z = np.interp(x, _PROFILE_X, _PROFILE_Z)
    return np.stack([x, random.uniform(-1, 1, count) * _half_width(x, z), z], 1)


def _sides(random, count):
    x = random.uniform(-0.5, 0.5, count * 2)
    top = np.interp(x, _PROFILE_X, _PROFILE_Z)
    z = _FLOOR + 0.02 + random.rand(count * 2) * (top - _FLOOR - 0.02)
    arch = np.minimum(np.hypot(x - 0.31, z + 0.1), np.hypot(x + 0.3, z + 0.1)) > 0.085
    x, z = x[arch][:count], z[arch][:count]
    return np.stack([x, np.where(random.rand(len(x)) < 0.5, -1, 1) * _half_width(x, z), z], 1)


def _wheels(random, count):
    angle, radius = random.uniform(0, 2 * np.pi, count), 0.068 * np.sqrt(random.uniform(0.15, 1, count))
    centre = np.where(random.rand(count) < 0.5, 0.31, -0.3)
    side = np.where(random.rand(count) < 0.5, -1, 1) * 0.186
    return np.stack([centre + radius * np.cos(angle), side, -0.1 + radius * np.sin(angle)], 1)


def result(seq=1, cloud=None, captured=None, width=320, height=240):
    """One Result: a car cloud and a grey picture with a brighter block that moves with ``seq``."""
    frame = np.full((height, width, 3), 60, np.uint8)
    left = (7 * seq) % max(1, width - 60)
    frame[height // 3 : 2 * height // 3, left : left + 60] = (60, 120, 200)
    cloud = car_cloud() if cloud is None else cloud
    timings = {"capture": 20.0, "crop": 1.5, "network": 30.25, "fusion": 2.0}
    reconstruction = Reconstruction(cloud, (40, 0, 240), {k: v for k, v in timings.items() if k != "capture"})
    return Result(seq, frame, reconstruction, timings, time.monotonic() if captured is None else captured)
