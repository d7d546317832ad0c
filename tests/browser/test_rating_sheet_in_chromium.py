"""The rating sheet in a real browser: answered by keyboard, saved, and read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.rating.design import PAIRWISE, Key, Unit
from analysis.rating.reading import read
from analysis.rating.sheet import to_html

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\u202e" + "x" * 10_000
KEY = Key(
    PAIRWISE,
    0,
    tuple(Unit(f"u{n}", f"i{n}", f"s{n}", "Hamlet <b>", "line\n" * 60, ("a", "b"), (HOSTILE, "")) for n in range(3)),
    {"a": "one", "b": "two"},
)


def test_answers_by_keyboard_come_back_as_they_were_given(opened: Callable[..., Any], tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    sheet.write_text(to_html(KEY), encoding="utf-8")
    found = opened(sheet, accept_downloads=True)
    page = found.page
    page.get_by_label("Your name or initials").fill('Ann "=1" B')
    page.get_by_role("button", name="Next open question").press("Enter")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Next open question").press("Enter")
    page.keyboard.press("ArrowRight")
    assert page.locator("#progress").inner_text() == "2 of 9 answered"
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").press("Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    ratings = read([saved], KEY)
    assert [(r.rater, r.unit.unit, r.question, r.answer) for r in ratings.ratings] == [
        ('Ann "=1" B', "u0", "persona", "A"),
        ('Ann "=1" B', "u0", "coherence", "tie"),
    ]
    assert not ratings.problems and [event for event in found.events if not event.startswith("request blob:")] == []


def test_a_sheet_shows_hostile_text_and_needs_a_name_to_be_saved(opened: Callable[..., Any], tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    sheet.write_text(to_html(KEY), encoding="utf-8")
    found = opened(sheet, viewport={"width": 390, "height": 800})
    page = found.page
    assert "<script>alert(1)</script>" in page.locator(".reply pre").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    prompt = page.locator(".prompt").first
    assert prompt.evaluate("e => e.scrollTop + e.clientHeight >= e.scrollHeight - 1 && e.scrollTop > 0")
    page.get_by_role("button", name="Save as CSV").click()
    assert page.evaluate("document.activeElement.id") == "rater"
    assert found.events == []
