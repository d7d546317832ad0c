"""Our runs beside a published board, and the command as a user gives it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.published.beside import against, reference_rows
from analysis.published.boards import names
from analysis.read.selection import read_all
from analysis.tables import TABLES
from analysis.tables.options import TableOptions
from persona_sweeps.errors import UserError

ROOT = Path(__file__).parents[3]


def scored(outputs: Any) -> Any:
    return read_all(outputs.root).scored()


def headings(section: Any) -> list[str]:
    return [column.heading for column in section.columns]


def test_reference_rows_are_in_our_units() -> None:
    rows = {row.name: row.values for row in reference_rows("potter_dialogue")}
    assert rows["prompt tuning"]["bleu"].value == pytest.approx(0.2679)
    assert rows["prompt tuning"]["bleu"].text == "0.2679"
    assert rows["base"]["completion_ppl"].value == pytest.approx(113.47)
    assert all(0 <= row[metric].value <= 1 for row in rows.values() for metric in ("bleu", "meteor"))
    assert "simile" not in rows["base"]


def test_a_mean_of_per_story_perplexities_is_no_perplexity_of_ours() -> None:
    assert all(set(row.values) == {"mean_of_exp"} for row in reference_rows("stories"))


def test_rows_printed_in_two_places_are_both_there() -> None:
    rows = reference_rows("documentary_personas")
    assert len(rows) == 9 + 6
    assert {row.n for row in rows if row.source == "the project's log"} == {None}


def test_ours_stand_beside_theirs_unranked_with_the_differences_named(outputs: Any) -> None:
    outputs.run("lora", 9.0, {"metrics.bleu": 0.02})
    ((section,), raw) = against("potter_dialogue", scored(outputs))
    assert "not comparable" in section.title
    assert "rank" not in headings(section)
    assert [row[0] for row in section.rows] == ["ours", *["theirs (board)"] * 3]
    assert headings(section)[6:] == ["BLEU (0–1)", "PPL"]
    assert section.rows[0][6:] == ["0.020", "9.00"]
    assert section.rows[3][6:] == ["0.2679", "48.56"]
    notes = " ".join(section.notes)
    for said in (
        "Not comparable",
        "Data:",
        "Decoding:",
        "Tokens:",
        "Units: printed as 0–100, and fractions here: BLEU",
        "Definitions: of ours, BLEU is that of all items together, as a fraction; PPL is the perplexity of a",
        "METEOR, since no run",
        "SIMILE",
    ):
        assert said in notes
    assert [row["bleu"] for row in raw] == [0.02, 0.0111, 0.2191, 0.2679]


def test_runs_of_two_comparability_keys_never_stand_in_one_section(outputs: Any) -> None:
    outputs.run("lora", 9.0)
    outputs.run("lora", 8.0, comparability_key="bbbbbbbbbbbb")
    sections, _ = against("potter_dialogue", scored(outputs))
    assert len(sections) == 2
    assert all(sum(row[0] == "ours" for row in section.rows) == 1 for section in sections)


def test_seeds_of_one_setting_are_one_row_with_its_spread(outputs: Any) -> None:
    for seed, ppl in enumerate((8.0, 9.0, 10.0)):
        outputs.run("lora", ppl, {"config.seed": seed})
    ((section,), _) = against("potter_dialogue", scored(outputs))
    assert section.rows[0][-1].startswith("9.00 ± 1.00")


def test_without_a_metric_in_common_that_is_said(outputs: Any) -> None:
    outputs.run("lora", 9.0)
    ((section,), _) = against("stories", scored(outputs))
    assert [row[0] for row in section.rows] == ["ours"]
    assert any("mean of per-story perplexities isn't the perplexity of a corpus" in note for note in section.notes)
    assert any("No number of theirs" in note for note in section.notes)


def test_decoding_is_told_where_it_matters(outputs: Any) -> None:
    generation = {"method": "nucleus", "max_new_tokens": 64, "temperature": 0.8}
    outputs.run("lora", 9.0, {"config.generation": generation})
    ((section,), _) = against("documentary_personas", scored(outputs))
    assert section.rows[0][5] == "nucleus, max_new_tokens=64, temperature=0.8"
    assert any("ours nucleus" in note and "sampled without a seed" in note for note in section.notes)


# The command


def test_the_command_lists_the_boards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published"]) == 0
    told = capsys.readouterr().out.replace("\\", "")
    assert all(name in told for name in names())


@pytest.mark.parametrize("name", names())
def test_the_command_prints_a_board(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", name]) == 0
    assert "Unknown:" in capsys.readouterr().out


def test_json_and_csv_have_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", "documentary_personas", "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert main(["published", "documentary_personas", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out.rstrip("\n"))))
    assert len(rows) == len(table["raw"])
    (llama,) = [
        row
        for row in rows
        if row["kind"] == "recomputed" and row["table"] == "board" and row["printed"] == "+10" and row["row"] == "Llama"
    ]
    assert float(llama["recomputed"]) == pytest.approx(100 * (0.328 / 0.296 - 1))


@pytest.mark.parametrize("form", ["latex", "html"])
def test_other_forms_print_too(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", "documentary_personas", "--format", form]) == 0
    assert "0.345" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chandlr"], "Did you mean chandler"),
        (["--sd", "0.1"], "--sd is for the ranks"),
        (["documentary_personas", "--sd", "2"], "at most 0.5"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["published", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


# Beside our tables


def test_a_board_stands_below_the_leaderboard_in_a_section_of_its_own(
    outputs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = outputs.run("lora", 9.0)
    outputs.run("lora", 7.0)
    outputs.sweep("demo", [run])
    arguments = ["leaderboard", "--against", "potter_dialogue", "--sweep", "demo", "--output-dir", str(outputs.root)]
    assert main([*arguments, "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    ranked, beside = table["sections"]
    assert [column["heading"] for column in ranked["columns"]][0] == "rank"
    assert "rank" not in [column["heading"] for column in beside["columns"]], "never ranked together"
    assert [row[0] for row in beside["rows"]][:2] == ["ours", "theirs (board)"]
    assert "not comparable" in beside["title"] and any("Data: theirs" in note for note in beside["notes"])
    assert any("Unknown" in note for note in table["notes"])
    assert [row["run_ids"] for row in table["raw"] if row["whose"] == "ours"] == [[run]]
    theirs = [row for row in table["raw"] if row["whose"] != "ours"]
    assert 26.46 in [row["completion_ppl"] for row in theirs] and all(row.get("rank") is None for row in theirs)
    folders = [path.parent.name for path in outputs.root.glob("sweeps/demo/tables/**/leaderboard.csv")]
    assert len(folders) == 1 and folders[0].startswith("against-potter_dialogue-"), "the plain table isn't overwritten"


def test_the_leaderboards_own_sections_are_the_same_with_a_board_and_without(outputs: Any) -> None:
    outputs.run("lora", 9.0)
    outputs.run("none", 12.0)
    selection = read_all(outputs.root)
    for name in ("leaderboard", "base-vs-instruct"):
        plain = TABLES[name].make(selection, TableOptions())
        with_board = TABLES[name].make(selection, TableOptions(against="documentary_personas"))
        assert list(with_board.sections[: len(plain.sections)]) == list(plain.sections)
        assert len(with_board.sections) == len(plain.sections) + 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["leaderboard", "--against", "chandlr"], "Did you mean chandler"),
        (
            ["costs", "--against", "chandler"],
            "does nothing for costs; it is for leaderboard, base-vs-instruct, lora-vs-prompt-tuning.",
        ),
        (["leaderboard", "--against", "chandler", "--metric", "rougeL"], "has no ROUGE-L to set beside ours"),
    ],
)
def test_a_board_that_can_not_be_set_beside_is_refused_in_one_sentence(
    arguments: list[str], told: str, outputs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run("lora", 9.0)
    assert main([*arguments, "--output-dir", str(outputs.root)]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_without_runs_a_board_changes_nothing(outputs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["leaderboard", "--against", "chandler", "--output-dir", str(outputs.root)]
    assert main(arguments) == 1
    assert "No runs yet" in capsys.readouterr().err
    outputs.run("lora", None, status="running")
    assert main(arguments) == 0
    assert "No run has been evaluated yet" in capsys.readouterr().out


def test_an_unknown_board_is_no_reason_to_read_runs() -> None:
    with pytest.raises(UserError, match="Did you mean stories"):
        against("story", [])


def test_boards_are_printed_without_torch_or_numpy() -> None:
    code = (
        "import sys; from analysis.__main__ import main; main(['published', 'documentary_personas']); "
        "sys.exit(len({'torch', 'numpy', 'scipy', 'hydra'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
