"""Every method on every architecture: it learns, and what it leaves gives the same probabilities elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, PreTrainedModel

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import METHODS, TRAIN, relative_error

VIRTUAL = {"prompt_tuning", "p_tuning", "prefix_tuning", "lora_prompt"}
"""methods with virtual tokens, which are seen from the start"""
RATES = {"full": 1e-3, "ia3": 3e-2, "prefix_tuning": 3e-2, "prompt_tuning": 3e-2}


def reloaded(method: str, base: PreTrainedModel, folder: Path) -> torch.nn.Module:
    """What others load from the folder."""
    if method == "full":
        return AutoModelForCausalLM.from_pretrained(folder.with_name("model"), dtype=torch.float32).eval()
    if method == "lora_prompt":
        PeftModel.from_pretrained(base, str(folder / "lora"))
        return PeftModel.from_pretrained(base, str(folder / "prompt")).eval()
    return PeftModel.from_pretrained(base, str(folder)).eval()


@torch.no_grad()
def summed_nll(model: torch.nn.Module, sequences: list[TokenSequence]) -> Tensor:
    """[N] of each sequence by itself, as transformers computes it."""
    found = []
    for s in sequences:
        ids = torch.tensor([s.tokens])
        mask = torch.ones_like(ids)
        logits = model(input_ids=ids, attention_mask=mask).logits[0, -ids.shape[1] : -1]
        found.append(F.cross_entropy(logits, ids[0, 1:], reduction="none")[s.loss_from - 1 :].sum())
    return torch.stack(found)


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_and_what_it_leaves_gives_the_same_probabilities(
    base: BaseModel,
    sequences: list[TokenSequence],
    method: str,
    tmp_path: Path,
    compose_card: Callable[..., ModelConfig],
    request: pytest.FixtureRequest,
) -> None:
    adapter = METHODS[method].create(base.model, base.tokenizer, seed=0)
    assert adapter.trainable_parameters() == METHODS[method].trainable_parameters(base.model)
    config = replace(TRAIN, learning_rate=RATES.get(method, 1e-2), batch_size=5, max_steps=6, warmup_ratio=0.0)
    losses: list[float] = []
    with AdapterStack(base.model, [adapter]) as stack:
        trial = Trial(adapter, config, 0, sequences, sequences)
        engine = Engine(base.model, stack, [trial])
        before = engine.evaluation_nll([0])[0]
        engine.train(lambda index, values: losses.append(values["train_nll"]))
        ours = torch.from_numpy(engine.evaluation_nll([0])[0])
    METHODS[method].save(adapter, base.model, base.tokenizer, "none", tmp_path)
    assert trial.failure is None and ours.sum() < before.sum() and len(losses) == 6
    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*(missing|unexpected|fan_in_fan_out).*")
        model = reloaded(method, untouched.model, tmp_path / "adapter")
    assert relative_error(ours, summed_nll(model, sequences)) < 1e-4


@pytest.mark.parametrize("method", [name for name in METHODS if name not in VIRTUAL])
def test_training_starts_at_the_base_model(base: BaseModel, sequences: list[TokenSequence], method: str) -> None:
    def evaluated(adapter: Adapter) -> Tensor:
        with AdapterStack(base.model, [adapter]) as stack:
            engine = Engine(base.model, stack, [Trial(adapter, TRAIN, 0, [], sequences)])
            return torch.from_numpy(engine.evaluation_nll([0])[0])

    fresh = METHODS[method].create(base.model, base.tokenizer, seed=0)
    assert relative_error(evaluated(fresh), evaluated(Adapter())) < 1e-5
