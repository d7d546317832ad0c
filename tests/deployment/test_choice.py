"""Which run is meant: a name, the beginning of an id, or the best of a sweep; never a guess between two."""

from __future__ import annotations

import pytest

from persona_sweeps.deployment.choice import best_run, run_folder
from persona_sweeps.deployment.host import Host, read_run
from persona_sweeps.errors import UserError

from .conftest import Finished

pytestmark = pytest.mark.slow


def test_a_run_is_found_by_its_folder_its_name_and_the_beginning_of_its_id(finished: Finished) -> None:
    run = finished.run("lora")
    for name in (run.folder.path, run.name, run.record["run_id"], run.record["run_id"][:6]):
        assert run_folder(name, finished.output).path == run.folder.path
    with pytest.raises(UserError, match="No run is called 'zzz'"):
        run_folder("zzz", finished.output)
    with pytest.raises(UserError, match="there is none under"):
        run_folder("zzz", finished.output / "elsewhere")


def test_the_best_of_a_sweep_is_the_first_of_its_leaderboard_that_trained(finished: Finished) -> None:
    import persona_sweeps

    runs = persona_sweeps.load_runs("all", finished.output)
    trained = [run for run in runs if run.get("predictor.trains") is not False]
    lowest = min(trained, key=lambda run: run.number("metrics.completion_ppl") or 0.0)
    folder, why = best_run("all", "completion_ppl", output_dir=finished.output)
    assert folder.path == lowest.folder and "first of 6 settings that trained" in why
    folder, why = best_run("all", where=["peft.method=ia3"], output_dir=finished.output)
    assert folder.path == finished.run("ia3").folder.path and "first of 1 setting that trained." in why
    with pytest.raises(UserError, match="nothing to choose from"):
        best_run("all", where=["peft.method=none"], output_dir=finished.output)
    with pytest.raises(UserError, match="No sweep is called 'al'. Did you mean all"):
        best_run("al", output_dir=finished.output)


def test_runs_of_other_base_models_do_not_share_a_host(finished: Finished) -> None:
    with pytest.raises(UserError, match="different base models, or other precisions"):
        Host([finished.run("lora"), finished.run("lora", quantization__method="nf4")])
    with pytest.raises(UserError, match="load it alone"):
        Host([finished.run("lora"), finished.run("full")])


def test_runs_on_one_base_answer_as_each_does_alone(finished: Finished) -> None:
    from persona_sweeps.deployment.predictor import predictors

    runs = [finished.run(method) for method in ("lora", "prompt_tuning", "none")]
    together = predictors(runs, "cpu")
    for run, predictor in zip(runs, together, strict=True):
        alone = predictors([read_run(run.folder)], "cpu")[0]
        assert predictor.reply("Who's there?") == alone.reply("Who's there?")
        assert predictor.nll("Who's there?", "I.") == pytest.approx(alone.nll("Who's there?", "I."), rel=1e-6)
