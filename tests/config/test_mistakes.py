"""Mistakes on the command line: one sentence each, with the nearest right names, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MISTAKES = [
    ("peft=lorra", "peft=lorra: there is no such peft", "nearest_reply, none, p_tuning", "Did you mean lora or"),
    ("model=gpt3", "there is no such model", "Did you mean gpt2?"),
    ("metrics=[likelihod]", "metrics=likelihod: there is no such metrics", "Did you mean likelihood?"),
    ("experiment=dmo", "there is no such experiment", "Did you mean demo?"),
    ("train=defalt", "there is no such train", "Did you mean default?"),
    ("hydra/launcher=fussed", "there is no such hydra/launcher", "fused", "basic"),
    ("pefft=lora", "pefft is not a key", "Did you mean peft"),
    ("sede=1", "sede is not a key", "Did you mean seed"),
    ("train.lerning_rate=1", "train.lerning_rate is not a key", "train.learning_rate"),
    ("lerning_rate=1", "lerning_rate is not a key", "Did you mean train.learning_rate"),
    ("peft=none peft.r=4", "peft.r is a key of peft=dora, lora, lora_prompt or rslora only"),
    ("peft.num_virtual_tokens=4", "is a key of peft=lora_prompt, p_tuning, prefix_tuning or prompt_tuning only"),
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
    ("peft.r", "peft.r", "is written key=value"),
    ("peft.target_modules=[q_proj", "lacks a ]"),
    ("peft.init_text=a,b", "peft.init_text=a,b has several values", "-m", "quote"),
    ("dataset.card=${nope}", "nope"),
    ("train.max_length=9000", "attends over 8192", "lower train.max_length to"),
    ("-m peft=lora,lorra", "peft=lorra: there is no such peft"),
    ("-m peft.r=4,x", "peft.r=x must be a whole number."),
    ("-m peft.r=4,0", "In the cell peft.r=0", "peft.r=0 must be at least 1."),
    ("-m dataset.persona=Hamlet,Ophelai", "In the cell dataset.persona=Ophelai", "Did you mean Ophelia"),
    ("-m hydra/launcher=basic peft=lora,lorra", "peft=lorra: there is no such peft"),
    ("model=null", "A config group can't be null", "quantization"),
    ("model.family=lama", "model.family=lama is unknown", "Did you mean llama?"),
    ("model.hub_id=no/such/folder", "neither a folder here nor a Hub id", "owner/name"),
    ("model=llama2_7b", "meta-llama/Llama-2-7b-hf is not on this machine", "model.scale=tiny"),
    ("model=gpt2 model.scale=tiny train.max_length=2000", "makes 2064, but gpt2 attends over 1024", "to 960"),
    ("device=cuda", "there is no CUDA device here", "device=cpu"),
    ("quantization=nf5", "there is no such quantization", "fp4, int8, nf4, none", "Did you mean nf4?"),
    ("quantization.method=int4", "quantization.method=int4 is unknown", "Did you mean int8 or nf4?"),
    ("quantization=nf4 quantization.threshold=3", "quantization.threshold is a key of quantization=int8 only"),
    ("quantization=int8 quantization.threshold=-1", "quantization.threshold=-1 must be at least 0"),
    ("quantization=int8 peft=full", "quantization=int8 freezes them", "peft=lora"),
    ("peft.method=lorra", "peft.method=lorra is unknown", "Did you mean lora"),
    ("peft=prompt_tuning peft.alpha=8", "peft.alpha is a key of peft=dora, lora, lora_prompt or rslora only"),
    ("peft=prompt_tuning peft.init=text", "set peft.init_text"),
    ("peft=prompt_tuning peft.init=vocab", "peft.init=vocab is unknown", "sample_vocab, text, random"),
    ("peft=prompt_tuning peft.num_virtual_tokens=0", "peft.num_virtual_tokens=0 must be at least 1"),
    ("peft=prefix_tuning peft.init_text=hi", "peft.init_text has no effect with peft.init=sample_vocab"),
    ("peft=lora_prompt peft.prompt_init=text", "peft.prompt_init=text needs the text", "set peft.init_text"),
    ("peft=lora_prompt peft.prompt_rate_ratio=0", "peft.prompt_rate_ratio=0 must be above 0"),
    ("peft=p_tuning peft.encoder_hidden_size=0", "peft.encoder_hidden_size=0 must be at least 1"),
    ("peft=ia3 peft.feedforward_modules=[down_proj]", "no effect without peft.target_modules"),
    ("peft.init=pisa", "peft.init=pisa is unknown", "Did you mean pissa?"),
    ("peft.init=pissa peft.r=1000", "k_proj has 192", "lower peft.r to 192"),
    ("peft.target_modules=[q_prj]", "q_prj matches no linear layer", "Did you mean q_proj"),
    ("peft.target_modules=[]", "must be all-linear, a list of names, or a pattern"),
    ("peft.target_modules='.*[q'", "is no regular expression", "use all-linear"),
    ("peft.dropout=1", "peft.dropout=1 must be at least 0 and below 1"),
    ("peft.alpha=0", "peft.alpha=0 must be above 0"),
    ("train.batch_size=0", "train.batch_size=0 must be at least 1"),
    ("train.micro_batch_size=0", "train.micro_batch_size=0 must be at least 1"),
    ("train.warmup_ratio=2", "train.warmup_ratio=2 must lie between 0 and 1"),
    ("train.scheduler=cosin", "train.scheduler=cosin is unknown", "Did you mean cosine?"),
    ("train.learning_rate=0", "train.learning_rate=0.0 must be above 0"),
    ("train.max_grad_norm=0", "null turns clipping off"),
    ("generation=beam", "there is no such generation", "greedy, nucleus"),
    ("generation.temperature=0.5", "generation.temperature is a key of generation=nucleus only"),
    ("generation=nucleus generation.top_p=0", "generation.top_p=0 must be above 0 and at most 1"),
    ("metrics=[]", "metrics is empty", "likelihood, overlap"),
    ("dataset.eval_fraction=1", "must lie between 0 and 1, both excluded"),
    ("dataset.loss_on=prompt", "dataset.loss_on=prompt is unknown", "completion, all_tokens"),
    ("dataset=shakspeare", "there is no such dataset", "Did you mean shakespeare?"),
    ("sweep.name=a/b", "sweep.name=a/b can't name a folder"),
    ("tracker=wandbb", "there is no such tracker", "Did you mean wandb?"),
    ("tracker.project=x", "tracker.project is not a key of this config. Did you mean tracker.wandb.project or"),
    ("plan=maybe", "plan=maybe is unknown", "run, only"),
    ("hydra/sweeper=optunna", "there is no such hydra/sweeper", "basic"),
    (
        "-m hydra/sweeper=optuna hydra.sweeper.n_trialz=3",
        "n_trialz is not a key",
        "Did you mean hydra.sweeper.n_trials",
    ),
    ("-m hydra.sweeper.n_trials=3", "hydra.sweeper.n_trials is a key of hydra/sweeper=optuna only"),
    ("-m hydra.launcher.workers=3", "hydra.launcher.workers is a key of hydra/launcher=local only"),
    (
        "-m hydra.launcher.max_retries=3",
        "hydra.launcher.max_retries is a key of hydra/launcher=local, ray or slurm only",
    ),
    ("-m hydra/launcher=local hydra.launcher.worker=3", "Did you mean hydra.launcher.workers"),
    ("-m hydra/launcher=slurm hydra.launcher.per_model.gpt2.mem_gb=3", "+hydra.launcher.per_model.NAME=…"),
    ("-m peft.r=range(4,1)", "This sweep has no cells"),
    ("-m peft.r=interval(1,4)", "can't search an interval", "key=1,2,4"),
    ("-m quantization=none,int8 peft=lora,full", "In the cell quantization=int8 peft=full", "freezes them"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case[0])
def test_a_mistake_is_reported_in_a_sentence_with_the_right_names(launch: Callable, case: tuple[str, ...]) -> None:
    arguments, *fragments = case
    ended = launch(*arguments.split())
    messages = [line for line in ended.err.splitlines() if not line.startswith("Error executing job with overrides")]
    assert ended.code == 1 and ended.out == ""
    assert len(messages) == 1 and messages[0].startswith("error: ")
    for fragment in fragments:
        assert fragment in messages[0]
    assert not (ended.output / "runs").exists()


def test_a_mistake_that_needs_the_model_is_reported_before_any_run_starts(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
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
def test_a_data_file_s_faults_are_reported_with_file_and_line(
    launch: Callable, tmp_path: Path, lines: list[str], fragments: list[str]
) -> None:
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    ended = launch("dataset=jsonl", "dataset.path=own.jsonl")
    assert ended.code == 1 and "Traceback" not in ended.err
    for fragment in ["own.jsonl", *fragments]:
        assert fragment in ended.err


def test_a_persona_that_no_line_has_is_reported_with_those_that_are_there(launch: Callable, tmp_path: Path) -> None:
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
    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.mistakes import explain

    assert explain(ZeroDivisionError("division by zero"), conf_folder()) is None
