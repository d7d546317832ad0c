"""The documentation's site: it builds with every link right, and its reference has every key and command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from analysis.__main__ import main as analysis
from analysis.commands import COMMANDS
from docs.site import commands_reference, config_reference, python_reference
from persona_sweeps.config.kinds import GENERATION, METRICS, PEFT, SOURCES, TRACKERS, KindGroup
from persona_sweeps.config.schema import RunConfig, TrainConfig
from tests.conftest import REPOSITORY
from tests.test_readme import TINY, commands

CONF = REPOSITORY / "conf"
BLOCK = re.compile(r"`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def keys() -> str:
    return config_reference.page(CONF)


@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stdout + built.stderr
    for page in ("index", "first_hour/index", "reference/config/index", "reference/commands/index", "extending/index"):
        text = (tmp_path / "site" / f"{page}.html").read_text(encoding="utf-8")
        assert "<h1" in text
        assert not re.search(r'(?:src|href)="https?://fonts', text), "nothing is fetched from elsewhere"


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_each_file_of_conf_says_what_it_is_for_and_explains_its_keys(path: Path) -> None:
    assert config_reference.description(path)
    if path.parent.name in ("model", "experiment", "help"):
        return
    group = str(path.relative_to(CONF).parent)
    keys = config_reference.read_keys(path) if group == "." else config_reference.read_group(CONF, group)[path.stem]
    unexplained = [key.path for key in keys if not key.text]
    assert not [key for key in unexplained if key.rpartition(".")[2] not in SPEAK_FOR_THEMSELVES]


SPEAK_FOR_THEMSELVES = {
    "method", "source", "kind", "revision", "account", "qos", "constraint", "cpus_per_job", "name", "trainable",
}  # fmt: skip


@pytest.mark.parametrize("group", [PEFT, SOURCES, GENERATION, TRACKERS, METRICS], ids=lambda group: group.name)
def test_every_key_of_a_built_in_kind_is_in_the_reference(group: KindGroup, keys: str) -> None:
    for name in group.builtin:
        prefix = f"{group.name}.{name}" if group.key is None else group.name
        for key in fields(group.find(name)):
            assert f"`{prefix}.{key.name}" in keys, (name, key.name)


def test_every_key_of_a_run_is_in_the_reference(keys: str) -> None:
    for key in fields(TrainConfig):
        assert f"`train.{key.name}`" in keys
    for key in fields(RunConfig):
        assert f"`{key.name}`" in keys or f"## {key.name}" in keys or f"`{key.name}." in keys


def test_comments_are_explanations_and_a_hash_in_quotes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(
        '# What it is.\ndefaults:\n  - _self_\n\na: "x # y"   # first,\n                # and more\n'
        "b:            # a part\n  c: 1\n  # Before it.\n  d: null\n",
        encoding="utf-8",
    )
    found = [(key.path, key.default, key.text) for key in config_reference.read_keys(path)]
    assert found == [
        ("a", '"x # y"', "first, and more"),
        ("b", "", "a part"),
        ("b.c", "1", ""),
        ("b.d", "null", "Before it."),
    ]


@pytest.mark.slow
def test_every_command_is_in_the_reference() -> None:
    text = commands_reference.page(REPOSITORY)
    for name in COMMANDS:
        assert f"## persona-sweeps analyze {name}\n" in text
    assert "persona-sweeps report" in text and "--pareto X Y" in text and "hydra/launcher" in text


def test_the_python_interface_is_in_the_reference_with_its_examples() -> None:
    text = python_reference.page()
    assert all(f"## persona_sweeps.{name}\n" in text for name in ("sweep", "load_runs", "load_predictor"))
    assert text.count("```pycon") == 3 and "def " not in text


@pytest.mark.slow
def test_the_metric_of_the_page_on_extending_stands_in_the_tables(
    command: Callable, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
    for name, content in BLOCK.findall(page):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (sweep, board, ranked) = commands(page)
    assert sweep[:3] == ["PYTHONPATH=.", "python", "launch.py"]
    ended = command(*sweep[3:], *TINY, folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert ended.code == 0, ended.err
    output = f"--output-dir={tmp_path / 'multirun_outputs'}"
    assert analysis([*board[3:], output]) == 0 and "questions" in capsys.readouterr().out
    assert analysis([*ranked[3:], output]) == 0 and "questions" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_of_the_page_on_models_are_right(launch: Callable) -> None:
    page = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    for words in commands(page):
        arguments = [word for word in words[2:] if not word.startswith("~")]
        if "model=auto" in arguments:
            continue  # no network here; tests/models/test_own_card.py reads cards from folders
        ended = launch(*arguments, *([] if "plan=only" in arguments else TINY))
        assert ended.code == 0 or ("plan=only" in arguments and "can't run here" in ended.err), ended.err
