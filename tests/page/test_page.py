"""The page in a real browser. Skipped, aloud, where one is missing."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
import pytest

from edge.server.hub import State
from tests.page.browser import (
    MARKS,
    changed_picture,
    coloured_share,
    settled_picture,
    stage_picture,
    wait_car,
    wait_for,
    wait_word,
)  # fmt: skip
from tests.page.stage import TOKEN

pytestmark = MARKS


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_live_page_shows_cloud_and_camera(stage: Any, visit: Any, scheme: str) -> None:
    url = stage(source="synthetic://car", bundle="tiny").server.url
    page = visit(url, 1100, 640, color_scheme=scheme)
    wait_word(page, "live")
    wait_for(page, "document.getElementById('camera').naturalWidth === 320")
    wait_for(page, "document.getElementById('source').textContent !== '–'")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    wait_car(page, 0.05)
    wait_for(page, "document.getElementById('rate').textContent !== '–'")
    assert page.text_content("#points") == "6,000" and page.text_content("#bundle") == "tiny"
    assert page.text_content("#rate").endswith("/s") and page.text_content("#age").endswith("ms")
    wait_for(page, "document.querySelectorAll('#bars li').length === 6")
    assert page.is_visible("#crop")
    assert page.problems == []


def test_phone_layout_has_no_sideways_scroll(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url, 390, 844, device_scale_factor=2, is_mobile=True, has_touch=True)
    wait_word(page, "live")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    wait_car(page, 0.03)
    inside = "e => { const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth; }"
    assert all(button.evaluate(inside) for button in page.locator("button:visible").all())
    assert page.problems == []


def test_controls(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url)
    wait_word(page, "live")
    page.keyboard.press("f")
    wait_word(page, "frozen")
    assert page.evaluate("document.documentElement.scrollWidth") == 880, "a long sentence must not widen the page"
    still = settled_picture(page)
    page.wait_for_timeout(600)
    assert stage_picture(page) == still
    keys = [functools.partial(page.keyboard.press, key) for key in ("ArrowRight", "+", "]", "g", "t", "r")]
    # An event of the page, not of the mouse: Chromium without a screen now and then never answers a wheel of the mouse,
    # and Playwright waits for that answer without end.
    wheel = functools.partial(page.dispatch_event, "#cloud", "wheel", {"deltaY": 300, "clientX": 300, "clientY": 200})
    for action in [*keys, wheel, lambda: page.click("#modes [data-mode=confidence]")]:
        page.mouse.move(300, 200)
        action()
        still = changed_picture(page, still)
    assert page.get_attribute("#modes [data-mode=confidence]", "aria-checked") == "true"
    assert page.is_disabled("#modes [data-mode=camera]")
    page.keyboard.press("f")
    wait_word(page, "live")
    assert page.problems == []


def test_drag_turns_and_stops_the_turning(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url, reduced_motion="no-preference")
    wait_word(page, "live")
    assert page.get_attribute("#spin", "aria-pressed") == "true"
    page.mouse.move(400, 300)
    page.mouse.down()
    page.mouse.move(500, 320, steps=4)
    page.mouse.up()
    assert page.get_attribute("#spin", "aria-pressed") == "false"


def test_save_ply_gives_the_cloud_in_hand(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url)
    wait_word(page, "live")
    page.click("#freeze")
    with page.expect_download() as waiting:
        page.click("#save")
    with open(waiting.value.path(), "rb") as handle:
        content = handle.read()
    head, body = content.split(b"end_header\n", 1)
    assert b"element vertex 6000" in head and len(body) == 6000 * 16
    rows = np.frombuffer(body, "<f4").reshape(-1, 4)
    assert np.abs(rows[:, :3]).max() <= 0.51 and waiting.value.suggested_filename.endswith(".ply")


def test_token_is_asked_for_and_kept_out_of_the_address(stage: Any, visit: Any) -> None:
    url = stage(token=TOKEN).server.url
    page = visit(url)
    wait_word(page, "token needed")
    page.fill("#token", "wrong")
    page.press("#token", "Enter")
    wait_word(page, "wrong token")
    assert page.text_content("#token-trouble") == "That is not the token of this server."
    page.wait_for_selector("#token-form:visible")
    page.fill("#token", TOKEN)
    page.press("#token", "Enter")
    wait_word(page, "live")
    assert page.is_hidden("#token-form") and TOKEN not in page.url
    page.close()
    other = visit(url + "#token=" + TOKEN)
    wait_word(other, "live")
    assert TOKEN not in other.url and other.problems == []
    other.reload()
    wait_word(other, "live")


def test_colours_of_the_picture_and_where_they_are_from(stage: Any, visit: Any) -> None:
    page = visit(stage(coloured=True).server.url)
    wait_word(page, "live")
    wait_for(page, "document.querySelector('#modes [data-mode=camera]').getAttribute('aria-checked') === 'true'")
    wait_for(page, "!document.getElementById('car-row').hidden")
    assert page.text_content("#car") == "sedan (70 %), 4.40 ± 0.22 m long, seen from 38° left of the front"
    page.keyboard.press("f")
    wait_word(page, "frozen")
    picture = cv2.imdecode(np.frombuffer(settled_picture(page), np.uint8), cv2.IMREAD_COLOR).astype(int)
    blue = (picture[..., 0] - picture[..., 2] > 80).mean()
    assert blue > 0.03, "the picture's own colour is shown"
    assert page.is_hidden("#marks")
    page.click("#modes [data-mode=seen]")
    assert page.locator("#marks li").all_text_contents() == ["seen", "mirrored", "filled"]
    picture = cv2.imdecode(np.frombuffer(settled_picture(page), np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert (picture[..., 2] - picture[..., 0] > 60).mean() > 0.005, "what was mirrored is orange"
    assert page.problems == []


def test_what_happens_to_the_stream_is_said_in_words(stage: Any, visit: Any) -> None:
    here = stage()
    page = visit(here.server.url)
    wait_word(page, "live")
    here.publishing.clear()
    here.hub.set_camera(State.REOPENING, "camera /dev/video0 was unplugged", "Trying again in 4 s")
    wait_word(page, "reopening")
    assert "unplugged. Trying again in 4 s" in page.text_content("#sentence")
    assert page.text_content("#points") == "6,000"
    here.hub.set_state(State.ENDED, "clip.mp4 ended after 90 frames")
    wait_word(page, "source ended")
    assert coloured_share(page) > 0.05, "the last cloud stays"
    here.close()
    wait_word(page, "server away")
    assert coloured_share(page) > 0.05, "the last cloud stays"


def test_without_webgl_the_rest_still_works(stage: Any, visit: Any, browser: Any) -> None:
    url = stage(coloured=True).server.url
    context = browser.new_context()
    context.add_init_script("""
        const whole = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind === "webgl2" ? null : whole.call(this, kind, ...more);
        };
    """)
    page = context.new_page()
    page.problems = []
    page.goto(url)
    wait_word(page, "live")
    assert "no WebGL 2" in page.text_content("#nothing-text") and page.is_enabled("#save")
    wait_for(page, "document.getElementById('camera').naturalWidth === 320")
    wait_for(page, "document.getElementById('overlay').width === 320")  # the cloud, over the camera picture
    assert page.is_hidden("#reset") and page.is_hidden("#modes") and page.is_checked("#over")
    assert page.problems == []
    context.close()


def test_strict_policy_is_obeyed(stage: Any, visit: Any) -> None:
    """Inline script must not run on this page, and the page itself must not need it."""
    page = visit(stage().server.url)
    wait_word(page, "live")
    assert page.problems == []
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.injected = true";
        document.body.append(script);
    }""")
    assert page.evaluate("window.injected") is None
    assert any("Content Security Policy" in problem for problem in page.problems)
