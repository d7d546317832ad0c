"""The report's file: self-contained, hostile text only as text, limits told, sizes sensible."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import random
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.read.results import RunResult
from analysis.read.selection import read_all
from analysis.report.curves import thin
from analysis.report.page import report
from analysis.report.quality import front
from analysis.report.runs import chart_results, link
from analysis.report.tabulated import sort_key
from analysis.report.text import _HIDDEN, embedded, linked, plain, shown
from analysis.report.transcripts import LONGEST, read_transcripts
from tests.analysis.outputs import Outputs
from tests.analysis.report_runs import HOSTILE, add_run, items

VOID = {"meta", "link", "br", "img", "input"}


class Elements(HTMLParser):
    """The elements of a page, checking that they are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.inside.setdefault(self.open[-1], []).append(data)


def page_of(outputs: Outputs, **how: Any) -> str:
    return report(read_all(outputs.root), outputs.root / "report.html", **how).html.decode("utf-8")


def test_hostile_text_everywhere_leaves_the_page_as_it_would_be(outputs: Outputs, tmp_path: Path) -> None:
    def build(root: Path, evil: bool) -> Elements:
        made = Outputs(root)
        words = list(HOSTILE.values()) if evil else ["plain words"] * len(HOSTILE)
        for number, said in enumerate(words):
            change = {"config.dataset.persona": said, "config.model.name": said, "config.peft.target_modules": said}
            change |= {"provenance.git_commit": said, "metrics.bleu": 0.1}
            add_run(made, number, count=3, steps=3, change=change)
            failure = {"type": said, "message": said, "traceback_tail": said}
            made.run("lora", None, status="failed", failure=failure)
        page = page_of(made)
        assert not _HIDDEN.search(page.replace("\r", "")), "a hidden character reached the page as itself"
        return Elements(page)

    evil, tame = build(tmp_path / "evil", True), build(tmp_path / "tame", False)
    for name in ("script", "style", "iframe", "link", "svg", "img", "meta", "form"):
        assert evil.names.count(name) == tame.names.count(name), name
    assert {(tag, name) for tag, name, _ in evil.attributes} <= {(tag, name) for tag, name, _ in tame.attributes}
    assert evil.open == tame.open == []
    for _, name, value in evil.attributes:
        assert not name.startswith("on") and "javascript:" not in value


def test_the_policy_admits_the_pages_own_script_and_style_alone(outputs: Outputs) -> None:
    add_run(outputs, 1)
    page = Elements(page_of(outputs))
    (policy,) = [v for tag, name, v in page.attributes if tag == "meta" and name == "content" and "default-src" in v]
    assert policy.startswith("default-src 'none'; img-src data:; ") and "unsafe" not in policy
    for kind, place in (("style", 0), ("script", -1)):
        content = page.inside[kind][place]
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy
    assert not any(name == "style" for _, name, _ in page.attributes)
    addresses = [value for _, name, value in page.attributes if name in ("href", "src")]
    assert all(value.startswith(("#", "data:", "runs/", "sweeps/")) for value in addresses)


@given(st.text())
def test_shown_text_reads_as_it_was_and_holds_no_markup(text: str) -> None:
    found = str(shown(text))
    assert not _HIDDEN.search(found)
    bare = re.sub('<span class="hidden-character">(.*?)</span>', r"\1", found)
    assert "<" not in bare and html.unescape(bare) == plain(text)


@given(st.recursive(st.text() | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
def test_embedded_json_is_that_json_and_cannot_end_its_element(value: Any) -> None:
    found = str(embedded(value))
    assert not re.search("[<>&\u2028\u2029]", found) and found.isascii()
    assert json.loads(found) == value


def test_run_ids_are_linked_where_they_stand_alone() -> None:
    found = str(linked("run abc123, xabc123 <abc123> def456", {"abc123": "run-abc123"}))
    assert found.count('href="#run-abc123"') == 2 and "&lt;" in found and "def456" in found


def test_every_row_of_a_study_leads_to_the_runs_that_it_comes_from(outputs: Outputs) -> None:
    params = {"peft.r": 8, "train.learning_rate": 1e-3}
    cells = [outputs.trial("a", number, 3.0 + number, params) for number in range(9)]
    cells.append(outputs.trial("a", 9, None, params, "pruned"))
    final = outputs.run("lora", 9.0, comparability_key="t" * 12)
    cells.append({"study": "a", "trial": 0, "final": True, "seed": 1, "run_id": final})
    outputs.study_sweep("s", {"a": {}}, cells)
    (studies,) = re.findall(r'<section id="table-hyperparameters".*?</section>', page_of(outputs), re.DOTALL)
    by_title = {}
    for part in studies.split("<table")[1:]:
        title, body = part.partition("<tbody>")[::2]
        rows = re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
        by_title[plain_title(title)] = [re.findall(r'href="#run-(\w+)"', row) for row in rows]
    trials = [cell["run_id"] for cell in cells[:10]]
    assert by_title.pop("winners") == [[final]]
    assert by_title.pop("importance") == [[], []], "of all trials alike"
    slices = by_title.pop("slices")
    assert trials in slices and all(set(row) <= set(trials) for row in slices)
    assert list(by_title.values()) == [[trials]]


def plain_title(text: str) -> str:
    """Return the kind of section by its caption."""
    kinds = {"Winners": "winners", "Importance": "importance", "Slices": "slices"}
    return next((kind for word, kind in kinds.items() if word in text), "studies")


def test_a_folder_of_any_name_is_linked_by_a_relative_path(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / 'javascript:alert(1)"><b>#?%\n'
    found = link(folder / "run.json", tmp_path / "sweeps" / "a" / "report.html")
    assert found.startswith("../../runs/javascript%3A") and not set(found) & set('"<>#?\n ')


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("4.21 ± 0.10 [4.00, 5.00]", 4.21), ("460,800", 460800), ("1.20 M", 1.2e6), ("14.0 k", 14000), ("2e-05", 2e-5),
        ("-8.1 %", -8.1), ("−8.1 %", -8.1), ("+10.8 %", 10.8), ("1–3", 1), ("61 (cpu)", 61), ("–", None),
        ("none", None), ("inf", None), ("50×", 50), (".5", 0.5), ("1 kg", 1),
    ],
)  # fmt: skip
def test_a_cell_sorts_by_its_first_number(text: str, key: float | None) -> None:
    assert sort_key(text) == (None if key is None else pytest.approx(key))


@given(st.lists(st.tuples(st.integers(0, 6) | st.none(), st.integers(0, 6) | st.none()), max_size=12), st.booleans())
def test_the_front_is_what_no_other_beats(points: list[tuple[int | None, int | None]], less: bool) -> None:
    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        worth = [(cost, value if less else -value) for cost, value in (one, other)]
        return worth[0] != worth[1] and worth[0][0] <= worth[1][0] and worth[0][1] <= worth[1][1]

    known = {place: (c, v) for place, (c, v) in enumerate(points) if c is not None and v is not None}
    expected = {place for place, at in known.items() if not any(beats(other, at) for other in known.values())}
    found = front([cost for cost, _ in points], [value for _, value in points], less)
    assert set(found) == expected and len(found) == len(expected)
    assert [known[place][0] for place in found] == sorted(known[place][0] for place in found)


@given(st.integers(1, 3000), st.integers(8, 200), st.integers(0, 9))
def test_thinned_curves_keep_ends_peaks_and_held_out_losses(count: int, most: int, seed: int) -> None:
    draw = random.Random(seed)
    rows: list[dict[str, float]] = [{"step": step, "train_nll": draw.gauss(3, 1)} for step in range(count)]
    held = rows[:: max(1, count // 3)]
    for row in held:
        row["eval_nll"] = 2.0
    kept = thin(rows, most)
    assert len(kept) <= 2 * most + 1
    assert [row["step"] for row in kept] == sorted({row["step"] for row in kept})
    for wanted in (rows[0], rows[-1], *(pick(rows, key=lambda row: row["train_nll"]) for pick in (min, max))):
        assert wanted in kept
    assert all(row in kept for row in held) or len(held) > most // 2


def test_items_are_told_apart_by_what_was_asked_and_repeats_are_kept(outputs: Outputs) -> None:
    keys = ({}, {"comparability_key": "bbbbbbbbbbbb"})
    ids = [add_run(outputs, place, count=4, change=key) for place, key in enumerate(keys, start=1)]
    rows = items(4, 3.0, 7)
    rows[0]["prompt"] = "asked otherwise"
    outputs.add_samples(ids[1], [*rows, rows[1]])
    found = read_transcripts(read_all(outputs.root).results, 50)
    assert len(found.items) == 6 and list(found.said[0]) == [0, 1, 2, 3]
    assert list(found.said[1]) == [4, 1, 2, 3, 5]
    assert found.items[4].prompt[0].text == "asked otherwise" and found.items[5] == found.items[1]


def test_what_is_left_out_is_noted(outputs: Outputs) -> None:
    ids = [add_run(outputs, place, count=9, change={"metrics.completion_ppl": None}) for place in range(3)]
    rows = items(9, 3.0, 1)
    rows[0] |= {"prediction": "x" * (LONGEST + 7), "completion_nll": float("nan")}
    rows[1] |= {"prediction": None}
    rows[2] |= {"prediction": ["not", "text"], "prompt": {"odd": 1}, "persona": None}
    outputs.add_samples(ids[0], rows)
    with outputs.samples(ids[1]).open("r+b") as file:
        file.write(b"\xff{broken")
    (outputs.folder(ids[2]) / "history.jsonl").write_text("[1]\n[" * 9, encoding="utf-8")
    results = read_all(outputs.root).results
    found = read_transcripts(results, 5)
    noted = " ".join(found.notes)
    assert "line 1 is not JSON" in noted and "12 more" in noted and "1 text longer" in noted
    of_first = found.said[[result.run_id for result in results].index(ids[0])]
    said = [answer for _, answer in sorted(of_first.items(), key=lambda at: found.items[at[0]].id)]
    assert said[0].text is not None and said[0].text.endswith("… (7 more characters)") and said[0].scores[0] is None
    assert said[1].text is None and said[2].text == '["not", "text"]'
    assert "history.jsonl: line 1 is not an object" in page_of(outputs)
    few = read_transcripts(results, 5, budget=500)
    assert sum(map(bool, few.said)) < 3 and "have no transcripts here" in few.notes[-1]


def test_the_command_writes_where_it_says_and_explains_what_it_cannot(
    outputs: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--output-dir", str(outputs.root)]
    assert main(["report", *where]) == 1 and "make demo" in capsys.readouterr().err
    outputs.sweep("demo", [add_run(outputs, place) for place in range(3)])
    assert main(["report", "--sweep", "demo", *where]) == 0
    page = outputs.root / "sweeps" / "demo" / "report.html"
    assert f"Wrote {page} (3 runs," in capsys.readouterr().out and page.read_bytes().startswith(b"<!doctype html>")
    assert main(["report", *where, "--samples", "2"]) == 0
    assert "The first 2 items of each run" in (outputs.root / "report.html").read_text(encoding="utf-8")
    assert main(["report", "--sweep", "dmeo", *where]) == 2 and "Did you mean demo?" in capsys.readouterr().err
    assert main(["report", *where, "--samples", "-1"]) == 2


def test_a_sweep_whose_file_is_broken_is_still_reported(outputs: Outputs) -> None:
    add_run(outputs, 1)
    outputs.write("sweeps/demo/sweep.json", "{")
    assert main(["report", "--sweep", "demo", "--output-dir", str(outputs.root)]) == 0
    page = (outputs.root / "sweeps" / "demo" / "report.html").read_text(encoding="utf-8")
    assert "demo/sweep.json" in page and "not JSON" in page


def test_runs_that_failed_alone_make_a_report(outputs: Outputs) -> None:
    outputs.run("lora", None, status="failed", failure={"type": "TrialError", "message": "loss is NaN"})
    outputs.run("lora", None, status="running")
    page = page_of(outputs)
    assert "loss is NaN" in page and "still running" in page and 'id="curves"' not in page


@pytest.mark.slow
def test_two_hundred_runs_make_a_page_of_a_few_megabytes_in_seconds(outputs: Outputs) -> None:
    for place in range(200):
        add_run(outputs, place, count=24, steps=300)
    selection = read_all(outputs.root)
    began = time.process_time()
    for path in outputs.root.glob("runs/**/*.jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line)
    plain = time.process_time() - began
    made = report(selection, outputs.root / "report.html")
    assert time.process_time() - began - plain < 40 * plain, "a small multiple of reading what it shows"
    print(f"{(time.process_time() - began - plain) / plain:.1f} times plain reading")
    assert len(made.html) < 8e6 and made.items == 24


def test_ids_that_look_like_one_another_have_their_own_places() -> None:
    from analysis.report.runs import anchors

    ids = ["a b", 'a"b', "0123456789", "-1", "1", "<script>", "x" * 100]
    found = anchors([RunResult(run_id, "completed", Path("."), {}) for run_id in ids])
    assert len(set(found.values())) == len(ids)
    assert all(re.fullmatch("[0-9A-Za-z_-]+", anchor) for anchor in itertools.chain(found.values()))


def test_a_run_has_one_name_in_the_curves_whatever_its_evaluations(outputs: Outputs) -> None:
    run_id = outputs.run()
    outputs.evaluate(run_id, {"rougeL": 0.3}, number=1)
    charted = chart_results(read_all(outputs.root).results, outputs.root / "report.html")
    assert len({one.name for one in charted}) == 2 and len({one.run for one in charted}) == 1
    assert "evaluation" not in charted[0].run and all(one.data()["run"] == one.run for one in charted)
