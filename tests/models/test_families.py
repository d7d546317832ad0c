"""Model families: found by name without torch, what they say is true, and one more is one module and a card."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from persona_sweeps.config import kinds
from persona_sweeps.config.kinds import FAMILIES
from persona_sweeps.config.schema import ModelConfig, register_schemas, typed
from persona_sweeps.models.architecture import card_config
from persona_sweeps.models.families import family_of
from persona_sweeps.models.loading import load_base
from persona_sweeps.models.tiny import tiny_config, tiny_model

CARDS = {
    "llama": "llama32_1b", "mistral": "mistral_7b", "qwen2": "qwen25_14b", "qwen3": "qwen3_32b",
    "gemma2": "gemma2_27b", "gemma3": "gemma3_270m", "gpt2": "gpt2",
}  # fmt: skip
"""a card of each family"""

CONF = Path(__file__).resolve().parents[2] / "conf"
Composer = Callable[..., ModelConfig]


def test_each_family_has_a_module_of_its_name() -> None:
    for name, path in FAMILIES.builtin.items():
        assert path.partition(":")[0] == f"persona_sweeps.models.families.{name}"
        assert FAMILIES.find(name).__module__ == path.partition(":")[0]
    assert set(CARDS) == set(FAMILIES.builtin)


def test_looking_all_of_them_up_imports_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from persona_sweeps.config.kinds import FAMILIES\n"
        "families = [FAMILIES.find(name)() for name in FAMILIES.names()]\n"
        "print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CONF.parent)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", FAMILIES.builtin)
def test_the_twin_and_the_full_model_are_of_one_architecture(compose_card: Composer, name: str) -> None:
    card = compose_card(CARDS[name])
    full, twin = card_config(card), tiny_config(card)
    assert full is not None and type(full) is type(twin)
    assert full.model_type == twin.model_type == family_of(card).model_type


@pytest.mark.parametrize("name", FAMILIES.builtin)
def test_norms_that_keep_their_input_are_told_from_those_that_do_not(compose_card: Composer, name: str) -> None:
    """Counted are the tensors as large as the input that a norm keeps in fp32 where its weight has a gradient."""
    model = tiny_model(compose_card(CARDS[name])).to(torch.bfloat16)
    norm = next(module for module in model.modules() if "Norm" in type(module).__name__)
    states = torch.randn(1, 8, norm.weight.numel(), dtype=torch.bfloat16, requires_grad=True)
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype is torch.float32 and tensor.shape == states.shape:
            kept[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        norm(states)
    assert family_of(compose_card(CARDS[name])).norms_keep_input == (len(kept) == 2)


@pytest.fixture
def another_family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A package with one family, installed as another project would be, and a folder with its card."""
    (tmp_path / "their_families.py").write_text(
        "from persona_sweeps.models.families.family import TWIN_SIZES, Family\n\n"
        "class Olmo2(Family):\n"
        "    model_type = 'olmo2'\n"
        "    twin = {**TWIN_SIZES, 'tie_word_embeddings': False}\n"
    )
    card = (CONF / "model" / "llama32_1b.yaml").read_text().replace("family: llama", "family: olmo2")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "olmo.yaml").write_text(card.replace("name: llama32_1b", "name: olmo"))
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("olmo2", "their_families:Olmo2", FAMILIES.entry_points)
    monkeypatch.setattr(kinds, "entry_points", lambda group: [point] if group == FAMILIES.entry_points else [])
    kinds._registered.cache_clear()
    yield tmp_path / "conf"
    kinds._registered.cache_clear()


def test_a_new_family_is_one_module_and_a_card(another_family: Path) -> None:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [f"hydra.searchpath=[{another_family}]", "model=olmo", "model.scale=tiny"]
        card = typed(compose("config", overrides=overrides)).model
    assert FAMILIES.names()[-1] == "olmo2" and family_of(card).model_type == "olmo2"
    base = load_base(card, torch.float32, "cpu")
    assert type(base.model).__name__ == "Olmo2ForCausalLM"
    tokens = base.tokenizer("To be, or not to be.", return_tensors="pt")
    assert torch.isfinite(base.model(**tokens).logits).all()
