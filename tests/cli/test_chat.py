"""`chat` and `merge` as commands: in a pipe, in a terminal, and with every mistake in one sentence."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import persona_sweeps
from persona_sweeps.cli import main as commands

TINY = ("model.scale=tiny", "dataset.limit=40", "dataset.eval_limit=6", "train.max_steps=2", "train.max_length=512",
        "generation.max_new_tokens=8", "metrics=likelihood", "peft.learning_rate=0.02")  # fmt: skip

Run = Callable[..., tuple[str, str, int]]


@pytest.fixture
def run(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A function that runs `persona-sweeps …` here, with lines for its input; it returns output, notes and code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))
    persona_sweeps.sweep("peft=lora,prompt_tuning", *TINY, "sweep.name=two")
    capfd.readouterr()

    def call(*words: str, lines: str = "") -> tuple[str, str, int]:
        (tmp_path / "input").write_text(lines)
        monkeypatch.setattr(sys, "argv", ["persona-sweeps", *words])
        with (tmp_path / "input").open() as given:
            monkeypatch.setattr(sys, "stdin", given)
            try:
                commands.main()
                code: object = 0
            except SystemExit as stopped:
                code = stopped.code
        out, err = capfd.readouterr()
        return out, err + (code if isinstance(code, str) else ""), code if isinstance(code, int) else 1

    return call


@pytest.mark.slow
def test_in_a_pipe_each_line_is_a_message_and_the_output_has_answers_alone(run: Run) -> None:
    lora = ("chat", "--best", "two", "--where", "peft.method=lora", "--seed", "1", "--max-new-tokens", "6")
    out, err, code = run(*lora, lines="Who's there?\n\nWhere is he?\n")
    assert code == 0 and len(out.splitlines()) >= 2 and "Hamlet answers (temperature 0.8)" in err
    assert run(*lora, lines="Who's there?\nWhere is he?\n")[0] == out
    compared, _, _ = run(*lora, "--compare", "base", lines="Who's there?\n/compare off\nWhere is he?\n")
    assert compared.startswith("Hamlet: ") and "\nbase: " in compared


@pytest.mark.slow
def test_commands_are_listed_and_mistakes_are_one_sentence_each(run: Run, tmp_path: Path) -> None:
    lines = (
        "/help\n/rest\n/persona\n/persona You are a ghost.\n/compare nobody\n/compare base\nWho's there?\n/save\n"
        "/save no/folder\n/reset\n/quit\nunread\n"
    )
    out, err, code = run("chat", "--best", "two", "--where", "peft.method=lora", "--temperature", "0", lines=lines)
    assert code == 0 and out.count("\n") >= 2 and "unread" not in out
    assert "/rest is no command. Did you mean reset?" in err and "Hamlet" in err and "You are a ghost." in err
    assert "No run is called 'nobody'" in err and "base answers as well." in err
    assert "Added 2 messages to chat.jsonl." in err and "no/folder" in err and "begins anew" in err
    assert all(f"/{name}" in err for name in ("help", "persona", "reset", "save", "compare", "quit"))
    assert (tmp_path / "chat.jsonl").is_file()
    for words, sentence in (
        ((), "error: Which run? Give its folder"),
        (("zzz",), "error: No run is called 'zzz'"),
        (("zzz", "--metric", "bleu"), "error: --metric goes with --best SWEEP"),
        (("--best", "tow"), "error: No sweep is called 'tow'. Did you mean two"),
        (
            ("--best", "two", "--where", "peft.method=lora", "--temperature", "-1"),
            "error: temperature=-1 must be above 0",
        ),
        (("--best", "two", "--where", "peft.method=lora", "--device", "gpu"), "error: device=gpu is none of"),
    ):
        _, err, code = run("chat", *words)
        assert code == 1 and err.splitlines()[-1].startswith(sentence), err


@pytest.mark.slow
def test_merge_says_what_it_did_and_refuses_in_one_sentence(run: Run) -> None:
    out, _, code = run("merge", "--best", "two", "--where", "peft.method=lora", "--out", "merged")
    assert code == 0 and "Adapter and merged model: " in out and "from_pretrained('merged')" in out
    for command, where in (("merge", "/proc/nowhere/merged"), ("card", "/proc/nowhere/card.json")):
        _, err, code = run(command, "--best", "two", "--where", "peft.method=lora", "--out", where)
        assert code == 1 and err.splitlines()[-1].startswith("error: /proc/nowhere") and "Traceback" not in err, err
    _, err, code = run("mrge", "--best", "two")
    assert code == 1 and err == "error: mrge is no command. Did you mean merge?"
    _, err, code = run("merge", "--best", "two", "--where", "peft.method=prompt_tuning")
    assert code == 1 and err.count("error: ") == 1 and "can't be merged" in err
    (row,) = persona_sweeps.sweep("model=auto", "model.hub_id=merged", "peft=none", *TINY[1:-1], "sweep.name=merged")
    (tuned,) = [one for one in persona_sweeps.load_runs("two") if one.get("config.peft.method") == "lora"]
    assert row.number("metrics.completion_nll") == pytest.approx(tuned.number("metrics.completion_nll"), rel=1e-5)


@pytest.mark.slow
def test_a_run_s_card_goes_out_as_a_file_and_comes_back_in(run: Run, tmp_path: Path) -> None:
    lora = ("--best", "two", "--where", "peft.method=lora")
    out, err, code = run("card", *lora, "--out", "hamlet.png", "--lines", "2")
    assert code == 0 and "Wrote the card of Hamlet to hamlet.png." in out, err
    _, err, code = run("chat", *lora, "--persona", "hamlet.png", lines="/persona\n")
    assert code == 0 and "You are Hamlet" in err and "Examples of how Hamlet speaks:" in err
    _, err, code = run("card", *lora, "--picture", "nowhere.png")
    assert code == 1 and "--picture nowhere.png doesn't exist" in err
    _, err, code = run("card", *lora, "--persona", "Ophelia")
    assert code == 1 and "without a persona card for Ophelia" in err


@pytest.mark.slow
def test_ctrl_c_stops_an_answer_and_the_conversation_goes_on(run: Run, tmp_path: Path) -> None:
    words = ["--best", "two", "--where", "peft.method=lora", "--max-new-tokens", "400", "--temperature", "5"]
    screen, keyboard = pty.openpty()
    command = [sys.executable, "-m", "persona_sweeps", "chat", *words]
    process = subprocess.Popen(
        command, stdin=keyboard, stdout=keyboard, stderr=keyboard, cwd=tmp_path, start_new_session=True
    )
    seen = ""

    def until(text: str) -> None:
        nonlocal seen
        end = time.monotonic() + 240
        while text not in seen:
            assert time.monotonic() < end and process.poll() is None, seen
            if select.select([screen], [], [], 1)[0]:
                seen += os.read(screen, 4096).decode(errors="replace")
        seen = seen[seen.index(text) + len(text) :]

    until("You: ")
    os.write(screen, b"Who's there?\n")
    until("Hamlet: ")
    while len(seen) < 20:
        seen += os.read(screen, 4096).decode(errors="replace")
    process.send_signal(signal.SIGINT)
    until("You: ")
    os.write(screen, b"/quit\n")
    assert process.wait(60) == 0
