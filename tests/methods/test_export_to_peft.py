"""What is exported is a PEFT folder like any other: PEFT gives every label the probability that we give it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftConfig as SavedConfig
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import collate
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.trial import with_virtual_tokens
from tests.toolbox import LORA, METHODS, NONE, PROMPT, adapter_of, relative_error


def our_nll(base: BaseModel, adapter: Adapter, sequences: list[TokenSequence]) -> Tensor:
    """The NLL of every label, example after example, from one packed row beside another adapter's."""
    other = adapter_of(base, replace(LORA, r=6), seed=8)
    rows = [(1, row) for row in pack([with_virtual_tokens(s, adapter.virtual_tokens) for s in sequences], 10_000)]
    rows += [(0, row) for row in pack(sequences, 10_000)]
    with AdapterStack(base.model, [other, adapter]) as stack:
        forward = GroupForward(base.model, stack)
        stack.stack((0, 1))
        batch = collate(rows, "cpu")
        nll = forward.nll(batch)
    own = batch.label_trials == 1
    return nll[own][torch.argsort(batch.label_examples[own], stable=True)]


@torch.no_grad()
def peft_nll(model: PeftModel, sequences: list[TokenSequence]) -> Tensor:
    found = []
    for s in sequences:
        ids = torch.tensor([s.tokens])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] : -1]
        found.append(F.cross_entropy(logits, ids[0, 1:], reduction="none")[s.loss_from - 1 :])
    return torch.cat(found)


def targets(base: BaseModel, kind: str) -> list[str] | str:
    """Targets of each kind that fit the model: some layers, some of one block, all."""
    convolutions = base.model.config.model_type == "gpt2"
    return {
        "list": ["c_attn", "mlp.c_proj"] if convolutions else ["q_proj", "mlp.down_proj"],
        "pattern": r".*\.1\.(attn|mlp)\.c_.*" if convolutions else r".*\.1\.(self_attn\.[kv]|mlp\.up)_proj",
        "all": "all-linear",
    }[kind]


@pytest.mark.parametrize("kind", ["list", "pattern", "all", "prompt"])
def test_peft_gives_every_label_our_probability(
    base: BaseModel,
    sequences: list[TokenSequence],
    kind: str,
    tmp_path: Path,
    compose_card: Callable[..., ModelConfig],
    request: pytest.FixtureRequest,
) -> None:
    config = PROMPT if kind == "prompt" else replace(LORA, alpha=7.0, dropout=0.2, target_modules=targets(base, kind))
    adapter = adapter_of(base, config)
    export_adapter(adapter, base.model, "none", tmp_path / "adapter")
    ours = our_nll(base, adapter, sequences)
    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # PEFT warns of missing keys, and of a wrong fan_in_fan_out
        model = PeftModel.from_pretrained(untouched.model, str(tmp_path / "adapter")).eval()
    adapted = {name.split(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A." in name}
    expected = set(adapter.lora.pairs) if adapter.lora is not None else set()
    assert adapted == {f"base_model.model.{path}" for path in expected}
    assert relative_error(ours, peft_nll(model, sequences)) < 1e-4
    if adapter.lora is not None:
        merged = model.merge_and_unload()
        assert relative_error(ours, peft_nll(merged, sequences)) < 1e-4


def test_the_folder_says_what_it_holds_and_replaces_what_was_there(llama: BaseModel, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "adapter"
    folder.mkdir(parents=True)
    (folder / "stale.bin").touch()
    adapter = adapter_of(llama, replace(LORA, dropout=0.25, target_modules=["q_proj", "v_proj"]))
    export_adapter(adapter, llama.model, "owner/base", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["adapter"]
    saved = SavedConfig.from_pretrained(str(folder))
    assert (saved.base_model_name_or_path, saved.r, saved.lora_alpha, saved.lora_dropout) == ("owner/base", 4, 8, 0.25)
    assert set(saved.target_modules) == {"q_proj", "v_proj"}
    assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == "CAUSAL_LM"
    tensors = load_file(folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert sum(tensor.numel() for tensor in tensors.values()) == adapter.trainable_parameters()


def test_an_adapter_in_a_stack_exports_its_own_rank(llama: BaseModel, tmp_path: Path) -> None:
    """Stacked weights are padded to the largest rank of the group; the file isn't."""
    small, large = adapter_of(llama, replace(LORA, r=2)), adapter_of(llama, replace(LORA, r=11))
    before = [parameter.detach().clone() for parameter in small.parameters()]
    with AdapterStack(llama.model, [small, large]) as stack:
        stack.stack((0, 1))
        export_adapter(small, llama.model, "none", tmp_path / "adapter")
    assert all(map(torch.equal, before, small.parameters()))
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {min(tensor.shape) for tensor in tensors.values()} == {2}


def test_nothing_to_save_is_an_error(llama: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing"):
        export_adapter(adapter_of(llama, NONE), llama.model, "none", tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_two_parts_take_a_folder_each(llama: BaseModel, tmp_path: Path) -> None:
    """One folder with LoRA's part would load without an error, and answer differently."""
    export_adapter(adapter_of(llama, METHODS["lora_prompt"]), llama.model, "none", tmp_path / "adapter")
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == ["lora", "prompt"]
