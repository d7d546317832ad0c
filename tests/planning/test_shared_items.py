"""Models whose templates leave out different held-out examples: said beforehand, and compared on what they share."""

from __future__ import annotations

import csv
from collections.abc import Callable

from analysis.__main__ import main

PAIR = (
    "-m", "model=smollm2_135m,smollm2_135m_instruct", "model.scale=tiny", "dataset.persona=Hamlet", "peft=none",
    "metrics=[likelihood]", "sweep.name=pair",
)  # fmt: skip
SAID = "Not all models will be evaluated on all"


def test_examples_that_one_template_pushes_over_the_limit_are_said_and_the_models_are_compared(
    launch: Callable,
) -> None:
    planned = launch(*PAIR, "train.max_length=512", "plan=only")
    assert planned.out.count(SAID) == 1 and "train.max_length=512" in planned.out
    assert "smollm2_135m_instruct" in planned.out.partition(SAID)[2].splitlines()[0]
    ended = launch(*PAIR, "train.max_length=512")
    assert ended.code == 0 and ended.out.count(SAID) == 1, ended.err
    keys, items = zip(
        *((of["comparability_key"], of["data"]["eval_examples"]) for of in ended.evaluations()), strict=True
    )
    assert len(set(keys)) == 1 and len(set(items)) == 2
    shared = min(items)
    assert f"on the {shared} in common" in ended.out
    assert main(["base-vs-instruct", "--sweep", "pair", "--output-dir", str(ended.output)]) == 0
    folder = ended.output / "sweeps" / "pair" / "tables"
    with (folder / "base-vs-instruct.csv").open(newline="", encoding="utf-8") as file:
        assert [row["metric"] for row in csv.DictReader(file)]
    assert f"the {shared} of {max(items)} in common" in (folder / "base-vs-instruct.md").read_text()


def test_models_that_share_all_items_are_not_spoken_of(launch: Callable) -> None:
    assert SAID not in launch(*PAIR, "train.max_length=2048", "plan=only").out
