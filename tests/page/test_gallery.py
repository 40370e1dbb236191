"""The gallery of ``carcloud models`` in Chromium, from disk: it turns its models, sorts them, and needs no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.geometry import Cloud
from edge.models.gallery import Entry, write_gallery
from edge.models.template import Surface, Template
from edge.models.work import Order, model_files, write_files
from tests.page.browser import CHROMIUM, FLAGS, MARKS, PATIENCE, wait_for

pytestmark = MARKS


def box() -> Template:
    """A template that is a box of eight corners, each going along with one point of a cloud of eight."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.2, 0.2) for z in (-0.15, 0.15)], np.float32)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))], np.int32)
    surface = Surface(corners, triangles, np.arange(8, dtype=np.int32)[:, None], np.ones((8, 1), np.float32))
    return Template(corners, surface, surface, np.arange(8, dtype=np.int32))


def models(folder: Path) -> list[Entry]:
    """A group and its two photos, one red and one blue; the red one is the surer."""
    template, entries = box(), []
    for name, rgb, sure, members in (("cars", (200, 0, 0), 0.8, ["p0", "p1"]), ("red car", (220, 0, 0), 0.7, []),
                                     ("a blue one", (0, 0, 220), 0.4, [])):
        cloud = Cloud(template.mean, np.full(8, sure, np.float32), np.tile(np.array(rgb, np.uint8), (8, 1)))
        stem = str(folder / "photos" / name)
        record = {"kind": "group" if members else "photo", "group": "cars", "confidence": sure,
                  "size_m": [4.1, 1.8, 1.4], "directions": 2,
                  "pose": None if members else {"azimuth": 40.0, "elevation": 5.0}}  # fmt: skip
        files = model_files(cloud, template, Order(), [])
        files[".photo.jpg"], files[".json"] = files[".poster.jpg"], json.dumps(record).encode()
        write_files(stem, files)
        entries.append(Entry(f"p{len(entries) - 1}" if entries else "g0", name, record, stem, name + ".jpg", members))
    return entries


@pytest.fixture
def gallery(tmp_path: Path, visit: Any) -> Any:
    path = tmp_path / "index.html"
    write_gallery(str(path), "My <cars>", "2 models of 3 photos.", models(tmp_path), ["c.jpg: no car found"], box())

    def open_it(**options: Any) -> Any:
        asked: list[str] = []
        page = visit(path.as_uri(), 1200, 800, **options)
        page.on("request", lambda request: asked.append(request.url))
        page.asked = asked
        wait_for(page, "document.querySelectorAll('.card').length === 3")
        return page

    return open_it


def colour(page: Any) -> np.ndarray:
    """Mean BGR of what is coloured in the view."""
    data = page.screenshot(clip=page.locator("#view").bounding_box())
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).reshape(-1, 3).astype(int)
    strong = picture[np.ptp(picture, axis=1) > 60]
    assert len(strong) > 1000, "no model is to be seen"
    return strong.mean(0)


def titles(page: Any) -> list[str]:
    return list(page.locator(".card .title").all_text_contents())


def test_it_shows_what_is_chosen_and_what_is_known_of_it(gallery: Any) -> None:
    page = gallery()
    assert page.text_content("h1") == "My <cars>" and page.text_content("#counts") == "2 models of 3 photos."
    assert page.text_content("#name") == "cars"
    told = page.text_content("#facts")
    assert "4.10 × 1.80 × 1.40 m" in told and "2 photos, from 2 of 24 directions" in told and "80 %" in told
    assert colour(page)[2] > 100
    page.locator("#members button").nth(1).click()
    wait_for(page, "document.getElementById('name').textContent === 'a blue one'")
    assert "the front left, 5° above the horizon" in page.text_content("#facts")
    assert colour(page)[0] > 100
    assert page.text_content("#skipped summary") == "1 photo without a model"
    assert page.problems == [] and page.asked == []


def test_it_sorts_and_filters(gallery: Any) -> None:
    page = gallery()
    assert titles(page) == ["cars", "a blue one", "red car"]
    page.select_option("#sort", "confidence")
    assert titles(page) == ["cars", "red car", "a blue one"]
    page.select_option("#which", "one model a photo")
    page.select_option("#sort", "name")
    assert titles(page) == ["a blue one", "red car"]
    assert page.text_content("#name") == "red car"  # the first when the group went, and still in the list
    page.select_option("#which", "one model a class")
    assert titles(page) == ["cars"]


def test_keys_turn_it_and_two_eyes_see_it(gallery: Any) -> None:
    page = gallery()
    before = page.screenshot(clip=page.locator("#view").bounding_box())
    page.focus("#canvas")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert page.screenshot(clip=page.locator("#view").bounding_box()) != before
    page.select_option("#stereo", "sides")
    page.wait_for_timeout(300)
    data = page.screenshot(clip=page.locator("#canvas").bounding_box())
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    strong = np.ptp(picture, axis=2) > 60
    half = strong.shape[1] // 2
    left, right = strong[:, :half].sum(), strong[:, half:].sum()
    assert min(left, right) > 500 and abs(left - right) < 0.1 * left
    assert page.problems == []


def test_without_webgl_the_turntable_stands_in(tmp_path: Path, browser: Any) -> None:
    path = tmp_path / "index.html"
    write_gallery(str(path), "Cars", "2 models.", models(tmp_path), [], box())
    flat = [flag for flag in FLAGS if "swiftshader" not in flag] + ["--disable-gpu", "--disable-3d-apis"]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=flat)
    try:
        page = other.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("#strip", state="visible", timeout=1000 * PATIENCE)
        assert page.evaluate("document.getElementById('strip').naturalWidth") > 1000
        assert not page.is_visible("#canvas") and not page.is_visible("#buttons")
    finally:
        other.close()
