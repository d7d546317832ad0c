"""The table of characters: each one's own items, as the metrics themselves score them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ended


def test_each_character_s_figures_are_those_of_its_own_items(
    launch: Callable[..., Ended], tiny: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from analysis.__main__ import main

    ended = launch(
        "-m", *(word for word in tiny if not word.startswith("dataset")), "dataset.persona=[Hamlet,Horatio]",
        "dataset.limit=24", "dataset.eval_per_cluster=3", "dataset.card=none", "peft=none,nearest_reply,lora",
        "train.max_steps=1", "train.max_length=512", "generation.limit=9", "generation.max_new_tokens=4",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    for path in ended.output.glob("runs/*/evaluations/*.json"):
        record = json.loads(path.read_text())
        lines = [json.loads(line) for line in path.with_suffix(".samples.jsonl").read_text().splitlines()]
        assert set(record["personas"]) == {"Hamlet", "Horatio"}
        assert record["scored"]["overlap"]["items"] == 9
        for name, values in record["personas"].items():
            own = [line for line in lines if line["persona"] == name]
            assert values["items"] == len(own)
            texts = [line["rougeL"] for line in own if "rougeL" in line]
            assert values["rougeL"] == pytest.approx(sum(texts) / len(texts))
            if "completion_nll" in own[0]:
                tokens = [line["completion_tokens"] for line in own]
                nll = sum(line["completion_nll"] * line["completion_tokens"] for line in own) / sum(tokens)
                assert values["completion_nll"] == pytest.approx(nll)
    assert main(["personas", "leaderboard", "--output-dir", str(ended.output)]) == 0
    printed = capsys.readouterr().out
    assert "| Horatio" in printed and "metrics.overlap is scored on 9 items, others on " in printed
    with (ended.output / "tables" / "personas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["character"], row["method"]) for row in rows} == {
        (name, method) for name in ("Hamlet", "Horatio") for method in ("none", "nearest_reply", "lora")
    }
