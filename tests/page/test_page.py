"""The page in a real browser: Chromium from PATH, driven by Playwright. Skipped, aloud, where one is missing."""

from __future__ import annotations

import functools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from edge.pose import Pose
from edge.runtime.colour import FILLED, MIRRORED, SEEN
from edge.runtime.outputs import BodyClass, Length
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub, State
from edge.server.serving import Server
from tests.edge.server.fake import car_cloud, result

playwright = pytest.importorskip("playwright.sync_api", reason="PAGE NOT TESTED: playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="PAGE NOT TESTED: no chromium on PATH; type: apt-get install chromium"),
    pytest.mark.slow,
]
FLAGS = [
    "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
TOKEN = "a-token-of-good-length"
#: Longest wait for the page to get somewhere, seconds.
PATIENCE = 60


class Stage:
    """A server whose hub gets five car clouds a second until it is stopped.

    coloured: as from a network that tells the pose: blue where it was seen, half of it, and facts of the car.
    """

    def __init__(self, settings: ServerSettings, coloured: bool = False) -> None:
        self.coloured = coloured
        self.hub = Hub()
        self.server = Server(create_app(self.hub, settings), port=0)
        self.server.start()
        self.publishing = threading.Event()
        self.publishing.set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.publish)
        self.thread.start()

    def publish(self) -> None:
        clouds = [car_cloud(6000, seed) for seed in range(4)]
        count = 0
        while not self.over.wait(0.2):
            if self.publishing.is_set():
                count += 1
                made = result(count, clouds[count % 4])
                self.hub.publish(coloured(made) if self.coloured else made)

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        self.hub.close()
        self.server.stop()


def coloured(made: Any) -> Any:
    """A result with colours, marks, pose, length and class."""
    cloud = made.reconstruction.cloud
    mark = np.where(cloud.points[:, 1] > 0, SEEN, np.where(cloud.points[:, 2] > 0, MIRRORED, FILLED)).astype(np.uint8)
    rgb = np.tile(np.array([20, 60, 220], np.uint8), (len(mark), 1))
    pose = Pose(38.0, 12.0, 0.0, 0.5, 0.5, 0.8, 0.2, 0.9)
    return made._replace(reconstruction=made.reconstruction._replace(
        cloud=cloud._replace(rgb=rgb, mark=mark), pose=pose, length=Length(4.4, 0.05),
        body_class=BodyClass("sedan", 0.7),
    ))  # fmt: skip


@pytest.fixture
def stage() -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(coloured: bool = False, **settings: Any) -> Stage:
        stages.append(Stage(ServerSettings(**settings), coloured))
        return stages[-1]

    yield make
    for each in stages:
        each.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    contexts = []

    def open_page(url: str, width: int = 880, height: int = 400, **options: Any) -> Any:
        # Small and still unless the test is about it: everything is drawn by the CPU here.
        options.setdefault("reduced_motion", "reduce")
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


def wait_for(page: Any, condition: str) -> None:
    """Until a JavaScript expression is true.

    Playwright's own wait evaluates strings inside the page, which the page's policy forbids.
    """
    end = time.monotonic() + PATIENCE
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"{condition} is not true; badge: {page.text_content('#state')}; {page.problems}"
        page.wait_for_timeout(50)


def wait_word(page: Any, word: str) -> None:
    """Until the badge says ``word``."""
    wait_for(page, f"document.getElementById('word').textContent === {word!r}")


def stage_picture(page: Any) -> bytes:
    """The part of the page that shows the cloud, as PNG. (A locator's screenshot waits for two drawn frames first.)"""
    return page.screenshot(clip=page.locator("#cloud").bounding_box())


def settled_picture(page: Any) -> bytes:
    """The cloud's picture once two in a row are alike: on a busy machine the last frame is drawn late."""
    end = time.monotonic() + PATIENCE
    last = stage_picture(page)
    while True:
        page.wait_for_timeout(300)
        now = stage_picture(page)
        if now == last:
            return now
        assert time.monotonic() < end, f"the picture never came to rest; badge: {page.text_content('#state')}"
        last = now


def coloured_share(page: Any) -> float:
    """Share of the canvas's pixels with a colour, i.e. neither grid nor ground nor shadow, all of which are grey."""
    data = np.frombuffer(stage_picture(page), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)
    return float(((picture.max(2) - picture.min(2)) > 50).mean())


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_live_page_shows_cloud_and_camera(stage: Any, visit: Any, scheme: str) -> None:
    url = stage(source="synthetic://car", bundle="tiny").server.url
    page = visit(url, 1280, 800, color_scheme=scheme)
    wait_word(page, "live")
    wait_for(page, "document.getElementById('camera').naturalWidth === 320")
    wait_for(page, "document.getElementById('source').textContent !== '–'")
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert coloured_share(page) > 0.05
    assert page.text_content("#points") == "6,000" and page.text_content("#bundle") == "tiny"
    assert page.text_content("#rate").endswith("/s") and page.text_content("#age").endswith("ms")
    wait_for(page, "document.querySelectorAll('#bars li').length === 6")
    assert page.is_visible("#crop")
    assert page.problems == []


def test_phone_layout_has_no_sideways_scroll(stage: Any, visit: Any) -> None:
    page = visit(stage().server.url, 390, 844, device_scale_factor=2, is_mobile=True, has_touch=True)
    wait_word(page, "live")
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert coloured_share(page) > 0.03
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
        page.wait_for_timeout(200)
        now = stage_picture(page)
        assert now != still
        still = now
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
    wait_word(page, "token needed")
    page.wait_for_selector("#token-form:visible")
    page.fill("#token", TOKEN)
    page.press("#token", "Enter")
    wait_word(page, "live")
    assert page.is_hidden("#token-form") and TOKEN not in page.url
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
    url = stage().server.url
    context = browser.new_context()
    context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page = context.new_page()
    page.problems = []
    page.goto(url)
    wait_word(page, "live")
    assert "no WebGL 2" in page.text_content("#nothing-text") and page.is_enabled("#save")
    wait_for(page, "document.getElementById('camera').naturalWidth === 320")
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
