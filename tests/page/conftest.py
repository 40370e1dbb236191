"""A browser, pages in it, and servers for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.server.app import ServerSettings
from tests.page.browser import CHROMIUM, FLAGS, PATIENCE
from tests.page.stage import Stage


@pytest.fixture
def stage() -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(
        coloured: bool = False, quiet: bool = False, tls: Any = None, sight: Any = None, **settings: Any
    ) -> Stage:
        stages.append(Stage(ServerSettings(**settings), coloured, quiet, tls, sight))
        return stages[-1]

    yield make
    for each in stages:
        each.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One for all of these tests, and over with them: the event loop it keeps would be in the way of other tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="PAGE NOT TESTED: playwright is not installed")
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
