"""What every test shares: no network, no fork warnings, configs composed as a run composes them, and the command."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

# Before any test imports a Hugging Face library, which reads them once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A tiny twin is quickest on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from persona_sweeps.config.schema import ModelConfig, register_schemas

REPOSITORY = Path(__file__).resolve().parents[1]
CONF = REPOSITORY / "conf"
EVERY_CARD = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if path.stem != "auto")
"""the model cards that have facts of their own"""


@functools.cache
def freeze_libraries() -> None:
    """Have the collector pass over what libraries have loaded by now: a third of a second each time, and all stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for this test alone; the others share the user's, where the embedded model is converted."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(folder))
    return folder


def composed_card(name: str, *overrides: str) -> ModelConfig:
    """Return a card, typed, by its name and overrides (`scale=tiny`, without the `model.`)."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=[f"+model={name}", *(f"model.{override}" for override in overrides)])
    card = OmegaConf.to_object(config.model)
    assert isinstance(card, ModelConfig)
    return card


@pytest.fixture
def compose_card() -> Callable[..., ModelConfig]:
    """The function `composed_card`."""
    return composed_card


def small_llama(folder: Path) -> None:
    """Save a small llama with random weights and the embedded model's tokenizer, which other programs know as well."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from persona_sweeps.models.loading import load_tokenizer

    tokenizer = load_tokenizer(composed_card("smollm2_135m_instruct"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True, initializer_range=0.1,
        bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def with_evaluation(path: Path) -> dict[str, Any]:
    """Return the record of a run, with what its evaluation says, where it has exactly one."""
    record = json.loads(path.read_text())
    found = [json.loads(evaluation.read_text()) for evaluation in path.parent.glob("evaluations/*.json")]
    if len(found) != 1:
        return {"metrics": {}, "comparability_key": None, **record}
    own = {key: found[0][key] for key in ("metrics", "comparability_key", "descriptions", "evaluation_id")}
    config = {**record["config"], **found[0]["config"]}
    return {**record, **own, "config": config, "evaluation": found[0]}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    folder: Path
    """where it ran"""

    @property
    def output(self) -> Path:
        return self.folder / "multirun_outputs"

    def records(self) -> list[dict[str, Any]]:
        """Return the record of every run by name, with what its evaluation says, where it has exactly one."""
        found = [with_evaluation(path) for path in self.output.glob("runs/*/run.json")]
        return sorted(found, key=lambda record: record["name"])

    def evaluations(self) -> list[dict[str, Any]]:
        """Return every evaluation of every run, with the `run` that it is of."""
        found = []
        for path in sorted(self.output.glob("runs/*/evaluations/*.json")):
            found.append(json.loads(path.read_text()) | {"run": json.loads((path.parents[1] / "run.json").read_text())})
        return found

    def samples_of(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the samples of a run's only evaluation."""
        [path] = self.folder_of(record).glob("evaluations/*.samples.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def by(self, *keys: str) -> dict[Any, dict[str, Any]]:
        """Return the records by a value of their config, such as `by("peft", "method")`."""
        return {reduce(getitem, keys, record["config"]): record for record in self.records()}

    def folder_of(self, record: dict[str, Any]) -> Path:
        return next(self.output.glob(f"runs/*-{record['run_id']}"))

    def sweep(self, name: str) -> list[dict[str, Any]]:
        """Return the cells of a sweep."""
        return json.loads((self.output / "sweeps" / name / "sweep.json").read_text())["cells"]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all commands of this test session, so that none writes into the user's."""
    return tmp_path_factory.mktemp("shared-cache")


@pytest.fixture(scope="session")
def command(shared_cache: Path) -> Callable[..., Ended]:
    """A function that runs `python launch.py …`, or another command, in a process of its own."""

    def run(
        *arguments: str, folder: Path, python: tuple[str, ...] = (str(REPOSITORY / "launch.py"),), **environment: str
    ) -> Ended:
        inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HYDRA_FULL_ERROR")}
        own = {"PERSONA_SWEEPS_CACHE": str(shared_cache), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, *python, *arguments],
            cwd=folder,
            env={**inherited, **own, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Ended(done.returncode, done.stdout, done.stderr, folder)

    return run


@pytest.fixture
def launch(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """A function that runs the command line in this process, in a folder of its own; quicker than a new process."""
    from persona_sweeps.cli.launch import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["launch.py", *arguments])
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                if isinstance(ended.code, str):
                    err.write(ended.code + "\n")
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        freeze_libraries()
        return Ended(code, out.getvalue(), err.getvalue(), tmp_path)

    return run


@pytest.fixture(scope="session")
def compose_run() -> Callable[..., Any]:
    """A function of overrides that gives the config of one run, as a sweep composes it: what Hydra would give."""
    from hydra import initialize_config_dir
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import HydraContext, RunMode

    from persona_sweeps.planning.compose import Composer

    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        loader = hydra.config_loader
    master = loader.load_configuration("config", ["hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
    composer = Composer(HydraContext(config_loader=loader, callbacks=Callbacks()), master)
    return lambda *overrides: composer.job(overrides, 0)[0]


@pytest.fixture(scope="session")
def make_cell(compose_run: Callable[..., Any]) -> Callable[..., Any]:
    """A function of overrides that gives the cell of a sweep, resolved and validated."""
    from persona_sweeps.planning import cells

    return lambda *overrides: cells.make_cell(compose_run(*overrides), overrides, {})


def write_dialogue(path: Path, lines: int = 12, words: str = "Who's there?") -> Path:
    """Write a small data set: short prompts, short answers, three lines a scene."""
    rows = [
        {"prompt": f"{words} ({n})", "completion": f"Nay, answer me: {n} times.", "scene": f"1.{n // 3}"}
        for n in range(lines)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small JSON Lines file."""
    return write_dialogue(tmp_path_factory.mktemp("data") / "dialogue.jsonl")


@pytest.fixture(scope="session")
def tiny(dialogue: Path) -> tuple[str, ...]:
    """Overrides that make a run of a tiny twin on the small file take a moment, in exact arithmetic."""
    return (
        "model.scale=tiny", "device=cpu", "train.precision=fp32", "train.max_length=256", "train.max_steps=3",
        "train.batch_size=4", "generation.max_new_tokens=6", "dataset=jsonl", f"dataset.path={dialogue}",
    )  # fmt: skip
