"""Every option of `peft=` is one class that knows itself; another one is one more file and a YAML file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from persona_sweeps.config.kinds import PEFT
from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import register_schemas, typed
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.lora import Lora
from persona_sweeps.methods.method import Method
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.prediction.references.few_shot import FewShot
from persona_sweeps.prediction.references.nearest_reply import NearestReply
from persona_sweeps.prediction.references.untuned import Untuned
from persona_sweeps.study.space import parse
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, METHODS, TRAIN, trained_with

CONF = Path(__file__).resolve().parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "peft").glob("*.yaml"))


def kind_of_option(name: str) -> Predictor:
    """The kind with the values of its YAML file."""
    content = OmegaConf.to_container(OmegaConf.load(CONF / "peft" / f"{name}.yaml"))
    assert isinstance(content, dict)
    given = {str(key): value for key, value in content.items() if key != "defaults"}
    return PEFT.make(name, given | ({"path": "somewhere"} if name == "adapter" else {}))


def test_every_option_has_a_class_and_every_class_an_option() -> None:
    assert set(OPTIONS) == set(PEFT.builtin)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_class_is_named_by_its_method_key_and_describes_itself(name: str) -> None:
    kind = kind_of_option(name)
    assert type(kind) is PEFT.find(name) and kind.method == name and kind.name_parts[0] == name
    assert kind.trains == (kind.learning_rate is not None) == isinstance(kind, Method) == bool(kind.search_space)
    assert kind.is_reference == (kind.description != "")
    if name != "adapter":
        assert kind.facts()["label"] == kind.label and list(kind.notes(None)) == []  # type: ignore[arg-type]


LABELS = {
    "none": "untuned",
    "few_shot": "few-shot, 4 shots",
    "nearest_reply": "nearest reply",
    "true_reply": "the real lines",
    "lora": "LoRA r=16 α=32",
    "rslora": "rsLoRA r=16 α=8",
    "dora": "DoRA r=16 α=32",
    "ia3": "(IA)³",
    "prompt_tuning": "prompt tuning 16 tokens",
    "p_tuning": "P-tuning 16 tokens",
    "prefix_tuning": "prefix tuning 16 tokens",
    "lora_prompt": "LoRA r=16 α=32 + prompt 16 tokens",
    "full": "full fine-tuning",
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_those_of_the_tables(name: str) -> None:
    assert kind_of_option(name).label == LABELS[name]


def test_a_label_says_what_is_unusual() -> None:
    assert replace(LORA, init="pissa", alpha=7.5).label == "LoRA r=4 α=7.5 pissa"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("lora", ["lora", "r16"]),
        ("prompt_tuning", ["prompt_tuning", "v16"]),
        ("lora_prompt", ["lora_prompt", "r16", "v16"]),
        ("few_shot", ["few_shot", "k4"]),
        ("ia3", ["ia3"]),
        ("adapter", ["adapter", "somewhere"]),
    ],
)
def test_a_run_is_named_by_the_numbers_that_tell_runs_apart(name: str, parts: list[str]) -> None:
    assert kind_of_option(name).name_parts == parts


def test_alpha_said_as_a_ratio_is_the_same_setting() -> None:
    assert Lora(r=8, alpha=1.0, alpha_ratio=2.0, dropout=0.0, target_modules="all-linear", init="default") == Lora(
        r=8, alpha=16.0, dropout=0.0, target_modules="all-linear", init="default"
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_a_search_space_is_one_of_its_own_keys(name: str) -> None:
    kind = kind_of_option(name)
    assert len(parse(kind.search_space)) == len(kind.search_space)
    for key in kind.search_space:
        group, own = key.split(".")
        assert group == "train" or hasattr(kind, own)


def test_references_say_what_can_change_their_answers() -> None:
    facts = [(k.reads_training_data, k.uses_seed, k.has_model) for k in (Untuned(), FewShot(shots=1), NearestReply())]
    assert facts == [(False, False, True), (True, True, True), (True, False, False)]


def test_references_and_what_was_trained_elsewhere_leave_nothing(llama: BaseModel, tmp_path: Path) -> None:
    for kind in (Untuned(), FewShot(shots=2)):
        adapter = kind.create(llama.model, llama.tokenizer, 3)
        assert not list(adapter.parameters()) and adapter.seed == 3
        kind.save(adapter, llama.model, llama.tokenizer, "none", tmp_path)
        assert not list(tmp_path.iterdir())
        assert not list(kind.load(llama.model, tmp_path).parameters())
        assert kind.trainable_parameters(llama.model) == kind.saved_parameters(llama.model) == 0


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("full",)])
def test_an_export_has_as_many_numbers_as_was_said(llama: BaseModel, tmp_path: Path, name: str) -> None:
    from persona_sweeps.methods.formats.files import find_files, numbers

    method = METHODS[name]
    method.save(method.create(llama.model, llama.tokenizer, 0), llama.model, llama.tokenizer, "none", tmp_path)
    found = sum(numbers(files) for files in find_files(tmp_path / "adapter"))
    assert found == method.saved_parameters(llama.model)


def test_knowing_all_kinds_imports_no_torch() -> None:
    code = (
        "import sys; from persona_sweeps.config.kinds import PEFT\n"
        "for name in PEFT.names(): PEFT.find(name)\n"
        "found = {'torch', 'transformers', 'peft', 'datasets', 'numpy'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_name_of_another_method_needs_that_methods_keys(
    make_cell: Callable[..., Any], tiny: tuple[str, ...]
) -> None:
    with pytest.raises(Exception, match=r"peft.method=dora lacks its own settings: choose the whole group, peft=dora"):
        make_cell(*tiny, "peft=lora", "peft.method=dora")
    with pytest.raises(Exception, match=r"peft.method=lorra is unknown: .*Did you mean lora"):
        make_cell(*tiny, "peft=lora", "peft.method=lorra")


def test_full_fine_tuning_refuses_a_frozen_base() -> None:
    config: Any = SimpleNamespace(quantization=SimpleNamespace(method="nf4"))
    assert "quantization=none" in " ".join(METHODS["full"].check(config))


BITFIT = '''
"""BitFit: only the biases of linear layers (Ben Zaken et al. 2022), which PEFT's format doesn't hold."""

from dataclasses import dataclass

import torch
from omegaconf import MISSING
from safetensors.torch import load_file, save_file
from torch import nn

from persona_sweeps.methods.method import Method
from persona_sweeps.methods.stacked import stacked
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.layers import features, linear_layers, target_paths


class Biases:
    """A vector for each layer."""

    def __init__(self, vectors):
        self.vectors = vectors

    def hooks(self):
        for path in self.vectors:
            yield BiasHook, path

    def parameters(self):
        yield from self.vectors.values()


class BiasHook:
    """Adds to what a layer gives."""

    def __init__(self, path, module):
        self.path, self.device = path, next(module.parameters()).device
        self.stacked = self.slots = None
        self.handle = module.register_forward_hook(self.apply)

    def stack(self, adapters):
        of = [next((p.vectors.get(self.path) for p in a.others if isinstance(p, Biases)), None) for a in adapters]
        self.stacked = stacked(of)

    def refresh(self):
        pass

    def bind_gradients(self):
        if self.stacked is not None:
            self.stacked.bind_gradients()

    def route(self, slots, dropout):
        self.slots = slots

    def apply(self, module, inputs, output):
        if self.stacked is None:
            return output
        added = self.stacked.leaf if self.slots is None else self.stacked.leaf[self.slots]
        return output + added.to(output.dtype)[:, None]

    def close(self):
        self.handle.remove()


@dataclass
class BitFit(Method):
    method: str = "bitfit"
    learning_rate: float | None = 3e-2
    target_modules: str = "all-linear"
    scale: float = MISSING

    def create(self, model, tokenizer, seed):
        layers = linear_layers(model)
        paths = target_paths(model, self.target_modules)
        vectors = {path: nn.Parameter(torch.zeros(features(layers[path])[1])) for path in paths}
        return Adapter(others=(Biases(vectors),), seed=seed)

    def trainable_parameters(self, model):
        layers = linear_layers(model)
        return sum(features(layers[path])[1] for path in target_paths(model, self.target_modules))

    def save(self, adapter, model, tokenizer, base_name, folder):
        (folder / "adapter").mkdir(parents=True)
        vectors = adapter.others[0].vectors
        save_file({path: vector.detach().clone() for path, vector in vectors.items()}, folder / "adapter" / "biases")

    def load(self, model, folder):
        found = load_file(folder / "adapter" / "biases")
        return Adapter(others=(Biases({path: nn.Parameter(vector) for path, vector in found.items()}),))

    def check(self, config):
        if self.scale < 0:
            yield f"peft.scale={self.scale:g} must be at least 0."
'''


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of someone else's: a module with a method of their own, and a config folder with its YAML file."""
    (tmp_path / "their_methods.py").write_text(BITFIT)
    conf = tmp_path / "their_conf" / "peft"
    conf.mkdir(parents=True)
    (conf / "bitfit.yaml").write_text("# Biases.\n_target_: their_methods.BitFit\nscale: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "their_conf"


def test_a_method_of_elsewhere_is_one_file_and_one_yaml_file(
    elsewhere: Path, llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path
) -> None:
    register_schemas()
    search = f"hydra.searchpath=[file://{elsewhere}]"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=[search, "peft=bitfit", "peft.scale=2", "model.scale=tiny"])
    run = typed(composed)
    method = run.peft
    assert (type(method).__name__, method.scale, run.train.learning_rate) == ("BitFit", 2.0, 3e-2)
    assert method.label == "bitfit target_modules=all-linear scale=2" and method.name_parts == ["bitfit"]
    adapters = [method.create(llama.model, llama.tokenizer, 0), LORA.create(llama.model, llama.tokenizer, 1)]
    assert adapters[0].trainable_parameters() == method.trainable_parameters(llama.model)
    config = trained_with(max_steps=3, learning_rate=3e-2, warmup_ratio=0.0)
    with AdapterStack(llama.model, adapters) as stack:
        trials = [Trial(adapter, config, seed, sequences, sequences) for seed, adapter in enumerate(adapters)]
        engine = Engine(llama.model, stack, trials)
        before = engine.evaluation_nll([0])[0].sum()
        engine.train(lambda index, values: None)
        together = engine.evaluation_nll([0])[0]
    assert together.sum() < before and [trial.failure for trial in trials] == [None, None]
    method.save(adapters[0], llama.model, llama.tokenizer, "none", tmp_path / "run")
    loaded = method.load(llama.model, tmp_path / "run")
    with AdapterStack(llama.model, [loaded]) as stack:
        engine = Engine(llama.model, stack, [Trial(loaded, TRAIN, 0, [], sequences)])
        assert torch.allclose(torch.from_numpy(engine.evaluation_nll([0])[0]), torch.from_numpy(together), rtol=1e-5)


def test_a_method_of_elsewhere_is_run_by_the_command(
    elsewhere: Path, launch: Callable[..., Any], tiny: tuple[str, ...]
) -> None:
    ended = launch("--config-dir", str(elsewhere), *tiny, "peft=bitfit", "metrics=[likelihood]")
    assert ended.code == 0, ended.err
    (record,) = ended.records()
    assert record["predictor"]["label"] == "bitfit target_modules=all-linear scale=1"
    assert record["config"]["peft"]["_target_"] == "their_methods.BitFit"
    wrong = launch("--config-dir", str(elsewhere), *tiny, "peft=bitfit", "peft.scale=-1")
    assert wrong.code == 1 and "peft.scale=-1 must be at least 0." in wrong.err
    stranger = launch("--config-dir", str(elsewhere), *tiny, "peft=bitfit", "+peft.scole=1")
    assert stranger.code == 1 and "peft.scole is not a key of BitFit. Did you mean scale?" in stranger.err
