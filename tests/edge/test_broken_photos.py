"""Photos as people have them: each is read as it should look, or refused with a sentence."""

import os
import re
from typing import Any

import numpy as np
import pytest

from edge.errors import ImageError
from edge.photosets import open_photos
from edge.runtime.images import read_image
from tests.edge.broken_tree import write_broken_tree


def test_every_photo_of_a_broken_tree_is_right_or_refused(tmp_path: Any) -> None:
    for name, expected in write_broken_tree(tmp_path).items():
        path = os.path.join(str(tmp_path), name)
        if expected.shape is None:
            with pytest.raises(ImageError, match=re.escape(expected.sentence)):
                read_image(path)
            continue
        image = read_image(path)
        assert image.shape == expected.shape + (3,) and image.dtype == np.uint8, name
        if expected.bgr is not None:
            middle = image[image.shape[0] // 2, image.shape[1] // 2].astype(int)
            assert np.abs(middle - expected.bgr).max() <= 3, name


def test_a_photo_taken_upright_is_turned_as_its_exif_says(tmp_path: Any) -> None:
    write_broken_tree(tmp_path)
    image = read_image(os.path.join(str(tmp_path), "unusual", "turned.jpg")).astype(int)
    blue, red = image[:, 5].mean(0), image[:, -5].mean(0)
    assert blue[0] > 200 > 50 > blue[2] and red[2] > 200 > 50 > red[0], "stored top is at the right"


def test_a_broken_tree_lists_its_photos_and_nothing_else(tmp_path: Any) -> None:
    expected = write_broken_tree(tmp_path)
    found = open_photos(str(tmp_path))
    assert {photo.name for photo in found.photos} == set(expected)
    assert {photo.group for photo in found.photos} == {"damaged", "unusual", "folder.jpg"}
    assert found.missing == [] and found.notes == []
