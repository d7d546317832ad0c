"""The figures in warnings are those of the committed simulation."""

from __future__ import annotations

import json

import pytest

from analysis.statistics.simulated import BEST_OF, ONE_SEED, nearest
from benchmarks.rounds import ROOT

KEPT = json.loads((ROOT / "benchmarks" / "results" / "certainty.json").read_text())


def test_they_are_what_was_simulated() -> None:
    asked = {"seeds": 1, "sd": 0.1, "noisier": 1.0, "scenes": 20}
    found = {
        of["cell"]["rows"]: of["moderated"]["false"] for of in KEPT["cells"] if asked.items() <= of["cell"].items()
    }
    assert pytest.approx(found) == ONE_SEED
    assert pytest.approx({tried: KEPT["best_of"][str(tried)] for tried in BEST_OF}) == BEST_OF


def test_the_nearest_smaller_number_is_taken() -> None:
    assert nearest(BEST_OF, 40) == (16, BEST_OF[16]) and nearest(BEST_OF, 2) == (4, BEST_OF[4])
