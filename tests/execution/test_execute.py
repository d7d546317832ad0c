"""Sweeps carried out: what runs leave behind, sharing and skipping, and the same result in any company."""

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
    "schema_version": int, "run_id": str, "name": str, "status": str, "config": dict, "comparability_key": str,
    "metrics": dict, "training": dict, "data": dict, "resources": dict, "provenance": dict, "failure": type(None),
}  # fmt: skip
PARTS = {
    "metrics": {"completion_ppl", "completion_nll", "bits_per_byte", "rouge1", "rouge2", "rougeL", "bleu"},
    "training": {
        "steps", "epochs", "trainable_parameters", "tokens", "unique_tokens", "final_train_nll", "best_eval_nll",
    },
    "resources": {
        "wall_seconds", "cpu_seconds", "weights_bytes", "peak_rss_bytes", "peak_device_bytes", "group_size", "device",
    },
    "provenance": {
        "created", "finished", "git_commit", "git_dirty", "packages", "data_fingerprint", "template_fingerprint",
        "model_fingerprint", "host_cpu", "seed",
    },
}  # fmt: skip


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
        files = {str(path.relative_to(methods.folder_of(record))) for path in methods.folder_of(record).rglob("*.*")}
        adapter = {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
        expected = {f".hydra/{name}.yaml" for name in ("config", "overrides", "hydra")} | {".hydra"}
        expected |= {"run.json", "history.jsonl", "samples.jsonl", "run.log"}
        assert files == expected | (adapter if record["config"]["peft"]["method"] != "none" else set())
        assert methods.folder_of(record).name == f"{record['name']}-{record['run_id']}"


def test_a_record_has_every_part_that_the_design_names(methods: Any) -> None:
    for record in methods.records():
        assert {key: type(value) for key, value in record.items()} == RECORD
        for part, keys in PARTS.items():
            assert keys <= set(record[part]), part
        assert record["schema_version"] == 1 and record["status"] == "completed"
        assert record["resources"]["group_size"] == 3 and record["resources"]["device"] == "cpu"
        assert all(0 <= record["metrics"][key] <= 1 for key in ("rouge1", "rouge2", "rougeL", "bleu"))
        assert record["data"]["train_examples"] + record["data"]["eval_examples"] == 12
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
        assert history[-1]["eval_nll"] == pytest.approx(records[method]["metrics"]["completion_nll"], rel=1e-5)


def test_a_sample_an_evaluation_example_adds_up_to_the_metrics(methods: Any) -> None:
    for record in methods.records():
        samples = lines(methods.folder_of(record) / "samples.jsonl")
        assert len(samples) == record["data"]["eval_examples"]
        assert all(set(sample) >= SAMPLE_KEYS for sample in samples)
        tokens = sum(sample["completion_tokens"] for sample in samples)
        nll = sum(sample["completion_nll"] * sample["completion_tokens"] for sample in samples)
        assert nll / tokens == pytest.approx(record["metrics"]["completion_nll"], rel=1e-6)
        rouge = sum(sample["rouge1"] for sample in samples) / len(samples)
        assert rouge == pytest.approx(record["metrics"]["rouge1"])


def test_the_sweep_s_record_lists_its_cells_in_order(methods: Any) -> None:
    sweep = json.loads((methods.output / "sweeps" / "methods" / "sweep.json").read_text())
    assert sweep["name"] == "methods" and sweep["command"].startswith("launch.py -m ")
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
        assert total / count == pytest.approx(records[method]["metrics"]["completion_nll"], rel=1e-4)


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
    assert len(ended.records()) == 1 and "1 of them asked for twice" in ended.out
    first, second = ended.sweep("twice")
    assert first["run_id"] == second["run_id"] and first["state"] == second["state"] == "completed"


COMPANY = (
    ("peft.r=2", "peft.alpha=64", "train.batch_size=2"),
    ("peft.r=8", "peft.dropout=0.2", "seed=3", "train.max_steps=5"),
    ("peft=prompt_tuning", "peft.num_virtual_tokens=5"),
    ("peft=none",),
    ("peft=prompt_tuning", "peft.init=random", "train.micro_batch_size=2", "seed=5"),
    ("peft.target_modules=[q_proj]", "train.max_grad_norm=null", "train.scheduler=constant"),
    ("train.learning_rate=5e-3", "train.weight_decay=0.1", "dataset.limit=6"),
)


@pytest.mark.parametrize("subject", [("peft.r=4", "peft.dropout=0.1"), ("peft=prompt_tuning",)], ids=["lora", "prompt"])
def test_a_run_gives_the_same_result_alone_and_in_any_company(
    make_cell: Callable,
    tiny: tuple[str, ...],
    tmp_path: Path,
    shared_cache: Path,
    monkeypatch,
    subject: tuple[str, ...],
) -> None:
    from persona_sweeps.execution.execute import execute

    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))

    def result(place: str, company: tuple[tuple[str, ...], ...]) -> tuple[dict[str, float], list[str], list[float]]:
        wanted = [*company, (*subject, "seed=2")]
        cells = [make_cell(*tiny, f"output_dir={tmp_path / place}", *overrides) for overrides in wanted]
        plan = execute(cells, sweep=None)
        assert [len(group) for group in plan.groups] == [len(wanted)]
        record = json.loads(cells[-1].folder.record.read_text())
        samples, history = lines(cells[-1].folder.samples), lines(cells[-1].folder.history)
        return record["metrics"], [row["prediction"] for row in samples], [row["train_nll"] for row in history]

    alone = result("alone", ())
    for place, company in (("three", COMPANY[1:3]), ("eight", COMPANY)):
        metrics, texts, losses = result(place, company)
        assert metrics == pytest.approx(alone[0], rel=1e-4)
        assert texts == alone[1]
        assert losses == pytest.approx(alone[2], rel=1e-4)


def test_a_group_in_bf16_runs(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none,lora,prompt_tuning", "train.precision=bf16", "train.max_steps=1")
    assert ended.code == 0, ended.err
    assert [record["config"]["train"]["precision"] for record in ended.records()] == ["bf16"] * 3


def test_examples_left_out_are_counted_and_told(launch: Callable, tiny: tuple[str, ...], tmp_path: Path) -> None:
    rows = [{"prompt": f"Speak {n}", "completion": "word " * (300 if n == 4 else 1)} for n in range(12)]
    text = "\n".join(map(json.dumps, rows)) + '\n\n{"prompt": "Silence", "completion": " "}\n'
    (tmp_path / "own.jsonl").write_text(text)
    ended = launch("-m", *tiny, "dataset.path=own.jsonl", "seed=0,1", "train.max_steps=1")
    assert ended.code == 0, ended.err
    told = [line for line in ended.out.splitlines() if line.startswith("Left out 1 of ")]
    assert len(told) == 3 and all("2 runs use these data" in line for line in told)
    for reason in ("blank line", "empty completion", "no room"):
        assert sum(reason in line for line in told) == 1
    for record in ended.records():
        assert sum(record["data"]["dropped"].values()) == 3
        assert record["data"]["train_examples"] + record["data"]["eval_examples"] == 11


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
    untuned = again.by("peft", "method")["none"]
    assert untuned["metrics"]["completion_nll"] == pytest.approx(record["metrics"]["completion_nll"], rel=1e-5)


def test_a_run_that_trains_the_base_itself_is_alone_and_leaves_the_base_to_others(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    ended = launch("-m", *tiny, "peft=full,none,lora_prompt", "train.learning_rate=1e-2")
    assert ended.code == 0, ended.err
    sizes = {method: record["resources"]["group_size"] for method, record in ended.by("peft", "method").items()}
    assert sizes == {"full": 1, "none": 2, "lora_prompt": 2}
    alone = launch(*tiny, "peft=none", "output_dir=alone")
    (record,) = [json.loads(path.read_text()) for path in (alone.folder / "alone").glob("runs/*/run.json")]
    assert record["metrics"] == ended.by("peft", "method")["none"]["metrics"]
