"""The page on what comes after a sweep: every command and the Python of it run, with a small model."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.cli import main as commands
from tests.conftest import REPOSITORY, small_llama

PAGE = (REPOSITORY / "docs" / "after.md").read_text(encoding="utf-8")
SHORT = ("train.max_steps=2", "generation.max_new_tokens=4", "device=cpu")
MESSAGES = "Come, Sir John.\n/compare off\nPay me.\n"


def lines() -> list[tuple[str, list[str]]]:
    """Return what each command of the page reads from a pipe, and its words."""
    found = []
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            given, _, command = line.rpartition(" | ")
            found.append((" ".join(shlex.split(given)[1:]) + "\n" if given else MESSAGES, shlex.split(command)))
    return found


def test_every_command_of_the_page_is_ours() -> None:
    assert len(lines()) >= 6 and all(words[0] == "persona-sweeps" for _, words in lines())


@pytest.mark.long
@pytest.mark.slow
def test_what_the_page_says_to_do_works(
    launch: Callable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_llama(tmp_path / "llama")
    small = ("model=auto", f"model.hub_id={tmp_path / 'llama'}", *SHORT)
    demo = launch(
        "-m", "experiment=demo", *small, "peft=none,lora", "seed=0,1", "dataset.limit=12", "metrics=likelihood"
    )
    assert demo.code == 0, demo.err
    home, of_a_card = Path.cwd(), tmp_path / "of a card"
    tiny = ("model.scale=tiny", *SHORT, "peft=lora", "seed=0", "dataset.limit=12", "metrics=likelihood")
    assert launch("-m", "experiment=demo", *tiny, f"output_dir={of_a_card}/multirun_outputs").code == 0
    asks_server, asks_predictor = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for given, words in lines():
        if words[1] == "serve":
            serve(words, asks_server)
            continue
        if words[1] == "publish":  # not of a model that is a folder here
            monkeypatch.chdir(of_a_card)
        (tmp_path / "given").write_text(given)
        ours = [*words, *SHORT] if words[1] == "sweep" else words
        monkeypatch.setattr(sys, "argv", ours)
        with (tmp_path / "given").open() as read:
            monkeypatch.setattr(sys, "stdin", read)
            commands.main()
        printed = capsys.readouterr()
        monkeypatch.chdir(home)
        assert printed.out.strip(), f"{shlex.join(words)}\n{printed.err}"
        if "--compare" in words:
            assert "\nbase: " in printed.out
    assert (tmp_path / "falstaff" / "model.safetensors").is_file() and (tmp_path / "falstaff.png").is_file()
    exec(asks_predictor, {})


def serve(words: list[str], code: str) -> None:
    """Start the server of the page, run the page's client, and stop it."""
    command = [sys.executable, "-m", "persona_sweeps", *words[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = iter(process.stdout.readline, "")
        address = next(line.split()[4] for line in said if line.startswith("Talk with them at "))
        exec(code.replace("http://127.0.0.1:8000", address), {})
        process.terminate()
        assert process.stdout.read().endswith("Stopped.\n")
    assert process.returncode == 0
