"""A sweep over ranks and learning rates has a picture of them under its leaderboard; others have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.read.selection import read_all
from analysis.read.settings import settings
from analysis.statistics.shared_items import on_shared_items
from analysis.tables.size_and_rate import _grids, pictures
from tests.analysis.outputs import Outputs


def grid(outputs: Outputs, ranks: tuple[int, ...], rates: tuple[float, ...], seeds: int = 2) -> None:
    for rank in ranks:
        for rate in rates:
            for seed in range(seeds):
                nll = 2 + abs(rank - 8) / 10 + abs(rate - 1e-3) * 100 + seed / 100
                outputs.run(
                    "lora", nll, seed=seed,
                    change={"config.peft.r": rank, "config.train.learning_rate": rate, "metrics.completion_nll": nll},
                )  # fmt: skip


def test_a_square_is_the_mean_of_its_seeds_and_the_picture_is_beside_the_table(outputs: Outputs) -> None:
    grid(outputs, (4, 8, 16), (1e-4, 1e-3))
    results = read_all(outputs.root).results
    (group,) = on_shared_items(results)
    measure = group.measures["metrics.completion_nll"]
    (found,) = _grids(settings(results))
    assert found.sizes == [4, 8, 16] and found.rates == [1e-4, 1e-3]
    values = found.values(measure)
    assert values[1][1] == pytest.approx(2.005) and values[0][2] == pytest.approx(2.8 + 0.09 + 0.005)
    assert main(["leaderboard", "--output-dir", str(outputs.root)]) == 0
    (picture,) = Path(outputs.root).rglob("rate-and-size-*.svg")
    table = picture.with_name("leaderboard.md").read_text(encoding="utf-8")
    assert f"({picture.name})" in table and "by learning rate and rank, dark is better" in table


def test_of_several_settings_in_a_square_the_best_counts_and_an_empty_one_is_blank(outputs: Outputs) -> None:
    grid(outputs, (4, 8), (1e-3,), seeds=1)
    grid(outputs, (8,), (1e-4,), seeds=1)
    outputs.run(
        "lora",
        1.5,
        change={
            "config.peft.r": 8,
            "config.peft.alpha": 64,
            "config.train.learning_rate": 1e-4,
            "metrics.completion_nll": 1.5,
        },
    )
    results = read_all(outputs.root).results
    (found,) = _grids(settings(results))
    assert found.values(on_shared_items(results)[0].measures["metrics.completion_nll"])[0] == [None, 1.5]


@pytest.mark.parametrize(("ranks", "rates"), [((8,), (1e-4, 1e-3)), ((4, 8), (1e-3,))])
def test_what_varies_in_one_of_them_alone_has_no_picture(
    outputs: Outputs, ranks: tuple[int, ...], rates: tuple[float, ...]
) -> None:
    grid(outputs, ranks, rates)
    results = read_all(outputs.root).results
    assert not pictures(settings(results), on_shared_items(results)[0].measures["metrics.completion_nll"])
