"""The wire format: golden bytes, precision, degenerate clouds, and each refusal's sentence."""

import glob
import json
import os

import numpy as np
import pytest

from edge import wire
from edge.errors import WireError
from edge.geometry import Cloud

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "wire")
NAMES = sorted(os.path.basename(path)[:-5] for path in glob.glob(os.path.join(FIXTURES, "*.json")))
GOOD = [name for name in NAMES if not name.startswith("bad_")]
BAD = [name for name in NAMES if name.startswith("bad_")]


def golden(name):
    with open(os.path.join(FIXTURES, name + ".bin"), "rb") as handle:
        data = handle.read()
    with open(os.path.join(FIXTURES, name + ".json"), encoding="utf-8") as handle:
        return data, json.load(handle)


def car(count=4000, seed=0):
    points = np.random.RandomState(seed).uniform(-1, 1, (count, 3)).astype(np.float32) * [0.5, 0.2, 0.15]
    return Cloud(points.astype(np.float32))


def test_fixtures_are_there():
    assert len(GOOD) >= 8 and len(BAD) >= 11


@pytest.mark.parametrize("name", GOOD)
def test_golden_frame_decodes(name):
    data, facts = golden(name)
    packet = wire.decode(data)
    for field in ("seq", "captured_us", "published_us", "epoch_offset_us"):
        assert getattr(packet, field) == facts[field]
    assert packet.centre.tolist() == facts["centre"] and packet.half.tolist() == facts["half"]
    assert packet.cloud.points.shape == (facts["count"], 3) and packet.cloud.points.dtype == np.float32
    np.testing.assert_allclose(packet.cloud.points, np.reshape(facts["points"], (-1, 3)), rtol=1e-6, atol=1e-7)
    if facts["rgb"] is None:
        assert packet.cloud.rgb is None
    else:
        assert packet.cloud.rgb.tolist() == facts["rgb"] and packet.cloud.rgb.shape == (facts["count"], 3)
    if facts["confidence"] is None:
        assert packet.cloud.confidence is None
    else:
        assert np.rint(packet.cloud.confidence * 255).astype(int).tolist() == facts["confidence"]
    assert (packet.cloud.mark is None) == (facts["mark"] is None)
    if facts["mark"] is not None:
        assert packet.cloud.mark.tolist() == facts["mark"] and packet.cloud.mark.dtype == np.uint8


@pytest.mark.parametrize("name", GOOD)
def test_encoder_gives_the_golden_bytes(name):
    """Points from the fixture's steps go through the encoder and must give the fixture, byte for byte."""
    data, facts = golden(name)
    rgb = None if facts["rgb"] is None else np.array(facts["rgb"], np.uint8).reshape(-1, 3)
    confidence = None if facts["confidence"] is None else np.array(facts["confidence"], np.float32) / 255
    mark = None if facts["mark"] is None else np.array(facts["mark"], np.uint8)
    cloud = Cloud(np.array(facts["points"], np.float32).reshape(-1, 3), confidence, rgb, None, mark)
    again = wire.encode(cloud, facts["seq"], facts["captured_us"], facts["published_us"], facts["epoch_offset_us"])
    if name == "flat":  # its points fill half of the box on one axis only, so the encoder finds a tighter box
        assert len(again) == len(data) and again[:48] == data[:48]
    else:
        assert again == data


@pytest.mark.parametrize("name", BAD)
def test_bad_frame_is_refused_with_a_sentence(name):
    data, facts = golden(name)
    with pytest.raises(WireError) as caught:
        wire.decode(data)
    assert facts["error"] in str(caught.value)


def test_every_truncation_is_refused():
    data, _ = golden("full")
    for length in range(len(data)):
        with pytest.raises(WireError):
            wire.decode(data[:length])


def test_precision_is_half_a_step_of_the_box():
    cloud = car()
    packet = wire.decode(wire.encode(cloud, 1, 2, 3))
    assert (np.abs(packet.cloud.points - cloud.points) <= packet.half / 65534 + 1e-7).all()
    assert (np.abs(packet.cloud.points - packet.centre) <= packet.half + 1e-7).all()
    np.testing.assert_allclose(packet.half, [0.5, 0.2, 0.15], atol=0.001)


def test_encoding_is_deterministic_and_aligned():
    cloud = car(7)._replace(rgb=np.full((7, 3), 9, np.uint8), confidence=np.linspace(0, 1, 7).astype(np.float32))
    data = wire.encode(cloud, 1, 2, 3)
    assert data == wire.encode(cloud, 1, 2, 3) and len(data) % 4 == 0
    assert len(data) == 72 + 3 * 16 + 3 * 8 + 8
    assert all(offset % 4 == 0 for _, offset, _ in wire.plane_layout(7, 3))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_small_clouds_and_points_that_coincide(count):
    points = np.full((count, 3), 0.1, np.float32)
    packet = wire.decode(wire.encode(Cloud(points), 1, 2, 3))
    np.testing.assert_array_equal(packet.cloud.points, points)
    assert (packet.half == 0).all()


def test_planar_and_tiny_clouds_stay_finite():
    flat = car(100).points * np.array([1, 0, 1e-38], np.float32) + np.float32(0.3)
    packet = wire.decode(wire.encode(Cloud(flat), 1, 2, 3))
    assert np.isfinite(packet.cloud.points).all()
    np.testing.assert_allclose(packet.cloud.points, flat, atol=1e-4)
    tiny = np.array([[0, 0, 0], [1e-40, 1e-35, 1e-20]], np.float32)
    assert np.isfinite(wire.decode(wire.encode(Cloud(tiny), 1, 2, 3)).cloud.points).all()


def test_confidence_beyond_its_range_is_clipped():
    cloud = Cloud(np.zeros((3, 3), np.float32), np.array([-1, np.nan, 2], np.float32))
    assert wire.decode(wire.encode(cloud, 1, 2, 3)).cloud.confidence.tolist() == [0, 0, 1]


@pytest.mark.parametrize("cloud, seq, captured, sentence", [
    (Cloud(np.array([[0, np.nan, 0], [0, 0, 0]], np.float32)), 1, 2, "1 of 2 points are not finite"),
    (Cloud(np.zeros((3, 2), np.float32)), 1, 2, "the wire carries (N, 3)"),
    (Cloud(np.zeros((3, 3), np.float32), rgb=np.zeros((2, 3), np.uint8)), 1, 2, "they must agree"),
    (Cloud(np.zeros((3, 3), np.float32), mark=np.zeros(4, np.uint8)), 1, 2, "they must agree"),
    (Cloud(np.zeros((3, 3), np.float32)), -1, 2, "what a browser can count"),
    (Cloud(np.zeros((3, 3), np.float32)), 2**53, 2, "what a browser can count"),
    (Cloud(np.zeros((3, 3), np.float32)), 1, -5, "whole microseconds"),
    (Cloud(np.zeros((wire.MAX_POINTS + 1, 3), np.float32)), 1, 2, "thin it out"),
])
def test_what_cannot_be_sent_is_refused(cloud, seq, captured, sentence):
    with pytest.raises(WireError) as caught:
        wire.encode(cloud, seq, captured, 3)
    assert sentence in str(caught.value)
