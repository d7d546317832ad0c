"""Predictions and evaluations on disk: what can't be trusted is none, and an outcome says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.records import evaluation as evaluations
from persona_sweeps.records.evaluation import is_evaluated, outcome, read_evaluation, write_evaluation
from persona_sweeps.records.files import write_json
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.predictions import read_predictions, set_aside_broken, write_predictions
from persona_sweeps.records.run import UNTRAINED

NAME = "0123456789"
LINES = [{"id": "a", "text": "Nay, answer me"}, {"id": "b", "text": "naïve\n\u2028"}]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def last_line_lost(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def other_words(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Nay", b"Yea"))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run's folder with predictions."""
    found = RunFolder(tmp_path)
    write_predictions(found, NAME, {"request": {"kind": "text"}}, LINES)
    return found


def test_predictions_come_back_as_they_were(folder: RunFolder) -> None:
    found = read_predictions(folder, NAME)
    assert found is not None and found.lines == LINES and found.head["request"] == {"kind": "text"}
    assert set_aside_broken(folder, NAME) is None


@pytest.mark.parametrize("spoil", [cut, last_line_lost, other_words, emptied], ids=lambda f: f.__name__)
@pytest.mark.parametrize("which", ["lines", "head"])
def test_predictions_that_are_not_what_was_written_are_none_and_are_set_aside(
    folder: RunFolder, spoil: Callable[[Path], None], which: str
) -> None:
    if which == "head" and spoil is other_words:
        return  # nothing of the head is in other words
    path = folder.prediction_lines(NAME) if which == "lines" else folder.prediction_head(NAME)
    spoil(path)
    spoiled = path.read_bytes()
    assert read_predictions(folder, NAME) is None
    sentence = set_aside_broken(folder, NAME)
    assert sentence is not None and str(folder.prediction_lines(NAME)) in sentence
    assert sorted(file.name for file in folder.predictions.iterdir()) == [
        f"{NAME}.json.broken-0", f"{NAME}.jsonl.broken-0"
    ]  # fmt: skip
    assert path.with_name(f"{path.name}.broken-0").read_bytes() == spoiled


@pytest.mark.parametrize("which", ["lines", "head"])
def test_half_of_predictions_is_none(folder: RunFolder, which: str) -> None:
    (folder.prediction_lines(NAME) if which == "lines" else folder.prediction_head(NAME)).unlink()
    assert read_predictions(folder, NAME) is None
    write_predictions(folder, NAME, {}, LINES)
    assert read_predictions(folder, NAME) is not None


def test_predictions_of_another_name_are_none(folder: RunFolder) -> None:
    folder.prediction_lines(NAME).rename(folder.prediction_lines("other"))
    folder.prediction_head(NAME).rename(folder.prediction_head("other"))
    assert read_predictions(folder, "other") is None


def evaluation(**changes: Any) -> dict[str, Any]:
    parts = {"metrics": {"bleu": 1.0}, "descriptions": {}, "provenance": {}, "failure": None}
    return {"schema_version": RUN_SCHEMA, "evaluation_id": NAME, **parts, **changes}


@pytest.mark.parametrize(
    "value",
    [{}, evaluation(schema_version=1), evaluation(evaluation_id="other"), evaluation(metrics=None)],
    ids=["empty", "schema", "name", "metrics"],
)
def test_what_is_no_evaluation_reads_as_none(folder: RunFolder, value: dict[str, Any]) -> None:
    write_json(folder.evaluation(NAME), value)
    assert read_evaluation(folder, NAME) is None and not is_evaluated(folder, NAME)


def test_a_run_is_evaluated_with_its_samples_and_without_a_failure(folder: RunFolder) -> None:
    write_evaluation(folder, NAME, evaluation(), LINES)
    assert is_evaluated(folder, NAME)
    folder.samples(NAME).unlink()
    assert not is_evaluated(folder, NAME)
    write_json(folder.evaluation(NAME), evaluation(failure={"message": "no dictionary"}))
    assert not is_evaluated(folder, NAME) and read_evaluation(folder, NAME) is not None
    assert not evaluations.set_aside_broken(folder)


@pytest.mark.parametrize("spoil", [cut, last_line_lost, emptied], ids=lambda f: f.__name__)
@pytest.mark.parametrize("which", ["samples", "record"])
def test_an_evaluation_that_is_not_what_was_written_is_none_and_is_set_aside(
    folder: RunFolder, spoil: Callable[[Path], None], which: str
) -> None:
    write_evaluation(folder, "sound", evaluation(evaluation_id="sound"), LINES)
    write_evaluation(folder, NAME, evaluation(), LINES)
    path = folder.samples(NAME) if which == "samples" else folder.evaluation(NAME)
    spoil(path)
    spoiled = path.read_bytes()
    assert not is_evaluated(folder, NAME) and is_evaluated(folder, "sound")
    [sentence] = evaluations.set_aside_broken(folder)
    assert str(folder.evaluation(NAME)) in sentence
    assert path.with_name(f"{path.name}.broken-0").read_bytes() == spoiled and not path.exists()
    assert is_evaluated(folder, "sound") and not evaluations.set_aside_broken(folder)


def test_an_outcome_says_how_far_a_run_has_come(folder: RunFolder) -> None:
    def record(status: str, **changes: Any) -> None:
        parts = {"training": dict(UNTRAINED), "provenance": {}, "config": {}}
        write_json(folder.record, {"schema_version": RUN_SCHEMA, "status": status, **parts, **changes})

    assert outcome(folder, NAME).status == "planned"
    record("running")
    assert outcome(folder, NAME).status == "running" and not outcome(folder, NAME).is_finished
    record("failed", failure={"message": "the loss is nan"})
    assert (outcome(folder, NAME).status, outcome(folder, NAME).reason) == ("failed", "the loss is nan")
    record("pruned", training=UNTRAINED | {"pruned": "worse than others"})
    assert (outcome(folder, NAME).status, outcome(folder, NAME).reason) == ("pruned", "worse than others")
    record("completed")
    assert outcome(folder, NAME).status == "trained" and not outcome(folder, NAME).is_finished
    write_json(folder.evaluation(NAME), evaluation(failure={"message": "no dictionary"}))
    assert (outcome(folder, NAME).status, outcome(folder, NAME).reason) == ("failed", "no dictionary")
    write_evaluation(folder, NAME, evaluation(), LINES)
    assert outcome(folder, NAME).status == "completed" and outcome(folder, NAME).metrics == {"bleu": 1.0}


def test_what_a_killed_process_left_half_written_is_cleared_and_nothing_else(folder: RunFolder) -> None:
    for name in (".run.json-x", "adapter/weights", "predictions/.ab.jsonl-x", "evaluations/.ab.json-x", ".hydra/own"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("{")
    (folder.path / ".adapter-x").mkdir()
    (folder.path / ".adapter-x" / "weights").write_text("{")
    write_evaluation(folder, NAME, evaluation(), LINES)
    folder.clear_drafts()
    left = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    assert left == {
        "adapter/weights", ".hydra/own", f"predictions/{NAME}.jsonl", f"predictions/{NAME}.json",
        f"evaluations/{NAME}.json", f"evaluations/{NAME}.samples.jsonl",
    }  # fmt: skip
