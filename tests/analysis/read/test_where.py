"""Choosing results by what their records say."""

from __future__ import annotations

import pytest

from analysis.read.selection import read_all
from analysis.read.where import parse, restrict
from persona_sweeps.errors import UserError
from tests.analysis.outputs import Outputs


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("peft.method=lora", [0, 1, 2]),
        ("config.peft.method=lora", [0, 1, 2]),
        ("peft.method!=lora", [3]),
        ("peft.r>8", [1, 2]),
        ("peft.r >= 16", [1, 2]),
        ("peft.r<=8.0", [0]),
        ("peft.r=null", [3]),
        ("peft.r!=8", [1, 2, 3]),
        ("peft.target_modules=[q_proj,v_proj]", [2]),
        ("peft.target_modules~V_PROJ", [2]),
        ("metrics.completion_ppl<9.5", [1]),
        ("status=failed", [3]),
        ("train.learning_rate=null", [0, 1, 2, 3]),
    ],
)
def test_where_chooses_runs(outputs: Outputs, condition: str, kept: list[int]) -> None:
    ids = [
        outputs.run(ppl=10.0),
        outputs.run(ppl=9.0, change={"config.peft.r": 16}),
        outputs.run(change={"config.peft.r": 32, "config.peft.target_modules": ["q_proj", "v_proj"]}),
        outputs.run("none", None, status="failed"),
    ]
    selection = read_all(outputs.root)
    found = restrict(selection, parse([condition], selection.results))
    assert {result.run_id for result in found.results} == {ids[index] for index in kept}


def test_where_keeps_a_study_one_of_whose_runs_is_meant(outputs: Outputs) -> None:
    cells = [outputs.trial(name, 0, 2.0, {"peft.r": r}) for name, r in (("a", 4), ("b", 8))]
    outputs.study_sweep("tuned", {"a": {}, "b": {}}, cells)
    selection = read_all(outputs.root)
    found = restrict(selection, parse(["peft.r=4"], selection.results))
    assert [study.name for study in found.studies] == ["a"]
    with pytest.raises(UserError):
        parse(["nothing.here=1"], selection.results)
