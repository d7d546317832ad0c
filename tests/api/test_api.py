"""The public Python interface: its examples run, and a loaded predictor answers as the run's records say."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import persona_sweeps
from persona_sweeps.errors import UserError
from persona_sweeps.records.folders import RunFolder

TINY = ("model.scale=tiny", "dataset.limit=40", "dataset.eval_limit=6", "train.max_steps=4", "train.max_length=512")


@pytest.fixture
def here(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))
    return tmp_path


@pytest.mark.slow
def test_the_examples_of_the_docstrings_run(here: Path) -> None:
    how = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for name in ("sweep", "load_runs", "load_predictor"):  # each builds on what the one before left
        function = getattr(persona_sweeps, name)
        (example,) = [found for found in doctest.DocTestFinder().find(function, name, globs={}) if found.examples]
        assert doctest.DocTestRunner(optionflags=how).run(example).failed == 0, name


@pytest.mark.slow
@pytest.mark.parametrize("peft", ["lora", "prompt_tuning", "few_shot", "none"])
def test_a_loaded_run_answers_as_it_did_when_it_was_evaluated(here: Path, peft: str) -> None:
    (run,) = persona_sweeps.sweep(f"peft={peft}", *TINY, "generation.max_new_tokens=12", "sweep.name=one")
    character = persona_sweeps.load_predictor(run.run_id[:6])
    texts, likelihoods = (predictions(run.folder, kind) for kind in ("text", "nll"))
    prompts = [messages(character, example["id"]) for example in texts]
    assert character.replies(prompts) == [example["text"] for example in texts]
    assert character.reply(prompts[1]) == texts[1]["text"]
    prompts = [messages(character, example["id"]) for example in likelihoods]
    found = character.nlls(prompts, [example["reference"] for example in likelihoods])
    assert found == pytest.approx([example["nll"] for example in likelihoods], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("peft=none", "metrics=likelihood,overlap"),
        ("experiment=demo", "hydra.sweeper.params.seed=0"),
        ("seed=3", "sweep.name=x"),
    ],
    ids=["digest", "experiment", "own"],
)
def test_it_returns_the_results_of_its_own_sweep(here: Path, overrides: tuple[str, ...]) -> None:
    persona_sweeps.sweep("peft=none", *TINY, "sweep.name=another", "metrics=likelihood")
    runs = persona_sweeps.sweep(*overrides, *TINY, "generation.max_new_tokens=4")
    assert runs and not [run for run in runs if run.status != "completed"]
    (name,) = {path.name for path in (here / "multirun_outputs" / "sweeps").iterdir()} - {"another"}
    assert [run.run_id for run in runs] == [run.run_id for run in persona_sweeps.load_runs(name)]


@pytest.mark.slow
def test_a_text_stands_behind_the_card_unless_another_system_message_is_given(here: Path) -> None:
    persona_sweeps.sweep("peft=lora", *TINY, "metrics=likelihood")
    character = persona_sweeps.load_predictor(persona_sweeps.load_runs()[0].folder)
    card = character.card()
    assert card is not None and "Hamlet" in card
    turn = [{"role": "user", "content": "Who's there?"}]
    usual = character.nll("Who's there?", "Nay, answer me.")
    assert usual == character.nll(turn, "Nay, answer me.", system=card)
    assert usual == character.nll([{"role": "system", "content": card}, *turn], "Nay, answer me.")
    assert usual != character.nll("Who's there?", "Nay, answer me.", system="")


def predictions(folder: Path, kind: str) -> list[dict[str, Any]]:
    heads = [path for path in (folder / "predictions").glob("*.json")]
    (head,) = [path for path in heads if json.loads(path.read_text())["request"]["kind"] == kind]
    return [json.loads(line) for line in head.with_suffix(".jsonl").read_text().splitlines()]


def messages(character: Any, example_id: str) -> list[dict[str, str]]:
    """Return the prompt of a held-out example, before any template."""
    from persona_sweeps.data import corpus_of

    (example,) = [one for one in corpus_of(character.config).eval if one.id == example_id]
    return [{"role": message.role, "content": message.content} for message in example.prompt]


@pytest.mark.slow
@pytest.mark.parametrize("report", ["plan=only", "show_examples=1", "dataset.report=only"])
def test_what_only_reports_returns_no_runs(here: Path, report: str) -> None:
    assert persona_sweeps.sweep(*TINY, "seed=0,1", report) == []


@pytest.mark.slow
def test_mistakes_are_one_sentence(here: Path) -> None:
    with pytest.raises(UserError, match="there is no such peft. Did you mean lora"):
        persona_sweeps.sweep("peft=lorra", *TINY)
    with pytest.raises(UserError, match="No sweep is called 'other'"):
        persona_sweeps.load_runs("other")
    with pytest.raises(UserError, match="No run is called 'abc'"):
        persona_sweeps.load_predictor("abc")
    first, second = persona_sweeps.sweep("peft=nearest_reply,lora", *TINY, "generation.max_new_tokens=4")
    with pytest.raises(UserError, match="answers without a model"):
        persona_sweeps.load_predictor(first.folder)
    with pytest.raises(UserError, match="device=gpu is none of"):
        persona_sweeps.load_predictor(second.folder, device="gpu")
    character = persona_sweeps.load_predictor(second.folder)
    with pytest.raises(UserError, match="max_tokens: generation=greedy has max_new_tokens"):
        character.reply("Who's there?", max_tokens=3)
    with pytest.raises(UserError, match="A prompt of 4281 tokens: at most 512 can be read"):
        character.reply("Words, words, words. " * 400)
    with pytest.raises(UserError, match="role and content"):
        character.reply([{"text": "Who's there?"}])
    for path in RunFolder(second.folder).adapter.glob("*.safetensors"):
        path.write_bytes(b"garbage")
    with pytest.raises(UserError, match="nothing to load"):
        persona_sweeps.load_predictor(second.folder)


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, persona_sweeps; print([m for m in ('torch', 'hydra', 'numpy') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_a_name_that_isn_t_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'swep'"):
        getattr(persona_sweeps, "swep")  # noqa: B009


def test_reading_runs_loads_no_torch(tmp_path: Path) -> None:
    code = "import sys; from persona_sweeps import load_runs; load_runs(); print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "False"
