"""Mistakes on the command line: one sentence each, with the nearest right names, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MISTAKES = [
    ("peft=lorra", "peft=lorra: there is no such peft", "lora, none, prompt_tuning", "Did you mean lora?"),
    ("model=gpt3", "there is no such model", "Did you mean gpt2?"),
    ("metrics=[likelihod]", "metrics=likelihod: there is no such metrics", "Did you mean likelihood?"),
    ("experiment=dmo", "there is no such experiment", "Did you mean demo?"),
    ("train=defalt", "there is no such train", "Did you mean default?"),
    ("hydra/launcher=fussed", "there is no such hydra/launcher", "fused", "basic"),
    ("pefft=lora", "pefft is not a key", "Did you mean peft?"),
    ("sede=1", "sede is not a key", "Did you mean seed"),
    ("train.lerning_rate=1", "train.lerning_rate is not a key", "train.learning_rate"),
    ("lerning_rate=1", "lerning_rate is not a key", "Did you mean learning_rate"),
    ("peft=none peft.r=4", "peft.r is a key of peft=lora only"),
    ("peft.num_virtual_tokens=4", "peft.num_virtual_tokens is a key of peft=prompt_tuning only"),
    ("dataset.card=x dataset=jsonl dataset.play=Hamlet", "dataset.play is a key of dataset=shakespeare only"),
    ("+foo=1", "foo is not a key"),
    ("train.epochs=abc", "train.epochs=abc must be a number."),
    ("seed=1.5", "seed=1.5 must be a whole number."),
    ("metrics.overlap.stemmer=maybe", "metrics.overlap.stemmer=maybe must be true or false."),
    ("peft.r=null", "peft.r=null", "needs a value"),
    ("train.precision=fp16", "train.precision=fp16 is unknown", "auto, bf16, fp32", "Did you mean bf16 or fp32?"),
    ("device=gpu", "device=gpu is unknown", "auto, cpu, cuda"),
    ("model.scale=tinny", "model.scale=tinny is unknown", "Did you mean tiny?"),
    ("dataset=jsonl", "dataset.path has no default: set it"),
    ("dataset=jsonl dataset.path=none.jsonl", "dataset.path=none.jsonl doesn't exist"),
    ("dataset.persona=Hamlt", "dataset.persona=Hamlt", "Did you mean Hamlet"),
    ("dataset.persona=Hamlet dataset.play=Hamlett", "Hamlett", "Hamlet"),
    ("peft.r", "peft.r", "write key=value"),
    ("peft.target_modules=[q_proj", "write key=value, close every bracket"),
    ("peft.init_text=a,b", "peft.init_text=a,b has several values", "-m", "quote"),
    ("dataset.card=${nope}", "nope"),
    ("train.max_length=9000", "attends over 8192", "lower train.max_length to"),
    ("-m peft=lora,lorra", "peft=lorra: there is no such peft"),
    ("-m peft.r=4,x", "peft.r=x must be a whole number."),
    ("-m peft.r=4,0", "In the cell peft.r=0", "peft.r=0 must be at least 1."),
    ("-m dataset.persona=Hamlet,Ophelai", "In the cell dataset.persona=Ophelai", "Did you mean Ophelia"),
    ("-m hydra/launcher=basic peft=lora,lorra", "peft=lorra: there is no such peft"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case[0])
def test_a_mistake_is_told_in_a_sentence_with_the_right_names(launch: Callable, case: tuple[str, ...]) -> None:
    arguments, *fragments = case
    ended = launch(*arguments.split())
    told = [line for line in ended.err.splitlines() if not line.startswith("Error executing job with overrides")]
    assert ended.code == 1 and ended.out == ""
    assert len(told) == 1 and told[0].startswith("error: ")
    for fragment in fragments:
        assert fragment in told[0]
    assert not (ended.output / "runs").exists()


def test_a_mistake_that_needs_the_model_is_told_before_any_run_starts(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none,lora", "peft.learning_rate=1", "train.learning_rate=1")
    assert ended.code == 0, ended.err
    ended = launch("-m", *tiny, "seed=1", "peft.target_modules=all-linear,[q_prj]")
    assert ended.code == 1 and "q_prj matches no linear layer" in ended.err and "q_proj" in ended.err
    assert len(ended.records()) == 2, "those of the first sweep alone"


@pytest.mark.parametrize(
    "lines, fragments",
    [
        (['{"prompt": "a"}'], ["line 1", '"completion" is missing', '"prompt"']),
        (['{"promt": "a", "completion": "b"}'], ["line 1", '"prompt" is missing. Is "promt" meant?']),
        (["{}", "{"], ["2 lines are not valid", "line 1", "line 2: bad JSON at column"]),
        (['{"prompt": "a", "completion": "b"}'], ["1 example", "dataset.min_examples"]),
    ],
    ids=["missing key", "misspelt key", "bad JSON", "too few"],
)
def test_a_data_file_s_faults_are_told_with_file_and_line(
    launch: Callable, tmp_path: Path, lines: list[str], fragments: list[str]
) -> None:
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    ended = launch("dataset=jsonl", "dataset.path=own.jsonl")
    assert ended.code == 1 and "Traceback" not in ended.err
    for fragment in ["own.jsonl", *fragments]:
        assert fragment in ended.err


def test_a_persona_that_no_line_has_is_told_with_those_that_are_there(launch: Callable, tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}", "completion": "x", "persona": "Horatio"} for n in range(9)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ended = launch("dataset=jsonl", "dataset.path=own.jsonl", "dataset.persona=Horatoi")
    assert ended.code == 1 and "Did you mean Horatio?" in ended.err


def test_a_mistake_ends_a_real_process_with_one_line_and_code_1(command: Callable, tmp_path: Path) -> None:
    ended = command("peft=lorra", folder=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_hydra_s_own_switch_gives_the_whole_traceback(command: Callable, tmp_path: Path) -> None:
    ended = command("peft=lorra", folder=tmp_path, HYDRA_FULL_ERROR="1")
    assert ended.code == 1 and "Traceback" in ended.err and "MissingConfigException" in ended.err


def test_a_mistake_of_the_program_is_no_sentence_but_a_traceback() -> None:
    from persona_sweeps.app import conf_folder
    from persona_sweeps.mistakes import explain

    assert explain(ZeroDivisionError("division by zero"), conf_folder()) is None
