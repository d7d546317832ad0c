"""A real Chromium, driven by Playwright; it is Debian's own, nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.analysis.outputs import Outputs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")


@dataclass
class Opened:
    """A page with all that it did: `events` has dialogs, errors, console messages and requests beyond the file."""

    page: Page
    events: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; skip without it, and fail if the environment says that these tests may not be skipped."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    missing = [] if found else ["chromium (on Debian or Ubuntu: apt-get install chromium)"]
    if importlib.util.find_spec("playwright") is None:
        missing.append("playwright (pip install 'persona-sweeps[dev]')")
    if found is None or missing:
        reason = f"no {' and no '.join(missing)} here"
        if "browser" in os.environ.get("PERSONA_SWEEPS_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a file; keywords are those of a browser context, such as `java_script_enabled=False`."""
    contexts = []

    def open_file(path: Path, fragment: str = "", **how: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        found = Opened(context.new_page())
        events, page, own = found.events, found.page, path.as_uri()
        page.on("dialog", lambda dialog: (events.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: events.append(f"error {error}"))
        page.on("console", lambda message: events.append(f"console {message.text}"))
        page.on("request", lambda asked: _beyond(asked.url, own) and events.append(f"request {asked.url}"))
        page.goto(own + fragment)
        return found

    yield open_file
    for context in contexts:
        context.close()


def _beyond(url: str, own: str) -> bool:
    return not url.startswith("data:") and url.partition("#")[0] != own


@pytest.fixture(scope="session")
def shared_outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    return Outputs(tmp_path_factory.mktemp("browser") / "outputs")
