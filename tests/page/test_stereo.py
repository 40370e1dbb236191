"""Two eyes in Chromium: red-cyan glasses, a half for each eye, and the page without its buttons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.models.gallery import write_gallery
from tests.edge.server.fake import car_cloud, result
from tests.page.browser import MARKS, changed_picture, settled_picture, wait_for
from tests.page.test_gallery import box, models

pytestmark = MARKS

LYING = {"width": 844, "height": 390, "is_mobile": True, "has_touch": True}
CHOSEN = "document.querySelector('#stereo [data-mode=%s]').getAttribute('aria-checked') === 'true'"
BARE = "document.getElementById('stage').classList.contains('bare')"
OPACITY = "Number(getComputedStyle(document.querySelector('.tools')).opacity)"


@pytest.fixture
def red_car(stage: Any, visit: Any) -> Any:
    """Opens pages that show one cloud, of a red car, which stays as it is."""
    made = result(1, car_cloud(6000, 0))
    cloud = made.reconstruction.cloud
    paint = np.tile(np.array([200, 20, 25], np.uint8), (len(cloud.points), 1))
    here = stage(quiet=True)
    here.hub.publish(made._replace(reconstruction=made.reconstruction._replace(cloud=cloud._replace(rgb=paint))))

    def open_it(width: int = 1000, height: int = 600, **options: Any) -> Any:
        page = visit(here.server.url, width, height, color_scheme="dark", **options)
        wait_for(page, "document.getElementById('points').textContent === '6,000'")
        return page

    return open_it


def hide_words(page: Any) -> None:
    """Leave the cloud alone in its picture: what is said over it changes with time."""
    page.evaluate("""document.querySelectorAll('.tools, #strip, #triad')
        .forEach((each) => { each.style.visibility = 'hidden'; })""")


def picture(page: Any) -> np.ndarray:
    """The cloud alone, (H, W, 3) int, BGR."""
    hide_words(page)
    return cv2.imdecode(np.frombuffer(settled_picture(page), np.uint8), cv2.IMREAD_COLOR).astype(int)


def ends(car: np.ndarray) -> np.ndarray:
    """Columns of the car's front, on the left and nearer than its middle, and of its rear, which is farther."""
    assert car.mean() > 0.02, "no car is to be seen"
    columns = np.nonzero(car)[1]
    return np.array([np.percentile(columns, 0.5), np.percentile(columns, 99.5)])


def assert_deep(left: np.ndarray, right: np.ndarray, width: int) -> None:
    """The car as the left and as the right eye sees it: what is near is crossed, what is far is not."""
    front, rear = ends(left) - ends(right)
    assert 1.5 < front < 0.05 * width and -0.05 * width < rear < -1.5


def test_one_eye_glasses_and_a_half_for_each_eye(red_car: Any) -> None:
    page = red_car()
    flat = picture(page)
    page.keyboard.press("e")
    wait_for(page, CHOSEN % "glasses")
    glasses = picture(page)
    red, green = glasses[..., 2] > 70, glasses[..., 1] > 70
    assert_deep(red, green, red.shape[1])
    assert np.median(glasses[red & green], 0)[1] > 0.6 * np.median(glasses[red & green], 0)[2], "for both eyes"
    assert np.abs(glasses[:20, :20] - flat[:20, :20]).max() < 12, "grey stays grey"
    page.keyboard.press("e")
    wait_for(page, CHOSEN % "sides")
    assert page.is_hidden("#triad"), "only one eye would see it"
    sides = picture(page)
    half = sides.shape[1] // 2
    assert sides[:, half - 4 : half - 2].max() == 0 and sides[:, half + 2 : half + 4].max() == 0, "a dark gap"
    assert sides[:, half - 1 : half + 1].max() > 60, "with a line in it"
    car = sides[..., 2] - sides[..., 1] > 50
    assert_deep(car[:, : half - 5], car[:, -(half - 5) :], half)
    page.keyboard.press("e")
    wait_for(page, CHOSEN % "flat")
    assert (picture(page) == flat).all(), "flat is as before"
    assert page.problems == []


def test_the_choice_is_made_by_keyboard_and_kept_for_the_tab(red_car: Any) -> None:
    page = red_car()
    page.focus("#stereo [data-mode=flat]")
    assert page.is_hidden("#stereo-words")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.mode") == "glasses"
    assert "cyan before the right" in page.text_content("#stereo-words")
    page.keyboard.press("ArrowRight")
    page.reload()
    wait_for(page, CHOSEN % "sides")
    assert "full screen" in page.text_content("#stereo-words")
    assert page.get_attribute("#stage", "data-stereo") == "sides"
    assert page.evaluate("[...document.querySelectorAll('#stereo [tabindex=\"0\"]')].length") == 1
    page.click("#stereo [data-mode=flat]")
    assert page.evaluate("sessionStorage.getItem('carcloud-stereo')") == "flat" and page.is_hidden("#stereo-words")


def test_on_a_lying_phone_the_buttons_leave_and_a_tap_brings_them_back(red_car: Any) -> None:
    page = red_car(**LYING)
    # They leave when the test says so: a busy machine might look away for as long as they stay.
    page.evaluate("""() => {
        const whole = window.setTimeout;
        window.setTimeout = (call, after, ...more) => {
            if (after !== 3000) return whole(call, after, ...more);
            window.leave = () => call(...more);
            return 0;
        };
    }""")
    page.tap("#stereo [data-mode=sides]")
    page.tap("#full")
    wait_for(page, "document.getElementById('stage').classList.contains('full')")
    assert page.evaluate("document.fullscreenElement.id") == "stage"
    wait_for(page, "document.getElementById('cloud').clientWidth === 844")
    assert not page.evaluate(BARE) and page.evaluate(OPACITY) == 1
    page.evaluate("window.leave()")
    wait_for(page, f"{BARE} && {OPACITY} === 0")
    page.touchscreen.tap(200, 120)
    wait_for(page, f"!{BARE} && {OPACITY} === 1")
    page.touchscreen.tap(600, 120)
    wait_for(page, f"{BARE} && {OPACITY} === 0")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    wait_for(page, f"{OPACITY} === 1")  # who has no finger on it comes to the buttons, too
    page.keyboard.press("x")
    wait_for(page, "document.fullscreenElement === null")
    wait_for(page, f"{OPACITY} === 1")
    assert page.problems == []


def test_where_there_is_no_full_screen_the_cloud_takes_the_window(red_car: Any) -> None:
    page = red_car(390, 844, is_mobile=True, has_touch=True)
    page.evaluate("Object.defineProperty(document, 'fullscreenEnabled', { value: false })")  # as on an iPhone
    page.tap("#full")
    wait_for(page, "document.getElementById('cloud').clientHeight === 844")
    assert page.get_attribute("#full", "aria-pressed") == "true"
    page.tap("#full")
    wait_for(page, "document.getElementById('cloud').clientHeight < 600")
    assert page.get_attribute("#full", "aria-pressed") == "false" and page.problems == []


HELD = """angles => window.dispatchEvent(
    new DeviceOrientationEvent("deviceorientation", { alpha: angles[0], beta: angles[1], gamma: angles[2] }))"""


def test_a_phone_turns_the_car_as_it_is_held(red_car: Any) -> None:
    page = red_car(**LYING)
    # A browser without the sensor says so once, at a time of its own; here the test is the sensor, and nobody is asked.
    page.evaluate("""() => {
        window.addEventListener("deviceorientation", (event) => {
            if (event.isTrusted) event.stopImmediatePropagation();
        }, true);
        DeviceOrientationEvent.requestPermission = undefined;
    }""")
    hide_words(page)
    before = settled_picture(page)
    page.check("#tilt")
    page.evaluate(HELD, [0, 0, -90])
    page.evaluate(HELD, [20, 0, -90])
    turned = changed_picture(page, before)
    page.uncheck("#tilt")
    page.evaluate(HELD, [60, 0, -90])
    assert settled_picture(page) == turned, "it is switched off"
    page.check("#tilt")
    page.evaluate(HELD, [None, None, None])
    assert not page.is_checked("#tilt")
    assert page.text_content("#sentence") == "This device does not tell how it is held."
    page.evaluate("() => { DeviceOrientationEvent.requestPermission = async () => 'denied'; }")
    page.click("#tilt")
    wait_for(page, "document.getElementById('sentence').textContent.includes('was not allowed')")
    page.evaluate("Object.defineProperty(window, 'isSecureContext', { value: false })")  # http from another machine
    page.click("#tilt")
    wait_for(page, "document.getElementById('sentence').textContent.includes('only over https')")
    assert not page.is_checked("#tilt") and page.problems == []


def test_the_gallery_shows_a_red_car_to_both_eyes(tmp_path: Path, visit: Any) -> None:
    path = tmp_path / "index.html"
    write_gallery(str(path), "Cars", "2 models.", models(tmp_path), [], box())
    page = visit(path.as_uri(), 1200, 800)
    page.select_option("#stereo", "anaglyph")
    page.wait_for_timeout(300)
    data = page.screenshot(clip=page.locator("#canvas").bounding_box())
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    back = shown[2, 2]
    blue, green, red = np.moveaxis(shown - back, -1, 0)
    car = blue < -60  # what is neither red nor green any more is no background
    assert car.mean() > 0.02, "no model is to be seen"
    assert np.median(shown[car][:, 1]) > 0.6 * np.median(shown[car][:, 2]), "red for the left eye, green for the right"
    assert np.ptp(back) < 20, "the background keeps its colour"
    assert (red - green > 40).any() and (green - red > 40).any(), "at its edges one eye sees what the other does not"
    assert page.problems == []
