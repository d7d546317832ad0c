"""Sweeps carried out: what runs leave behind, sharing and skipping, and the same result in any group."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

METHODS = ("peft=none,lora,prompt_tuning", "sweep.name=methods")
STEP_KEYS = {"step", "epoch", "tokens", "train_nll", "learning_rate", "seconds"}
SAMPLE_KEYS = {
    "id", "cluster", "persona", "prompt", "reference", "prediction", "completion_nll", "completion_tokens",
    "completion_bytes", "rouge1", "rouge2", "rougeL",
}  # fmt: skip
RECORD = {
    "schema_version": int, "run_id": str, "setting_key": str, "name": str, "status": str, "config": dict,
    "predictor": dict, "training": dict, "data": dict, "resources": dict, "provenance": dict, "failure": type(None),
}  # fmt: skip
EVALUATION = {
    "schema_version": int, "evaluation_id": str, "run_id": str, "setting_key": str, "comparability_key": str,
    "config": dict, "metrics": dict, "descriptions": dict, "data": dict, "predictions": dict, "resources": dict,
    "provenance": dict, "failure": type(None),
}  # fmt: skip
RESOURCES = {
    "wall_seconds", "cpu_seconds", "weights_bytes", "peak_rss_bytes", "peak_device_bytes", "group_size", "device",
}  # fmt: skip
PARTS = {
    "predictor": {"label", "trains", "has_model", "is_reference", "description"},
    "training": {
        "steps", "epochs", "trainable_parameters", "tokens", "unique_tokens", "examples", "final_train_nll",
        "best_eval_nll", "eval_nll",
    },
    "resources": RESOURCES,
    "provenance": {
        "created", "finished", "git_commit", "git_dirty", "packages", "data_fingerprint", "template_fingerprint",
        "model_fingerprint", "host_cpu", "seed",
    },
}  # fmt: skip
METRICS = {"completion_ppl", "completion_nll", "bits_per_byte", "rouge1", "rouge2", "rougeL", "bleu"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def methods(command: Callable, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sweep of every method, in a process of its own."""
    ended = command("-m", *tiny, *METHODS, folder=tmp_path_factory.mktemp("methods"))
    assert ended.code == 0, ended.err
    return ended


def test_every_run_leaves_its_files(methods: Any) -> None:
    assert [record["config"]["peft"]["method"] for record in methods.records()] == ["lora", "none", "prompt_tuning"]
    for record in methods.records():
        folder = methods.folder_of(record)
        assert folder.name == f"{record['name']}-{record['run_id']}"
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        evaluation = record["evaluation"]
        name = evaluation["evaluation_id"]
        expected = {f".hydra/{part}.yaml" for part in ("config", "overrides", "hydra")}
        expected |= {"run.json", "history.jsonl", "run.log"}
        expected |= {f"evaluations/{name}.json", f"evaluations/{name}.samples.jsonl"}
        expected |= {f"predictions/{one}.{end}" for one in evaluation["predictions"] for end in ("json", "jsonl")}
        adapter = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/README.md"}
        assert files == expected | (adapter if record["predictor"]["trains"] else set())


def test_records_have_every_part_that_the_design_names(methods: Any) -> None:
    for record in methods.records():
        alone = json.loads((methods.folder_of(record) / "run.json").read_text())
        assert {key: type(value) for key, value in alone.items()} == RECORD
        assert all(keys <= set(record[part]) for part, keys in PARTS.items())
        assert record["schema_version"] == 2 and record["status"] == "completed"
        evaluation = record["evaluation"]
        assert EVALUATION.items() <= {key: type(value) for key, value in evaluation.items()}.items()
        assert set(evaluation["metrics"]) >= METRICS and set(evaluation["resources"]) >= RESOURCES
        assert evaluation["resources"]["group_size"] == 3 and evaluation["resources"]["device"] == "cpu"
        assert all(0 <= evaluation["metrics"][key] <= 1 for key in ("rouge1", "rouge2", "rougeL", "bleu"))
        assert evaluation["data"]["eval_examples"] == 3
        assert evaluation["data"]["train_examples"] == (9 if record["predictor"]["trains"] else None)
        assert {"torch", "transformers", "peft"} <= set(record["provenance"]["packages"])


def test_what_was_trained_is_what_the_record_says(methods: Any) -> None:
    records = methods.by("peft", "method")
    assert records["none"]["training"]["steps"] == records["none"]["training"]["trainable_parameters"] == 0
    assert records["prompt_tuning"]["training"]["trainable_parameters"] == 16 * 64
    for method in ("lora", "prompt_tuning"):
        training = records[method]["training"]
        history = lines(methods.folder_of(records[method]) / "history.jsonl")
        assert [row["step"] for row in history] == [1, 2, 3] and training["steps"] == 3
        assert all(set(row) >= STEP_KEYS for row in history) and "eval_nll" in history[-1]
        assert training["final_train_nll"] == history[-1]["train_nll"]
        assert training["best_eval_nll"] == min(row["eval_nll"] for row in history if "eval_nll" in row)
        assert training["tokens"] == history[-1]["tokens"] >= training["unique_tokens"] > 0
        nll = records[method]["evaluation"]["metrics"]["completion_nll"]
        assert history[-1]["eval_nll"] == pytest.approx(nll, rel=1e-5)


def test_a_sample_an_evaluation_example_adds_up_to_the_metrics(methods: Any) -> None:
    for record in methods.records():
        evaluation, samples = record["evaluation"], methods.samples_of(record)
        assert len(samples) == evaluation["data"]["eval_examples"]
        assert all(set(sample) >= SAMPLE_KEYS for sample in samples)
        tokens = sum(sample["completion_tokens"] for sample in samples)
        nll = sum(sample["completion_nll"] * sample["completion_tokens"] for sample in samples)
        assert nll / tokens == pytest.approx(evaluation["metrics"]["completion_nll"], rel=1e-6)
        rouge = sum(sample["rouge1"] for sample in samples) / len(samples)
        assert rouge == pytest.approx(evaluation["metrics"]["rouge1"])


def test_the_sweep_s_record_lists_its_cells_in_order(methods: Any) -> None:
    sweep = json.loads((methods.output / "sweeps" / "methods" / "sweep.json").read_text())
    assert sweep["name"] == "methods" and sweep["commands"][0].startswith("launch.py -m ")
    runs = methods.by("peft", "method")
    for cell, method in zip(sweep["cells"], ("none", "lora", "prompt_tuning"), strict=True):
        assert f"peft={method}" in cell["overrides"] and cell["state"] == "completed"
        assert cell["run_id"] == runs[method]["run_id"] and (methods.output / cell["folder"] / "run.json").exists()


def test_the_adapters_are_those_that_peft_loads(methods: Any, make_cell: Callable) -> None:
    """The record's likelihood is what transformers and PEFT compute from the exported files."""
    import torch
    from peft import PeftModel

    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.fingerprints import tokenizer_fingerprint
    from persona_sweeps.models.loading import load_base

    records = methods.by("peft", "method")
    for method in ("lora", "prompt_tuning"):
        folder = methods.folder_of(records[method])
        config = make_cell(*_overrides(folder)).config
        base = load_base(config.model, torch.float32, "cpu")
        data = prepare(config, base.tokenizer, tokenizer_fingerprint(config.model, base.tokenizer)).eval
        model = PeftModel.from_pretrained(base.model, str(folder / "adapter")).eval()
        total, count = 0.0, 0
        for row in data:
            labels = [-100] * row["prompt_length"] + row["input_ids"][row["prompt_length"] :]
            with torch.no_grad():
                ids = torch.tensor([row["input_ids"]])
                loss = model(ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([labels])).loss
            size = len(labels) - row["prompt_length"]
            total, count = total + float(loss) * size, count + size
        nll = records[method]["evaluation"]["metrics"]["completion_nll"]
        assert total / count == pytest.approx(nll, rel=1e-4)


def _overrides(folder: Path) -> list[str]:
    from omegaconf import OmegaConf

    return [str(override) for override in OmegaConf.load(folder / ".hydra" / "overrides.yaml")]


def test_what_is_done_is_not_done_again_and_sweeps_share_it(
    methods: Any, command: Callable, tiny: tuple[str, ...]
) -> None:
    def written() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in methods.output.glob("runs/*/run.json")}

    before = written()
    again = command("-m", *tiny, *METHODS, folder=methods.folder)
    other = command("-m", *tiny, "peft=lora,none", "sweep.name=other", folder=methods.folder)
    assert (again.code, other.code) == (0, 0) and "3 done already, 0 to run" in again.out
    assert written() == before
    shared = {cell["run_id"] for cell in methods.sweep("methods")} & {cell["run_id"] for cell in methods.sweep("other")}
    assert len(shared) == 2 and [cell["state"] for cell in methods.sweep("other")] == ["completed"] * 2


def test_cells_that_ask_for_the_same_run_are_one_run(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none", "train.learning_rate=1e-3,1e-2", "sweep.name=twice")
    assert ended.code == 0, ended.err
    assert len(ended.records()) == 1 and "2 cells, 1 of them different; 0 done" in ended.out
    first, second = ended.sweep("twice")
    assert first["run_id"] == second["run_id"] and first["state"] == second["state"] == "completed"


OTHERS = (
    ("peft.r=2", "peft.alpha=64", "train.batch_size=2"),
    ("peft.r=8", "peft.dropout=0.2", "seed=3", "train.max_steps=5"),
    ("peft=prompt_tuning", "peft.num_virtual_tokens=5"),
    ("peft=none",),
    ("peft=prompt_tuning", "peft.init=random", "train.micro_batch_size=2", "seed=5"),
    ("peft.target_modules=[q_proj]", "train.max_grad_norm=null", "train.scheduler=constant"),
    ("train.learning_rate=5e-3", "train.weight_decay=0.1", "dataset.limit=6"),
)


@pytest.mark.parametrize("subject", [("peft.r=4", "peft.dropout=0.1"), ("peft=prompt_tuning",)], ids=["lora", "prompt"])
def test_a_run_gives_the_same_result_solo_and_in_any_group(
    make_cell: Callable,
    tiny: tuple[str, ...],
    tmp_path: Path,
    shared_cache: Path,
    monkeypatch,
    subject: tuple[str, ...],
) -> None:
    from persona_sweeps.execution.execute import execute

    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))

    def result(name: str, others: tuple[tuple[str, ...], ...]) -> tuple[dict[str, float], list[str], list[float]]:
        wanted = [*others, (*subject, "seed=2")]
        cells = [make_cell(*tiny, f"output_dir={tmp_path / name}", *overrides) for overrides in wanted]
        plan = execute(cells, sweep=None)
        assert [len(group) for group in plan.groups] == [len(wanted)]
        folder = cells[-1].folder
        samples, history = lines(folder.samples(cells[-1].evaluation_id)), lines(folder.history)
        return (
            dict(cells[-1].outcome.metrics),
            [row["prediction"] for row in samples],
            [row["train_nll"] for row in history],
        )

    solo = result("solo", ())
    for name, others in (("three", OTHERS[1:3]), ("eight", OTHERS)):
        metrics, texts, losses = result(name, others)
        assert metrics == pytest.approx(solo[0], rel=1e-4)
        assert texts == solo[1]
        assert losses == pytest.approx(solo[2], rel=1e-4)


def test_a_group_in_bf16_runs(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none,lora,prompt_tuning", "train.precision=bf16", "train.max_steps=1")
    assert ended.code == 0, ended.err
    assert [record["config"]["train"]["precision"] for record in ended.records()] == ["bf16"] * 3


def test_examples_left_out_are_counted_and_reported(launch: Callable, tiny: tuple[str, ...], tmp_path: Path) -> None:
    rows = [{"prompt": f"Speak {n}", "completion": "word " * (300 if n == 4 else 1)} for n in range(12)]
    text = "\n".join(map(json.dumps, rows)) + '\n\n{"prompt": "Silence", "completion": " "}\n'
    (tmp_path / "own.jsonl").write_text(text)
    ended = launch("-m", *tiny, "dataset.path=own.jsonl", "seed=0,1", "train.max_steps=1")
    assert ended.code == 0, ended.err
    printed = [line for line in ended.out.splitlines() if line.startswith("Left out 1 of ")]
    assert len(printed) == 3 and all("2 runs use these data" in line for line in printed)
    for reason in ("blank line", "empty completion", "no room"):
        assert sum(reason in line for line in printed) == 1
    for record in ended.records():
        assert sum(record["data"]["dropped"].values()) == 3
        assert record["data"]["train_examples"] + record["evaluation"]["data"]["eval_examples"] == 11


def test_showing_examples_prints_them_marked_and_leaves_nothing(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*tiny, "show_examples=2")
    assert ended.code == 0, ended.err
    assert ended.out.count("⟦Nay, answer me:") == 2 and "training examples" in ended.out
    assert not ended.output.exists()


@pytest.mark.slow
def test_wandb_gets_a_run_a_trial_offline(command: Callable, tiny: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    sweep = ("-m", *tiny, "tracker=wandb", "seed=0,1", "sweep.name=tracked")
    ended = command(*sweep, folder=tmp_path, WANDB_MODE="offline", HOME=str(tmp_path))
    assert ended.code == 0, ended.err
    for record in ended.records():
        assert len(list(ended.folder_of(record).glob("**/offline-run-*/*.wandb"))) == 1
    assert not (tmp_path / "wandb").exists()


def test_a_fully_trained_model_is_left_whole_and_its_folder_is_a_model(launch: Callable, tiny: tuple[str, ...]) -> None:
    trained = launch(*tiny, "peft=full", "train.learning_rate=1e-3")
    assert trained.code == 0, trained.err
    (record,) = trained.records()
    folder = trained.folder_of(record)
    assert not (folder / "adapter").exists() and (folder / "model" / "model.safetensors").exists()
    again = launch(*tiny, "peft=none", "model.scale=full", f"model.hub_id={folder / 'model'}")
    assert again.code == 0, again.err
    untuned = again.by("peft", "method")["none"]["evaluation"]["metrics"]
    tuned = record["evaluation"]["metrics"]
    assert untuned["completion_nll"] == pytest.approx(tuned["completion_nll"], rel=1e-5)


def test_a_run_that_trains_the_base_itself_is_solo_and_leaves_the_base_to_others(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    ended = launch("-m", *tiny, "peft=full,none,lora_prompt", "train.learning_rate=1e-2")
    assert ended.code == 0, ended.err
    evaluations = {method: record["evaluation"] for method, record in ended.by("peft", "method").items()}
    sizes = {method: evaluation["resources"]["group_size"] for method, evaluation in evaluations.items()}
    assert sizes == {"full": 1, "none": 2, "lora_prompt": 2}
    assert launch(*tiny, "peft=none", "output_dir=solo").code == 0
    (path,) = (ended.folder / "solo").glob("runs/*/evaluations/*.json")
    assert json.loads(path.read_text())["metrics"] == evaluations["none"]["metrics"]
