"""Command lines as people get them wrong: each is refused before anything starts, in one sentence that helps."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from tests.config.test_mistakes import MISTAKES

LINES = [
    ("train.lr=1e-3", "Did you mean train.learning_rate"),
    ("train.rank=4", "Did you mean peft.r"),
    ("lora.r=8", "Did you mean methods.lora.r"),
    ("peft.rank=8", "Did you mean peft.r"),
    ("peft.lora_alpha=16", "Did you mean peft.alpha"),
    ("lr=1e-4", "Did you mean train.learning_rate"),
    ("epochs=2", "Did you mean train.epochs"),
    ("batch_size=4", "Did you mean train.batch_size"),
    ("train.bs=4", "Did you mean train.batch_size"),
    ("train.max_len=512", "Did you mean train.max_length"),
    ("dataset.persona=[Hamlet", "dataset.persona=[Hamlet lacks a ]"),
    ("dataset.persona={Hamlet}", "braces hold names with values, {key: value}; a text has"),
    ("dataset.persona=Hamlet,Macbeth", "sweep over them with -m, or quote a text with commas"),
    ("-m dataset.persona=[Hamlet,Nobody]", "Did you mean Boy"),
    ("model=Llama-3.2-1B", "Did you mean llama32_1b"),
    ("model=meta-llama/Llama-3.2-1B", "a folder is model=auto model.hub_id=meta-llama/Llama-3.2-1B"),
    ("model=gpt-2", "Did you mean gpt2"),
    ("model=smollm2", "Did you mean smollm2_135m"),
    ("model=llama3", "Did you mean llama3_8b"),
    ("model=", "choose one of auto, gemma2_27b, gemma2_27b_it, gemma3_270m,"),
    ("peft=", "choose one of adapter, dora, few_shot, full, ia3, lora,"),
    ("peft=LoRA", "Did you mean lora"),
    ("peft=lora+prompt_tuning", "Did you mean prompt_tuning"),
    ("peft=[lora,dora]", "a run has one peft; a run of each is -m"),
    ("--peft lora", "--peft: overrides have no dashes; write peft=lora"),
    ("--peft=lora", "--peft=lora: overrides have no dashes; write peft=lora"),
    ("--multirn peft=lora,dora", "No option is called --multirn"),
    ("--multirun peft=lora,,dora", "a comma has no value on one of its sides; a list has no"),
    ("-m seed=0, 1", "a comma has no value on one of its sides; a list has no"),
    ("-m seed=0..3", "seed=0..3 must be a whole number"),
    ("-m seed=range(0,3", "seed=range(0,3 lacks a )"),
    ("-m seed=[0,1,2]", "seed=[0, 1, 2] must be a whole number"),
    ("-m train.learning_rate=1e-3;1e-4", "the values of a list have commas between them; write"),
    ("-m train.learning_rate=1e-3 1e-4", "an override is written key=value, without spaces around ="),
    ("-m peft=lora, dora", "a comma has no value on one of its sides; a list has no"),
    ("-m sweep=mine", "write sweep.name=mine"),
    ("sweep.name=", "use letters, digits, '_', '-', '+' and"),
    ("sweep.name=../x", "use letters, digits, '_', '-', '+' and"),
    ("-m hydra.launcher=slurm", "write hydra/launcher=slurm, with a"),
    ("-m hydra/launcher=slurm hydra.launcher.partion=gpu", "Did you mean hydra.launcher.partition"),
    ("-m hydra/launcher=sluurm", "Did you mean slurm"),
    (
        "-m hydra/sweeper=optuna hydra.sweeper.n_trials=0",
        "hydra.sweeper.n_trials=0 must be a whole number of at least 1",
    ),
    ("-m hydra/sweeper=optuna hydra.sweeper.metric=blue", "Did you mean bleu"),
    ("-m hydra/sweeper=optuna hydra.sweeper.sampler=tpee", "Did you mean tpe"),
    ("-m hydra/sweeper=optuna peft.r=choice()", "a function without values chooses"),
    ("seed=-1", "seed=-1 must be at least 0"),
    ("seed=one", "seed=one must be a whole number"),
    ("seed=", "seed= must be a whole number"),
    ("train.learning_rate=1e-3.", "train.learning_rate=1e-3"),
    ("train.learning_rate=-1", "train.learning_rate=-1.0 must be above 0 with peft=lora"),
    ("train.learning_rate=nan", "train.learning_rate=nan must be above 0 with peft=lora"),
    ("train.learning_rate=inf", "train.learning_rate=inf must be finite"),
    ("train.learning_rate=abc", "train.learning_rate=abc must be a number"),
    ("train.epochs=0", "train.epochs=0 must be above 0"),
    ("train.epochs=-1", "train.epochs=-1 must be above 0"),
    ("train.max_steps=0", "train.max_steps=0 must be at least 1"),
    ("train.max_steps=1.5", "train.max_steps=1.5 must be a whole number"),
    ("train.warmup_steps=-1", "train.warmup_steps=-1 must be at least 0"),
    ("train.warmup_ratio=10%", "train.warmup_ratio=10% must be a number"),
    ("train.weight_decay=-1", "train.weight_decay=-1 must be at least 0"),
    ("train.precision=float16", "Did you mean bf16"),
    ("train.keep=bset", "Did you mean best"),
    ("train.patience=0", "train.patience=0 must be at least 1"),
    ("train.max_length=banana", "train.max_length=banana is neither a whole number of tokens nor auto"),
    ("peft.r=0", "peft.r=0 must be at least 1"),
    ("peft.r=-4", "peft.r=-4 must be at least 1"),
    ("peft.r=4.5", "peft.r=4.5 must be a whole number"),
    ("peft.alpha=x", "peft.alpha=x must be a number"),
    ("peft.dropout=1.5", "peft.dropout=1.5 must be at least 0 and below 1"),
    ("peft.target_modules=q_prj", "Did you mean q_proj"),
    ("peft.start_from=nowhere", "is neither a folder nor a run in multirun_outputs/runs"),
    ("peft=adapter", "peft.path has no default: set it, for example peft.path=…"),
    ("peft=adapter peft.path=nowhere", "give one that PEFT's save_pretrained wrote, or download it"),
    ("peft=few_shot peft.shots=0", "peft.shots=0 must be at least 1"),
    ("peft=few_shot peft.shots=-1", "peft.shots=-1 must be at least 1"),
    ("quantization=4bit", "Did you mean nf4"),
    ("quantization=int4", "Did you mean nf4"),
    ("dataset.path=nowhere.jsonl", "by dataset=jsonl, table, conversations, script or pairs"),
    ("dataset=csv dataset.path=x.csv", "Did you mean table"),
    ("dataset=table dataset.path=nowhere.csv", "dataset.path=nowhere.csv doesn't exist"),
    ("dataset=jsonl dataset.path=.", "is a folder"),
    ("dataset=pairs dataset.path=/nowhere", "dataset.path=/nowhere doesn't exist"),
    ("dataset.eval_limit=0", "dataset.eval_limit=0 must be at least 1"),
    ("dataset.eval_limit=-5", "dataset.eval_limit=-5 must be at least 1"),
    ("dataset.limit=0", "dataset.limit=0 must be at least 1"),
    ("dataset.eval_fraction=2", "dataset.eval_fraction=2 must lie between 0 and 1, both excluded"),
    ("dataset.card=It's me", "a text with quotes or braces is quoted itself; write"),
    ("dataset.card=You are {persona}.", "an override is written key=value, without spaces around ="),
    ("dataset.context_lines=-1", "dataset.context_lines=-1 must be at least 0"),
    ("dataset.min_examples=100000", "Only 359 examples found, but 100000 are needed (dataset.min_examples)"),
    ("metrics=[likelihood,bleau]", "metrics=bleau: there is no such metrics"),
    ("metrics=likelihood,overlap", "sweep over them with -m, or quote a text with commas"),
    ("metrics=all", "metrics=all: there is no such metrics"),
    ("metrics=none", "metrics=none: there is no such metrics"),
    ("metrics.ranking.items=5", "metrics.ranking.items is a key of metrics=ranking only"),
    ("generation.max_new_tokens=0", "generation.max_new_tokens=0 must be at least 1"),
    ("generation.max_new_tokens=9000", "lower generation.max_new_tokens"),
    ("generation=nucleus generation.temperature=0", "must be above 0; generation=greedy is its limit"),
    ("generation=nucleus generation.top_k=-1", "generation.top_k=-1 must be at least 1"),
    ("device=cuda:0", "Did you mean cuda"),
    ("device=mps", "device=mps is unknown: choose one of auto, cpu, cuda"),
    ("group_size=0", "group_size=0 must be at least 1"),
    ("checkpoint_seconds=-1", "checkpoint_seconds=-1 must be at least 0"),
    ("show_examples=0", "show_examples=0 must be at least 1"),
    ("show_examples=yes", "show_examples=yes must be a whole number"),
    ("plan=true", "Did you mean run"),
    ("plan", "an override is written key=value, without spaces around ="),
    ("--plan", "No option is called --plan: here it is plan=only"),
    ("--dry-run", "No option is called --dry-run: here it is plan=only"),
    ("tracker=wandb tracker.mode=onlin", "Did you mean online"),
    ("tracker=[wandb,mlflw]", "Did you mean mlflow"),
    ("+new.key=1", "new is not a key of this config, and + can't make it one: drop it"),
    ("++peft.nokey=1", "peft.nokey is not a key"),
    ("~peft", "choose one of adapter, dora, few_shot, full, ia3, lora,"),
    ("peft.r:8", "an override is written key=value, without spaces around ="),
    ("peft.r==8", "peft.r==8 can't be read: write peft.r=8"),
    ("peft r=8", "an override is written key=value, without spaces around ="),
    ("model.hub_id=~nobody/x", "write key=value, close every bracket, and quote a text"),
    ("model=auto", "the Hub id of a model, such as owner/name, or its"),
    ("model=auto model.hub_id=./none", "mend the path, or drop it to have the card's own"),
    ("experiment=demos", "Did you mean demo"),
    ("experiment=tuning,demo", "sweep over them with -m, or quote a text with commas"),
]
"""(the arguments as a shell has them, what the sentence must say)"""


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
def test_a_wrong_line_is_refused_in_one_sentence(launch: Callable, line: str, says: str) -> None:
    try:
        words = shlex.split(line)
    except ValueError:  # an apostrophe, which a shell would wait for the end of
        words = line.split()
    ended = launch(*words, *([] if "plan" in line else ["plan=only"]))
    sentences = [text for text in ended.err.splitlines() if not text.startswith("Error executing job")]
    assert ended.code == 1 and len(sentences) == 1 and sentences[0].startswith("error: "), (
        ended.code,
        ended.out,
        sentences,
    )
    assert says in sentences[0] and "Traceback" not in sentences[0]


def test_so_many_lines_are_known() -> None:
    known = {line for line, _ in LINES} | {arguments for arguments, *_ in MISTAKES}
    assert len(known) >= 150
