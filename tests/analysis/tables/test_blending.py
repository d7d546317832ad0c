"""The matrix of characters, put together from runs of one each or from a run of all, and what follows from it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.read.matrices import Matrix, ScoredLine, matrices
from analysis.read.selection import read_all
from analysis.report.page import report
from analysis.statistics.mixing import bleed, cell, identified, swap_margin
from analysis.tables import blending
from tests.analysis.records import described
from tests.analysis.synthetic_runs import config, write

NAMES = ("Hamlet", "Falstaff", "Iago")
COLUMNS = {"speaker": "of", "gain": "gain", "nll": "nll", "tokens": "tokens"}
DESCRIPTIONS = {"bleed": described("bleed", aggregate={}, matrix=COLUMNS, headline=0)}
SCENES, LINES = 7, 3
Cards = Mapping[str, float]


def line_gains(draw: np.random.Generator) -> dict[tuple[int, int], tuple[str, Cards]]:
    """Return the speaker of each line, and its gain as each character: 0.5 as the own one, 0.2 as others."""
    found = {}
    for scene in range(SCENES):
        for line in range(LINES):
            speaker = NAMES[line]
            found[scene, line] = speaker, {n: (0.5 if n == speaker else 0.2) + draw.normal(0, 0.1) for n in NAMES}
    return found


def put(root: Path, run_id: str, cards: Sequence[str], gains: Mapping[Any, tuple[str, Cards]], **keys: Any) -> None:
    """Write a run that scored all lines as these characters."""
    rows = [gains[scene, line] for scene in range(SCENES) for line in range(LINES)]
    of_cards = [{name: cards_of[name] for name in cards} for _, cards_of in rows]
    columns = {
        "of": [speaker for speaker, _ in rows],
        "gain": of_cards,
        "nll": [{name: 4.0 - gain for name, gain in of.items()} for of in of_cards],
    }
    persona: Any = cards[0] if len(cards) == 1 else list(cards)
    write(
        root, run_id, config(dataset__persona=persona, **keys), [[3.0] * LINES] * SCENES,
        key=f"{'+'.join(cards):k<16}"[:16], metrics={"bleed": 0.4}, descriptions=DESCRIPTIONS, columns=columns,
    )  # fmt: skip


@pytest.fixture
def gains() -> dict[tuple[int, int], tuple[str, Cards]]:
    return line_gains(np.random.default_rng(0))


def test_runs_of_one_character_and_a_run_of_all_have_one_matrix(tmp_path: Path, gains: Any) -> None:
    for number, name in enumerate(NAMES):
        put(tmp_path / "apart", f"a{number}", [name], gains)
    put(tmp_path / "together", "b0", NAMES, gains)
    (apart,), (together,) = (matrices(read_all(tmp_path / of).scored())[0] for of in ("apart", "together"))
    assert apart.by_run and not together.by_run and set(apart.characters) == set(together.characters) == {*NAMES}
    for of in (bleed, identified, swap_margin):
        assert of(apart).value == pytest.approx(of(together).value)
    for one in NAMES:
        for other in NAMES:
            expected = np.mean([cards[one] for speaker, cards in gains.values() if speaker == other])
            assert cell(apart, one, other).value == pytest.approx(expected) == cell(together, one, other).value


def test_values_follow_from_the_lines(tmp_path: Path, gains: Any) -> None:
    for number, name in enumerate(NAMES):
        put(tmp_path, f"a{number}", [name], gains)
    ((matrix,), troubles) = matrices(read_all(tmp_path).scored())
    assert troubles == [] and len(matrix.run_ids) == 3
    lines = list(gains.values())
    assert identified(matrix).value == np.mean([max(cards, key=cards.__getitem__) == own for own, cards in lines])
    off = [np.mean([cards[n] for n in NAMES if n != own]) for own, cards in lines]
    on = [cards[own] for own, cards in lines]
    assert swap_margin(matrix).value == pytest.approx(np.mean(on) - np.mean(off))
    assert bleed(matrix).value == pytest.approx(np.mean(off) / np.mean(on))


def test_all_alike_is_chance_and_nobody_stands_apart(tmp_path: Path) -> None:
    same = {
        key: (speaker, dict.fromkeys(NAMES, 0.3)) for key, (speaker, _) in line_gains(np.random.default_rng(0)).items()
    }
    put(tmp_path, "a0", NAMES, same)
    ((matrix,), _) = matrices(read_all(tmp_path).scored())
    assert identified(matrix).value == pytest.approx(1 / 3)
    assert swap_margin(matrix).value == pytest.approx(0, abs=1e-12) and bleed(matrix).value == pytest.approx(1)
    worse = {key: (speaker, {n: -gain for n, gain in cards.items()}) for key, (speaker, cards) in same.items()}
    put(tmp_path / "worse", "a0", NAMES, worse)
    ((matrix,), _) = matrices(read_all(tmp_path / "worse").scored())
    assert bleed(matrix).value is None, "training helped nobody, so nothing can bleed"


def test_intervals_cover() -> None:
    draw = np.random.default_rng(0)
    truth = {"bleed": 0.2 / 0.5, "swap_margin": 0.3}
    hits = dict.fromkeys(truth, 0)
    for _ in range(400):
        lines = []
        for scene in range(8):
            effect = draw.normal(0, 0.1)
            for number in range(int(draw.integers(1, 7))):
                own = NAMES[draw.integers(3)]
                gain = {n: (0.5 if n == own else 0.2) + effect + draw.normal(0, 0.15) for n in NAMES}
                lines.append(
                    ScoredLine(f"{scene}/{number}", str(scene), own, gain, {n: 4 - g for n, g in gain.items()})
                )
        matrix = Matrix(FIXED, "m", "d", False, NAMES, {"0": lines}, ())
        for name, of in (("bleed", bleed), ("swap_margin", swap_margin)):
            ends = of(matrix).interval
            assert ends is not None
            hits[name] += ends.low <= truth[name] <= ends.high
    assert all(0.92 <= hit / 400 <= 0.985 for hit in hits.values()), hits


class _Fixed:
    is_fixed = True


FIXED: Any = _Fixed()


def test_the_table_and_its_figure_as_a_user_gets_them(
    tmp_path: Path, gains: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        for number, name in enumerate(NAMES):
            put(tmp_path, f"a{number}{seed}", [name], gains, seed=seed)
    put(tmp_path, "c0", ["Hamlet"], gains, peft__r=64)
    assert main(["blending", "--output-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "## m · Hamlet, Falstaff, Iago · by run, an adapter for each character" in out
    assert "21 lines of 7 scenes or dialogues; identified is 0.33 by chance." in out
    assert "Left out: LoRA r=64 α=16 (m) was run as Hamlet alone" in out
    assert all(len(line) <= 100 for line in out.splitlines() if line.startswith("|"))
    rows = list(csv.DictReader((tmp_path / "tables/blending.csv").open(encoding="utf-8")))
    assert {(row["as"], row["lines_of"]) for row in rows} == {(a, b) for a in NAMES for b in NAMES}
    assert all(row["seeds"] == "2" and float(row["gain_low"]) < float(row["gain"]) for row in rows)
    assert {path.suffix for path in (tmp_path / "tables").glob("blending-run-*")} == {".svg", ".png"}
    page = report(read_all(tmp_path), tmp_path / "report.html").html.decode()
    assert "on each character" in page and "data:image/svg+xml" in page


def test_what_cannot_be_put_together_is_said(tmp_path: Path, gains: Any) -> None:
    assert not blending.applies(read_all(tmp_path))
    assert "metrics.blending.characters=[A,B,C]" in blending.build(read_all(tmp_path)).notes[0]
    put(tmp_path, "a0", ["Hamlet"], gains)
    put(tmp_path, "a1", ["Falstaff"], {key: ("Iago", {"Falstaff": 0.1}) for key in gains})
    next(tmp_path.glob("runs/*a1/evaluations/e.samples.jsonl")).write_text('{"id": "x", "cluster": "c", "gain": 3}\n')
    (trouble, *_) = blending.build(read_all(tmp_path)).notes
    assert "its matrix can't be read" in trouble
