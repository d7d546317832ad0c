"""The entry exam: a judge who can't name the speakers of real lines judges nothing."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.rating.answers import Answers
from analysis.rating.asking import Judge
from analysis.rating.endpoint import Endpoint
from analysis.rating.exam import ExamQuestion, ExamResult, draw_exam, examine, parse, without_names
from analysis.rating.exam_results import exam_section
from analysis.rating.real_lines import RealLine, lines_in
from analysis.rating.shares import share
from persona_sweeps.errors import UserError
from tests.analysis.rating.endpoints import SECRET, Server, garbage, guesses, knows

TELLS = {"Hamlet": "slings", "Ophelia": "flowers", "Horatio": "watchmen"}
Command = Callable[..., int]


def line_of(speaker: str, n: int) -> str:
    return f"{speaker}, give me {n} more {TELLS[speaker]} before the night is over."


def samples(reply: str, speakers: tuple[str, ...], scenes: int = 16) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{speaker}-{n}", "cluster": f"scene {n}", "persona": speaker, "prompt": f"Who's there? {n}",
            "reference": line_of(speaker, n), "prediction": f"{reply} {n}",
        }
        for speaker in speakers
        for n in range(scenes)
    ]  # fmt: skip


@pytest.fixture
def command(
    outputs: Any, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return the judge's command on a sheet of two runs, of which one always writes more."""
    monkeypatch.setenv("JUDGE_KEY", SECRET)

    def run(*arguments: str, speakers: tuple[str, ...] = tuple(TELLS)) -> int:
        key = tmp_path / "sheet-key.json"
        if not key.exists():
            for reply in ("a long reply", "short"):
                outputs.add_samples(outputs.run("lora"), samples(reply, speakers))
            made = ["rate", "make", "--items", "20", "--out", str(tmp_path / "sheet"), "--key", str(key)]
            assert main([*made, "--output-dir", str(outputs.root)]) == 0
            capsys.readouterr()
        common = ["judge", "--key", str(key), "--base-url", server.url, "--model", "m", "--key-env", "JUDGE_KEY"]
        common += ["--cache", str(tmp_path / "cache"), "--output-dir", str(outputs.root), "--retries", "0"]
        return main([*common, *arguments])

    return run


def test_a_judge_who_knows_the_speakers_is_heard_with_the_exam_beside_it(
    server: Server, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = knows(TELLS)
    assert command("--format", "json", "--out", str(tmp_path / "judge.csv")) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert "exam 39/39, 100 %" in table["title"] and table["sections"][0]["title"] == "entry exam"
    assert len(table["raw"]) == 6
    for row in table["raw"]:
        assert row["exam_accuracy"] == 1.0 and row["exam_low"] > 0.6 and row["exam_lines"] == 39
        assert row["exam_chance"] == row["exam_bar"] == pytest.approx(1 / 3) and row["judge"] == "m"
    assert command("--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out.strip())))
    assert {row["exam_accuracy"] for row in rows} == {"1.0"} and {row["win_rate"] for row in rows} == {"1.0", "0.0"}
    for form in ("md", "html", "latex"):
        assert command("--format", form) == 0
        out = capsys.readouterr().out
        assert "exam 39/39" in out and "PersonaEval" in out
    assert "exam 39/39" in (tmp_path / "judge.csv").read_text()
    assert command("--people", str(tmp_path / "judge.csv")) == 0
    assert "the judge against people" in capsys.readouterr().out


def test_a_second_call_asks_nothing_anew(server: Server, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    server.behaviour = knows(TELLS)
    assert command() == 0
    first = capsys.readouterr().out
    assert "79 requests, 0 answers from disk" in first and len(server.seen) == 79
    assert command() == 0
    again = capsys.readouterr().out
    assert "0 requests, 79 answers from disk" in again and len(server.seen) == 79
    assert again.replace("0 requests, 79", "79 requests, 0") == first


@pytest.mark.parametrize("form", ["md", "json", "csv", "html", "latex"])
def test_a_judge_who_guesses_is_not_heard_at_all(
    server: Server, command: Command, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = guesses
    out = tmp_path / "judge.csv"
    assert command("--format", form, "--out", str(out)) == 1
    shown = capsys.readouterr()
    assert len(server.seen) == 39, "no judgement is paid for"
    assert not out.exists() and not shown.err
    for word in ("win rate", "win_rate", "strength", "preferred", "consistent", "persona\n", "lora-1"):
        assert word not in shown.out
    if form != "csv":
        assert "failed its entry exam" in shown.out and "the bar" in shown.out
    asked = [json.loads(path.read_text())["question"] for path in (tmp_path / "cache").rglob("*.json")]
    assert all("speakers" in question["messages"][1]["content"] for question in asked)


def test_garbage_is_a_wrong_answer(server: Server, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    server.behaviour = garbage
    assert command("--exam-lines", "12") == 1
    out = capsys.readouterr().out
    assert "12 lines got no answer" in out and "0 % [0 %" in out and "win rate" not in out


def test_a_bar_may_be_higher_than_chance_but_not_lower(
    server: Server, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = knows(TELLS)
    assert command("--bar", "0.97") == 1
    assert "isn't above the bar, 97 %" in capsys.readouterr().out
    assert command("--bar", "0.01", "--format", "json") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert table["raw"][0]["exam_bar"] == pytest.approx(1 / 3)
    assert command("--bar", "69") == 2 and "--bar 69" in capsys.readouterr().err


def test_one_character_needs_a_file_with_lines_of_others(
    server: Server, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = knows(TELLS)
    assert command(speakers=("Hamlet",)) == 2
    shown = capsys.readouterr().err
    assert "as many by Hamlet as by another speaker" in shown and "16 of Hamlet: add lines with --exam FILE" in shown
    assert shown.count("\n") == 1 and not server.seen
    lines = [{"line": line_of("Ophelia", n), "speaker": "Ophelia", "scene": n // 2} for n in range(20)]
    (tmp_path / "others.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert command("--exam", str(tmp_path / "others.jsonl")) == 0
    out = capsys.readouterr().out
    assert "exam 32/32" in out and "Hamlet, Ophelia" in out and "50 %" in out


@pytest.mark.parametrize("text", ["[]", "{", '{"line": "Who is there tonight?"}', '{"line": 3, "speaker": "Hamlet"}'])
def test_a_line_of_the_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"line": "To be, or not to be.", "speaker": "Hamlet"}}\n\n{text}\n')
    with pytest.raises(
        UserError, match=r"lines.jsonl line 3 must be an object with the texts \"line\" and \"speaker\""
    ):
        lines_in(path)
    with pytest.raises(UserError, match="can't be read"):
        lines_in(tmp_path / "none.jsonl")


@pytest.mark.parametrize("status", [401, 302, 400])
def test_what_no_retry_mends_ends_it_without_telling_the_key(
    server: Server, command: Command, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behaviour = lambda given, n: (status, f"your key {SECRET} is wrong")
    assert command("--parallel", "1") == 2
    shown = capsys.readouterr()
    assert str(status) in shown.err and SECRET not in shown.err + shown.out and shown.err.count("\n") == 1


def test_lines_of_few_scenes_are_draws_of_their_own(server: Server, tmp_path: Path) -> None:
    server.behaviour = knows(TELLS)
    by = Judge(Endpoint(server.url, "m"), Answers(tmp_path))
    found = {}
    for scenes in (3, 12):
        lines = [RealLine(line_of(speaker, n), speaker, f"s{n % scenes}") for speaker in TELLS for n in range(13)]
        found[scenes] = examine(draw_exam(lines, ["Hamlet"], 40, 0), by, None)
    assert not found[3].by_scene and found[12].by_scene and found[3].has_passed
    plain = share([1.0] * 39, [str(n) for n in range(39)])
    assert found[3].accuracy == plain and plain.low is not None
    assert found[12].accuracy.low is not None and found[12].accuracy.low < plain.low
    assert "each line is taken as a draw" in exam_section(found[3]).notes[-1]


@pytest.mark.parametrize("offered", [2, 3, 4])
def test_who_guesses_passes_as_seldom_as_the_interval_says(offered: int) -> None:
    random = np.random.default_rng(offered)
    passed = 0
    for _ in range(1000):
        right = (random.random(40) < 1 / offered).astype(float).tolist()
        accuracy = share(right, random.integers(0, 15, 40).astype(str).tolist())
        passed += ExamResult("m", accuracy, 0, 0, (), True, 1 / offered, 1 / offered).has_passed
    assert 0.005 < passed / 1000 < 0.045


def drawn(
    counts: dict[str, int], count: int = 40, first: tuple[str, ...] = ("S0",), seed: int = 0
) -> list[ExamQuestion]:
    lines = [
        RealLine(f"this is line number {n} of {name}, my friends", name, f"scene {n}")
        for name, of_speaker in counts.items()
        for n in range(of_speaker)
    ]
    return draw_exam(lines, first, count, seed)


@pytest.mark.parametrize("speakers", range(2, 13))
def test_speakers_are_balanced_and_offered_in_random_order(speakers: int) -> None:
    questions = drawn({f"S{n}": 60 + n for n in range(speakers)})
    counts = Counter(question.speaker for question in questions)
    assert len(set(counts.values())) == 1 and 36 <= len(questions) <= 40 and "S0" in counts
    for question in questions:
        assert len(question.offered) == len(set(question.offered)) == min(4, speakers)
        assert question.speaker in question.offered and "S" not in question.text
    places = Counter(question.offered.index(question.speaker) for question in questions)
    assert len(places) == min(4, speakers) and max(places.values()) < 0.7 * len(questions)
    always = {name: sum(q.speaker == name for q in questions if name in q.offered) for name in counts}
    assert max(always.values()) <= len(questions) / len(counts)


def test_equal_seeds_give_equal_exams_and_the_judged_come_first() -> None:
    counts = {"S0": 12, "S1": 99, "S2": 99, "S3": 2}
    assert drawn(counts) == drawn(counts) and drawn(counts) != drawn(counts, seed=1)
    assert Counter(question.speaker for question in drawn(counts)) == {"S0": 12, "S1": 12, "S2": 12}
    assert "S3" in {question.speaker for question in drawn(counts | {"S3": 4}, first=("s3",), count=12)}


@pytest.mark.parametrize("counts", [{}, {"S0": 50}, {"S1": 50, "S2": 50}, {"S0": 3, "S1": 3}])
def test_too_few_lines_or_speakers_are_no_exam(counts: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"needs 10 lines of 5 words or more, as many by S0 as .*--exam FILE"):
        drawn(counts)


def test_short_lines_and_lines_of_two_speakers_are_left_out() -> None:
    lines = [
        RealLine(f"{name} speaks of thing number {n} at length", name, f"s{n}") for n in range(10) for name in "PQ"
    ]
    more = [
        RealLine("Ay, my lord.", "P", "s1"),
        *(RealLine("We all say this at the end.", name, "s2") for name in "PQ"),
    ]
    texts = {question.text for question in draw_exam([*lines, *more], ["P"], 40, 0)}
    assert len(texts) == 10 and not any("lord" in text or "We all" in text for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HAMLET: I am Hamlet the Dane.", "I am ___ the Dane."),
        ("Hamlet's mother, Mrs Gertrude", "___'s mother, ___"),
        ("I will ask Will, and Hamlets too.", "I will ask ___, and Hamlets too."),
        ("The Queen, a queen, and the King", "___, a queen, and the King"),
        ("Ask Chandler Bing or Bing.", "Ask ___ or ___."),
    ],
)
def test_names_are_masked_and_other_words_stay(text: str, expected: str) -> None:
    names = ["HAMLET", "Mrs Gertrude", "Will", "The Queen", "Chandler Bing"]
    assert without_names(text, names) == expected


QUESTION = ExamQuestion("a line", ("Hamlet", "Ophelia"), "Ophelia", "s")


@pytest.mark.parametrize(
    ("reply", "speaker"),
    [
        ('{"speaker": "B"}', "Ophelia"),
        ('I think {it}.\n```json\n{"speaker": "b"}```', "Ophelia"),
        ('{"speaker": "A"} no, {"speaker": "ophelia"}', "Ophelia"),
        ('{"speaker": "C"}', None),
        ('{"speaker": null}', None),
        ("B", None),
        ("{" * 5000, None),
    ],
)
def test_replies_are_read_by_letter_or_name(reply: str, speaker: str | None) -> None:
    assert parse(reply, QUESTION) == speaker
