"""`persona-sweeps serve` as a process: it lets answers end when it is stopped, and says what it can't do."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from persona_sweeps.deployment.serving.listening import listen, with_key
from persona_sweeps.deployment.serving.settings import Settings
from persona_sweeps.errors import UserError
from tests.conftest import REPOSITORY

from ..conftest import Finished

COMMAND = (sys.executable, "-m", "persona_sweeps", "serve")


@pytest.mark.slow
def test_a_stop_lets_answers_end(finished: Finished, tmp_path: Path) -> None:
    name = finished.run("lora").name
    words = [
        name,
        "--output-dir",
        str(finished.output),
        "--port",
        "0",
        "--device",
        "cpu",
        "--votes",
        str(tmp_path / "v"),
    ]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    while "Ctrl-C" not in (said[-1] if said else ""):
        said.append(process.stdout.readline())
        assert said[-1], "".join(said)
    assert any(line.strip() == name for line in said) and any(line.strip() == "base" for line in said)
    (address,) = re.findall(r"Talk with them at (\S+)", "".join(said))
    body = {"model": "base", "stream": True, "messages": [{"role": "user", "content": "x"}], "max_tokens": 512}
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]" and len(rest) > 20
    ended = process.communicate(timeout=60)[0]
    assert process.returncode == 0, ended
    assert ended.startswith("Stopped.") and "rate read" in ended and "Traceback" not in ended


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--best", "nothing"], "nothing"),
        ([], "Which run"),
        (["nothing", "--metric", "ppl"], "--metric goes with --best SWEEP"),
        (["--best", "x", "--max-tokens", "0"], "--max-tokens must be above 0"),
        (["--best", "x", "--seconds", "-1"], "--seconds must be above 0"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    words: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.cli import main as commands

    monkeypatch.setattr(sys, "argv", ["persona-sweeps", "serve", *words, "--output-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert re.match(f"error: .*{why}", str(ended.value.code))


def test_an_address_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port} can't be listened on: Address already in use"):
            listen(Settings(port=port))
    with pytest.raises(UserError, match=r"can't be listened on: .*[^.]\. Take another --port\.$"):
        listen(Settings(port=70_000))


def test_whoever_can_be_reached_by_others_has_a_key() -> None:
    assert with_key(Settings()).key is None
    made = with_key(Settings(host="0.0.0.0")).key
    assert made is not None and len(made) > 20 and made != with_key(Settings(host="0.0.0.0")).key
    assert with_key(Settings(host="0.0.0.0", key="mine")).key == "mine"


def test_the_compose_file_starts_a_server_that_others_can_reach() -> None:
    import yaml

    from persona_sweeps.cli.serve import KEY, parser

    (service,) = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"].values()
    command, *words = service["command"]
    options = parser().parse_args(words)
    assert command == "serve" and not Settings(host=options.host).is_local and KEY in service["environment"]
    assert service["ports"] == [f"127.0.0.1:{options.port}:{options.port}"]
    assert f":{options.port}/health" in service["healthcheck"]["test"][-1]
