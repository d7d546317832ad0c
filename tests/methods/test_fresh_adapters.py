"""How adapters start: at the base model, from the trial's own seed, on the layers that were named."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig as PeftLora
from peft import inject_adapter_in_model
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.lora_init import create_lora
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.layers import features, linear_layers, target_paths
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, METHODS, NONE, PREFIX, PROMPT, TRAIN, adapter_of


def fresh(base: BaseModel, config: Predictor, seed: int = 0) -> Adapter:
    return config.create(base.model, base.tokenizer, seed)


def same(one: Adapter, other: Adapter) -> bool:
    return all(map(torch.equal, one.parameters(), other.parameters()))


def test_lora_starts_at_the_base_model(base: BaseModel, sequences: list[TokenSequence]) -> None:
    adapters = [fresh(base, NONE), fresh(base, LORA), fresh(base, replace(LORA, r=9, alpha=100.0), 1)]
    with AdapterStack(base.model, adapters) as stack:
        engine = Engine(base.model, stack, [Trial(adapter, TRAIN, 0, []) for adapter in adapters])
        nll = engine.sequence_nll(dict.fromkeys(range(3), sequences))
    assert nll[0].tolist() == pytest.approx(nll[1].tolist(), rel=1e-6) == nll[2].tolist()


def test_lora_has_a_pair_of_the_right_shape_for_every_layer_but_the_head(base: BaseModel) -> None:
    adapter = fresh(base, replace(LORA, r=3))
    layers = linear_layers(base.model)
    assert adapter.lora is not None and set(adapter.lora.pairs) == set(layers)
    assert not any(path.endswith("lm_head") for path in layers)
    shapes = [features(layer) for layer in layers.values()]
    assert adapter.trainable_parameters() == sum(3 * (inputs + outputs) for inputs, outputs in shapes)
    for path, pair in adapter.lora.pairs.items():
        a, b = pair.a, pair.b
        inputs = features(layers[path])[0]
        bound = math.sqrt(1 / inputs)  # Kaiming uniform with a = √5
        assert a.abs().max() <= bound and float(a.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.25)
        assert not b.any() and a.dtype == b.dtype == torch.float32


@pytest.mark.parametrize("config", [LORA, PROMPT, replace(PROMPT, init="random")], ids=["lora", "vocabulary", "random"])
def test_a_seed_means_the_same_weights_whatever_else_is_drawn(llama: BaseModel, config: Predictor) -> None:
    first = fresh(llama, config, 4)
    torch.rand(5)
    before = torch.get_rng_state()
    assert same(first, fresh(llama, config, 4)) and not same(first, fresh(llama, config, 5))
    assert torch.equal(torch.get_rng_state(), before)


def test_prompts_start_as_their_init_says(llama: BaseModel) -> None:
    embed = llama.model.get_input_embeddings().weight
    text = fresh(llama, replace(PROMPT, init="text", init_text="To be, or not", num_virtual_tokens=30)).prompt
    ids = llama.tokenizer("To be, or not", add_special_tokens=False)["input_ids"]
    assert text is not None and torch.equal(text.values(), embed[(ids * 30)[:30]])
    drawn = fresh(llama, replace(PROMPT, num_virtual_tokens=200)).prompt
    assert drawn is not None
    tokens = [torch.nonzero((embed == row).all(-1)).flatten().tolist() for row in drawn.values()]
    assert all(tokens) and not {token for found in tokens for token in found} & set(llama.tokenizer.all_special_ids)
    random = fresh(llama, replace(PROMPT, init="random", num_virtual_tokens=200)).prompt
    assert random is not None and float(random.values().detach().std()) == pytest.approx(float(embed.std()), rel=0.1)


def test_a_closed_stack_leaves_the_model_as_it_was(base: BaseModel, sequences: list[TokenSequence]) -> None:
    def score(adapter: Adapter) -> list[float]:
        with AdapterStack(base.model, [adapter]) as stack:
            return Engine(base.model, stack, [Trial(adapter, TRAIN, 0, [])]).sequence_nll({0: sequences})[0].tolist()

    plain = score(fresh(base, NONE))
    with pytest.raises(RuntimeError), AdapterStack(base.model, [adapter_of(base, LORA)]):
        raise RuntimeError
    assert score(adapter_of(base, LORA)) != pytest.approx(plain, rel=1e-3)
    assert score(fresh(base, NONE)) == plain
    assert not any(module._forward_hooks for module in base.model.modules())


@pytest.mark.parametrize(
    ("targets", "named"),
    [(["q_prj"], "q_prj"), (["q_proj", "c_attn"], "c_attn"), ("_proj", "_proj"), ([], "empty")],
)
def test_targets_that_match_nothing_are_reported_with_the_layers_there_are(
    llama: BaseModel, targets: list[str] | str, named: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        fresh(llama, replace(LORA, target_modules=targets))
    for word in ("peft.target_modules", named, "q_proj", "down_proj"):
        assert word in str(raised.value)
    assert ("Did you mean q_proj" in str(raised.value)) == (targets == ["q_prj"])


def test_targets_of_convolutions_by_name_path_and_pattern(base: BaseModel) -> None:
    every = list(linear_layers(base.model))
    name = every[0].rsplit(".", 1)[-1]
    assert target_paths(base.model, [name]) == [path for path in every if path.endswith("." + name)]
    assert target_paths(base.model, [every[1]]) == [every[1]]
    assert target_paths(base.model, rf".*\.1\..*\.{name}") == [p for p in every if p.endswith(name) and ".1." in p]
    assert target_paths(base.model, "all-linear") == every


def test_of_a_multimodal_model_only_the_language_model_is_adapted(sequences: list[TokenSequence]) -> None:
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1000, "sliding_window": 16}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = AutoConfig.for_model(
        "gemma3", text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14}, mm_tokens_per_image=4
    )
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    with torch.no_grad():
        ids = torch.tensor([sequences[0].tokens])
        expected = F.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
    assert linear_layers(model) and all(".language_model.layers." in path for path in linear_layers(model))
    adapter = Adapter(lora=create_lora(model, LORA, 0))
    with AdapterStack(model, [adapter]) as stack:
        found = Engine(model, stack, [Trial(adapter, TRAIN, 0, [])]).sequence_nll({0: sequences[:1]})[0]
    assert float(found[0]) == pytest.approx(float(expected[sequences[0].loss_from - 1 :].sum()), rel=1e-4)


def test_a_prefix_started_from_a_text_is_that_text(base: BaseModel, sequences: list[TokenSequence]) -> None:
    """Prefix tuning and prompt tuning from the same words start at the same probabilities."""
    words = {"init": "text", "init_text": "To be, or not to be", "num_virtual_tokens": 7}
    adapters = [fresh(base, replace(config, **words)) for config in (PREFIX, PROMPT)]
    with AdapterStack(base.model, adapters) as stack:
        engine = Engine(base.model, stack, [Trial(adapter, TRAIN, 0, []) for adapter in adapters])
        nll = engine.sequence_nll(dict.fromkeys(range(2), sequences))
    assert nll[0].tolist() == pytest.approx(nll[1].tolist(), rel=1e-5)


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_a_principal_init_is_that_of_peft(base: BaseModel, init: str) -> None:
    """The products are compared: singular vectors and QR factors have signs that are nobody's choice."""
    adapter = fresh(base, replace(LORA, init=init, r=3, alpha=6.0, target_modules="all-linear"))
    path, layer = next(iter(linear_layers(base.model).items()))
    assert adapter.lora is not None
    pair = adapter.lora.pairs[path]
    convolution = not isinstance(layer, torch.nn.Linear)
    plain = torch.nn.Linear(*features(layer), bias=False)
    plain.weight.data = layer.weight.data.T.clone() if convolution else layer.weight.data.clone()
    before = plain.weight.data.clone()
    model = torch.nn.Sequential(plain)
    inject_adapter_in_model(PeftLora(r=3, lora_alpha=6, init_lora_weights=init, target_modules=["0"]), model)
    taken_off = before - model[0].base_layer.weight.data
    assert torch.allclose(2.0 * (pair.b.T @ pair.a).detach(), taken_off, atol=1e-5)


def test_lora_and_a_soft_prompt_learn_at_rates_of_their_own(llama: BaseModel) -> None:
    groups = fresh(llama, METHODS["lora_prompt"]).parameter_groups()
    assert [ratio for _, ratio in groups] == [1.0, 10.0]
    assert [sum(p.numel() for p in parameters) for parameters, _ in groups][1] == 4 * 64
