"""Jobs are composed as Hydra composes them, errors included, and a thousand cost little more than one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from persona_sweeps.config.schema import register_schemas
from persona_sweeps.planning.compose import Composer
from tests.conftest import CONF

JOBS = [
    ["peft=lora"],
    ["peft=prompt_tuning", "peft.num_virtual_tokens=5"],
    ["train.learning_rate=1e-3", "peft=dora", "peft.r=4"],
    ["peft.r=4", "peft=dora"],
    ["peft.learning_rate=0.5"],
    ["train.max_steps=null", "train.epochs=0.5"],
    ["metrics=[likelihood]", "seed=3"],
    ["metrics.overlap=null"],
    ["experiment=demo", "dataset.persona=Ophelia"],
    ["experiment=demo", "train.max_steps=4", "sweep.name=mine"],
    ["dataset=jsonl", "dataset.path='a b, c.jsonl'", "dataset.card='It is \\'I\\''"],
    ["quantization=nf4", "model=gpt2", "model.scale=tiny", "generation=nucleus"],
    ["hydra.job.chdir=false", "seed=1"],
    ["sweep.name=${dataset.persona}"],
    ["tracker=[wandb,tensorboard]", "tracker.wandb.tags=[a,b]"],
    ["seed=1", "seed=2"],
]
WRONG = [
    ["peft=lorra"],
    ["peft.rr=3"],
    ["nothing.at.all=1"],
    ["+nothing=1"],
    ["~seed"],
    ["seed=many"],
    ["model.scale=huge"],
    ["train.epochs={a:1}"],
    ["peft@there=lora"],
]


@pytest.fixture
def context() -> Iterator[HydraContext]:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        yield HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())


@pytest.fixture
def master(context: HydraContext) -> DictConfig:
    return context.config_loader.load_configuration("config", ["hydra.mode=MULTIRUN"], RunMode.MULTIRUN)


def by_hydra(context: HydraContext, master: DictConfig, overrides: Sequence[str]) -> tuple[Any, Any]:
    job = context.config_loader.load_sweep_config(master, list(overrides))
    hydra = OmegaConf.to_container(job.hydra, resolve=False, enum_to_str=True)
    with read_write(job), open_dict(job):
        del job["hydra"]
    return job, hydra


@pytest.mark.parametrize("overrides", JOBS, ids=" ".join)
def test_a_job_is_what_hydra_composes(context: HydraContext, master: DictConfig, overrides: list[str]) -> None:
    composer = Composer(context, master)
    composer.job(["peft=ia3", "seed=9"], 0)
    ours, hydra = composer.job(overrides, 0)
    theirs, expected = by_hydra(context, master, overrides)
    for resolve in (False, True):
        assert OmegaConf.to_container(ours, resolve=resolve) == OmegaConf.to_container(theirs, resolve=resolve)
    assert OmegaConf.get_type(ours, "peft") == OmegaConf.get_type(theirs, "peft")
    assert OmegaConf.is_struct(ours) == OmegaConf.is_struct(theirs)
    assert hydra["overrides"] == expected["overrides"] and hydra["runtime"] == expected["runtime"]


@pytest.mark.parametrize("overrides", WRONG, ids=" ".join)
def test_a_mistake_is_hydra_s_too(context: HydraContext, master: DictConfig, overrides: list[str]) -> None:
    def told(compose: Any) -> tuple[str, str] | None:
        try:
            compose()
        except Exception as error:
            return type(error).__name__, str(error).replace("\n", " ")
        return None

    assert told(lambda: Composer(context, master).job(overrides, 0)) == told(
        lambda: by_hydra(context, master, overrides)
    )


def test_jobs_share_no_config(context: HydraContext, master: DictConfig) -> None:
    composer = Composer(context, master)
    first, _ = composer.job(["seed=1"], 0)
    first.train.epochs = 99
    second, _ = composer.job(["seed=2"], 1)
    assert second.train.epochs != 99 and (first.seed, second.seed) == (1, 2)


def test_jobs_that_differ_in_values_cost_a_fraction_of_hydra_s_composition(
    context: HydraContext, master: DictConfig
) -> None:
    composer = Composer(context, master)
    composer.job(["peft=lora", "seed=0"], 0)
    jobs = [["peft=lora", f"seed={seed}"] for seed in range(20)]
    started = time.process_time()
    for overrides in jobs:
        composer.job(overrides, 0)
    ours = time.process_time() - started
    started = time.process_time()
    for overrides in jobs[:4]:
        by_hydra(context, master, overrides)
    assert ours / 20 < (time.process_time() - started) / 4 / 4
