"""Chromium from PATH, driven by Playwright, and what is asked of a page in it."""

from __future__ import annotations

import shutil
import time
from typing import Any

import cv2
import numpy as np
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Of each module with tests in a browser.
MARKS = [
    pytest.mark.skipif(CHROMIUM is None, reason="PAGE NOT TESTED: no chromium on PATH; type: apt-get install chromium"),
    pytest.mark.slow,
]
FLAGS = [
    "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
#: Longest wait for the page to get somewhere, seconds.
PATIENCE = 60


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


def changed_picture(page: Any, before: bytes) -> bytes:
    """The cloud's picture as soon as it is another one than before."""
    end = time.monotonic() + PATIENCE
    while True:
        now = stage_picture(page)
        if now != before:
            return now
        assert time.monotonic() < end, f"the picture does not change; badge: {page.text_content('#state')}"
        page.wait_for_timeout(50)


def wait_car(page: Any, share: float) -> None:
    """Until so much of the canvas has a colour."""
    end = time.monotonic() + PATIENCE
    while coloured_share(page) <= share:
        assert time.monotonic() < end, f"no car is drawn; badge: {page.text_content('#state')}; {page.problems}"
        page.wait_for_timeout(50)


def coloured_share(page: Any) -> float:
    """Share of the canvas's pixels with a colour, i.e. neither grid nor ground nor shadow, all of which are grey."""
    data = np.frombuffer(stage_picture(page), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)
    return float(((picture.max(2) - picture.min(2)) > 50).mean())
