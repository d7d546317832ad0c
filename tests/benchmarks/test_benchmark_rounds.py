"""The benchmark on the tiny twin: contestants do the same work, and results become the page's table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.child import measure
from benchmarks.measurement import Measurement
from benchmarks.page import BEGIN, END, render, rewrite
from benchmarks.results import make_result, read_all, save
from benchmarks.rounds import Settings, loss_difference, overrides, require_equal_losses
from benchmarks.scenarios import SCENARIOS, TITLES
from persona_sweeps.config.schema import Precision, Scale
from persona_sweeps.errors import UserError

pytest.importorskip("trl", reason="make bench installs TRL")

TINY = Settings(Precision.fp32, rounds=2, examples=4, scale=Scale.tiny, threads=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are fastest on one thread, above all where tests run beside each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measured(cpu_seconds: float, *first_losses: float) -> Measurement:
    return Measurement(cpu_seconds, cpu_seconds, 1, 100, 1, [[loss, 1.0] for loss in first_losses])


def test_engine_and_trl_lose_the_same_at_every_step_of_the_epoch() -> None:
    chosen = [*overrides(SCENARIOS["short-card"], TINY), "train.batch_size=3"]
    engine, trl = (measure(contestant, 4, 1, chosen) for contestant in ("engine", "trl"))
    assert engine.steps == trl.steps == 2
    assert trl.losses[0] == pytest.approx(engine.losses[0], rel=1e-4)
    assert engine.token_slots < trl.token_slots
    assert min(engine.cpu_seconds, trl.cpu_seconds) > 0


def test_stacked_trials_lose_what_they_lose_solo() -> None:
    chosen = [*overrides(SCENARIOS["stacked"], TINY), "train.max_steps=2"]
    stacked, solo = (measure(contestant, 4, 3, chosen) for contestant in ("stacked", "one-by-one"))
    assert len(stacked.losses) == 3
    for together, by_itself in zip(stacked.losses, solo.losses, strict=True):
        assert together == pytest.approx(by_itself, rel=1e-4)


@pytest.mark.parametrize("loss", [2.1, math.nan])
def test_rounds_with_other_losses_are_refused(loss: float) -> None:
    row = {"engine": measured(1, 2.0), "trl": measured(3, loss), "trl-packed": measured(2, 9.0)}
    with pytest.raises(UserError, match="first-step losses of trl and engine differ"):
        require_equal_losses(SCENARIOS["card"], row, Precision.fp32)
    row["trl"] = measured(3, 2.0001)
    require_equal_losses(SCENARIOS["card"], row, Precision.fp32)


def test_the_worst_trial_decides() -> None:
    assert loss_difference(measured(1, 2.0, 3.0), measured(1, 2.0, 2.0)) == pytest.approx(0.5)


def test_results_come_back_as_saved_and_fill_the_page(tmp_path: Path) -> None:
    scenario = SCENARIOS["stacked"]
    rounds = [{"stacked": measured(2, 2.0), "one-by-one": measured(cpu, 2.0)} for cpu in (3, 5, 4)]
    result = make_result(scenario, TINY, rounds)
    path = save(result, TINY, tmp_path)
    assert list(read_all(tmp_path)) == [result]
    assert result.ratios("one-by-one") == [1.5, 2.5, 2.0]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    rewrite(page, [result])
    once = page.read_text(encoding="utf-8")
    assert once.startswith(f"before\n{BEGIN}\n") and once.endswith(f"{END}\nafter\n")
    assert "| 4.0 | 2.00 | 1.50–2.50 |" in once and "old" not in once
    rewrite(page, [result])
    assert page.read_text(encoding="utf-8") == once
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_a_page_without_markers_and_a_damaged_result_are_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(UserError, match="bench:begin"):
        rewrite(page, [])
    (tmp_path / "card-fp32-1.json").write_text(json.dumps({"schema_version": 1}), encoding="utf-8")
    with pytest.raises(UserError, match="card-fp32-1.json"):
        list(read_all(tmp_path))


def test_nothing_measured_is_said() -> None:
    assert "Nothing has been measured" in render([])


def test_an_unknown_scenario_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "stackd"]) == 2
    assert "Did you mean stacked" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("name", ["stacked", "short-card"])
def test_the_command_measures_in_processes_of_their_own_and_writes(tmp_path: Path, name: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    folders = ["--results", str(tmp_path / "results"), "--page", str(page)]
    tiny = ["--model-scale", "tiny", "--examples", "4", "--rounds", "1", "--precision", "fp32"]
    assert main(["--scenario", name, *tiny, *folders]) == 0
    facts = json.loads((tmp_path / "results" / f"{name}-fp32-1.json").read_text(encoding="utf-8"))
    assert list(facts["rounds"][0]) == list(SCENARIOS[name].contestants)
    written = page.read_text(encoding="utf-8")
    assert all(TITLES[contestant] in written for contestant in SCENARIOS[name].contestants)
