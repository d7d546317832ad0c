"""Search spaces in Hydra's override syntax: what they become, and that every value is an override again."""

from __future__ import annotations

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from persona_sweeps.errors import ConfigError
from persona_sweeps.study.space import Space, dimension, is_dimension, parse

KINDS = [
    ("choice(4,8,16)", CategoricalDistribution([4, 8, 16])),
    ("choice(sample_vocab,random)", CategoricalDistribution(["sample_vocab", "random"])),
    ("choice([q_proj],all-linear)", CategoricalDistribution(["[q_proj]", "all-linear"])),
    ("tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
    ("interval(0.1,0.9)", FloatDistribution(0.1, 0.9)),
    ("int(interval(1,9))", IntDistribution(1, 9)),
    ("range(4,33,4)", IntDistribution(4, 32, step=4)),
    ("range(1,4)", IntDistribution(1, 3)),
]


@pytest.mark.parametrize("text, expected", KINDS, ids=[text for text, _ in KINDS])
def test_a_text_becomes_the_distribution_it_describes(text: str, expected: object) -> None:
    (found,) = parse({"peft.r": text})
    assert (found.key, found.distribution) == ("peft.r", expected)


@pytest.mark.parametrize("text", [text for text, _ in KINDS])
def test_every_draw_is_an_override_that_hydra_reads(text: str) -> None:
    space = Space(parse({"peft.x": text, "train.learning_rate": "tag(log,interval(1e-5,1e-3))"}))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(5):
        trial = study.ask()
        drawn = space.suggest(trial)
        parsed = OverridesParser.create().parse_overrides(drawn)
        assert [override.get_key_element() for override in parsed] == ["peft.x", "train.learning_rate"]
        assert not any(override.is_sweep_override() for override in parsed)
        assert space.suggest(trial) == drawn, "what was drawn stays drawn"


def test_functions_are_searched_over_and_plain_lists_are_a_grid() -> None:
    parser = OverridesParser.create()
    found = {
        text: is_dimension(parser.parse_override(text)) for text in ("m=a,b", "m=a", "r=choice(1,2)", "r=range(3)")
    }
    assert found == {"m=a,b": False, "m=a": False, "r=choice(1,2)": True, "r=range(3)": True}


@pytest.mark.parametrize("text", ["8", "choice(", "interval(2,1)", "tag(log,interval(0,1))"])
def test_what_is_no_space_is_reported_with_its_key(text: str) -> None:
    with pytest.raises(ConfigError, match=r"peft\.r"):
        found = parse({"peft.r": text})
        dimension(OverridesParser.create().parse_override(f"peft.r={text}"))
        assert not found


def test_a_grid_has_every_value_and_refuses_intervals() -> None:
    assert Space(parse({"a": "choice(1,2)", "b": "range(2,7,2)"})).grid() == {"a": [1, 2], "b": [2, 4, 6]}
    with pytest.raises(ConfigError, match="write it as b=choice"):
        Space(parse({"b": "interval(0.1,0.2)"})).grid()
