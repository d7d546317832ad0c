"""The model judge, against a real server on this machine that plays one: fair, biased, and rude."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from analysis.rating.answers import Answers
from analysis.rating.asking import Judge
from analysis.rating.calibration import against_people, conduct, majority
from analysis.rating.design import PAIRWISE, Key, Unit
from analysis.rating.endpoint import Endpoint, NoAnswer
from analysis.rating.judging import judge, parse
from analysis.rating.reading import Rating
from persona_sweeps.errors import UserError
from tests.analysis.rating.endpoints import SECRET, Server, always_first, everywhere, longest, reply


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


def asker(server: Server, folder: Path, parallel: int = 4, **more: Any) -> Judge:
    return Judge(ask(server, **more), Answers(folder), parallel)


def test_a_consistent_judge_prefers_one_run_on_either_side(server: Server, key: Key, tmp_path: Path) -> None:
    by = asker(server, tmp_path)
    verdicts = judge(key, by)
    assert by.tally.asked == 20 and len(server.seen) == 20
    for verdict in verdicts:
        assert verdict.answer("persona") == "AB"[verdict.unit.runs.index("aa")]
    assert conduct(verdicts).rows[0][2].startswith("100 %")
    assert conduct(verdicts).rows[0][3].startswith("50 %")
    assert all(seen["Authorization"] == f"Bearer {SECRET}" for seen in server.seen)
    assert {seen["path"] for seen in server.seen} == {"/v1/chat/completions"}


def test_a_judge_who_likes_what_stands_first_decides_nothing(server: Server, key: Key, tmp_path: Path) -> None:
    server.behaviour = always_first
    verdicts = judge(key, asker(server, tmp_path))
    assert {verdict.answer("engagement") for verdict in verdicts} == {"tie"}
    assert conduct(verdicts).rows[0][2].startswith("0 %")
    assert conduct(verdicts).rows[0][3].startswith("100 %")


def test_answers_on_disk_are_not_asked_again_and_broken_ones_are(server: Server, key: Key, tmp_path: Path) -> None:
    first = judge(key, asker(server, tmp_path))
    again = asker(server, tmp_path)
    assert judge(key, again) == first and (again.tally.asked, again.tally.cached) == (0, 20)
    for path in list(tmp_path.rglob("*.json"))[:3]:
        path.write_text("{")
    mended = asker(server, tmp_path)
    judge(key, mended)
    assert (mended.tally.asked, mended.tally.cached) == (3, 17)
    other = Judge(Endpoint(server.url, "judge-2", SECRET, timeout=5.0), Answers(tmp_path))
    judge(key, other)
    assert other.tally.cached == 0
    assert not any(SECRET in path.read_text() for path in tmp_path.rglob("*.json"))


def test_errors_and_garbage_are_asked_again(server: Server, key: Key, tmp_path: Path) -> None:
    rude = [(500, "oops"), (429, "slow down"), (200, "not json"), reply("I'd rather not."), (200, '{"choices": []}')]
    server.behaviour = lambda given, n: rude[n] if n < len(rude) else longest(given, n)
    waits: list[float] = []
    verdicts = judge(key, asker(server, tmp_path, 1, backoff=1.0, sleep=waits.append))
    assert all(verdict.answer("persona") in ("A", "B") for verdict in verdicts)
    assert len(server.seen) == 20 + len(rude) and len(waits) == 4
    assert waits[0] <= 1.0 and 1.0 <= waits[2] <= 4.0


def test_a_judge_that_never_answers_is_told_and_the_others_go_on(server: Server, key: Key, tmp_path: Path) -> None:
    server.behaviour = lambda given, n: reply("no") if given["A"] == "short" else longest(given, n)
    verdicts = judge(key, asker(server, tmp_path))
    assert {verdict.answer("persona") for verdict in verdicts} == {None}
    assert "10 units have no verdict" in conduct(verdicts).notes[-1]
    assert "3 replies that answer nothing" in conduct(verdicts).notes[-1]


def test_a_slow_judge_is_left_after_the_timeout(server: Server, key: Key) -> None:
    done = threading.Event()
    server.behaviour = lambda given, n: (done.wait(5), reply("late"))[1]
    with pytest.raises(NoAnswer, match="no answer in 2 attempts"):
        ask(server, timeout=0.1, retries=1).ask([{"role": "user", "content": "{}"}, {"role": "user", "content": "{}"}])
    done.set()


def test_agreement_with_people_is_with_most_of_them(key: Key, server: Server, tmp_path: Path) -> None:
    verdicts = judge(key, asker(server, tmp_path))
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
