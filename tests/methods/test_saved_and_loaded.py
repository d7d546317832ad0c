"""What a run saved gives the same probabilities, to the bit, when it is loaded again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.errors import TrialError
from persona_sweeps.methods.full import Full
from persona_sweeps.methods.lora_prompt import LoraPrompt
from persona_sweeps.methods.method import Method
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, METHODS, PREFIX, PROMPT, TRAIN, adapter_of, trained_with


def nll_of(base: BaseModel, adapter: Adapter, sequences: list[TokenSequence]) -> Tensor:
    with AdapterStack(base.model, [adapter]) as stack:
        engine = Engine(base.model, stack, [Trial(adapter, TRAIN, 0, [], sequences)])
        return torch.from_numpy(engine.evaluation_nll([0])[0])


def saved(method: Method, base: BaseModel, folder: Path, spread: float = 0.05) -> Adapter:
    adapter = adapter_of(base, method, spread=spread)
    method.save(adapter, base.model, base.tokenizer, "none", folder)
    return adapter


@pytest.mark.parametrize("method", METHODS)
def test_loading_what_was_saved_gives_the_same_bits(
    base: BaseModel, sequences: list[TokenSequence], method: str, tmp_path: Path
) -> None:
    adapter = saved(METHODS[method], base, tmp_path, spread=0.01 if method == "full" else 0.05)
    loaded = METHODS[method].load(base.model, tmp_path)
    assert loaded.virtual_tokens == adapter.virtual_tokens == METHODS[method].virtual_tokens
    before = nll_of(base, Adapter(), sequences)
    ours, again = nll_of(base, adapter, sequences), nll_of(base, loaded, sequences)
    assert torch.equal(ours, again) and not torch.allclose(ours, before, rtol=1e-3)


def test_what_the_other_trials_of_a_group_are_does_not_matter(
    llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path
) -> None:
    """A trial that was trained in a stack is saved as itself, and answers as it did there."""
    methods = [replace(LORA, r=2), replace(LORA, r=11, init="pissa"), PROMPT]
    adapters = [adapter_of(llama, method, seed) for seed, method in enumerate(methods)]
    with AdapterStack(llama.model, adapters) as stack:
        config = trained_with(max_steps=2)
        engine = Engine(llama.model, stack, [Trial(a, config, 0, sequences, sequences) for a in adapters])
        engine.train(lambda index, values: None)
        together = engine.evaluation_nll([0, 1, 2])
        for index, (method, adapter) in enumerate(zip(methods, adapters, strict=True)):
            method.save(adapter, llama.model, llama.tokenizer, "none", tmp_path / str(index))
    for index, method in enumerate(methods):
        loaded = method.load(llama.model, tmp_path / str(index))
        found = nll_of(llama, loaded, sequences)
        assert torch.allclose(found, torch.from_numpy(together[index]), rtol=1e-5)


def test_a_whole_model_is_saved_with_its_own_weights_whatever_the_base_holds(
    compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence], tmp_path: Path
) -> None:
    """Outside its stack the base is itself again; the folder has the trained weights, rounded as it computes."""
    base = load_base(compose_card("qwen25_14b", "scale=tiny"), torch.bfloat16, "cpu")
    untouched = {name: parameter.clone() for name, parameter in base.model.named_parameters()}
    adapter = saved(Full(), base, tmp_path, spread=0.01)
    assert all(torch.equal(parameter, untouched[name]) for name, parameter in base.model.named_parameters())
    loaded = Full().load(base.model, tmp_path)
    assert loaded.full is not None and adapter.full is not None
    assert {tensor.dtype for tensor in loaded.full.tensors.values()} == {torch.bfloat16}
    for name, tensor in adapter.full.tensors.items():
        assert torch.equal(loaded.full.tensors[name], tensor.to(torch.bfloat16)), name
    assert torch.equal(nll_of(base, adapter, sequences), nll_of(base, loaded, sequences))


def test_no_pickle_is_read(llama: BaseModel, tmp_path: Path) -> None:
    saved(LORA, llama, tmp_path)
    tensors = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors.rename(tensors.with_name("adapter_model.bin"))
    with pytest.raises(TrialError, match="a pickle can run any code"):
        LORA.load(llama.model, tmp_path)
    whole = tmp_path / "whole"
    saved(Full(), llama, whole)
    torch.save({}, whole / "model" / "pytorch_model.bin")
    (whole / "model" / "model.safetensors").unlink()
    with pytest.raises(TrialError, match="can't be read"):
        Full().load(llama.model, whole)


def test_what_does_not_fit_the_model_is_refused(
    llama: BaseModel, compose_card: Callable[..., ModelConfig], tmp_path: Path
) -> None:
    other = load_base(compose_card("qwen3_32b", "scale=tiny"), torch.float32, "cpu")
    for method, words in ((LORA, "features|inputs|outputs|no such"), (PREFIX, "keys and values"), (Full(), "another")):
        folder = tmp_path / method.method
        saved(method, other, folder)
        with pytest.raises(TrialError, match=words):
            method.load(llama.model, folder)


@pytest.mark.parametrize("damage", ["cut short", "no json", "missing"])
def test_a_damaged_folder_is_a_failure_of_this_run(llama: BaseModel, tmp_path: Path, damage: str) -> None:
    saved(LORA, llama, tmp_path)
    folder = tmp_path / "adapter"
    if damage == "cut short":
        content = (folder / "adapter_model.safetensors").read_bytes()
        (folder / "adapter_model.safetensors").write_bytes(content[:-10])
    elif damage == "no json":
        (folder / "adapter_config.json").write_text("{")
    else:
        (folder / "adapter_config.json").unlink()
    with pytest.raises(TrialError, match=str(folder)):
        LORA.load(llama.model, tmp_path)


def test_two_parts_are_loaded_from_their_two_folders(llama: BaseModel, tmp_path: Path) -> None:
    method = METHODS["lora_prompt"]
    assert isinstance(method, LoraPrompt)
    saved(method, llama, tmp_path)
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == ["lora", "prompt"]
    loaded = method.load(llama.model, tmp_path)
    assert loaded.lora is not None and loaded.prompt is not None and len(loaded.prompt) == method.num_virtual_tokens


def test_an_export_says_how_often_its_pairs_count(llama: BaseModel, tmp_path: Path) -> None:
    """Pairs with something to take off are saved with twice the rank, and count as often as before."""
    for name in ("lora", "rslora", "pissa", "olora"):
        method = METHODS[name]
        saved(method, llama, tmp_path / name)
        config = json.loads((tmp_path / name / "adapter" / "adapter_config.json").read_text())
        rank = config["r"]
        scale = config["lora_alpha"] / (rank**0.5 if config["use_rslora"] else rank)
        assert rank == method.r * (2 if method.init != "default" else 1)  # type: ignore[attr-defined]
        assert scale == pytest.approx(method.scale)  # type: ignore[attr-defined]
