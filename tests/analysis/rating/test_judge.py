"""The model judge, against a real server on this machine that plays one: fair, biased, and rude."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.rating.answers import Answers
from analysis.rating.calibration import against_people, conduct, majority
from analysis.rating.design import PAIRWISE, Key, Unit
from analysis.rating.endpoint import Endpoint, NoAnswer
from analysis.rating.judging import judge, parse
from analysis.rating.reading import Rating
from persona_sweeps.errors import UserError

SECRET = "sk-very-secret-0123456789"
Behaviour = Callable[[dict[str, Any], int], tuple[int, str]]


def everywhere(answer: str) -> str:
    return json.dumps(dict.fromkeys(("persona", "coherence", "engagement"), answer))


def reply(content: str) -> tuple[int, str]:
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


def longest(given: dict[str, Any], _: int) -> tuple[int, str]:
    """A consistent judge, who likes long replies wherever they stand, and talks around its answer."""
    better = "A" if len(given["A"]) > len(given["B"]) else "B"
    return reply(f"Let me think {{about it}}.\n```json\n{everywhere(better)}\n```")


def always_first(given: dict[str, Any], _: int) -> tuple[int, str]:
    return reply(everywhere("A"))


class Http(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that went away, into whatever test comes next."""


class Server:
    """A server on this machine; `behaviour` is told what was asked and how many requests came before."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = longest
        self.seen: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.seen.append({**dict(self.headers), "path": self.path})
                status, text = server.behaviour(json.loads(body["messages"][1]["content"]), len(server.seen) - 1)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://localhost:9/elsewhere")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


@pytest.fixture
def key() -> Key:
    """Ten units of ten scenes: run `aa` always wrote more, on either side in turn."""
    units = []
    for n in range(10):
        runs = ("aa", "bb") if n % 2 else ("bb", "aa")
        texts = tuple("a long reply" if run == "aa" else "short" for run in runs)
        units.append(Unit(f"u{n}", f"i{n}", f"s{n}", "Hamlet", f"Who's there? {n}", runs, texts))
    return Key(PAIRWISE, 0, tuple(units), {"aa": "long", "bb": "short"})


def ask(server: Server, **more: Any) -> Endpoint:
    return Endpoint(server.url, "judge-1", SECRET, **{"timeout": 5.0, "backoff": 0.0, **more})


def test_a_consistent_judge_prefers_one_run_on_either_side(server: Server, key: Key, tmp_path: Path) -> None:
    verdicts, tally = judge(key, ask(server), Answers(tmp_path))
    assert tally.asked == 20 and len(server.seen) == 20
    for verdict in verdicts:
        assert verdict.answer("persona") == "AB"[verdict.unit.runs.index("aa")]
    assert conduct(verdicts).rows[0][2].startswith("100 %")
    assert conduct(verdicts).rows[0][3].startswith("50 %")
    assert all(seen["Authorization"] == f"Bearer {SECRET}" for seen in server.seen)
    assert {seen["path"] for seen in server.seen} == {"/v1/chat/completions"}


def test_a_judge_who_likes_what_stands_first_decides_nothing(server: Server, key: Key, tmp_path: Path) -> None:
    server.behaviour = always_first
    verdicts, _ = judge(key, ask(server), Answers(tmp_path))
    assert {verdict.answer("engagement") for verdict in verdicts} == {"tie"}
    assert conduct(verdicts).rows[0][2].startswith("0 %")
    assert conduct(verdicts).rows[0][3].startswith("100 %")


def test_answers_on_disk_are_not_asked_again_and_broken_ones_are(server: Server, key: Key, tmp_path: Path) -> None:
    first, _ = judge(key, ask(server), Answers(tmp_path))
    again, tally = judge(key, ask(server), Answers(tmp_path))
    assert again == first and (tally.asked, tally.cached) == (0, 20)
    for path in list(tmp_path.rglob("*.json"))[:3]:
        path.write_text("{")
    _, tally = judge(key, ask(server), Answers(tmp_path))
    assert (tally.asked, tally.cached) == (3, 17)
    other = Endpoint(server.url, "judge-2", SECRET, timeout=5.0)
    assert judge(key, other, Answers(tmp_path))[1].cached == 0
    assert not any(SECRET in path.read_text() for path in tmp_path.rglob("*.json"))


def test_errors_and_garbage_are_asked_again(server: Server, key: Key, tmp_path: Path) -> None:
    rude = [(500, "oops"), (429, "slow down"), (200, "not json"), reply("I'd rather not."), (200, '{"choices": []}')]
    server.behaviour = lambda given, n: rude[n] if n < len(rude) else longest(given, n)
    waits: list[float] = []
    verdicts, _ = judge(key, ask(server, backoff=1.0, sleep=waits.append), Answers(tmp_path), parallel=1)
    assert all(verdict.answer("persona") in ("A", "B") for verdict in verdicts)
    assert len(server.seen) == 20 + len(rude) and len(waits) == 4
    assert waits[0] <= 1.0 and 1.0 <= waits[2] <= 4.0


def test_a_judge_that_never_answers_is_told_and_the_others_go_on(server: Server, key: Key, tmp_path: Path) -> None:
    server.behaviour = lambda given, n: reply("no") if given["A"] == "short" else longest(given, n)
    verdicts, _ = judge(key, ask(server), Answers(tmp_path))
    assert {verdict.answer("persona") for verdict in verdicts} == {None}
    assert "10 units have no verdict" in conduct(verdicts).notes[-1]
    assert "3 replies that answer nothing" in conduct(verdicts).notes[-1]


def test_a_slow_judge_is_left_after_the_timeout(server: Server, key: Key) -> None:
    done = threading.Event()
    server.behaviour = lambda given, n: (done.wait(5), reply("late"))[1]
    with pytest.raises(NoAnswer, match="no answer in 2 attempts"):
        ask(server, timeout=0.1, retries=1).ask([{"role": "user", "content": "{}"}, {"role": "user", "content": "{}"}])
    done.set()


@pytest.mark.parametrize("status", [401, 302, 400])
def test_what_no_retry_mends_ends_it_without_telling_the_key(
    server: Server, key: Key, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    server.behaviour = lambda given, n: (status, f"your key {SECRET} is wrong")
    (tmp_path / "key.json").write_text(key.to_json())
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    command = [
        "judge",
        "--key",
        str(tmp_path / "key.json"),
        "--base-url",
        server.url,
        "--model",
        "m",
        "--parallel",
        "1",
    ]
    assert main([*command, "--key-env", "JUDGE_KEY", "--cache", str(tmp_path / "cache")]) == 2
    told = capsys.readouterr()
    assert str(status) in told.err and SECRET not in told.err + told.out and told.err.count("\n") == 1
    assert SECRET not in repr(Endpoint(server.url, "m", SECRET))


def test_the_command_prints_tables_and_a_sheet_and_compares_with_people(
    server: Server, key: Key, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "key.json").write_text(key.to_json())
    command = ["judge", "--key", str(tmp_path / "key.json"), "--base-url", server.url, "--model", "m"]
    command += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "judge.csv")]
    assert main([*command, "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert (table["raw"][0]["run_id"], table["raw"][0]["win_rate"]) == ("aa", 1.0)
    assert main([*command, "--people", str(tmp_path / "judge.csv")]) == 0
    out = capsys.readouterr().out
    assert "the judge against people" in out and "0 requests, 20 answers from disk" in out


def test_agreement_with_people_is_with_most_of_them(key: Key, server: Server, tmp_path: Path) -> None:
    verdicts, _ = judge(key, ask(server), Answers(tmp_path))
    people = [Rating(rater, v.unit, "persona", v.answer("persona") or "") for v in verdicts for rater in ("x", "y")]
    people += [Rating("z", v.unit, "persona", "tie") for v in verdicts]
    row = against_people(verdicts, people).rows[0]
    assert row[1] == "10" and row[2].startswith("100 %") and row[3] == "1.00" and row[4] == "33 %"
    assert majority(["A", "B"]) == "tie" and majority(["A", "B", "B"]) == "B"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"persona": "A"}', everywhere("C"), "{" * 5000])
def test_what_answers_nothing_is_no_answer(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:8000", "http://me:pw@x/v1", "file:///etc/passwd"])
def test_an_address_that_could_harm_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="--base-url"):
        Endpoint(url, "m")
