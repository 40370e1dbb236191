"""Every state that the page can be in: the words it shows, what to do about it, and that all of it can be read."""

from __future__ import annotations

import http.client
import shutil
from typing import Any

import pytest

from edge.runtime.following import Sight
from edge.runtime.tracking import Track
from edge.server import tls
from edge.server.hub import State
from tests.page.browser import MARKS, wait_for, wait_word
from tests.page.stage import TOKEN

pytestmark = MARKS

UNPLUGGED = "camera /dev/video0 was unplugged after 99 frames: its file is gone. Check its cable"
#: State of the stream: what the server says of it, what is done about it; what the page must hint at.
STATES = {
    State.STALLED: ("v4l2:///dev/video0 has given no picture for 5 s", "", "cable"),
    State.REOPENING: (UNPLUGGED, "Trying again in 4 s", "goes on by itself"),
    State.FAILED: ("box 200,100,200,150 lies outside the picture", "", "start the server again"),
}
WINDOWS = {"phone": (390, 844), "lying phone": (844, 390), "small phone": (667, 375), "tablet": (768, 1024),
           "wide": (1920, 1080)}  # fmt: skip


def sentence(page: Any) -> str:
    """What the strip says, and that it is there to be seen."""
    wait_for(page, "!document.getElementById('strip').hidden")
    return str(page.text_content("#sentence"))


def test_from_the_first_picture_to_the_end_of_the_stream(stage: Any, visit: Any) -> None:
    here = stage(quiet=True)
    here.hub.set_camera(State.OPENING, "there is no camera /dev/video0; this machine has none", "Trying again in 2 s")
    page = visit(here.server.url)
    wait_word(page, "opening")
    assert sentence(page) == "There is no camera /dev/video0; this machine has none. Trying again in 2 s."
    assert "goes on by itself" in page.text_content("#hint")
    assert page.get_attribute("#strip", "data-place") == "centre", "there is no cloud yet"
    assert page.text_content("#camera-word") == "waiting for the camera" and page.is_visible("#camera-word")
    assert page.is_disabled("#save")
    here.hub.set_camera(State.LIVE, "")
    here.show_street()
    wait_word(page, "no car in view")
    assert sentence(page) == "Nothing in the picture is taken for a car."
    assert "Point the camera at a car" in page.text_content("#hint")
    here.publishing.set()
    wait_word(page, "live")
    wait_for(page, "document.getElementById('quality').textContent !== 'off'")
    here.publishing.clear()
    for state, (said, then, hint) in STATES.items():
        if state is State.FAILED:
            here.hub.set_camera(State.LIVE, "")
            here.hub.set_state(state, said)
        else:
            here.hub.set_camera(state, said, then)
        wait_word(page, state.value)
        wait_for(page, f"document.getElementById('sentence').textContent.includes({said[1:]!r})")
        assert page.get_attribute("#strip", "data-place") == "top", "the last cloud stays in view"
        assert hint in page.text_content("#hint") and then in sentence(page)
        assert page.text_content("#camera-word") == "the last picture" and page.is_visible("#camera-word")
    here.hub.set_state(State.ENDED, "file:///clip.mp4 ended after 90 frames")
    wait_word(page, "source ended")
    wait_for(page, "document.getElementById('sentence').textContent === 'file:///clip.mp4 ended after 90 frames.'")
    assert "?loop=1" in page.text_content("#hint")
    assert page.problems == []


def test_a_camera_that_comes_back_is_an_event(stage: Any, visit: Any) -> None:
    here = stage()
    page = visit(here.server.url)
    wait_word(page, "live")
    wait_for(page, "document.getElementById('version').textContent !== '–'")
    assert page.is_hidden("#events-card"), "nothing has happened"
    here.hub.set_camera(State.REOPENING, UNPLUGGED, "Trying again in 4 s")
    wait_word(page, "reopening")
    here.hub.set_camera(State.LIVE, "v4l2:///dev/video0 is back after 6.1 s")
    wait_word(page, "live")
    wait_for(page, "document.getElementById('sentence').textContent === 'v4l2:///dev/video0 is back after 6.1 s.'")
    assert page.is_visible("#events-card")
    events = [row.text_content() for row in page.locator("#errors li").all()]
    assert "is back after 6.1 s" in events[0] and "unplugged" in events[1], "the newest first"
    assert page.text_content("#errors li time").count(":") == 2
    assert page.is_hidden("#camera-word")


def ask(url: str, token: str) -> int:
    """Status of a request with a token."""
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=60)
    connection.request("GET", "/api/v1/status", headers={"Authorization": "Bearer " + token})
    return connection.getresponse().status


def test_no_token_a_wrong_one_and_too_many(stage: Any, visit: Any) -> None:
    url = stage(token=TOKEN).server.url
    page = visit(url)
    wait_word(page, "token needed")
    assert page.is_visible("#token-form") and page.is_hidden("#token-trouble") and page.is_hidden("#strip")
    assert page.evaluate("document.activeElement.id") == "token"
    assert "--token-file" in page.text_content("#token-form")
    assert "token" in page.text_content("#camera-word")
    page.fill("#token", "wrong")
    page.press("#token", "Enter")
    wait_word(page, "wrong token")
    wait_for(page, "!document.getElementById('token-trouble').hidden")
    assert page.text_content("#token-trouble") == "That is not the token of this server."
    status = 0
    while status != 429:  # one more is free every few seconds, which a busy machine lets pass
        while ask(url, "wrong") != 429:
            pass
        page.fill("#token", "wrong too")
        with page.expect_response(lambda answer: "/api/v1/cloud" in answer.url) as waiting:
            page.press("#token", "Enter")
        status = waiting.value.status
    wait_for(page, "document.getElementById('token-trouble').textContent.startsWith('Too many wrong tokens')")
    page.fill("#token", TOKEN)
    page.press("#token", "Enter")
    wait_word(page, "live")
    assert page.is_hidden("#token-form")


def test_a_full_server_says_so_and_lets_in_later(stage: Any, visit: Any) -> None:
    here = stage(quiet=True)
    here.hub.max_waiting = 0
    page = visit(here.server.url)
    wait_word(page, "server busy")
    assert "clients wait already" in sentence(page) and "--max-clients" in page.text_content("#hint")
    here.hub.max_waiting = 32
    here.publishing.set()
    wait_word(page, "live")


def test_a_server_that_is_gone_and_comes_back(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url)
    wait_word(page, "live")
    gone = "**/*"
    page.route(gone, lambda route: route.abort())
    wait_word(page, "server away")
    assert "The last cloud stays" in sentence(page) and "carcloud serve" in page.text_content("#hint")
    page.unroute(gone)
    wait_word(page, "live")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: " + tls.INSTALL)
def test_over_https(stage: Any, visit: Any, tmp_path: Any) -> None:
    pair = tls.make_certificate(str(tmp_path), ["localhost", "127.0.0.1"])
    page = visit(stage(tls=tls.load_tls(*pair)).server.url, ignore_https_errors=True)
    wait_word(page, "live")
    assert page.url.startswith("https://") and page.problems == []


def test_several_cars_can_be_chosen_from(stage: Any, visit: Any) -> None:
    cars = (Track(2, (10, 60, 100, 80), 0.9, 5, 0.0), Track(7, (180, 60, 100, 80), 0.8, 5, 0.0))
    here = stage(sight=Sight(cars, 2, 9.0))
    page = visit(here.server.url)
    wait_for(page, "document.querySelectorAll('.car').length === 2")
    labels = [car.get_attribute("aria-label") for car in page.locator(".car").all()]
    assert labels == ["Car 2, followed", "Follow car 7"]
    page.click(".car[data-number='7']")
    wait_word(page, "live")
    assert here.followed == [7]


INSIDE = """() => [...document.querySelectorAll("#strip, .bar > *, .tools, .tools button, #triad text, .figures div")]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.id || element.className || element.textContent, element.getBoundingClientRect()])
    .filter(([, at]) => at.left < 0 || at.right > innerWidth + 0.5 || at.top < 0 || at.bottom > innerHeight)
    .map(([name]) => String(name))"""
OVERLAP = """() => {
    const at = (each) => document.querySelector(each).getBoundingClientRect();
    const [strip, tools, bar] = [at("#strip"), at(".tools"), at(".bar")];
    return strip.bottom > tools.top || strip.top < bar.bottom;
}"""


def test_a_long_sentence_fits_every_window(stage: Any, visit: Any) -> None:
    here = stage()
    page = visit(here.server.url)
    wait_word(page, "live")
    here.publishing.clear()
    here.hub.set_camera(State.REOPENING, UNPLUGGED, "Trying again in 30 s")
    wait_word(page, "reopening")
    for name, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(100)
        assert page.evaluate(INSIDE) == [], name
        assert not page.evaluate(OVERLAP), name
        assert page.evaluate("document.documentElement.scrollWidth") == width, name
    here.hub.set_camera(State.LIVE, "")
    here.show_street()
    wait_word(page, "no car in view")
    for name, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        tops = [page.locator(each).bounding_box()["y"] for each in ("#link", "#theme")]
        assert tops[0] == tops[1], f"{name}: the longest word breaks the bar"


def test_what_can_be_taken_away(stage: Any, visit: Any) -> None:
    url = stage(token=TOKEN).server.url
    page = visit(url + "#token=" + TOKEN, permissions=["clipboard-read", "clipboard-write"])
    wait_word(page, "live")
    wait_for(page, "!document.getElementById('save-picture').disabled")
    with page.expect_download() as waiting:
        page.click("#save-picture")
    with open(waiting.value.path(), "rb") as handle:
        assert handle.read(2) == b"\xff\xd8"
    assert waiting.value.suggested_filename.endswith(".jpg")
    page.click("#link")
    wait_for(page, "document.getElementById('sentence').textContent.startsWith('Copied: ')")
    assert page.evaluate("navigator.clipboard.readText()") == url.rstrip("/") + "/"
    # Over http from another machine browsers have no navigator.clipboard.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.evaluate("document.getElementById('sentence').textContent = ''")
    page.click("#link")
    wait_for(page, "document.getElementById('sentence').textContent.startsWith('Copied: ')")
    assert page.evaluate("document.querySelector('textarea')") is None
    page.click("#full")
    wait_for(page, "document.fullscreenElement?.id === 'stage'")
    page.keyboard.press("x")
    wait_for(page, "document.fullscreenElement === null")
    assert page.problems == []


def test_by_keyboard_and_for_screen_readers(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url)
    wait_word(page, "live")
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid", f"{order[-1]} shows no focus"
    assert order == ["link", "theme", "cloud", "reset", "spin", "freeze", "save", "full"]
    for live in ("state", "strip"):
        assert page.get_attribute("#" + live, "role") == "status"
    nameless = """[...document.querySelectorAll("button, input, canvas[tabindex]")]
        .filter((each) => each.checkVisibility())
        .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.length)).map((each) => each.id)"""
    assert page.evaluate(nameless) == []
    assert page.get_attribute("#spin", "aria-pressed") == "false", "who wants no motion gets none"
    assert page.evaluate("getComputedStyle(document.querySelector('.badge .dot')).animationName") == "none"
