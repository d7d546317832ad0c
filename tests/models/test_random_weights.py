"""Random weights have the full model's shapes, are the same every time, and are never ranked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from persona_sweeps.config.schema import FourBitConfig, ModelConfig
from persona_sweeps.models.loading import load_base
from persona_sweeps.models.skeleton import skeleton
from tests.conftest import REPOSITORY, Ended


@pytest.mark.slow
def test_they_have_the_shapes_of_the_card_and_need_no_download(compose_card: Callable[..., ModelConfig]) -> None:
    card = compose_card("smollm2_135m", "weights=random", "embedded=null")
    before = torch.get_rng_state()
    first = load_base(card, torch.bfloat16, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    shapes = {name: parameter.shape for name, parameter in first.model.named_parameters()}
    assert shapes == {name: parameter.shape for name, parameter in skeleton(card).named_parameters()}
    torch.manual_seed(5)
    second = load_base(card, torch.bfloat16, "cpu")
    assert first.fingerprint == second.fingerprint and "HuggingFaceTB/SmolLM2-135M" in first.fingerprint
    assert all(map(torch.equal, first.model.parameters(), second.model.parameters()))
    assert {parameter.dtype for parameter in first.model.parameters()} == {torch.bfloat16}


@pytest.mark.slow
def test_they_can_be_quantized(compose_card: Callable[..., ModelConfig]) -> None:
    card = compose_card("smollm2_135m", "weights=random")
    base = load_base(card, torch.float32, "cpu", FourBitConfig(method="nf4", double_quant=True))
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([[5, 6, 7]])).logits
    assert torch.isfinite(logits).all() and base.model.is_loaded_in_4bit


@pytest.mark.long
@pytest.mark.slow
def test_a_run_with_them_is_marked_and_not_ranked(command: Callable[..., Ended], tmp_path: Path) -> None:
    data = REPOSITORY / "docs" / "examples" / "dialogue.jsonl"
    common = (
        "model=smollm2_135m", "dataset=jsonl", f"dataset.path={data}", "metrics=likelihood", "peft=none",
        "sweep.name=made", "dataset.eval_limit=2",
    )  # fmt: skip
    made = command("-m", *common, "model.weights=random", folder=tmp_path)
    assert made.code == 0, made.err[-2000:]
    assert command("-m", *common, "model.scale=tiny", folder=tmp_path).code == 0
    record = next(record for record in made.records() if record["config"]["model"]["weights"] == "random")
    assert record["name"].startswith("smollm2_135m-random-")
    tables = command("leaderboard", "--sweep", "made", folder=tmp_path, python=("-m", "analysis"))
    assert tables.code == 0, tables.err[-2000:]
    assert f"Not ranked: {record['name']} (smollm2_135m (random)" in tables.out and "(tiny)" in tables.out
    rows = [line for line in tables.out.splitlines() if line.startswith("| ")]
    assert not any("random" in line for line in rows)
