"""`peft=adapter`: what PEFT saved elsewhere gives the probabilities that PEFT gives."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.errors import ConfigError, TrialError
from persona_sweeps.methods.adapter import ForeignAdapter
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import collate
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.trial import with_virtual_tokens
from tests.toolbox import CARDS, LORA, METHODS, adapter_of, relative_error

Fresh = Callable[[str], BaseModel]
TASK: dict[str, Any] = {"task_type": "CAUSAL_LM"}


@pytest.fixture
def fresh(compose_card: Callable[..., ModelConfig]) -> Fresh:
    """A function that loads a tiny twin anew: PEFT changes the model that it is given."""
    return lambda card: load_base(compose_card(card, "scale=tiny"), torch.float32, "cpu")


def names(card: str) -> dict[str, Any]:
    """Names of layers that the card's architecture has."""
    if card == "gpt2":
        return {"some": ["c_attn", "mlp.c_proj"], "pattern": r".*\.1\.(attn|mlp)\.c_.*", "one": "c_fc"}
    return {"some": ["q_proj", "mlp.down_proj"], "pattern": r".*\.1\.(self_attn\.[kv]|mlp\.up)_proj", "one": "up_proj"}


def config_of(kind: str, card: str) -> peft.PeftConfig:
    """A config of PEFT's own."""
    chosen, conv = names(card), card == "gpt2"
    lora: dict[str, Any] = TASK | {"r": 5, "lora_alpha": 7, "lora_dropout": 0.1, "fan_in_fan_out": conv}
    some = {"target_modules": chosen["some"]}
    patterns = {"rank_pattern": {chosen["one"]: 3}, "alpha_pattern": {rf"layers\.0\..*\.{chosen['one']}": 29}}
    virtual: dict[str, Any] = TASK | {"num_virtual_tokens": 6}
    makers: Mapping[str, Callable[[], peft.PeftConfig]] = {
        "lora of a list": lambda: peft.LoraConfig(**lora | some),
        "lora of a pattern": lambda: peft.LoraConfig(**lora, target_modules=chosen["pattern"]),
        "lora of all": lambda: peft.LoraConfig(**lora, target_modules="all-linear", **patterns),
        "lora of a layer": lambda: peft.LoraConfig(
            **lora | {"target_modules": [chosen["one"]], "layers_to_transform": [1]}
        ),
        "rslora": lambda: peft.LoraConfig(**lora | some, use_rslora=True),
        "dora": lambda: peft.LoraConfig(**lora | some, use_dora=True),
        "gaussian": lambda: peft.LoraConfig(**lora | some, init_lora_weights="gaussian"),
        "ia3": lambda: peft.IA3Config(
            **TASK, target_modules=chosen["some"], feedforward_modules=chosen["some"][1:], fan_in_fan_out=conv
        ),
        "prompt tuning": lambda: peft.PromptTuningConfig(**virtual),
        "p-tuning": lambda: peft.PromptEncoderConfig(**virtual, encoder_hidden_size=24),
        "p-tuning by lstm": lambda: peft.PromptEncoderConfig(
            **virtual, encoder_hidden_size=24, encoder_reparameterization_type="LSTM"
        ),
        "prefix tuning": lambda: peft.PrefixTuningConfig(**virtual),
        "projected prefix": lambda: peft.PrefixTuningConfig(**virtual, prefix_projection=True, encoder_hidden_size=24),
    }
    return makers[kind]()


KINDS = (
    "lora of a list", "lora of a pattern", "lora of all", "lora of a layer", "rslora", "dora", "gaussian", "ia3",
    "prompt tuning", "p-tuning", "p-tuning by lstm", "prefix tuning", "projected prefix",
)  # fmt: skip


def make(fresh: Fresh, card: str, kind: str, folder: Path, **changes: Any) -> PeftModel:
    """An adapter of PEFT's own with weights drawn at random, saved to `folder`."""
    config = config_of(kind, card)
    for key, value in changes.items():
        setattr(config, key, value)
    generator = torch.Generator().manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(fresh(card).model, config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += torch.randn(parameter.shape, generator=generator) * 0.1
        model.save_pretrained(str(folder))
    return model


@torch.no_grad()
def peft_nll(model: torch.nn.Module, sequences: list[TokenSequence]) -> Tensor:
    """The NLL of every label, as PEFT computes it."""
    found = []
    for s in sequences:
        ids = torch.tensor([s.tokens])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] : -1]
        found.append(F.cross_entropy(logits, ids[0, 1:], reduction="none")[s.loss_from - 1 :])
    return torch.cat(found)


def our_nll(base: BaseModel, adapter: Adapter, sequences: list[TokenSequence]) -> Tensor:
    """The same from one packed row beside another adapter's."""
    rows = [(1, row) for row in pack([with_virtual_tokens(s, adapter.virtual_tokens) for s in sequences], 10_000)]
    rows += [(0, row) for row in pack(sequences, 10_000)]
    with AdapterStack(base.model, [adapter_of(base, replace(LORA, r=6), seed=8), adapter]) as stack:
        forward = GroupForward(base.model, stack)
        stack.stack((0, 1))
        batch = collate(rows, "cpu")
        nll = forward.nll(batch)
    own = batch.label_trials == 1
    return nll[own][torch.argsort(batch.label_examples[own], stable=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("card", CARDS)
def test_an_adapter_of_peft_gives_the_probabilities_that_peft_gives(
    fresh: Fresh, sequences: list[TokenSequence], card: str, kind: str, tmp_path: Path
) -> None:
    make(fresh, card, kind, tmp_path / "mine")
    reference = peft_nll(PeftModel.from_pretrained(fresh(card).model, str(tmp_path / "mine")).eval(), sequences)
    base = fresh(card)
    foreign = ForeignAdapter(path=str(tmp_path / "mine"))
    assert foreign.trainable_parameters(base.model) == 0
    loaded = foreign.load(base.model, tmp_path)
    assert loaded.virtual_tokens == foreign.virtual_tokens == (0 if "lora" in kind or kind in NO_TOKENS else 6)
    assert relative_error(our_nll(base, loaded, sequences), reference) < 1e-4
    assert relative_error(our_nll(base, Adapter(), sequences), reference) > 1e-3
    assert foreign.label.startswith("adapter mine (") and list(foreign.check(None)) == []  # type: ignore[arg-type]


NO_TOKENS = ("dora", "gaussian", "ia3")


REFUSED = [
    ("lora of a list", {"modules_to_save": ["lm_head"]}, "layers that were trained whole (modules_to_save)"),
    ("lora of a list", {"bias": "lora_only"}, "biases that were trained (bias=lora_only)"),
    ("lora of a list", {"trainable_token_indices": [1, 2]}, "token embeddings that were trained"),
    ("lora of a list", {"lora_bias": True}, "biases beside the pairs"),
    ("lora of a list", {"target_modules": ["q_proj", "embed_tokens"]}, "which is no pair beside a linear layer"),
    ("lora of a list", {"init_lora_weights": "pissa"}, "path_initial_model_for_weight_conversion"),
    ("ia3", {"modules_to_save": ["lm_head"]}, "layers that were trained whole"),
]


@pytest.mark.parametrize(("kind", "changes", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_what_cannot_be_applied_is_refused_in_a_sentence(
    fresh: Fresh, kind: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    make(fresh, CARDS[0], kind, tmp_path / "mine", **changes)
    foreign = ForeignAdapter(path=str(tmp_path / "mine"))
    mistakes = list(foreign.check(None))  # type: ignore[arg-type]
    assert len(mistakes) == 1 and words in mistakes[0] and mistakes[0].startswith(f"peft.path={tmp_path}")
    with pytest.raises(TrialError):
        foreign.load(fresh(CARDS[0]).model, tmp_path)


def folder_with(tmp_path: Path, what: str) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    config: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    if what == "another method":
        config["peft_type"] = "ADALORA"
    if what == "a new key":
        config["use_shiny"] = "yes"
    if what not in ("no config", "a model", "a folder inside"):
        (folder / "adapter_config.json").write_text("[]" if what == "a list" else json.dumps(config))
    if what == "a model":
        (folder / "config.json").touch()
    if what == "a folder inside":
        (folder / "actor").mkdir()
        (folder / "actor" / "adapter_config.json").touch()
    pair = {"x.lora_A.weight": torch.zeros(2, 3), "x.lora_B.weight": torch.zeros(4, 1 if what == "no product" else 2)}
    if what == "a pickle":
        torch.save(pair, folder / "adapter_model.bin")
    elif what == "no tensors":
        save_file({}, folder / "adapter_model.safetensors")
    elif what != "no weights":
        save_file(pair, folder / "adapter_model.safetensors")
    if what == "cut short":
        path = folder / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:-4])
    if what == "no header":
        (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 32)
    return folder


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no config", "has no adapter_config.json"),
        ("a model", "give it as model.hub_id"),
        ("a folder inside", "actor inside it does"),
        ("a list", "is no JSON object"),
        ("a pickle", "a pickle can run any code"),
        ("no weights", "its weights are missing"),
        ("no tensors", "holds no pairs at all"),
        ("no product", "make no product"),
        ("cut short", "it was cut short"),
        ("no header", "its header is too long"),
        ("another method", "has peft_type=ADALORA, and only LORA, IA3,"),
        ("a new key", "sets use_shiny=yes in its config, which isn't known here"),
    ],
)
def test_a_folder_that_is_no_adapter_is_reported_before_anything_starts(make_cell, tiny, what, words, tmp_path) -> None:
    folder = folder_with(tmp_path, what)
    with pytest.raises(ConfigError) as refused:
        make_cell(*tiny, "peft=adapter", f"peft.path={folder}")
    assert words in str(refused.value) and str(refused.value).startswith(f"peft.path={folder}")
    assert "\n" not in str(refused.value) and str(refused.value).count("peft.path") == 1


def test_a_missing_folder_says_how_to_get_one(make_cell, tiny, tmp_path) -> None:
    with pytest.raises(ConfigError, match="is no folder here.*hf download"):
        make_cell(*tiny, "peft=adapter", f"peft.path={tmp_path / 'nowhere'}")
    with pytest.raises(Exception, match="peft.path"):
        make_cell(*tiny, "peft=adapter")


def test_another_models_adapter_is_refused_by_its_shapes(fresh: Fresh, tmp_path: Path) -> None:
    make(fresh, "qwen3_32b", "lora of a list", tmp_path / "mine")
    foreign = ForeignAdapter(path=str(tmp_path / "mine"))
    for card, words in ((CARDS[0], "adapts model.layers.0.self_attn.q_proj with"), ("gpt2", "no such linear layer")):
        base = fresh(card)
        with pytest.raises(ConfigError, match=words):
            foreign.trainable_parameters(base.model)
        with pytest.raises(TrialError, match=words):
            foreign.load(base.model, tmp_path)


def test_another_base_is_worth_a_note(compose_run, fresh: Fresh, tmp_path: Path) -> None:
    from persona_sweeps.config.schema import typed

    make(fresh, CARDS[0], "lora of a list", tmp_path / "mine")
    run = typed(compose_run("peft=adapter", f"peft.path={tmp_path / 'mine'}", f"model={CARDS[0]}", "model.scale=tiny"))
    config_file = tmp_path / "mine" / "adapter_config.json"
    for base, noted in (("owner/other", 1), (run.model.hub_id, 0), (None, 0)):
        content = json.loads(config_file.read_text())
        config_file.write_text(json.dumps(content | {"base_model_name_or_path": base}))
        notes = list(ForeignAdapter(path=run.peft.path).notes(run))
        assert len(notes) == noted and all("owner/other" in note for note in notes)


def test_what_counts_for_the_result_counts_for_the_fingerprint(fresh: Fresh, tmp_path: Path) -> None:
    make(fresh, CARDS[0], "lora of a list", tmp_path / "mine")
    config_file, tensors = tmp_path / "mine" / "adapter_config.json", tmp_path / "mine" / "adapter_model.safetensors"

    def fingerprint() -> str | None:
        return ForeignAdapter(path=str(tmp_path / "mine")).fingerprint()

    first, content = fingerprint(), json.loads(config_file.read_text())
    for key, value, counts in (
        ("base_model_name_or_path", "x", False),
        ("lora_dropout", 0.5, False),
        ("peft_version", "0", False),
        ("lora_alpha", 3, True),
        ("use_rslora", True, True),
    ):
        config_file.write_text(json.dumps(content | {key: value}))
        assert (fingerprint() != first) == counts, key
    config_file.write_text(json.dumps(content))
    assert fingerprint() == first
    changed = {name: tensor + 1 for name, tensor in load_file(tensors).items()}
    save_file(changed, tensors)
    assert fingerprint() != first


def test_the_folder_says_what_it_is_called() -> None:
    assert ForeignAdapter(path="/somewhere/hamlet").name_parts == ["adapter", "hamlet"]
    assert ForeignAdapter(path="runs/gpt2-lora-1234567890/adapter").name == "gpt2-lora-1234567890"
    assert ForeignAdapter(path="~/x").folder.is_absolute()


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("lora of a list", "LoRA r=5"),
        ("lora of all", "LoRA r=3–5"),
        ("rslora", "rsLoRA r=5"),
        ("dora", "DoRA r=5"),
        ("ia3", "(IA)³"),
        ("p-tuning", "P-tuning, 6 tokens"),
        ("prefix tuning", "prefix tuning, 6 tokens"),
    ],
)
def test_a_label_says_what_the_folder_holds(fresh: Fresh, kind: str, label: str, tmp_path: Path) -> None:
    make(fresh, CARDS[0], kind, tmp_path / "mine")
    assert ForeignAdapter(path=str(tmp_path / "mine")).label == f"adapter mine ({label})"


@pytest.mark.parametrize("kind", ["p-tuning", "projected prefix"])
def test_a_network_that_was_saved_itself_is_read_too(
    fresh: Fresh, sequences: list[TokenSequence], kind: str, tmp_path: Path
) -> None:
    model = make(fresh, CARDS[0], kind, tmp_path / "mine")
    base = fresh(CARDS[0])
    expected = our_nll(base, ForeignAdapter(path=str(tmp_path / "mine")).load(base.model, tmp_path), sequences)
    network = {f"prompt_encoder.{key}": value for key, value in model.prompt_encoder["default"].state_dict().items()}
    save_file(network, tmp_path / "mine" / "adapter_model.safetensors")
    foreign = ForeignAdapter(path=str(tmp_path / "mine"))
    assert foreign.virtual_tokens == 6 and not list(foreign.check(None))  # type: ignore[arg-type]
    assert relative_error(our_nll(base, foreign.load(base.model, tmp_path), sequences), expected) < 1e-6


def test_judging_a_folder_imports_no_torch(fresh: Fresh, tmp_path: Path) -> None:
    make(fresh, CARDS[0], "lora of a list", tmp_path / "mine")
    code = (
        "import sys; from persona_sweeps.methods.adapter import ForeignAdapter\n"
        f"a = ForeignAdapter(path={str(tmp_path / 'mine')!r})\n"
        "assert not list(a.check(None)) and a.label and a.virtual_tokens == 0 and a.fingerprint()\n"
        "assert not {'torch', 'peft', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_adapter_of_our_own_run_is_one_of_elsewhere_too(
    fresh: Fresh, sequences: list[TokenSequence], tmp_path: Path
) -> None:
    base = fresh(CARDS[0])
    for name, method in METHODS.items():
        if name == "full":
            continue
        adapter = adapter_of(base, method)
        method.save(adapter, base.model, base.tokenizer, "none", tmp_path / name)
        foreign = ForeignAdapter(path=str(tmp_path / name / "adapter"))
        assert not list(foreign.check(None)) and foreign.virtual_tokens == method.virtual_tokens  # type: ignore[arg-type]
        loaded = foreign.load(base.model, tmp_path)
        assert relative_error(our_nll(base, loaded, sequences), our_nll(base, adapter, sequences)) < 1e-5


@pytest.mark.slow
def test_the_command_evaluates_an_adapter_as_the_run_that_trained_it(launch, tiny) -> None:
    ended = launch(*tiny, "peft=lora_prompt", "peft.num_virtual_tokens=3")
    assert ended.code == 0, ended.err
    (trained,) = ended.records()
    folder = ended.folder_of(trained) / "adapter"
    again = launch(*tiny, "peft=adapter", f"peft.path={folder}")
    assert again.code == 0, again.err
    record = again.by("peft", "method")["adapter"]
    assert record["metrics"] == trained["metrics"] and record["comparability_key"] == trained["comparability_key"]
    assert record["predictor"]["label"] == f"adapter {folder.parent.name} (LoRA r=16 + prompt tuning, 3 tokens)"
    assert (record["predictor"]["trains"], record["predictor"]["is_reference"]) == (False, False)
    assert not (again.folder_of(record) / "adapter").exists()
    moved = folder.parent.parent / "hamlet"
    folder.rename(moved)
    third = launch(*tiny, "peft=adapter", f"peft.path={moved}")
    assert third.code == 0 and "1 done" in third.out and len(third.records()) == 2, "the bytes count, not the path"


def test_the_command_refuses_an_adapter_of_another_shape_and_notes_another_base(
    launch, tiny, fresh: Fresh, tmp_path: Path
) -> None:
    make(fresh, "qwen3_32b", "lora of a list", tmp_path / "mine")
    ended = launch(*tiny, "peft=adapter", f"peft.path={tmp_path / 'mine'}")
    assert ended.code == 1 and "adapts model.layers.0" in ended.err and "Traceback" not in ended.err
    assert not ended.records()
    make(fresh, CARDS[0], "dora", tmp_path / "other")
    file = tmp_path / "other" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": "owner/base"}))
    noted = launch(*tiny, "peft=adapter", f"peft.path={tmp_path / 'other'}", "plan=only")
    assert noted.code == 0 and "was trained on owner/base" in noted.out
