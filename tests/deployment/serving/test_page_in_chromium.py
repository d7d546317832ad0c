"""The page in a real browser: choose, send, stream, stop, compare and vote; hostile text shows as text."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from torch import Tensor

from persona_sweeps.cli import main as commands
from persona_sweeps.deployment.serving.models import Models
from persona_sweeps.deployment.serving.running_batch import GrowingText, RunningBatch
from persona_sweeps.deployment.serving.settings import Settings
from tests.browser.conftest import browser, chromium  # noqa: F401  # fixtures

from .conftest import MOST, Server, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

REPORTED = "the server responded with a status of 400"
"""what the browser itself says of an error that the page shows"""
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def server(models: Models, tmp_path: Path) -> Iterator[Server]:
    with running(models, Settings(port=0, max_tokens=MOST, votes=tmp_path / "votes")) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:  # noqa: F811
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    opened = context.new_page()
    events: list[str] = []
    opened.on("dialog", lambda dialog: (events.append(f"dialog {dialog.message}"), dialog.dismiss()))
    opened.on("pageerror", lambda error: events.append(f"error {error}"))
    opened.on("console", lambda message: REPORTED in message.text or events.append(f"console {message.text}"))
    opened.on("request", lambda asked: None if asked.url.startswith(server.address) else events.append(asked.url))
    opened.goto(server.address)
    opened.locator("#first option").first.wait_for(state="attached")
    opened.locator("summary").click()
    opened.locator("#tokens").fill(str(MOST))
    opened.locator("#temperature").fill("0")
    yield opened
    context.close()
    assert events == []


def say(page: Page, text: str, answers: int) -> list[str]:
    """Send a message and return the answers so far, once so many are there."""
    page.locator("#message").fill(text)
    page.locator("#message").press("Enter")
    page.locator("#stop").wait_for(state="hidden")
    found = page.locator(".answer p").all_inner_texts()
    assert len(found) == answers
    return found


def test_a_conversation_goes_on_with_what_was_said(page: Page, models: Models) -> None:
    first = models.offered[0]
    assert page.locator("#card").input_value() == first.card
    (answer,) = say(page, HOSTILE, 1)
    assert page.locator(".you").inner_text() == HOSTILE
    asked = [{"role": "user", "content": HOSTILE}]
    decoding = {"method": "greedy", "max_new_tokens": MOST}
    assert answer == first.predictor.reply(asked, system=first.card, **decoding)
    _, second = say(page, "Go on.", 2)
    asked += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Go on."}]
    assert second == first.predictor.reply(asked, system=first.card, **decoding)
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".you").count() == 0


def test_an_answer_comes_in_pieces_and_can_be_stopped(
    page: Page, server: Server, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = RunningBatch.step

    def slowly(batch: RunningBatch) -> list[GrowingText]:
        time.sleep(0.2)
        return step(batch)

    page.locator("#first").select_option("base")
    monkeypatch.setattr(RunningBatch, "step", slowly)
    page.locator("#message").fill("Who's there?")
    page.locator("#send").click()
    page.locator(".answer p", has_text=re.compile(r"\S")).wait_for()
    page.locator("#stop").click()
    page.locator("#stop").wait_for(state="hidden")
    said = page.locator(".answer p").inner_text()
    base = models.find("base").predictor
    whole = base.reply("Who's there?", method="greedy", max_new_tokens=MOST)
    assert said and len(said) < len(whole) and whole.startswith(said)
    monkeypatch.undo()
    assert len(say(page, "Go on.", 2)) == 2


def test_what_a_model_writes_is_shown_and_never_acts(
    page: Page, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = models.offered[0].predictor.host.base.tokenizer(f"a {HOSTILE}", add_special_tokens=False)["input_ids"]
    assert len(tokens) <= MOST

    def write(batch: RunningBatch, logits: Tensor) -> list[int]:
        ends = min(models.offered[0].predictor.renderer().stop_token_ids)
        return [tokens[len(text.tokens)] if len(text.tokens) < len(tokens) else ends for text in batch.texts]

    monkeypatch.setattr(RunningBatch, "_choose", write)
    assert say(page, "x", 1) == [f"a {HOSTILE}"]
    assert page.locator("main img").count() == 0


def test_blind_votes_are_what_rate_read_takes(
    page: Page, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (server.models.offered[index].name for index in (0, 2))
    page.locator("#second").select_option(second)
    labels = {page.locator(f"#{side} option:checked").inner_text() for side in ("first", "second")}
    assert len(labels) == 2
    page.locator("#blind").check()
    page.locator("#rater").fill("Ann")
    for turn, choice in enumerate(("A", "tie", "B"), start=1):
        say(page, f"Speak to me. ({turn})", 2 * turn)
        assert page.locator(".answer b").all_inner_texts()[-2:] == ["A", "B"]
        page.locator(".vote button", has_text=choice).click()
        page.get_by_text("Your vote is recorded.").wait_for()
        shown = page.locator(".answer b").all_inner_texts()[-2:]
        assert [name[:3] for name in shown] == ["A: ", "B: "] and {name[3:] for name in shown} == labels
    folder = server.settings.votes
    assert folder is not None
    lines = [json.loads(line) for line in (folder / "votes.jsonl").read_text().splitlines()]
    assert [line["answer"] for line in lines] == ["A", "tie", "B"] and len(
        {line["conversation"] for line in lines}
    ) == 1
    assert "Speak to me. (1)" in lines[2]["prompt"]
    words = ["analyze", "rate", "read", str(folder / "votes-Ann.csv"), "--key", str(folder / "key.json")]
    monkeypatch.setattr("sys.argv", ["persona-sweeps", *words])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert first in printed and second in printed
    page.reload()
    page.locator("#first option").first.wait_for(state="attached")


def test_an_error_is_said_and_the_message_can_be_sent_again(page: Page) -> None:
    page.locator("#tokens").fill(str(MOST + 1))
    page.locator("#message").fill("x")
    page.locator("#send").click()
    page.get_by_text(f"is more than this server's {MOST}").wait_for()
    page.locator("#tokens").fill("2")
    assert len(say(page, "x", 2)) == 2


def test_a_small_screen_shows_all_of_it(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    say(page, "word" * 200, 1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
