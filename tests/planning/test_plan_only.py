"""`plan=only`: a table of what each run would take, for any machine, and what keeps it from running here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.planning import obstacles
from persona_sweeps.planning.cells import Refused
from persona_sweeps.planning.review import refusal, table_lines

LARGE = ("model=llama31_8b,qwen3_32b,gemma2_27b", "peft.r=64", "quantization=nf4", "train.precision=bf16")
"""with a precision, since the automatic one depends on the CPU"""
SLURM_H100 = ("hydra/launcher=slurm", "hydra.launcher.gpu_memory_gb=80")


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


def test_it_reports_and_runs_nothing(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none,lora", "plan=only")
    assert ended.code == 0, ended.err
    assert not ended.records() and "2 to run in 1 group" in ended.out
    assert "Group 1: 2 runs of" in ended.out and "Total: 2 to run" in ended.out
    assert not list(ended.output.glob("sweeps/*/sweep.json"))


def test_it_loads_no_library_that_only_training_needs(tiny: tuple[str, ...], tmp_path: Path) -> None:
    """PEFT and bitsandbytes take seconds to import."""
    program = (
        "import sys; from persona_sweeps.cli.launch import main; main();"
        "assert 'transformers' in sys.modules; print([m for m in ('peft', 'bitsandbytes') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, *tiny, "plan=only"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr


def test_cards_of_any_size_are_planned_and_what_is_missing_here_is_a_column(
    launch: Callable, no_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstacles, "total_memory_bytes", lambda device: 24_000_000_000)
    ended = launch("-m", "plan=only", *LARGE)
    assert ended.code == 1 and "3 of 3 cells can't run here" in ended.err
    rows = {line.split("-")[0]: line for line in ended.out.splitlines() if "-nf4-" in line}
    assert "167,772,160" in rows["llama31_8b"] and rows["llama31_8b"].endswith("no token")
    assert "536,870,912" in rows["qwen3_32b"] and rows["qwen3_32b"].endswith("too little memory")
    assert rows["gemma2_27b"].endswith("no token")
    assert "meta-llama/Llama-3.1-8B is gated" in ended.out and "qwen3_32b in nf4 takes 19.2 GB" in ended.out
    assert all("≈" in row and "GB" in row for row in rows.values())


def test_without_it_the_same_cells_are_refused_with_each_reason_once(launch: Callable, no_token: None) -> None:
    ended = launch("-m", *LARGE, "seed=0,1")
    assert ended.code == 1 and ended.err.count("meta-llama/Llama-3.1-8B is gated") == 1
    assert "and 1 more" in ended.err and not ended.output.exists() or not ended.records()


def test_a_single_run_is_planned_too(launch: Callable, no_token: None) -> None:
    ended = launch("plan=only", "model=llama31_8b", "peft.r=64")
    assert ended.code == 1 and "167,772,160" in ended.out and "1 of 1 cell can't run here" in ended.err
    refused = launch("model=llama31_8b", "peft.r=64")
    assert refused.code == 1 and refused.err.startswith("error: meta-llama/Llama-3.1-8B is gated")


def test_slurm_s_machine_is_planned_for_where_there_is_no_slurm(
    launch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_something")
    monkeypatch.setenv("PATH", "/nowhere")
    ended = launch("-m", "plan=only", *LARGE, *SLURM_H100, "train.micro_batch_size=1")
    assert ended.code == 1, "no job can be submitted from here"
    rows = [line for line in ended.out.splitlines() if "-nf4-" in line]
    assert len(rows) == 3 and all(row.endswith(" no sbatch") for row in rows), "each fits into 80 GB"
    assert "hydra/launcher=slurm needs sbatch, squeue, srun, not found on PATH" in ended.out
    small = launch("-m", "plan=only", *LARGE, *SLURM_H100[:1], "hydra.launcher.gpu_memory_gb=16")
    assert sum("too little memory, no sbatch" in line for line in small.out.splitlines()) == 2
    assert "the GPU has 16.0 GB" in small.out
    run = launch("-m", *LARGE, *SLURM_H100)
    assert run.code == 1 and run.err.startswith("error: hydra/launcher=slurm needs sbatch")


def test_a_model_of_unknown_shape_has_a_row(launch: Callable) -> None:
    ended = launch("-m", "plan=only", "model=gpt2", "model.hub_id=someone/unknown", "train.max_length=512")
    (row,) = [line for line in ended.out.splitlines() if line.endswith("HF_HUB_OFFLINE")]
    assert ended.code == 1 and row.split()[1:] == ["?"] * 5 + ["HF_HUB_OFFLINE"]


def test_a_study_s_plan_shows_the_ends_of_its_space(launch: Callable, no_token: None) -> None:
    ended = launch("-m", "plan=only", "hydra/sweeper=optuna", "model=llama31_8b", "peft=lora", "train.precision=bf16")
    assert ended.code == 1 and "trials of peft=lora" in ended.out
    assert sum(line.endswith("no token") for line in ended.out.splitlines()) == 2


def test_cells_that_cannot_work_are_reported_together_and_the_rest_is_planned(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    ended = launch("-m", *tiny, "peft=lora", "peft.r=0,4", "train.epochs=-1,1", "plan=only")
    assert ended.code == 1 and not ended.records()
    assert "3 of 4 cells can't work" in ended.err
    assert "peft.r=0 must be at least 1" in ended.err and "train.epochs=-1 must be above 0" in ended.err
    assert "1 to run" in ended.out and "Total: 1 to run" in ended.out


def test_nothing_runs_while_one_cell_cannot(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=lora", "peft.r=0,4")
    assert ended.code == 1 and not ended.records()
    assert "In the cell" in ended.err and "peft.r=0" in ended.err


def test_a_reason_is_given_once_however_many_cells_share_it() -> None:
    cells = [Refused((f"seed={seed}",), "too large") for seed in range(5)] + [Refused(("a=1",), "too small")]
    text = str(refusal(cells, 9))
    assert text.count("too large") == 1 and "seed=0 and 4 more" in text and "6 of 9 cells" in text
    assert "can't work" not in str(refusal(cells[:1], 9))
    assert str(refusal(cells[:1], 1)) == "too large"


def test_a_narrow_terminal_has_a_line_for_the_name_and_one_for_the_values() -> None:
    values = ["167,772,160", "111.7 MB", "≈133.2 GB", "671.1 MB", "≈292,817", "too little memory"]
    rows = [("llama31_8b-nf4-lora-r64-lr0.001-hamlet-s0", values)]
    assert len(list(table_lines(rows, 200))) == 2 and len(list(table_lines(rows, 80))) == 4
    assert all(len(line) <= 80 and line == line.rstrip() for line in table_lines(rows, 80))
    assert [line.split() for line in table_lines(rows, 80)][3] == " ".join(values).split()
