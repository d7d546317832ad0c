"""What Hydra's grammar can't read is one sentence with the right words, before anything is composed."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from persona_sweeps.cli.spelling import require_readable
from persona_sweeps.errors import UserError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--peft lora", "overrides have no dashes; write peft=lora."),
        ("--peft=lora", "overrides have no dashes; write peft=lora."),
        ("--train.learning_rate 1e-3", "write train.learning_rate=1e-3."),
        ("--multirn", "No option is called --multirn. Did you mean --multirun?"),
        ("-m seed=0, 1", "a list has no spaces after its commas"),
        ("lora", "lora stands alone"),
        ("peft = lora", "peft stands alone"),
        ("train.learning_rate=1e-3;1e-4", "write train.learning_rate=1e-3,1e-4."),
        ("seed=range(0,3", "seed=range(0,3 lacks a )."),
        ("peft.target_modules=[q_proj", "lacks a ]."),
        ("seed=0,1)", "lacks a (."),
        ('"dataset.card=It\'s me"', "a text with quotes or braces is quoted itself"),
        ('"dataset.card=You are {persona}."', "a text with quotes or braces is quoted itself"),
    ],
)
def test_a_word_that_can_not_be_read_is_said_with_how_to_write_it(line: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        require_readable(shlex.split(line))
    assert said in str(raised.value)


@pytest.mark.parametrize("text", ["It's me", "You are {persona}.", 'He said "no"', "back\\slash's"])
def test_what_it_says_to_write_is_that_text_to_hydra(text: str) -> None:
    with pytest.raises(UserError) as raised:
        require_readable([f"dataset.card={text}"])
    (written,) = shlex.split(str(raised.value).partition("; write ")[2].removesuffix("."))
    require_readable([written])
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(written).value() == text


@pytest.mark.parametrize(
    "line",
    [
        "", "-m peft=lora,dora seed=range(3)", "--cfg job", "-cn other peft=none", "~dataset.persona", "+new.key=1",
        "dataset.persona=[Hamlet,Falstaff]", '"dataset.card=\\"It\'s me\\""', "output_dir=${oc.env:HOME}/x",
        "dataset.card=",
        "model.hub_id=a/b", "peft.r=choice(4,8)",
        "train.learning_rate=interval(1e-5,1e-2)",
        "dataset.x={a:1}", "seed=-1",
    ],
)  # fmt: skip
def test_what_can_be_read_passes(line: str) -> None:
    require_readable(shlex.split(line))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.lr=1e-3", "Did you mean train.learning_rate"),
        ("model=meta-llama/Llama-3.2-1B", "model=auto model.hub_id=meta-llama/Llama-3.2-1B"),
        ("sweep=mine", "sweep takes no value of its own, but its keys do: write sweep.name=mine."),
        ("seed=-1", "seed=-1 must be at least 0"),
        ("show_examples=0", "show_examples=0 must be at least 1"),
    ],
)
def test_a_wrong_name_or_value_gets_the_right_one(
    launch: Callable, tiny: tuple[str, ...], word: str, said: str
) -> None:
    ended = launch(*tiny, word, "plan=only")
    assert ended.code == 1 and said in ended.err and "Traceback" not in ended.err


def test_a_layer_s_name_is_a_list_of_it(launch: Callable, tiny: tuple[str, ...]) -> None:
    of_name = launch(*tiny, "peft=lora", "peft.target_modules=q_proj", "plan=only")
    of_list = launch(*tiny, "peft=lora", "peft.target_modules=[q_proj]", "plan=only")
    trained = [
        next(line for line in ended.out.splitlines() if "-lora-" in line).split()[1] for ended in (of_name, of_list)
    ]
    assert of_name.code == of_list.code == 0 and trained[0] == trained[1]
