"""Point pictures and the contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.errors import SettingsError
from training.benchmark import cards, sheet
from training.benchmark.splat import BACKGROUND, draw_cloud

PAPER = np.round(BACKGROUND * 255).astype(int)


def ink(image: np.ndarray) -> np.ndarray:
    return np.abs(image.astype(int) - PAPER).max(axis=-1) > 8


def test_one_point_lands_where_geometry_says() -> None:
    # Seen from the car's left, the nose (+x) is on the left of the picture, up is up.
    image = draw_cloud(np.array([[0.5, 0, 0.1]]), (0, 1, 0), 230, 150, span=1.15, radius=0.01)
    rows, columns = np.nonzero(ink(image))
    assert columns.mean() == pytest.approx(115 - 0.5 * 200, abs=1) and rows.mean() == pytest.approx(75 - 20, abs=1)


def test_top_view_has_the_nose_on_the_left_as_the_side_view() -> None:
    image = draw_cloud(np.array([[0.5, 0.2, 0]]), (0, 0, 1), 230, 150, radius=0.01)
    rows, columns = np.nonzero(ink(image))
    assert columns.mean() == pytest.approx(15, abs=1) and rows.mean() == pytest.approx(75 + 40, abs=1)


def test_near_points_hide_far_ones() -> None:
    grid = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 80), [0.0], np.linspace(-0.1, 0.1, 40)), -1).reshape(-1, 3)
    low, high = grid * [1, 1, 0] + [0, 0.2, -0.2], grid * [1, 1, 0] + [0, -0.2, 0.2]
    both = draw_cloud(np.concatenate([low, high]), (0, 0, 1), 200, 120)
    again = draw_cloud(np.concatenate([high, low]), (0, 0, 1), 200, 120)
    assert np.abs(both.astype(int) - again).max() <= 2
    wall = np.concatenate([grid + [0, 0.2, 0.0], grid * [1, 1, 0.1] + [0, -0.2, 0.19]])
    seen = draw_cloud(wall[: len(grid)], (0, 1, 0), 200, 120)
    hidden = draw_cloud(np.concatenate([grid + [0, 0.2, 0], grid * 0.3 + [0, -0.2, 0]]), (0, 1, 0), 200, 120)
    assert ink(seen).sum() == ink(hidden).sum()


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((4, 3), np.nan), np.array([[40.0, 0.0, 0.0]])])
def test_nothing_to_see_is_the_empty_background(points: np.ndarray) -> None:
    image = draw_cloud(points, (1, 1, 1), 60, 40)
    assert image.shape == (40, 60, 3) and not ink(image).any()


def test_sheet_has_one_card_a_picture(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(0, 0.1, (200, 3))
    picture = np.full((40, 60, 3), 90, np.uint8)
    made = [sheet.Card(picture, points, f"car {i}", "F@1 12.3", (5, 5, 20, 20)) for i in range(5)]
    image = sheet.draw_sheet([*made, sheet.Card(picture, np.zeros((0, 3)), "none", "0 points")], "carcloud")
    assert image.width > 2 * sheet.CARD_WIDTH and image.height > 3 * sheet.PICTURE
    one = sheet.draw_sheet(made[:1], "carcloud")
    assert one.width < image.width
    sheet.save(image, tmp_path / "new" / "sheet.png")
    assert Image.open(tmp_path / "new" / "sheet.png").size == image.size
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_thumbnail_keeps_the_shape_and_draws_the_box() -> None:
    image = np.asarray(sheet.thumbnail(np.zeros((100, 200, 3), np.uint8), (0, 0, 100, 50)))
    assert image.shape == (sheet.PICTURE, sheet.PICTURE, 3)
    assert tuple(image[sheet.PICTURE // 4, sheet.PICTURE // 4]) == (255, 200, 40)
    assert tuple(image[2, 2]) == (232, 234, 239)


def test_photo_paths_spread_over_folders_and_keep_named_files(tmp_path: Path) -> None:
    for index in range(10):
        (tmp_path / f"{index}.jpg").write_bytes(b"x")
    named = tmp_path.parent / "named.jpg"
    got = cards.photo_paths([tmp_path, named], 6)
    assert [p.name for p in got] == ["named.jpg", "0.jpg", "2.jpg", "4.jpg", "6.jpg", "8.jpg"]
    assert len(cards.photo_paths([tmp_path], 0)) == 10


def test_boxes_are_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('{"a.jpg": [1, 2, 30, 40]}')
    assert cards.read_boxes(path) == {"a.jpg": (1.0, 2.0, 30.0, 40.0)}
    assert cards.read_boxes(None) == {}
    for text in ("[]", "{", '{"a.jpg": "wide"}', '{"a.jpg": 3}'):
        path.write_text(text)
        with pytest.raises(SettingsError, match="is no list of boxes .* it should read like"):
            cards.read_boxes(path)
    path.write_text('{"a.jpg": [1, 2, 3]}')
    with pytest.raises(SettingsError, match=r"gives a\.jpg no four numbers"):
        cards.read_boxes(path)
    with pytest.raises(SettingsError, match="cannot read the boxes in"):
        cards.read_boxes(tmp_path / "absent.json")
