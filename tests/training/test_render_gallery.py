"""The sheet of pictures beside photos, its command, and the things that stand in the way."""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
import pytest

from edge.errors import DataError, ImageError
from tests.training.test_render import box_car
from training.render import cli, gallery
from training.render.effects import Veil, defocus
from training.render.fleet import pick
from training.render.light import random_light
from training.render.occluders import PAINTERS, hide, moved, random_thing


def command(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return parser.parse_args(["pictures", *words])


def test_sheet_holds_pictures_and_photos(tmp_path, monkeypatch):
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[20:40, 30:60] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "red.png"), photo)
    (tmp_path / "boxes.json").write_text(json.dumps({"red.png": [30, 20, 30, 20]}))
    monkeypatch.setattr("training.meshes.library.load_cars", lambda cache, glb: iter([box_car()]))
    sheet = tmp_path / "sheet.png"
    options = command("--out", str(sheet), "--count", "3", "--size", "48", "--photos", str(tmp_path), "--boxes",
                      str(tmp_path / "boxes.json"))
    assert options.run(options) == 0
    drawn = cv2.imread(str(sheet))
    assert drawn.shape == (52, 8 * 50 + 2 + 16 + 2 * 50 + 2, 3)
    assert drawn[2:50, 2:152].std() > 10, "three pictures to the left"
    assert tuple(drawn[26, 420 + 24]) == (0, 0, 255), "the middle of the photo's box to the right"


def test_rate_counts_pictures(monkeypatch):
    monkeypatch.setattr(gallery, "PER_CAR", 3)
    made, wall, busy = gallery.measured_rate([box_car()], 0.1, 48, 0)
    assert made % 3 == 0 and made > 0 and wall > 0.1 and busy > 0


def test_crop_takes_the_square_around_the_box():
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:60, 80:120] = 255
    seen = gallery.crop(image, (80, 40, 40, 20), 48)
    assert seen.shape == (48, 48, 3)
    assert (seen[:, :, 0] > 127).mean() == pytest.approx(20 * 40 / 48**2, abs=0.03)
    small = gallery.crop(image, (80, 40, 40, 20), 24)
    assert (small[:, :, 0] > 127).mean() == pytest.approx(20 * 40 / 48**2, abs=0.05)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing to do"), (("--out", "x.png", "--count", "0"), "1 to 1024"),
        (("--rate", "--workers", "0"), "workers"),
    ],
)
def test_wrong_options_say_what_is_right(words, says):
    options = command(*words)
    with pytest.raises(DataError, match=says):
        options.run(options)


def test_a_box_without_its_photo_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ImageError, match=r"b\.png"):
        gallery.photo_crops(tmp_path, {"a.png": (0, 0, 9, 9), "b.png": (0, 0, 9, 9)}, 32)


@pytest.mark.parametrize("painter", PAINTERS, ids=lambda painter: painter.__name__)
def test_things_have_an_outline_and_a_texture(painter):
    for seed in range(5):
        colour, cover = painter(np.random.default_rng(seed), (128, 128))
        assert colour.shape == (128, 128, 3) and cover.shape == (128, 128)
        assert cover.min() >= 0 and cover.max() == 1 and 0.005 < cover.mean() < 0.9
        assert np.isfinite(colour).all() and colour.min() >= -1e-3


def test_hide_meets_the_share():
    rng = np.random.default_rng(0)
    car = np.zeros((128, 128), np.float32)
    car[40:100, 20:110] = 1
    thing = Veil(np.zeros((128, 128, 3), np.float32), np.zeros((128, 128), np.float32))
    thing.cover[50:, 50:80] = 1
    veil = hide(car, thing, 0.2, rng, tries=200)
    assert (car * veil.cover).sum() / car.sum() == pytest.approx(0.2, abs=0.03)


def test_moved_up_things_do_not_float():
    cover = np.zeros((16, 16), np.float32)
    cover[8:, 4:8] = 1
    up = moved(Veil(np.zeros((16, 16, 3), np.float32), cover), (2, -4))
    assert up.cover[4:, 6:10].all() and up.cover.sum() == 12 * 4


def test_random_things_differ_and_repeat():
    light = random_light(np.random.default_rng(0))
    first, again, other = (random_thing(np.random.default_rng(s), (64, 64), light) for s in (1, 1, 2))
    assert np.array_equal(first.rgb, again.rgb) and np.array_equal(first.cover, again.cover)
    assert not np.array_equal(first.cover, other.cover)


def test_defocus_blurs_what_is_far_and_keeps_what_is_near():
    stripes = np.zeros((128, 128, 3), np.float32)
    stripes[:, ::8] = 1
    near = np.full((128, 128), 0.5, np.float32)
    near[64:] = 0
    seen = defocus(stripes, near, 2.0, 0.05)
    assert np.array_equal(seen[:60], stripes[:60]), "as far as what is in focus"
    assert seen[70:].std() < 0.5 * stripes.std()
    assert seen[80:120, 16:112].mean() == pytest.approx(stripes.mean(), abs=0.02), "no light is lost"


def test_fleet_is_of_one_piece():
    """Every number finds a car, the same one each time, the ends included."""
    shares = (0.0, 0.3, 0.999, 1.0)
    assert [pick(share).name for share in shares] == [pick(share).name for share in shares]
    assert pick(0.3) is pick(0.3) and pick(0.0) is not pick(1.0)
