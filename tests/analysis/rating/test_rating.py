"""Rating sheets: blinded, balanced, read back to the same answers; and what the tables say of them."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.rating.design import LIKERT, PAIRWISE, Key, chosen, draw, key_from_json
from analysis.rating.reading import read
from analysis.rating.sheet import answers_csv, to_csv, to_html
from analysis.read.results import RunResult
from analysis.read.selection import read_all
from persona_sweeps.errors import UserError

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\x1b"


def add_samples(outputs: Any, run_id: str, replies: list[str], prompt: str = "Who's there?") -> None:
    lines = [
        {
            "id": f"i{n}",
            "cluster": f"scene {n // 2}",
            "persona": "Hamlet",
            "prompt": f"{prompt} {n}",
            "prediction": text,
        }
        for n, text in enumerate(replies)
    ]
    outputs.add_samples(run_id, lines)


@pytest.fixture
def runs(outputs: Any) -> list[RunResult]:
    """Three runs that replied to 24 items of 12 scenes; two replies of the first two are equal."""
    for method in ("lora", "prompt_tuning", "none"):
        run_id = outputs.run(method)
        add_samples(outputs, run_id, ["same" if n < 2 and method != "none" else f"{method[0]} {n}" for n in range(24)])
    return list(read_all(outputs.root).results)


def rated(key: Key, rater: str, prefer: str) -> str:
    """Return the sheet of a rater who prefers one run wherever it stands, and else says tie."""
    answers = {}
    for unit in key.units:
        answer = "tie" if prefer not in unit.runs else "AB"[unit.runs.index(prefer)]
        answers[unit.unit] = dict.fromkeys(("persona", "coherence", "engagement"), answer)
    return answers_csv(key, rater, answers)


def test_every_pair_meets_in_every_item_with_sides_balanced(runs: list[RunResult]) -> None:
    key = draw(runs, 24, PAIRWISE, seed=0).key
    sides = Counter(unit.runs for unit in key.units)
    for one, other in sides:
        assert abs(sides[one, other] - sides[other, one]) <= 1
    assert len(key.units) + len(key.ties) == 3 * 24 and len(key.ties) == 2
    met = Counter((unit.item, frozenset(unit.runs)) for unit in key.units)
    assert set(met.values()) == {1}
    assert [unit.item for unit in key.units] != sorted(unit.item for unit in key.units)


def test_equal_seeds_give_equal_sheets_and_other_seeds_others(runs: list[RunResult]) -> None:
    assert draw(runs, 9, PAIRWISE, 3).key == draw(runs, 9, PAIRWISE, 3).key
    assert len({draw(runs, 9, PAIRWISE, seed).key.hash for seed in range(4)}) == 4


@pytest.mark.parametrize("design", [PAIRWISE, LIKERT])
def test_a_sheet_tells_no_run(runs: list[RunResult], design: str) -> None:
    key = draw(runs, 24, design, 0).key
    for text in (to_csv(key), to_html(key)):
        for result in runs:
            assert result.run_id not in text and str(result.get("name")) not in text
        assert key.sheet in text and key.hash in text
    assert key_from_json(key.to_json(), "key") == key


def test_hostile_replies_are_shown_and_start_no_formula(outputs: Any) -> None:
    for reply in (HOSTILE, "=1+1"):
        add_samples(outputs, outputs.run(), [reply])
    key = draw(list(read_all(outputs.root).results), 1, PAIRWISE, 0).key
    page = to_html(key)
    assert "<img" not in page and page.count("<script>") == 1 and "[U+202E][U+001B]" in page
    (row,) = csv.DictReader(io.StringIO(to_csv(key)))
    assert {row["reply A"], row["reply B"]} == {HOSTILE, "'=1+1"}


def test_items_that_were_asked_otherwise_are_left_out_and_told(outputs: Any) -> None:
    first, second = outputs.run(), outputs.run(change={"comparability_key": "bbbbbbbbbbbb"})
    add_samples(outputs, first, ["a", "b"])
    add_samples(outputs, second, ["c", "d"], prompt="Another?")
    results = list(read_all(outputs.root).results)
    with pytest.raises(UserError, match="no item in common"):
        draw(results, 2, PAIRWISE, 0)
    add_samples(outputs, second, ["c"])
    drawn = draw(results, 5, PAIRWISE, 0)
    assert len(drawn.key.units) == 1 and len(drawn.notes) == 2


def test_prompts_of_two_families_are_shown_in_the_shortest_form(outputs: Any) -> None:
    for prompt in ("<|im_start|>system Who's there?", "Who's there?"):
        add_samples(outputs, outputs.run(), [prompt[:3]], prompt=prompt)
    drawn = draw(list(read_all(outputs.root).results), 1, PAIRWISE, 0)
    assert drawn.key.units[0].prompt == "Who's there? 0" and "differently" in drawn.notes[0]


def test_two_evaluations_of_one_run_are_rated_apart_and_one_without_texts_is_left_out(outputs: Any) -> None:
    run_id = outputs.run()
    outputs.evaluate(run_id, {"completion_nll": 3.0}, {"evaluation.predictions": {"n": {"kind": "nll"}}}, number=1)
    add_samples(outputs, run_id, ["a", "b"])
    (only,) = chosen(read_all(outputs.root).scored(), [])
    sampled = outputs.run("none")
    outputs.configs[sampled]["generation"] = {"method": "nucleus"}
    more = outputs.evaluate(sampled, {"rougeL": 0.2}, number=1)
    add_samples(outputs, sampled, ["c", "d"])
    other = outputs.samples(sampled).with_name(f"{more}.samples.jsonl")
    other.write_text(outputs.samples(sampled).read_text().replace('"c"', '"e"'))
    key = draw(chosen(read_all(outputs.root).scored(), []), 2, PAIRWISE, 0).key
    assert only.run_id == run_id and len(key.names) == 3
    assert {f"{sampled}/{more}", f"{sampled}/{outputs.samples(sampled).name.split('.')[0]}", run_id} == set(key.names)


def test_a_run_preferred_wherever_it_stands_wins_all(runs: list[RunResult], tmp_path: Path, capsys: Any) -> None:
    key = draw(runs, 24, PAIRWISE, 0).key
    (best,) = [result.run_id for result in runs if result.get("config.peft.method") == "none"]
    (tmp_path / "key.json").write_text(key.to_json())
    sheets = []
    for rater in ("ann", "bob"):
        sheets.append(tmp_path / f"{rater}.csv")
        sheets[-1].write_text(rated(key, rater, best))
    assert main(["rate", "read", *map(str, sheets), "--key", str(tmp_path / "key.json"), "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    first = table["raw"][0]
    assert first["run_id"] == best and first["win_rate"] == 1.0 and first["win_rate_low"] < 1
    assert first["won"] == 2 * 48 and first["lost"] == 0
    assert any("Firth" in note for note in table["sections"][0]["notes"])
    agreement = table["sections"][-1]["rows"][0]
    assert agreement[1:4] == ["2", str(len(key.units)), "1.000"]
    assert agreement[4].startswith("50 %")
    # The other two met in ties alone, two of them unseen.
    assert {row["tied"] for row in table["raw"][1:3]} == {2 * 24}


def test_rows_that_cannot_be_used_are_told_with_file_and_line(runs: list[RunResult], tmp_path: Path) -> None:
    key = draw(runs, 2, PAIRWISE, 0).key
    head = f"{key.sheet};{key.hash}"
    rows = [
        "sheet;key;rater;unit;persona;coherence;engagement;remark",
        f"{head};ann;u0001;a;TIE;=;fine",
        f"{head};ann;u0002;C;;left;",
        f"{head};ann;u9999;A;A;A;",
        f"{head};ann;u0001;B;tie;;",
    ]
    path = tmp_path / "ann.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    found = read([path], key)
    assert [(r.unit.unit, r.question, r.answer) for r in found.ratings] == [
        ("u0001", "persona", "A"),
        ("u0001", "coherence", "tie"),
        ("u0001", "engagement", "tie"),
        ("u0002", "engagement", "A"),
    ]
    assert [problem.partition(": ")[0] for problem in found.problems] == [f"{path} line {n}" for n in (3, 4, 5)]
    assert found.blank == 2


def test_another_key_or_a_changed_one_is_refused(runs: list[RunResult], tmp_path: Path) -> None:
    key, other = (draw(runs, 3, PAIRWISE, seed).key for seed in (0, 1))
    path = tmp_path / "ann.csv"
    path.write_text(rated(key, "ann", runs[0].run_id))
    with pytest.raises(UserError, match="give the key that was made with it"):
        read([path], other)
    swapped = json.loads(key.to_json())
    swapped["units"][0]["runs"].reverse()
    with pytest.raises(UserError, match="was changed after it was made"):
        key_from_json(json.dumps(swapped), "key.json")
    path.write_text("sheet,key,rater,unit,personna\n")
    with pytest.raises(UserError, match="no column 'persona'. Did you mean personna"):
        read([path], key)


def test_likert_means_are_those_of_the_answers(runs: list[RunResult], tmp_path: Path, capsys: Any) -> None:
    key = draw(runs, 12, LIKERT, 0).key
    scale = {result.run_id: str(number + 2) for number, result in enumerate(runs)}
    answers = {unit.unit: {"persona": scale[unit.runs[0]]} for unit in key.units}
    (tmp_path / "key.json").write_text(key.to_json())
    (tmp_path / "a.csv").write_text(answers_csv(key, "", answers))
    arguments = ["rate", "read", str(tmp_path / "a.csv"), "--key", str(tmp_path / "key.json"), "--format", "json"]
    assert main(arguments) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert {row["run_id"]: row["mean"] for row in table["raw"]} == {r: float(s) for r, s in scale.items()}
    assert any("There is one rater" in note for note in table["sections"][-1]["notes"])


def test_make_keeps_the_key_out_of_the_folder_that_raters_get(
    runs: list[RunResult], outputs: Any, tmp_path: Path, capsys: Any
) -> None:
    make = ["rate", "make", "--output-dir", str(outputs.root), "--out", str(tmp_path / "to_raters"), "--items", "3"]
    assert main([*make, "--runs", runs[0].run_id, runs[1].folder.name]) == 0
    assert {path.suffix for path in (tmp_path / "to_raters").iterdir()} == {".html", ".csv"}
    assert (tmp_path / "to_raters-key.json").stat().st_mode & 0o077 == 0
    assert main([*make, "--key", str(tmp_path / "to_raters" / "key.json")]) == 2
    assert main([*make, "--runs", "nobody"]) == 2
    assert main([*make, "--runs", runs[0].run_id]) == 2
    assert capsys.readouterr().err.count("\n") == 3
