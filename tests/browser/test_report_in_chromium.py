"""The report as people meet it: opened from disk in a real browser, sorted, filtered, read, and attacked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.report.text import name_of
from tests.analysis.outputs import Outputs
from tests.analysis.report_runs import HOSTILE, add_run
from tests.browser.conftest import Opened

Open = Callable[..., Opened]
POINTS = "#quality table"
BLEU = (0.2, None, 0.1, 0.3)


@pytest.fixture(scope="session")
def report(shared_outputs: Outputs) -> Path:
    """Twelve runs of four settings, studies, a failure with markup in its words, and a cell without a run."""
    outputs = shared_outputs
    ids = [
        add_run(outputs, place, hostile=place in (0, 1), change={"metrics.bleu": BLEU[place % 4]})
        for place in range(12)
    ]
    failure = {"type": "TrialError", "message": HOSTILE["script"], "traceback_tail": HOSTILE["end"]}
    ids.append(outputs.run("lora", None, status="failed", failure=failure, name="<b>bold</b>\u202ename"))
    names, params = ["one", "two"], {"peft.r": 8, "train.learning_rate": 1e-3}
    cells = [
        outputs.trial(name, number, 3 + (number * 7 % 9) / 10 + place, params, comparability_key="b" * 12)
        for place, name in enumerate(names)
        for number in range(9)
    ]
    cells += [{"overrides": [HOSTILE["image"]], "run_id": run_id, "state": "completed"} for run_id in ids]
    cells.append({"overrides": [HOSTILE["image"]], "run_id": "ffffffffff", "state": "planned"})
    outputs.study_sweep("demo", {name: {} for name in names}, cells)
    assert main(["report", "--sweep", "demo", "--output-dir", str(outputs.root)]) == 0
    return outputs.root / "sweeps" / "demo" / "report.html"


def named(hidden: str) -> str:
    """Return hostile text as a reader sees it, with hidden characters by name."""
    return re.sub("[\x00\x07\x1b\u2028\u202e\u2066\u2069\ufeff\ud800]", lambda found: name_of(found[0]), hidden)


def column(page: Opened, heading: str) -> list[str]:
    """Return a column of the points of quality against cost, from top to bottom."""
    table = page.page.locator(POINTS).first
    headings = table.locator("thead th").all_inner_texts()
    place = next(at for at, text in enumerate(headings) if text.strip("\u00a0↑↓ ").startswith(heading))
    return [row.locator("th, td").nth(place).inner_text() for row in table.locator("tbody tr").all()]


def test_nothing_is_run_fetched_or_complained_of(report: Path, opened: Open) -> None:
    found = opened(report)
    page = found.page
    for _ in range(2):
        page.locator("#transcripts-on").click()
    for details in page.locator("details > summary").all()[:60]:
        details.dispatch_event("click")
    page.wait_for_timeout(100)
    assert found.events == []
    assert "owned" not in page.title()
    assert page.locator("iframe, object, embed, link[rel=stylesheet], main script").count() == 0
    names = page.evaluate("[...document.querySelectorAll('*')].flatMap(n => n.getAttributeNames())")
    assert not any(name.lower().startswith("on") for name in names)


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_model_says_is_shown(kind: str, report: Path, opened: Open) -> None:
    found = opened(report)
    page = found.page
    page.locator(".chooser > summary").click()
    first = page.locator("#transcripts-runs input").first
    first.check()
    at = list(HOSTILE).index(kind)
    if at >= 10:
        page.locator("#transcripts-on").click()
    said = page.locator("#transcripts-page article").nth(at % 10).locator(".side:not(.reference) .text").first
    assert said.text_content() == named(HOSTILE[kind])
    assert said.bounding_box()["width"] < 1280  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert found.events == []


def test_without_javascript_the_first_page_reads_the_same(report: Path, opened: Open) -> None:
    with_it, without = opened(report).page, opened(report, java_script_enabled=False).page
    texts = "#transcripts-page .text"
    assert without.locator(texts).all_text_contents() == with_it.locator(texts).all_text_contents() != []
    assert "Without JavaScript" in without.locator("header").inner_text()
    rows = "#table-leaderboard tbody tr"
    assert without.locator(rows).all_inner_texts() == with_it.locator(rows).all_inner_texts() != []


def test_a_table_sorts_by_mouse_and_by_keyboard_and_says_so(report: Path, opened: Open) -> None:
    found = opened(report)
    page = found.page
    page.locator("#quality details:not([open]) > summary").evaluate_all("found => found.forEach(one => one.click())")
    before = column(found, "BLEU")
    heading = page.locator(f"{POINTS} thead th", has_text="BLEU").first
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    scores = column(found, "BLEU")
    known = [float(score) for score in scores if score != "–"]
    assert known == sorted(known) and len(known) > 2
    assert "–" not in scores[: len(known)], "what has no value stands last"
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    scores = column(found, "BLEU")
    assert [float(score) for score in scores if score != "–"] == sorted(known, reverse=True) and scores[-1] == "–"
    assert "BLEU" in page.locator("#announced").inner_text()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") is None and column(found, "BLEU") == before


def test_transcripts_are_filtered_paged_and_set_side_by_side(report: Path, opened: Open) -> None:
    from playwright.sync_api import expect

    page = opened(report).page
    count, items = page.locator("#transcripts-count"), page.locator("#transcripts-page article")
    assert count.inner_text() == "24 items." and items.count() == 10
    page.locator("#transcripts-persona").select_option(label="OPHELIA")
    assert count.inner_text() == "8 of 24 items." and items.count() == 8
    assert set(page.locator("#transcripts-page .persona").all_inner_texts()) == {"OPHELIA"}
    page.locator("#transcripts-persona").select_option(label="all")
    page.locator("#transcripts-find").fill("news is NUMBER 17")
    expect(items).to_have_count(1)
    assert page.locator("#transcripts-page mark").inner_text() == "news is number 17"
    page.locator("#transcripts-find").fill("")
    expect(items).to_have_count(10)
    page.locator(".chooser > summary").click()
    boxes = page.locator("#transcripts-runs input")
    for place in range(boxes.count()):
        if boxes.nth(place).is_enabled():
            boxes.nth(place).check()
    assert page.locator("#transcripts-runs input:checked").count() == 6
    assert items.first.locator(".side:not(.reference)").count() == 6
    assert page.locator("#transcripts-runs input:disabled").count() == boxes.count() - 6
    page.locator("#transcripts-on").click()
    assert page.locator("#transcripts-where").inner_text() == "page 2 of 3"


def test_training_curves_can_be_smoothed_and_seeds_drawn_as_a_band(report: Path, opened: Open) -> None:
    found = opened(report)
    page = found.page
    train, bands = page.locator("#curves-chart path.line.train"), page.locator("#curves-chart path.band")
    rough, count = train.first.get_attribute("d"), train.count()
    held = page.locator("#curves-chart path.line.held").first.get_attribute("d")
    slide = "(node, value) => { node.value = value; node.dispatchEvent(new Event('input')); }"
    page.locator("#curves-smooth").evaluate(slide, "0.9")
    page.wait_for_function(
        "before => document.querySelector('#curves-chart path.line.train').getAttribute('d') != before", arg=rough
    )
    assert train.count() == count and bands.count() == 0
    assert page.locator("#curves-chart path.line.held").first.get_attribute("d") == held, "it is evaluated on all items"
    page.locator("#curves-smooth").evaluate(slide, "0")
    page.wait_for_function(
        "before => document.querySelector('#curves-chart path.line.train').getAttribute('d') == before", arg=rough
    )
    page.locator("#curves-bands").check()
    assert 0 < train.count() < count and bands.count() > 0
    assert page.locator("#curves-chart path.line").count() >= bands.count()
    page.locator("#curves-none").click()
    assert bands.count() == 0 and "No curve is chosen" in page.locator("#curves-chart").inner_text()
    assert found.events == []


def test_curves_are_drawn_for_every_run_and_can_be_left_out(report: Path, opened: Open) -> None:
    page = opened(report).page
    lines = page.locator("#curves-chart path.line")
    assert lines.count() == 2 * 9  # an untuned base has no curve
    page.locator("#curves-runs input").first.uncheck()
    assert lines.count() == 2 * 8
    page.locator("#curves-held").uncheck()
    assert lines.count() == 8
    page.locator("#curves-none").click()
    assert "No curve" in page.locator("#curves-chart").inner_text()
    page.locator("#curves-find").fill("prompt tuning")
    page.locator("#curves-all").click()
    assert lines.count() == 3
    page.locator("#curves-axis").select_option("tokens")
    assert page.locator("#curves-chart svg").text_content().endswith("NLL (nats a token)")  # type: ignore[union-attr]
    page.locator("#curves-runs li:not([hidden])").first.hover()
    assert page.locator("#curves-chart path.lit").count() == 1


def test_a_point_of_the_front_leads_to_its_run(report: Path, opened: Open) -> None:
    page = opened(report).page
    points = page.locator("#quality-chart a")
    assert points.count() == 4
    on_front = page.locator("#quality-chart a[aria-label*='on the front']").first
    target = on_front.get_attribute("href")
    on_front.focus()
    assert page.locator("#quality-chart .tip").is_visible()
    page.keyboard.press("Enter")
    assert page.wait_for_function("location.hash && document.querySelector(location.hash).open")
    record = page.locator(f"{target} .files a", has_text="run.json").get_attribute("href")
    assert record is not None and (report.parent / record).resolve().is_file()
    page.locator("#quality-cost").select_option("training.trainable_parameters")
    assert points.count() == 4


def test_every_link_to_a_file_or_a_place_leads_somewhere(report: Path, opened: Open) -> None:
    page = opened(report).page
    hrefs = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert len(hrefs) > 40
    for href in set(hrefs):
        if href.startswith("#"):
            assert page.evaluate("id => document.getElementById(id) !== null", href[1:]), href
        else:
            assert (report.parent / href).resolve().is_file(), href


@pytest.mark.parametrize("width", [390, 820, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_width_and_can_be_read(width: int, scheme: str, report: Path, opened: Open) -> None:
    page = opened(report, viewport={"width": width, "height": 900}, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    low = page.evaluate(CONTRAST)
    assert low == []


CONTRAST = """() => {
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = new Set();
  const texts = "p, td, th, a, li, dt, dd, h1, h2, h3, h4, .text, .role, .hidden-character, figcaption, .state";
  for (const node of document.querySelectorAll(texts)) {
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.add(`${node.tagName}.${node.className}`);
  }
  return [...found];
}"""


def test_the_first_tab_skips_to_the_results_and_every_control_has_a_name(report: Path, opened: Open) -> None:
    page = opened(report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    nameless = page.evaluate(
        "[...document.querySelectorAll('input, select, button, [role=region], nav, img')].filter(n => !("
        "n.labels?.length || n.textContent.trim() || n.getAttribute('aria-label') || n.alt"
        " || document.getElementById(n.getAttribute('aria-labelledby')))).map(n => n.outerHTML)"
    )
    assert nameless == []
    assert page.locator("main, header nav").count() == 2 and page.locator("h1").count() == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(n => n.id)")
    assert len(ids) == len(set(ids))


def test_it_prints_all_of_a_page_of_transcripts(report: Path, opened: Open) -> None:
    page = opened(report).page
    page.emulate_media(media="print")
    assert not page.locator("#transcripts-controls .controls").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.text')).maxHeight") == "none"
    assert page.pdf()[:5] == b"%PDF-"


def test_on_paper_no_table_is_cut_off_and_no_note_stays_folded(report: Path, opened: Open) -> None:
    page = opened(report).page
    page.set_viewport_size({"width": 1031, "height": 703})  # what A4 across leaves between the margins
    page.emulate_media(media="print")
    wide = page.evaluate(
        "[...document.querySelectorAll('section:not(#runs) table')].filter(n => n.checkVisibility() && "
        "n.getBoundingClientRect().right > innerWidth + 1).map(n => n.caption?.textContent)"
    )
    assert wide == []
    folded = "document.querySelectorAll('details.notes:not([open])').length"
    before = page.evaluate(folded)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert before > 0 and page.evaluate(folded) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == before


def test_studies_rows_lead_to_their_runs(report: Path, opened: Open) -> None:
    page = opened(report).page
    row = page.locator("#table-hyperparameters tbody tr").first
    row.locator("summary").click()
    row.locator("a.id, .id a").first.click()
    assert page.wait_for_function("location.hash && document.getElementById(location.hash.slice(1)).open")
