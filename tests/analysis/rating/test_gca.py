"""CoSER's GCA on single replies: the formula, robust reading, and means by setting with the exam beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.rating.gca import DIMENSIONS, parse, score
from tests.analysis.rating.endpoints import Server, garbage, guesses, knows, reply
from tests.analysis.rating.test_exam import TELLS, samples

NONE: dict[str, list[Any]] = {name: [] for name in DIMENSIONS}
Command = Callable[..., int]


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(1, 9))
def test_the_score_is_the_paper_s(severities: list[int], turns: int) -> None:
    assert score(severities, turns) == pytest.approx(max(0, min(100 - (sum(severities) - 0.3 * turns) * 5, 100)))
    assert score([]) == 100 and score([1]) == 96.5 and score([5] * 5) == 0


@given(st.dictionaries(st.sampled_from(list(DIMENSIONS)), st.lists(st.integers(1, 5)), min_size=3), st.integers(0, 5))
@settings(max_examples=40)
def test_flaws_are_read_from_whatever_stands_around_them(severities: dict[str, list[int]], form: int) -> None:
    flaws = {name: [{"flaw": f"it, {n}}}", "severity": n} for n in found] for name, found in severities.items()}
    plain = json.dumps(flaws)
    texts = [
        plain,
        f"Let me {{see}}.\n```json\n{json.dumps(flaws, indent=2)}\n```\nDone {{}}.",
        json.dumps({name: {"flaws": found or None} for name, found in flaws.items()}),
        json.dumps({name: [f | {"severity": str(f["severity"])} for f in found] for name, found in flaws.items()}),
        json.dumps(NONE | {"anthropomorphism": [{"flaw": "a draft", "severity": 1}]}) + plain,
        plain.replace("}]", "},]"),
    ]
    found = parse(texts[form])
    assert found is not None
    assert {name: [severity for _, severity in of] for name, of in found.items()} == severities


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[1]", "{" * 5000, '{"a":' * 5000, json.dumps({"anthropomorphism": []}),
        *(json.dumps(NONE | {"anthropomorphism": [{"severity": bad}]}) for bad in (0, 6, 2.5, "high", None, True, [1])),
        json.dumps(NONE | {"anthropomorphism": ["dull"]}), json.dumps(NONE | {"anthropomorphism": "none"}),
        '{"anthropomorphism": [{"severity": NaN}], "character_fidelity": [], "storyline_consistency": []}',
    ],
)  # fmt: skip
def test_what_lists_no_flaws_is_no_answer(text: str) -> None:
    assert parse(text) is None


@pytest.fixture
def command(outputs: Any, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the judge's command on a Likert sheet: two seeds of one setting, and another setting."""

    def run(*arguments: str, design: str = "likert") -> int:
        key = tmp_path / "key.json"
        if not key.exists():
            for text, rank, seed in (("good", 8, 0), ("good", 8, 1), ("bad", 4, 0)):
                run_id = outputs.run("lora", None, {"config.peft.r": rank, "config.seed": seed})
                outputs.add_samples(run_id, samples(text, tuple(TELLS)))
            made = ["rate", "make", "--items", "12", "--design", design, "--out", str(tmp_path / "sheet")]
            assert main([*made, "--key", str(key), "--output-dir", str(outputs.root)]) == 0
            capsys.readouterr()
        common = ["judge", "--protocol", "gca", "--key", str(key), "--base-url", server.url, "--model", "m"]
        common += ["--cache", str(tmp_path / "cache"), "--output-dir", str(outputs.root), "--retries", "0"]
        return main([*common, *arguments])

    return run


def strict(given: dict[str, Any], _: int) -> tuple[int, str]:
    """A judge who finds a flaw of severity 2 in good replies, and in bad ones also two of 5, unlike the real line."""
    assert given["original"].split()[0].strip(",") == given["speaker"] and set(given["sentences"]) == set(DIMENSIONS)
    flaws = NONE | {"anthropomorphism": [{"flaw": "stiff", "severity": 2}]}
    if given["reply"].startswith("bad"):
        flaws |= {"storyline_consistency": [{"flaw": "another aim", "severity": 5}] * 2}
    return reply(json.dumps(flaws))


def test_settings_are_graded_over_their_seeds(
    server: Server, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = knows(TELLS, strict)
    assert command("--format", "json", "--out", str(tmp_path / "flaws.jsonl")) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    exam, graded = table["sections"]
    assert exam["title"] == "entry exam" and "exam 39/39" in table["title"]
    assert [(row[1], row[2]) for row in graded["rows"]] == [("0.0002", "24"), ("0.0002", "12")], (
        "two seeds of the better setting"
    )
    good, bad, *items = table["raw"]
    dimensions = {"anthropomorphism": score([2]), "character_fidelity": 100.0, "storyline_consistency": 100.0}
    assert good["gca"] == pytest.approx(sum(dimensions.values()) / 3) and len(good["run_ids"]) == 2
    assert bad["gca"] == pytest.approx((score([2]) + 100 + score([5, 5])) / 3)
    assert good["gca_low"] <= good["gca"] <= good["gca_high"] and len(items) == 36
    for row in (good, bad):
        own = [item["gca"] for item in items if item["setting"] == row["setting"]]
        assert row["gca"] == pytest.approx(sum(own) / len(own)) and row["exam_accuracy"] == 1.0
    lines = [json.loads(line) for line in (tmp_path / "flaws.jsonl").read_text().splitlines()]
    assert len(lines) == 36 and lines[0]["flaws"]["anthropomorphism"] == [{"flaw": "stiff", "severity": 2}]
    assert command("--format", "csv") == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out.strip())))) == 38
    assert command() == 0
    assert "0 requests, 75 answers from disk" in capsys.readouterr().out


def test_a_guesser_grades_nothing(server: Server, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    server.behaviour = guesses
    assert command() == 1
    out = capsys.readouterr().out
    assert "failed its entry exam" in out and "GCA" not in out and len(server.seen) == 39


def test_replies_without_a_grade_are_reported(
    server: Server, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = knows(
        TELLS, lambda given, n: garbage(given, n) if given["reply"][:3] == "bad" else strict(given, n)
    )
    assert command() == 0
    out = capsys.readouterr().out
    assert "12 replies have no grade, the last since: 3 replies that answer nothing" in out
    server.behaviour = knows(TELLS, garbage)
    assert command("--model", "other") == 1
    assert "36 replies have no grade" in capsys.readouterr().out


def test_what_gca_cannot_grade_is_said_before_anything_is_sent(
    server: Server, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--people", str(tmp_path / "none.csv")) == 2
    assert "--people answer other questions" in capsys.readouterr().err
    assert command("--output-dir", str(tmp_path / "elsewhere")) == 2
    assert "of 36 units there is none under --output-dir" in capsys.readouterr().err
    (tmp_path / "key.json").unlink()
    assert command(design="pairwise") == 2
    assert "make one with --design likert" in capsys.readouterr().err and not server.seen
