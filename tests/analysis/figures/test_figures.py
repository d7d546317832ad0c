"""Figures are the same bytes each time, whatever the names and numbers in them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

pytest.importorskip("matplotlib")
from analysis.figures import files
from analysis.figures.best_of_k import Curve, draw
from analysis.statistics.spread import Interval

PNG = b"\x89PNG\r\n\x1a\n"


def curve(name: str = "a", best: tuple[float, ...] = (3.0, 2.5, 2.4), tokens: float | None = 1e4) -> Curve:
    bands = [Interval(best[0] - 0.5, best[0] + 0.5), *[None] * (len(best) - 1)]
    return Curve(name, range(1, len(best) + 1), best, bands, tokens)


def drawn(*curves: Curve, title: str = "model · data") -> dict[str, bytes]:
    return files(partial(draw, title, "completion NLL (nats a token)", curves))


def test_equal_figures_are_equal_bytes_whatever_style_is_set() -> None:
    import matplotlib

    first = drawn(curve(), curve("b", (4.0, 3.9)))
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 10}):
        assert drawn(curve(), curve("b", (4.0, 3.9))) == first
    assert first[".png"].startswith(PNG) and b"<svg" in first[".svg"] and b"date" not in first[".svg"]


@pytest.mark.parametrize("name", ["$\\frac{", "_hidden", "x" * 500, "ナ\x00\x1b[31m\n", "", "<script>&"])
def test_any_name_can_be_drawn(name: str) -> None:
    found = drawn(curve(name), curve("other"), title=name)
    assert found[".png"].startswith(PNG) and b"<script" not in found[".svg"]


@pytest.mark.parametrize(
    "odd",
    [
        curve(tokens=None),
        curve(tokens=0.0),
        curve(best=(1.0,)),
        curve(best=(2.0, 2.0, 2.0)),
        curve(best=(1e100, -1e100)),
        curve(best=(1e-308, 0.0)),
        curve(best=tuple(1 / k for k in range(1, 200))),
        Curve("wide", [1, 2], [2.0, 1.0], [Interval(-1e300, 1e300), None], 1e300),
    ],
)
def test_any_numbers_can_be_drawn(odd: Curve) -> None:
    assert drawn(odd)[".png"].startswith(PNG)
    assert drawn(odd, curve("plain"))[".png"].startswith(PNG)


def test_every_study_has_a_name_and_its_own_line() -> None:
    figure: Any = draw("t", "y", [curve(f"study {number}") for number in range(12)])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"study {number}" for number in range(12)]
    lines = figure.axes[0].get_lines()
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 12
    assert figure.axes[0].get_ylabel() == "expected best\ny" and figure.axes[1].get_xlabel() == "mean training tokens"
