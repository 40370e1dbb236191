"""Pictures of the page in every state: python -m tests.page.shots --out FOLDER.

Each state is one that a started ``carcloud serve`` is in. Where no machine can bring a camera into it on command
(stalled, reopening, back again), the camera, and nothing else, is one that a file directs (tests/page/camera.py).
"""

from __future__ import annotations

import argparse
import http.client
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from tests.page.browser import CHROMIUM, FLAGS, wait_for, wait_word
from tests.page.sheet import eyes, sheet, shrink

DEMO = Path(__file__).parents[2] / "edge" / "clips" / "demo.mp4"
#: What the page is looked at in, unless the picture is about the window.
WINDOW = {"viewport": {"width": 1280, "height": 720}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
LYING = {**PHONE, "viewport": {"width": 844, "height": 390}}
#: Milliseconds for what moves into place after a state's word is there.
SETTLE = 2500
#: Milliseconds in which the camera of the demo clip goes round its car.
WALK = 30000


class Running(NamedTuple):
    """A server that was started, the address of its page, and what it printed."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    def camera(self, word: str) -> None:
        (self.folder / "camera").write_text(word)


@contextmanager
def serving(*flags: str, camera: str = "") -> Iterator[Running]:
    """A real server. camera: the word its camera begins with, if it has one that a file directs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = ["-m", "tests.page.camera", str(folder / "camera")] if camera else ["-m", "edge"]
        (folder / "camera").write_text(camera)
        words = [sys.executable, *program, "serve", "--port", "0", *[flag.replace("FOLDER", name) for flag in flags]]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            yield Running(process, address(process), folder)
        finally:
            process.kill()
            process.wait()


def address(process: subprocess.Popen[str]) -> str:
    """The page's address, from what the server prints; the rest is read and dropped."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        found = re.search(r"page +(http\S+)", line)
        if found:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return found.group(1).replace("0.0.0.0", "127.0.0.1")
    raise SystemExit("the server ended before it served; it said:\n" + said)


class Studio:
    """A browser, one without WebGL, and where their pictures go."""

    def __init__(self, chromium: Any, flat: Any, folder: Path) -> None:
        self.chromium, self.flat, self.folder = chromium, flat, folder

    def open(self, url: str, webgl: bool = True, **options: Any) -> Any:
        """A page in a window of its own."""
        chromium = self.chromium if webgl else self.flat
        # Still, so that pictures of two runs can be compared.
        chosen = {"reduced_motion": "reduce", "color_scheme": "dark", **WINDOW, **options}
        page = chromium.new_context(**chosen).new_page()
        page.problems = []
        page.goto(url)
        return page

    def keep(self, page: Any, name: str) -> None:
        page.wait_for_timeout(SETTLE)
        self.take(page, name)
        page.context.close()

    def take(self, page: Any, name: str) -> None:
        """At once, and keep the page."""
        page.screenshot(path=self.folder / f"{name}.png")
        said = [page.text_content("#" + part) for part in ("word", "sentence", "hint")]
        print(f"{name}: {' | '.join(said)}", flush=True)


STATES: dict[str, Callable[[Studio], None]] = {}


def state(take: Callable[[Studio], None]) -> Callable[[Studio], None]:
    STATES[take.__name__] = take
    return take


def ready(page: Any, word: str = "live") -> Any:
    """The page once it says the word, and has a camera picture."""
    wait_word(page, word)
    wait_for(page, "document.getElementById('camera').naturalWidth > 0")
    return page


# ---- with a picture ----


@state
def live(studio: Studio) -> None:
    """In every window that people have."""
    with serving() as server:
        studio.keep(ready(studio.open(server.url)), "live")
        studio.keep(ready(studio.open(server.url, color_scheme="light")), "live-light")
        studio.keep(ready(studio.open(server.url, viewport={"width": 1920, "height": 1080})), "live-wide")
        studio.keep(ready(studio.open(server.url, **PHONE)), "live-phone")
        studio.keep(ready(studio.open(server.url, color_scheme="light", **LYING)), "live-lying")
        page = ready(studio.open(server.url, **PHONE))
        page.evaluate("document.querySelector('.panel').scrollIntoView()")
        studio.keep(page, "live-phone-below")


@state
def readme(studio: Studio) -> None:
    """The picture for the documents: a car that was walked round, and the cloud laid over the camera's picture."""
    with serving() as server:
        page = ready(studio.open(server.url, color_scheme="light", viewport={"width": 1280, "height": 760}))
        page.keyboard.press("o")
        page.wait_for_timeout(WALK)
        studio.keep(page, "page")


@state
def stereo(studio: Studio) -> None:
    """For red-cyan glasses, and on a phone that lies in a viewer."""
    with serving() as server:
        page = ready(studio.open(server.url, color_scheme="light"))
        page.keyboard.press("e")
        page.wait_for_timeout(WALK)
        studio.keep(page, "glasses")
        page = ready(studio.open(server.url, **LYING))
        page.tap("#stereo [data-mode=sides]")
        page.tap("#full")
        page.wait_for_timeout(WALK)
        wait_for(page, "document.getElementById('stage').classList.contains('bare')")
        studio.keep(page, "viewer")


@state
def https(studio: Studio) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make = [sys.executable, "-m", "edge", "certificate", "--out", folder]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        pair = ("--tls-cert", f"{folder}/carcloud-cert.pem", "--tls-key", f"{folder}/carcloud-key.pem")
        with serving(*pair) as server:
            studio.keep(ready(studio.open(server.url, ignore_https_errors=True)), "https")


@state
def frozen(studio: Studio) -> None:
    with serving() as server:
        page = ready(studio.open(server.url))
        page.keyboard.press("f")
        wait_word(page, "frozen")
        studio.keep(page, "frozen")


@state
def no_webgl(studio: Studio) -> None:
    with serving() as server:
        studio.keep(ready(studio.open(server.url, webgl=False)), "no-webgl")


@state
def no_car(studio: Studio) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip(Path(folder) / "street.avi", [street()] * 10)
        with serving("--source", f"file://{folder}/street.avi?loop=1") as server:
            studio.keep(ready(studio.open(server.url), "no car in view"), "no-car")


@state
def several_cars(studio: Studio) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip(Path(folder) / "cars.avi", [row_of_cars()] * 10)
        with serving("--source", f"file://{folder}/cars.avi?loop=1") as server:
            page = ready(studio.open(server.url))
            wait_for(page, "document.querySelectorAll('.car').length > 1")
            studio.keep(page, "several-cars")


@state
def ended(studio: Studio) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip(Path(folder) / "short.avi", frames(12))
        with serving("--source", f"file://{folder}/short.avi") as server:
            studio.keep(ready(studio.open(server.url), "source ended"), "source-ended")


# ---- the camera ----


@state
def opening(studio: Studio) -> None:
    """A camera that is not plugged in, and is waited for; no stand-in is needed."""
    with serving("--source", "v4l2:///dev/video9", "--wait-for-camera") as server:
        page = studio.open(server.url)
        wait_word(page, "opening")
        studio.keep(page, "opening")


@state
def stalled(studio: Studio) -> None:
    with serving(camera="live") as server:
        page = ready(studio.open(server.url))
        server.camera("silent")
        wait_word(page, "stalled")
        studio.take(page, "stalled")


@state
def reopening(studio: Studio) -> None:
    """Unplugged, plugged in again, and what is left of it in the page."""
    with serving(camera="live") as server:
        page = ready(studio.open(server.url))
        server.camera("gone")
        wait_word(page, "reopening")
        page.wait_for_timeout(SETTLE)
        studio.take(page, "reopening")
        server.camera("live")
        wait_word(page, "live")
        wait_for(page, "document.getElementById('errors').textContent.includes('is back')")
        studio.keep(page, "camera-back")


@state
def failed(studio: Studio) -> None:
    """A box that the pictures of the second half do not have: they are smaller."""
    with tempfile.TemporaryDirectory() as folder:
        for index, image in enumerate(frames(6)):
            small = image if index < 3 else cv2.resize(image, (160, 120))
            cv2.imwrite(f"{folder}/{index}.png", small)
        with serving("--source", f"dir://{folder}?fps=1", "--box", "200,100,200,150") as server:
            page = studio.open(server.url)
            wait_word(page, "failed")
            studio.keep(page, "failed")


# ---- the server ----


@state
def token(studio: Studio) -> None:
    """None, a wrong one, and too many wrong ones."""
    with serving("--host", "0.0.0.0", "--token-file", "FOLDER/token") as server:
        plain = server.url.partition("#")[0]
        page = studio.open(plain)
        wait_word(page, "token needed")
        studio.keep(page, "token-needed")
        page = studio.open(plain, **PHONE)
        wait_word(page, "token needed")
        studio.keep(page, "token-needed-phone")
        page = studio.open(plain + "#token=wrong")
        wait_word(page, "wrong token")
        studio.keep(page, "token-wrong")
        said = ""
        while not said.startswith("Too many"):  # one more is free every few seconds
            while ask(server.url, {"Authorization": "Bearer wrong"}) != 429:
                pass
            page = studio.open(plain + "#token=wrong")
            wait_word(page, "wrong token")
            said = page.text_content("#token-trouble")
        studio.keep(page, "token-guessed")


@state
def busy(studio: Studio) -> None:
    """Somebody else has the only place, and keeps it: there is nothing to give yet."""
    with serving("--source", "v4l2:///dev/video9", "--wait-for-camera", "--max-clients", "1") as server:
        threading.Thread(target=ask, args=(server.url, {}, "/api/v1/cloud?timeout=30"), daemon=True).start()
        time.sleep(1)
        page = studio.open(server.url)
        wait_word(page, "server busy")
        studio.keep(page, "server-busy")


@state
def away(studio: Studio) -> None:
    """The server dies while one looks, and is not there at all to begin with."""
    with serving() as server:
        page = ready(studio.open(server.url))
        server.process.kill()
        wait_word(page, "server away")
        studio.keep(page, "server-away")


def ask(url: str, headers: dict[str, str], path: str = "/api/v1/status") -> int:
    """The status of one request."""
    host = re.sub(r"^http://([^/]+)/.*$", r"\1", url)
    connection = http.client.HTTPConnection(host, timeout=40)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:  # the server was stopped meanwhile
        return 0


# ---- what the sources show ----


def frames(count: int) -> list[np.ndarray]:
    """The first pictures of the demo clip."""
    capture = cv2.VideoCapture(str(DEMO))
    images = [capture.read()[1] for _ in range(count)]
    capture.release()
    return images


def clip(path: Path, images: list[np.ndarray]) -> None:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (width, height))
    for image in images:
        writer.write(image)
    writer.release()


def street() -> np.ndarray:
    """Where no car is: sky, wall, asphalt."""
    image = np.full((480, 640, 3), (118, 116, 114), np.uint8)
    image[:180] = np.linspace((225, 190, 150), (235, 222, 208), 180)[:, None]
    image[180:235] = (92, 108, 118)
    noise = np.random.default_rng(1).normal(0, 5, image.shape)
    cv2.line(image, (300, 240), (120, 480), (210, 212, 214), 6)
    cv2.line(image, (350, 240), (560, 480), (210, 212, 214), 6)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def row_of_cars() -> np.ndarray:
    """The demo clip's car, twice, from two sides."""
    images = frames(40)
    return np.concatenate([images[0], images[39]], 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", default="", help="only the states with this in their name: " + ", ".join(STATES))
    parser.add_argument("--images", type=Path, help="also those for the documents, into this folder: docs/images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        driver = stack.enter_context(sync_playwright())
        studio = Studio(*[driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS + more)
                          for more in ([], ["--disable-3d-apis"])], options.out)  # fmt: skip
        began = time.monotonic()
        for name, take in STATES.items():
            if options.only in name:
                take(studio)
        if options.images:
            sheet(studio.chromium, options.out, options.images / "states" / "sheet.png")
            eyes(studio.chromium, options.out, options.images / "states" / "stereo.png")
            shrink((options.out / "page.png").read_bytes(), options.images / "page.png", 200)
        studio.chromium.close()
        studio.flat.close()
        print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
