"""The runs to compare with: a few-shot prompt, and the reply of the nearest training example; like any other run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

METHODS = "peft=none,few_shot,nearest_reply,lora"
NO_MODEL = {"model", "quantization", "train"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def sweep(command: Callable, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sweep of them over learning rates, in a process of its own."""
    rates = "train.learning_rate=1e-3,5e-3"
    ended = command("-m", *tiny, METHODS, rates, "sweep.name=references", folder=tmp_path_factory.mktemp("references"))
    assert ended.code == 0, ended.err
    return ended


@pytest.mark.slow
@pytest.mark.long
def test_learning_rates_ask_for_the_same_reference_runs_and_all_are_comparable(sweep: Any) -> None:
    records = sweep.records()
    methods = sorted(record["config"]["peft"]["method"] for record in records)
    assert methods == ["few_shot", "lora", "lora", "nearest_reply", "none"]
    assert {record["status"] for record in records} == {"completed"}
    assert len({record["comparability_key"] for record in records}) == 1
    assert len({cell["run_id"] for cell in sweep.sweep("references")}) == 5


def test_a_run_without_a_model_claims_none_and_has_texts_alone(sweep: Any) -> None:
    record = sweep.by("peft", "method")["nearest_reply"]
    assert {key for key, value in record["config"].items() if value is None} >= NO_MODEL
    of_texts = {"rouge1", "rougeL", "bleu", "meteor", "chrf", "jaccard", "exact_match", "length_ratio"}
    assert set(record["metrics"]) == of_texts | {"rouge2", "rougeLsum"}
    assert record["resources"]["weights_bytes"] == record["training"]["trainable_parameters"] == 0
    assert "smollm2" not in record["name"] and "model_fingerprint" not in record["provenance"]
    for sample in sweep.samples_of(record):
        assert "completion_nll" not in sample and sample["prediction"].startswith("Nay, answer me:")
        assert sample["nearest_id"] != sample["id"]


def test_shots_are_in_the_samples_and_counted_in_the_record(sweep: Any) -> None:
    record = sweep.by("peft", "method")["few_shot"]
    assert record["evaluation"]["data"]["shots"] == 4 and record["training"]["trainable_parameters"] == 0
    assert "4 solved examples stand before each prompt" in sweep.out
    samples = sweep.samples_of(record)
    assert all(sample["prompt"].count("Nay, answer me:") == 4 for sample in samples)
    assert all(sample["reference"] not in sample["prompt"] for sample in samples)


def test_the_likelihood_behind_shots_is_that_of_the_whole_text(sweep: Any, make_cell: Callable) -> None:
    import torch
    from omegaconf import OmegaConf
    from torch.nn import functional as F

    from persona_sweeps.models.loading import load_base

    record = sweep.by("peft", "method")["few_shot"]
    config = make_cell(*OmegaConf.load(sweep.folder_of(record) / ".hydra" / "overrides.yaml")).config
    base = load_base(config.model, torch.float32, "cpu")
    for sample in sweep.samples_of(record):
        prompt, completion = (
            base.tokenizer(sample[key], add_special_tokens=False)["input_ids"] for key in ("prompt", "reference")
        )
        ids = torch.tensor([[*prompt, *completion, base.tokenizer.eos_token_id]])
        with torch.no_grad():
            logits = base.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(prompt) - 1 : -1]
        nll = F.cross_entropy(logits, ids[0, len(prompt) :])
        assert float(nll) == pytest.approx(sample["completion_nll"], abs=1e-4)
        assert sample["completion_tokens"] == len(completion) + 1


def test_asked_again_nothing_is_left_to_do_and_no_tokenizer_is_loaded(sweep: Any, command: Callable, tiny) -> None:
    script = (
        "import sys; from persona_sweeps.cli.launch import main\n"
        "try:\n    main()\nfinally:\n    print('heavy:', sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    overrides = ("-m", *tiny, METHODS, "train.learning_rate=1e-3,5e-3", "sweep.name=references")
    root = str(Path(__file__).resolve().parents[2])
    again = command(
        *overrides, folder=sweep.folder, python=("-c", f"import sys; sys.path.insert(0, {root!r})\n{script}")
    )
    assert "5 done already, 0 to run" in again.out and "heavy: []" in again.out, again.out + again.err


def test_models_that_are_evaluated_on_the_same_items_share_the_run_without_a_model(make_cell, tiny) -> None:
    nearest = (*tiny, "peft=nearest_reply")
    one = make_cell(*nearest)
    for override in ("model=gpt2", "train.epochs=9", "train.precision=bf16", "seed=7", "train.max_length=128"):
        other = make_cell(*nearest, override)
        assert (other.run_id, other.evaluation_id) == (one.run_id, one.evaluation_id), override
    for override in ("generation.max_new_tokens=9", "dataset.eval_limit=2"):
        other = make_cell(*nearest, override)
        assert other.run_id == one.run_id and other.evaluation_id != one.evaluation_id, override
    assert make_cell(*nearest, "dataset.limit=4").run_id != one.run_id


def test_where_a_model_leaves_long_examples_out_the_run_without_a_model_does(
    launch: Callable, tiny: tuple[str, ...], dialogue: Path, tmp_path: Path
) -> None:
    rows = lines(dialogue)
    rows[-1]["prompt"] *= 20  # in the scene that is held out
    path = tmp_path / "uneven.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ("-m", *tiny, f"dataset.path={path}", "peft=none,few_shot,nearest_reply")
    short, whole = (launch(*common, f"train.max_length={length}", f"sweep.name=l{length}") for length in (100, 400))
    assert short.code == whole.code == 0, short.err + whole.err
    by_items: dict[int, set[str]] = {}
    for evaluation in whole.evaluations():
        by_items.setdefault(evaluation["data"]["eval_examples"], set()).add(evaluation["comparability_key"])
    assert sorted(by_items) == [2, 3] and all(len(keys) == 1 for keys in by_items.values())
    nearest = [e for e in whole.evaluations() if e["run"]["config"]["peft"]["method"] == "nearest_reply"]
    assert sorted(sum(evaluation["data"]["dropped"].values()) for evaluation in nearest) == [0, 1]
    assert len({evaluation["run_id"] for evaluation in nearest}) == 1


def test_what_shots_are_drawn_by_counts_and_how_one_would_train_does_not(make_cell, tiny) -> None:
    few_shot = (*tiny, "peft=few_shot")
    one = make_cell(*few_shot)
    for override in ("train.learning_rate=0.5", "train.epochs=9", "train.batch_size=1"):
        assert make_cell(*few_shot, override).run_id == one.run_id
    for override in ("seed=1", "dataset.limit=5", "peft.shots=3", "model=gpt2", "train.precision=bf16"):
        assert make_cell(*few_shot, override).run_id != one.run_id
    assert one.name == "smollm2_135m_instruct-tiny-few_shot-k4-dialogue-s0"


def test_one_of_them_that_fails_takes_nothing_with_it(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.prediction.references.nearest_reply import NearestReply

    answer = NearestReply.answer

    def fails(reference: NearestReply, train: Any, asked: Any) -> Any:
        if len(train) == 5:
            raise RuntimeError("no such reply")
        return answer(reference, train, asked)

    monkeypatch.setattr(NearestReply, "answer", fails)
    sweep = ("-m", *tiny, "peft=nearest_reply", "dataset.limit=4,5,6")
    ended = launch(*sweep)
    failures = {record["config"]["dataset"]["limit"]: record["evaluation"]["failure"] for record in ended.records()}
    assert ended.code == 1 and [bool(failures[limit]) for limit in (4, 5, 6)] == [False, True, False]
    assert failures[5]["message"] == "no such reply"
    assert "no such reply" in ended.out and not list(ended.output.glob("runs/*/lease"))
    monkeypatch.setattr(NearestReply, "answer", answer)
    again = launch(*sweep)
    assert again.code == 0 and "2 done already, 1 to run" in again.out


@pytest.mark.slow
@pytest.mark.long
def test_workers_carry_them_out_with_the_same_results(sweep: Any, command: Callable, tiny, tmp_path: Path) -> None:
    local = ("hydra/launcher=local", "hydra.launcher.workers=1", "hydra.launcher.poll_seconds=0.1")
    ended = command("-m", *tiny, METHODS, *local, folder=tmp_path)
    assert ended.code == 0, ended.err
    expected = {record["run_id"]: record["metrics"] for record in sweep.records()}
    found = {record["run_id"]: record["metrics"] for record in ended.records()}
    assert len(found) == 4
    for run_id, metrics in found.items():
        assert metrics == pytest.approx(expected[run_id], rel=1e-5)


def test_the_plan_says_what_they_take_before_they_run(launch: Callable, make_cell, tiny: tuple[str, ...]) -> None:
    from persona_sweeps.planning.plan import make_plan
    from persona_sweeps.planning.preflight import predict

    planned = launch("-m", *tiny, METHODS, "plan=only")
    assert planned.code == 0 and "1 run of no model" in planned.out and not list(planned.output.glob("runs/*"))
    cells = {method: make_cell(*tiny, f"peft={method}") for method in ("none", "few_shot", "nearest_reply")}
    found = predict(make_plan(list(cells.values())))
    none, few_shot, nearest = (found[cell.run_id] for cell in cells.values())
    assert few_shot.cache_bytes > none.cache_bytes and few_shot.trainable_parameters == few_shot.flops == 0
    assert nearest.weights_bytes == nearest.cache_bytes == nearest.tokens == 0
