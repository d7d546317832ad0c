"""TensorBoard itself, in a real browser: the runs of a sweep, their curves, and what was hostile as plain text."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import browser, chromium  # noqa: F401  # fixtures

pytestmark = pytest.mark.slow


@pytest.fixture
def board(recorded: Path, push: Callable[..., str]) -> Iterator[str]:
    """The address of a TensorBoard that shows the sweep."""
    push("--to", "tensorboard")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(recorded / "runs"), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            try:
                found = urllib.request.urlopen(f"{address}data/runs", timeout=5).read().decode()
            except OSError:
                found = ""
            if all(name in found for name in ("run-completed0", "run-pruned0000", "run-failed0000", "run-untuned000")):
                break
            assert server.poll() is None
            time.sleep(0.2)
        yield address
    finally:
        server.kill()
        server.wait()


def test_it_shows_the_runs_with_their_curves_and_samples_as_text(board: str, browser: Browser) -> None:  # noqa: F811
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(f"{board}#timeseries")
    for text in ("run-completed0", "run-pruned0000", "train_nll", "eval_nll"):
        expect(page.get_by_text(text).first).to_be_visible(timeout=60_000)
    page.goto(f"{board}#text")
    samples = page.get_by_text("to be or <b>not</b>")
    expect(samples.first).to_be_attached(timeout=60_000)
    page.close()
