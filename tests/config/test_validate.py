"""Checks across a config's fields: what each refuses, in which words, and that it refuses before anything runs."""

from __future__ import annotations

import pytest

from persona_sweeps.errors import ConfigError

WRONG = [
    (["train.scheduler=cosin"], "train.scheduler=cosin is unknown", "Did you mean cosine?"),
    (["train.batch_size=0"], "train.batch_size=0 must be at least 1."),
    (["train.micro_batch_size=0"], "train.micro_batch_size=0"),
    (["train.max_steps=0"], "train.max_steps=0"),
    (["train.eval_every=-1"], "train.eval_every=-1"),
    (["train.max_length=4"], "train.max_length=4 must be at least 8."),
    (["train.weight_decay=-1"], "train.weight_decay=-1"),
    (["train.warmup_ratio=2"], "train.warmup_ratio=2 must lie between 0 and 1."),
    (["train.epochs=0"], "train.epochs=0 must be above 0."),
    (["train.epochs=nan"], "train.epochs=nan"),
    (["train.max_grad_norm=0"], "null turns clipping off"),
    (["train.learning_rate=0"], "train.learning_rate=0.0 must be above 0 with peft=lora."),
    (["train.learning_rate=null"], "train.learning_rate=None must be above 0"),
    (["peft.r=0"], "peft.r=0 must be at least 1."),
    (["peft.alpha=0"], "peft.alpha=0 must be above 0."),
    (["peft.dropout=1"], "peft.dropout=1 must be at least 0 and below 1."),
    (["peft.target_modules=3"], "peft.target_modules=3", "all-linear"),
    (["peft.target_modules=[]"], "peft.target_modules=[]"),
    (["peft.init=gaussian"], "peft.init=gaussian is unknown"),
    (["peft=prompt_tuning", "peft.num_virtual_tokens=0"], "peft.num_virtual_tokens=0"),
    (["peft=prompt_tuning", "peft.init=text"], "set peft.init_text"),
    (["peft=prompt_tuning", "peft.init_text=Speak"], "peft.init_text has no effect with peft.init=sample_vocab"),
    (["peft=few_shot", "peft.shots=0"], "peft.shots=0 must be at least 1."),
    (["peft=few_shot", "metrics.likelihood.all_tokens=true"], "would score the shots of peft=few_shot"),
    (
        ["peft=nearest_reply", "metrics=[likelihood]"],
        "which metrics=[likelihood] needs",
        "metrics=[likelihood,overlap]",
    ),
    (["dataset.loss_on=prompt"], "dataset.loss_on=prompt is unknown"),
    (["dataset.limit=0"], "dataset.limit=0"),
    (["dataset.eval_limit=0"], "dataset.eval_limit=0"),
    (["dataset.eval_fraction=1"], "dataset.eval_fraction=1 must lie between 0 and 1"),
    (["generation.max_new_tokens=0"], "generation.max_new_tokens=0"),
    (["generation=nucleus", "generation.temperature=0"], "generation=greedy is its limit"),
    (["generation=nucleus", "generation.top_p=0"], "generation.top_p=0"),
    (["quantization.method=int3"], "quantization.method=int3 is unknown"),
    (["quantization.method=nf4"], "choose the whole group, quantization=nf4."),
    (["quantization=nf4", "quantization.method=none"], "choose the whole group, quantization=none."),
    (["quantization=int8", "quantization.threshold=-1"], "quantization.threshold=-1 must be at least 0."),
    (["model.family=lama"], "model.family=lama is unknown", "Did you mean llama?"),
    (["metrics.likelihood=null", "metrics.overlap=null"], "metrics is empty"),
    (["group_size=0"], "group_size=0"),
    (["sweep.name=a/b"], "sweep.name=a/b can't name a folder"),
    (["sweep.name=.."], "sweep.name=.. can't name a folder"),
    (["sweep.name=''"], "sweep.name= can't name a folder"),
    (["+foo=1"], "foo is not a key of this config"),
    (["+peft.rank=1"], "peft.rank is not a key of this config"),
    (["model=gpt2", "train.max_length=1024"], "gpt2 attends over 1024", "lower train.max_length to 1018"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: " ".join(case[0]))
def test_a_wrong_value_is_refused_in_a_sentence(make_cell, tiny, case: tuple) -> None:
    overrides, *fragments = case
    with pytest.raises(ConfigError) as refused:
        make_cell(*tiny, *overrides)
    message = str(refused.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


def test_all_mistakes_of_a_config_are_reported_at_once(make_cell, tiny) -> None:
    with pytest.raises(ConfigError) as refused:
        make_cell(*tiny, "peft.r=0", "train.batch_size=0", "dataset.limit=0")
    assert [key in str(refused.value) for key in ("peft.r", "train.batch_size", "dataset.limit")] == [True] * 3


def test_what_has_no_use_for_a_learning_rate_needs_none(make_cell, tiny) -> None:
    for method in ("none", "few_shot", "nearest_reply"):
        assert make_cell(*tiny, f"peft={method}").config.train.learning_rate is None


def test_the_longest_that_fits_the_context_is_allowed(make_cell, tiny) -> None:
    long = (*tiny, "model=gpt2", "peft=prompt_tuning", "peft.num_virtual_tokens=10", "generation.max_new_tokens=14")
    assert make_cell(*long, "train.max_length=1000")
    with pytest.raises(ConfigError, match="lower train.max_length to 1000"):
        make_cell(*long, "train.max_length=1001")
    assert make_cell(*long, "train.max_length=1014", "metrics=[likelihood]"), "nothing is generated"
