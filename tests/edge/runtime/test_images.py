"""edge.runtime.images: whole pictures are read, damaged ones refused with a sentence."""

import os
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import ImageError, SourceError
from edge.runtime.images import is_cut, list_images, read_image
from tests.edge.helpers import picture, write_picture


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "webp", "ppm", "tif"])
def test_every_format_is_read(tmp_path: Any, extension: str) -> None:
    image = read_image(write_picture(str(tmp_path / ("a." + extension))))
    assert image.shape == (60, 80, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture()).mean() < 30


def test_grey_alpha_and_sixteen_bit_pictures_become_bgr_bytes(tmp_path: Any) -> None:
    for name, array in (
        ("grey.png", np.full((5, 6), 9, np.uint8)),
        ("alpha.png", np.full((5, 6, 4), 9, np.uint8)),
        ("deep.png", np.full((5, 6, 3), 9 * 257, np.uint16)),
    ):
        cv2.imwrite(str(tmp_path / name), array)
        image = read_image(str(tmp_path / name))
        assert image.shape == (5, 6, 3) and image.dtype == np.uint8 and (image == 9).all(), name


def test_names_that_are_not_ascii_are_read(tmp_path: Any) -> None:
    write_picture(str(tmp_path / "a.png"))
    os.rename(str(tmp_path / "a.png"), str(tmp_path / "Käfer 車.png"))
    assert read_image(str(tmp_path / "Käfer 車.png")).shape == (60, 80, 3)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cut_picture_is_refused_however_much_is_left(tmp_path: Any, extension: str, part: float) -> None:
    path = write_picture(str(tmp_path / ("a." + extension)))
    with open(path, "rb") as handle:
        content = handle.read()
    assert not is_cut(content)
    with open(path, "wb") as handle:
        handle.write(content[: int(len(content) * part)])
    with pytest.raises(ImageError, match="a.%s is cut short: its end is missing; copy it again" % extension):
        read_image(path)


def test_a_cut_jpeg_padded_with_zeros_is_refused() -> None:
    content = cv2.imencode(".jpg", picture())[1].tobytes()
    assert is_cut(content[: len(content) // 2] + bytes(len(content)))


def test_a_thumbnail_inside_a_cut_jpeg_does_not_hide_the_cut() -> None:
    thumbnail = cv2.imencode(".jpg", picture(16, 12))[1].tobytes()
    whole = cv2.imencode(".jpg", picture())[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    assert not is_cut(whole[:2] + segment + whole[2:])
    assert is_cut(whole[:2] + segment + whole[2:-40])


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Any) -> None:
    path = write_picture(str(tmp_path / "a.jpg"))
    with open(path, "ab") as handle:
        handle.write(b"maker's notes" * 10)
    assert read_image(path).shape == (60, 80, 3)


def test_a_progressive_jpeg_is_whole() -> None:
    done, content = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2])
    assert done and not is_cut(content.tobytes())


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "a.jpg is empty"),
        (b"hello, I am text", "a.jpg is no picture OpenCV can read; wanted is one of .jpg"),
        (b"\xff\xd8\xff\xe0\x00\x02nonsense", "a.jpg is"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Any, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=sentence):
        read_image(str(path))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Any) -> None:
    with pytest.raises(ImageError, match="there is no file .*none.jpg"):
        read_image(str(tmp_path / "none.jpg"))
    with pytest.raises(ImageError, match="is a folder, not a picture"):
        read_image(str(tmp_path))


def test_pictures_of_a_folder_come_in_counting_order(tmp_path: Any) -> None:
    for name in ("f10.png", "f2.PNG", "f1.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    assert list_images(str(tmp_path)) == ["f1.jpg", "f2.PNG", "f10.png"]


def test_names_that_mix_words_and_numbers_can_be_sorted(tmp_path: Any) -> None:
    for name in ("1.png", "a.png", "a1b.png", "2a.png"):
        (tmp_path / name).write_bytes(b"")
    assert len(list_images(str(tmp_path))) == 4


def test_an_empty_and_a_missing_folder_are_refused(tmp_path: Any) -> None:
    with pytest.raises(SourceError, match="holds no picture; wanted are .jpg .jpeg .png"):
        list_images(str(tmp_path))
    with pytest.raises(SourceError, match="there is no folder .*none; give a folder of pictures"):
        list_images(str(tmp_path / "none"))
