"""The tables as a user gets them: `python -m analysis` on run folders."""

from __future__ import annotations

import csv
import math
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.formats.md import cell
from analysis.tables.table import Column, Section, Table, markdown, to_csv

ROOT = Path(__file__).parents[3]


@pytest.fixture
def report(outputs: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command on `outputs` and return what it printed."""

    def run(*arguments: str) -> str:
        assert main([*arguments, "--output-dir", str(outputs.root)]) == 0
        return capsys.readouterr().out

    return run


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of every Markdown table in `text`, by heading."""
    found: list[dict[str, str]] = []
    headings: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            headings = []
            continue
        cells = [part.strip() for part in line.replace("\\|", "\0").strip("|").split("|")]
        if not headings:
            headings = cells
        elif not set(cells[0]) <= {"-", ":"} or not cells[0].startswith("--"):
            found.append(dict(zip(headings, cells, strict=True)))
    return found


def csv_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_samples(outputs: Any, run_id: str, ppl: float, clusters: int = 12) -> None:
    lines = []
    for n in range(clusters):
        for sign in (-1, 1):
            nll = math.log(ppl) + sign * 0.1 * (n % 4) + 0.1 * (n % 4 - 1.5)
            lines.append({"id": f"{n}{sign}", "completion_nll": nll, "completion_tokens": 9, "cluster": f"scene {n}"})
    outputs.add_samples(run_id, lines)


def test_the_best_run_comes_first_with_its_settings_in_words(outputs: Any, report: Any) -> None:
    outputs.run("prompt_tuning", 12.0)
    outputs.run("lora", 9.0)
    outputs.run("none", 30.0)
    rows = rows_of(report("leaderboard"))
    assert [(row["rank"], row["method"], row["learning rate"]) for row in rows] == [
        ("1–3", "LoRA r=8 α=16", "0.0002"),
        ("1–3", "prompt tuning 16 tokens", "0.03"),
        ("1–3", "untuned (ref.)", "–"),
    ]
    assert rows[0] == {
        "rank": "1–3",
        "method": "LoRA r=8 α=16",
        "learning rate": "0.0002",
        "seeds": "1",
        "PPL [95 %]": "9.00",
        "against best [95 %]": "–",
        "p": "–",
        "bits/byte": "0.900",
        "ROUGE-L": "0.150",
        "BLEU": "0.010",
    }


def test_seeds_of_one_config_are_one_row_with_mean_and_sample_deviation(outputs: Any, report: Any) -> None:
    ids = [outputs.run("lora", ppl, {"config.seed": seed}) for seed, ppl in enumerate((8.0, 9.0, 10.0))]
    (row,) = rows_of(report("leaderboard"))
    assert (row["seeds"], row["PPL [95 %]"]) == ("3", "9.00 ± 1.00")
    (raw,) = csv_of(outputs.root / "tables" / "leaderboard.csv")
    assert raw["run_ids"].split() == ids
    assert (float(raw["completion_ppl"]), float(raw["completion_ppl_sd"]), raw["completion_ppl_n"]) == (9, 1, "3")


def test_a_learning_rate_given_and_the_same_one_by_default_are_one_setting(outputs: Any, report: Any) -> None:
    outputs.run("lora")
    outputs.run("lora", change={"config.train.learning_rate": 2e-4, "config.seed": 1})
    assert len(rows_of(report("leaderboard"))) == 1


def test_the_setting_key_alone_says_which_runs_are_seeds_of_one_setting(outputs: Any, report: Any) -> None:
    outputs.run("lora", change={"config.train.epochs": 1.0}, setting_key="s")
    outputs.run("lora", change={"config.train.epochs": 3.0, "config.seed": 1}, setting_key="s")
    outputs.run("lora", change={"config.seed": 2}, setting_key="another")
    assert [row["seeds"] for row in rows_of(report("leaderboard"))] == ["2", "1"]


def test_settings_that_would_read_the_same_name_their_difference(outputs: Any, report: Any) -> None:
    outputs.run("lora", 8.0, {"config.train.epochs": 3.0})
    outputs.run("lora", 9.0)
    methods = [row["method"] for row in rows_of(report("leaderboard"))]
    assert methods == ["LoRA r=8 α=16 train.epochs=3", "LoRA r=8 α=16 train.epochs=1"]


def test_other_data_behind_the_same_config_is_another_row(outputs: Any, report: Any) -> None:
    outputs.run("lora")
    outputs.run("lora", change={"provenance.data_fingerprint": "d1", "config.seed": 1})
    methods = [row["method"] for row in rows_of(report("leaderboard"))]
    assert methods == ["LoRA r=8 α=16 data_fingerprint=d0", "LoRA r=8 α=16 data_fingerprint=d1"]


def test_two_comparability_keys_are_never_ranked_together(outputs: Any, report: Any) -> None:
    outputs.run("lora", 5.0)
    outputs.run("lora", 50.0, comparability_key="bbbbbbbbbbbb")
    text = report("leaderboard")
    assert [row["rank"] for row in rows_of(text)] == ["1", "1"]
    assert "(comparability key aaaaaaaaaa)" in text and "(comparability key bbbbbbbbbb)" in text


def test_models_with_different_tokenizers_are_ranked_by_bits_per_byte(outputs: Any, report: Any) -> None:
    outputs.run("lora", 9.0, {"metrics.bits_per_byte": 1.2})
    outputs.run("lora", 20.0, {"metrics.bits_per_byte": 0.8, "config.model.name": "gpt2", "config.model.scale": "tiny"})
    text = report("leaderboard")
    assert [row["model"] for row in rows_of(text)] == ["gpt2 (tiny)", "smollm2_135m_instruct"]
    assert "Ranked by bits/byte, since models with different tokenizers stand here." in text


def test_a_run_without_the_ranked_metric_stands_last_without_a_rank(outputs: Any, report: Any) -> None:
    outputs.run("lora", None, {"config.peft.r": 4})
    outputs.run("lora", 9.0)
    assert "Ranked by ROUGE-L, since not all rows have PPL." in report("leaderboard")
    text = report("leaderboard", "--metric", "completion_ppl")
    assert [(row["rank"], row["PPL [95 %]"]) for row in rows_of(text)] == [("1", "9.00"), ("–", "–")]
    assert "1 row without PPL: last" in text


def test_without_any_likelihood_the_next_headline_ranks(outputs: Any, report: Any) -> None:
    outputs.run("lora", None, {"config.peft.r": 4, "metrics.rougeL": 0.1})
    outputs.run("lora", None, {"metrics.rougeL": 0.3})
    text = report("leaderboard")
    assert [row["ROUGE-L [95 %]"] for row in rows_of(text)] == ["0.300", "0.100"] and "Ranked by ROUGE-L" in text


def test_a_strangers_method_is_called_what_its_record_says(outputs: Any, report: Any) -> None:
    peft = {"method": "ia4", "learning_rate": 1e-3, "targets": ["k", "v"]}
    predictor = {"label": "(IA)⁴ on k, v", "trains": True, "has_model": True, "is_reference": False, "description": ""}
    outputs.run("ia4", change={"config.peft": peft, "predictor": predictor})
    outputs.run("lora", 9.0)
    assert [row["method"] for row in rows_of(report("leaderboard"))] == ["LoRA r=8 α=16", "(IA)⁴ on k, v"]


def test_only_evaluated_runs_are_ranked_and_the_others_listed_with_their_reason(outputs: Any, report: Any) -> None:
    outputs.run("lora", 9.0)
    failure = {"type": "OutOfMemoryError", "message": "needs 9 GiB\nand more"}
    failed = outputs.run("lora", 1.0, status="failed", failure=failure)
    pruned = outputs.run("lora", 1.0, status="pruned", failure=None)
    early = {"training.pruned": "worse than half at 40 examples"}
    reasoned = outputs.run("lora", 1.0, early, status="pruned")
    running = outputs.run("lora", 1.0, status="running")
    text = report("leaderboard")
    assert len(rows_of(text)) == 1
    assert f"run {failed}) failed: OutOfMemoryError: needs 9 GiB and more." in text
    assert f"run {pruned}) was pruned, without a reason in its record." in text
    assert f"run {reasoned}) was pruned: worse than half at 40 examples." in text
    assert f"run {running}) is still running" in text


def test_perplexities_get_an_interval_from_their_items(outputs: Any, report: Any) -> None:
    run_id = outputs.run("lora", 9.0)
    add_samples(outputs, run_id, 9.0)
    text = report("leaderboard")
    (raw,) = csv_of(outputs.root / "tables" / "leaderboard.csv")
    low, high = float(raw["completion_ppl_low"]), float(raw["completion_ppl_high"])
    assert low < 9.0 < high
    assert rows_of(text)[0]["PPL [95 %]"] == f"9.00 [{low:.2f}, {high:.2f}]"
    assert "is a 95 % interval" in text


def test_items_that_disagree_with_the_record_give_no_interval_but_a_note(outputs: Any, report: Any) -> None:
    run_id = outputs.run("lora", 9.0)
    add_samples(outputs, run_id, 7.0)
    text = report("leaderboard")
    assert rows_of(text)[0]["PPL [95 %]"] == "9.00"
    assert "gives a PPL of 7, its record 9" in text


def test_comparison_takes_the_best_of_each_method_and_says_of_how_many(outputs: Any, report: Any) -> None:
    outputs.run("none", 20.0)
    for rank, ppl in ((4, 11.0), (8, 10.0), (16, 12.0)):
        outputs.run("lora", ppl, {"config.peft.r": rank, "config.peft.alpha": 2.0 * rank})
    outputs.run("lora", None, {"config.peft.r": 32}, status="pruned")
    outputs.run("prompt_tuning", 12.5)
    text = report("lora-vs-prompt-tuning")
    rows = {row["method"]: row for row in rows_of(text) if "method" in row}
    assert list(rows) == ["untuned base", "LoRA", "prompt tuning"]
    assert (rows["LoRA"]["best setting"], rows["LoRA"]["settings tried"]) == ("LoRA r=8 α=16", "4")
    assert [row["against base [95 %]"] for row in rows.values()] == ["–", "-50.0 %", "-37.5 %"]
    assert [row["parameters ÷ prompt tuning"] for row in rows.values()] == ["–", "50×", "1×"]
    assert "Best LoRA has 20.0 % lower PPL than best prompt tuning; LoRA trains 50 times" in text
    assert "best of 4 for LoRA, best of 1 for prompt tuning" in text and "single seed" in text
    raw = csv_of(outputs.root / "tables" / "lora-vs-prompt-tuning.csv")
    raw = [row for row in raw if row["row"] == "method"]
    assert [row["settings_tried"] for row in raw] == ["1", "4", "1"] and all(row["run_ids"] for row in raw)


def test_comparison_says_what_is_missing_and_how_to_get_it(outputs: Any, report: Any) -> None:
    outputs.run("lora", 10.0, {"config.dataset.persona": "KING LEAR", "config.model.scale": "tiny"})
    text = report("lora-vs-prompt-tuning")
    assert "Missing: prompt tuning has no evaluated run with PPL here" in text and "Missing: untuned base" in text
    wanted = "peft=prompt_tuning dataset=shakespeare 'dataset.persona=KING LEAR' model.scale=tiny`"
    assert f"`python launch.py model=smollm2_135m_instruct {wanted}" in text
    assert "Best LoRA has" not in text


def test_comparison_keeps_personas_and_quantizations_apart(outputs: Any, report: Any) -> None:
    outputs.run("lora", 10.0)
    outputs.run("lora", 11.0, {"config.quantization.method": "nf4"})
    outputs.run("lora", 12.0, {"config.dataset.persona": "OPHELIA"}, comparability_key="cccccccccc")
    text = report("lora-vs-prompt-tuning")
    headings = [line for line in text.splitlines() if line.startswith("## smol")]
    assert [heading.split(" (comp")[0] for heading in headings] == [
        "## smollm2_135m_instruct · shakespeare, HAMLET",
        "## smollm2_135m_instruct nf4 · shakespeare, HAMLET",
        "## smollm2_135m_instruct · shakespeare, OPHELIA",
    ]


def test_tables_of_a_sweep_have_its_runs_only_and_are_written_beside_it(outputs: Any, report: Any) -> None:
    run_id = outputs.run("lora", 9.0)
    outputs.run("none", 30.0)
    outputs.sweep("demo", [run_id], [{"overrides": ["peft=none"], "run_id": None, "state": "planned"}])
    text = report("--sweep", "demo")
    folder = outputs.root / "sweeps" / "demo" / "tables"
    tables = ("costs", "leaderboard", "lora-vs-prompt-tuning")
    names = [f"{name}{suffix}" for name in tables for suffix in (".csv", ".md")]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(f"Wrote {folder / name}" in text for name in names)
    assert [row["run_ids"] for row in csv_of(folder / "leaderboard.csv")] == [run_id]
    assert "no run record for peft=none (run without id, planned)" in text
    assert (folder / "leaderboard.md").read_text(encoding="utf-8") in text
    assert not (outputs.root / "tables").exists()


def test_names_cannot_break_a_table(outputs: Any, report: Any) -> None:
    outputs.run("lora", change={"config.model.name": "a|b\nc\x1b[31m", "config.dataset.persona": "x | y"})
    (row,) = rows_of(report("leaderboard"))
    assert row["method"]
    assert cell("a|b\\\n\x1b") == "a\\|b\\\\ "


def test_markdown_columns_line_up_and_csv_quotes() -> None:
    columns = (Column("name", right=False), Column("value"))
    table = Table("t", columns, [Section("s", [["α", "1"], ["longer", "12,345"]])], [], [{"a": 'x,"y"'}, {"b": None}])
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1 and lines[1].endswith(":|".replace("|", " |"))
    assert list(csv.DictReader(to_csv(table).splitlines())) == [{"a": 'x,"y"', "b": ""}, {"a": "", "b": ""}]


@pytest.mark.parametrize("arguments", [["leaderbord"], ["--sweep", "dmeo"]])
def test_an_unknown_name_exits_with_two_and_the_nearest_name(
    outputs: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run()
    outputs.sweep("demo", [])
    assert main([*arguments, "--output-dir", str(outputs.root)]) == 2
    message = capsys.readouterr().err
    assert "Did you mean" in message and message.count("\n") == 1


def test_no_runs_yet_is_one_sentence_on_what_to_run(outputs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output-dir", str(outputs.root)]) == 1
    message = capsys.readouterr().err
    assert "No runs yet" in message and "launch.py" in message and message.count("\n") == 1


def test_no_evaluated_run_still_gives_a_report(outputs: Any, report: Any) -> None:
    outputs.run(status="failed", failure={"type": "TrialError", "message": "loss is NaN"})
    assert "No run has been evaluated yet." in report() and "TrialError: loss is NaN" in report()


def test_the_command_starts_fast_and_without_heavy_packages(outputs: Any) -> None:
    outputs.run()
    program = (
        "import sys; from analysis.__main__ import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'hydra', 'omegaconf', 'transformers', 'pandas', 'numpy', 'datasets'} & set(sys.modules);"
        "sys.exit(code or (str(heavy) if heavy else 0))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program, "--output-dir", str(outputs.root)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2, "CPU seconds; 0.2 was measured"
