"""The demo clip: a readable file, a box per frame that holds the car, sentences for bad input."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from tests.training.test_render import box_car
from training.render.cli import parse_size
from training.render.clip import ClipSettings, walk, write_clip


def test_clip_is_read_back_with_a_box_per_frame(tmp_path):
    target = tmp_path / "clips" / "demo.mp4"
    write_clip(box_car(), target, ClipSettings(seconds=0.4, fps=10, size=(160, 90)))
    sidecar = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    capture = cv2.VideoCapture(str(target))
    frames = []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    assert len(frames) == len(sidecar["boxes"]) == 4
    assert frames[0].shape == (90, 160, 3) and frames[0].std() > 10
    for x, y, width, height in sidecar["boxes"]:
        assert min(x, y) >= 0 and x + width <= 160 and y + height <= 90
    assert sidecar["licence"] == "CC0-1.0" and sidecar["attribution"] == "nobody"
    assert sorted(p.name for p in target.parent.iterdir()) == ["demo.json", "demo.mp4"]


def test_walk_is_smooth_closed_and_centred():
    hull = box_car().canonical().merged()[0]
    cameras = walk(hull, 60, (640, 360), 30)
    eyes = np.array([c.eye for c in cameras + cameras[:1]])
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    assert steps.max() < 1.2 * steps.min(), "a steady walk"
    zooms = np.array([c.K[0, 0] for c in cameras + cameras[:1]])
    assert np.abs(np.diff(np.log(zooms))).max() < 0.12
    for camera in cameras:
        x, y, width, height = camera.box(hull)
        assert (x + width / 2, y + height / 2) == pytest.approx((320, 180), abs=0.01)
        assert max(width / 640, height / 360) > 0.6


@pytest.mark.parametrize("text", ["640", "640x", "x360", "640*360", "641x360", "10x10"])
def test_bad_size_says_how_to_write_it(text):
    with pytest.raises(DataError, match="640x360"):
        parse_size(text)


def test_unwritable_clip_says_so(tmp_path):
    with pytest.raises(DataError, match="ends in .mp4"):
        write_clip(box_car(), tmp_path / "clip.unknown", ClipSettings(seconds=0.2, fps=10, size=(64, 64)))
