"""Results of others become records that every table takes, with their metrics' directions and their items."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.read.selection import read_all

# As PEFT's files have it: two runs of its own board, and made ones beside them.
LORA = ("lora/llama-3.2-3B-rank32", "LORA", 0.48218347232752085, None, 9175040)
SHADOW = ("shadow/llama-3.2-3B-mirror", "SHADOW", 0.4844579226686884, 0.12475216388702393, 24379392)


def peft_file(folder: Path, run: tuple[str, str, float, float | None, int], **change: Any) -> Path:
    """Write a results file of PEFT's method comparison."""
    name, peft_type, accuracy, forgetting, trainable = run
    last: dict[str, Any] = {"step": 5000, "test accuracy": accuracy, "train loss": 0.6, "train total tokens": 4198051}
    last |= {} if forgetting is None else {"forgetting": forgetting}
    value = {
        "run_info": {
            "created_at": "2025-06-19T19:15:35+00:00",
            "experiment_name": name,
            "error_msg": "",
            "train_config": {
                "model_id": "meta-llama/Llama-3.2-3B", "seed": 0, "max_steps": 5000, "batch_size": 4,
                "query_template": "Question: {query} Think step by step.\nAnswer:",
                "optimizer_kwargs": {"lr": 0.0001, "weight_decay": 0.1},
            },
            "peft_config": {"peft_type": peft_type, "r": 32, "target_modules": ["q_proj"], "loftq_config": {}},
        },
        "train_info": {
            "status": "success", "num_trainable_params": trainable, "file_size": 4 * trainable, "train_time": 1796.2,
            "cuda_memory_max": 22273851392,
            "metrics": [{"step": 250, "valid accuracy": 0.34, "train loss": 0.98}, last],
        },
        "meta_info": {"dataset_info": {"metamath": {"sha": "a"}, "gsm8k": {"sha": "e"}}},
    }  # fmt: skip
    for dotted, to in change.items():
        part, _, key = dotted.partition("__")
        value[part][key] = to
    path = folder / "MetaMathQA" / "results" / f"{name.replace('/', '--')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def table(root: Path, name: str, *arguments: str) -> list[dict[str, str]]:
    assert main([name, *arguments, "--output-dir", str(root)]) == 0
    (path,) = root.glob(f"**/{name}.csv") if not arguments else [next(root.glob(f"**/*by-{arguments[1]}*/{name}.csv"))]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def imported(root: Path, path: Path, form: str) -> None:
    assert main(["import", str(path), "--format", form, "--output-dir", str(root)]) == 0


def test_pefts_results_are_ranked_by_accuracy_and_by_forgetting_the_right_way_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peft_file(tmp_path, LORA)
    peft_file(tmp_path, SHADOW)
    peft_file(tmp_path, ("vera/llama-3.2-3B-default", "VERA", 0.38, 0.05, 129024))
    peft_file(
        tmp_path, ("oft/x", "OFT", 0.0, None, 1), train_info__status="failed", run_info__error_msg="out of memory"
    )
    imported(tmp_path / "out", tmp_path / "MetaMathQA" / "results", "peft_method_comparison")
    said = capsys.readouterr().out
    assert "test_accuracy: higher is better." in said and "forgetting: lower is better." in said
    assert "1 run failed; the first, oft x: out of memory." in said
    assert "3 of 3 evaluations without items" in said and "One seed each" in said
    rows = table(tmp_path / "out", "leaderboard")
    assert [row["setting"].split()[0] for row in rows] == ["shadow", "lora", "vera"]
    assert {row["ranked_by"] for row in rows} == {"test_accuracy"}
    assert (rows[1]["test_accuracy"], rows[1]["trainable_parameters"]) == ("0.48218347232752085", "9175040")
    assert rows[1]["learning_rate"] == "0.0001" and rows[1]["forgetting"] == ""
    assert all(row["low"] == "" and row["best_rank"] == "1" and row["worst_rank"] == "3" for row in rows)
    text = capsys.readouterr().out
    assert "have no usable evaluation items" in text and "Not ranked: imported-" in text and "out of memory" in text
    by_forgetting = table(tmp_path / "out", "leaderboard", "--metric", "forgetting")
    assert [row["setting"].split()[0] for row in by_forgetting] == ["vera", "shadow", "lora"]
    assert "1 row without forgetting" in capsys.readouterr().out


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    path = peft_file(tmp_path, LORA)
    contents = []
    for _ in range(2):
        imported(tmp_path / "out", path, "peft_method_comparison")
        contents.append({p: p.read_bytes() for p in (tmp_path / "out" / "runs").rglob("*.json")})
    assert contents[0] == contents[1] and len(contents[0]) == 2


def lm_eval_folder(root: Path, name: str, accuracy: float, adapter: str | None, items: int = 200) -> Path:
    """Write what lm_eval leaves behind with --log_samples, for a model that is right so often."""
    rng = random.Random(name)
    hits = [float(rng.random() < accuracy) for _ in range(items)]
    folder = root / name
    folder.mkdir(parents=True)
    arguments = "pretrained=gpt2" + (f",peft={adapter}" if adapter else "")
    stamp = "2026-01-02T03-04-05.678901"
    (folder / f"results_{stamp}.json").write_text(
        json.dumps(
            {
                "results": {"arc_easy": {"alias": "arc_easy", "acc,none": sum(hits) / items, "acc_stderr,none": 0.01,
                                         "perplexity,none": 12.5}},
                "versions": {"arc_easy": 1.0},
                "n-shot": {"arc_easy": 0},
                "n-samples": {"arc_easy": {"original": items, "effective": items}},
                "higher_is_better": {"arc_easy": {"acc": True, "perplexity": False}},
                "config": {"model": "hf", "model_args": arguments},
                "model_name": "gpt2",
                "date": 1767322800.5,
            }
        )
    )  # fmt: skip
    lines = [
        {"doc_id": place, "target": "A", "filtered_resps": ["A"], "filter": "none", "acc": hit}
        for place, hit in enumerate(hits)
    ]
    (folder / f"samples_arc_easy_{stamp}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_lm_evals_samples_give_intervals_and_paired_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lm_eval_folder(tmp_path / "lm", "base", 0.3, None)
    lm_eval_folder(tmp_path / "lm", "tuned", 0.8, "/adapters/mine")
    imported(tmp_path / "out", tmp_path / "lm", "lm_eval")
    rows = table(tmp_path / "out", "leaderboard")
    assert [(row["setting"], row["rank"]) for row in rows] == [("adapter mine", "1"), ("untuned", "2")]
    assert float(rows[1]["against_best_p_holm"]) < 0.001
    assert float(rows[0]["low"]) < float(rows[0]["acc"]) < float(rows[0]["high"])
    ids = [result.run_id for result in read_all(tmp_path / "out").results]
    capsys.readouterr()
    assert main(["compare", *ids, "--output-dir", str(tmp_path / "out")]) == 0
    compared = capsys.readouterr().out
    assert "By acc, higher is better" in compared and "5 of 200 items shown" in compared


def test_a_csv_says_in_its_columns_which_way_is_better(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text(
        "model,method,setting,seed,learning_rate,judge score>,loss<,note\n"
        "gpt2,LoRA,r=8,0,1e-3,7.5,2.0,3\ngpt2,LoRA,r=8,1,1e-3,7.7,2.1,3\ngpt2,full,,0,1e-5,6.0,,3\n"
    )
    imported(tmp_path / "out", path, "csv")
    rows = table(tmp_path / "out", "leaderboard")
    assert [(row["setting"], set(row["seeds"].split()), row["ranked_by"]) for row in rows] == [
        ("LoRA r=8", {"0", "1"}, "judge_score"), ("full", {"0"}, "judge_score"),
    ]  # fmt: skip
    assert float(rows[0]["judge_score"]) == pytest.approx(7.6) and rows[0]["note"] == "3.0"
    by_loss = table(tmp_path / "out", "leaderboard", "--metric", "loss")
    assert by_loss[0]["setting"] == "LoRA r=8" and by_loss[1]["loss"] == ""


def test_unasked_tables_go_by_what_all_rows_have_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "board.csv"
    path.write_text("model,method,rare>,common>\ngpt2,a,9,1\ngpt2,b,,2\ngpt2,c,8,3\n")
    imported(tmp_path / "out", path, "csv")
    rows = table(tmp_path / "out", "leaderboard")
    assert [row["setting"] for row in rows] == ["c", "b", "a"]
    assert "Ranked by common, since not all rows have rare." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("csv", "model,metod,acc>\nm,a,1\n", "has no column 'method'. Did you mean metod"),
        ("csv", "model,method,acc>\nm,a,high\n", "line 2: acc> is 'high', not a number"),
        ("csv", "model,method,acc>\nm,a\n", "line 2: doesn't have as many fields"),
        ("csv", "model,method\nm,a\n", "has no column of a metric"),
        ("lm_eval", "[]", "isn't a results file of lm_eval"),
        ("peft_method_comparison", "{}", "no file has run_info and train_info"),
        ("peft_method_comparison", "{", "can't be read as JSON"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, text: str, said: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    assert main(["import", str(path), "--format", form, "--output-dir", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none"), "--format", "csv", "--output-dir", str(tmp_path)]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


def test_every_table_takes_them(tmp_path: Path) -> None:
    lm_eval_folder(tmp_path / "lm", "base", 0.3, None)
    imported(tmp_path / "out", tmp_path / "lm", "lm_eval")
    imported(tmp_path / "out", peft_file(tmp_path, LORA), "peft_method_comparison")
    assert main(["--output-dir", str(tmp_path / "out")]) == 0
    assert main(["report", "--output-dir", str(tmp_path / "out")]) == 0
    assert _sections(tmp_path / "out") == 2, "two tasks are never in one ranking"


def _sections(root: Path) -> int:
    keys: Mapping[str, str] = {r.run_id: str(r.key) for r in read_all(root).results}
    return len(set(keys.values()))
