"""The Pareto front against its definition, and in the cases where definitions differ."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.pareto import non_dominated


def by_definition(points: np.ndarray, higher: list[bool]) -> list[bool]:
    """Compare every pair of rows."""
    signed = points * np.where(higher, 1, -1)
    on = []
    for row in signed:
        beaten = any((other >= row).all() and (other > row).any() for other in signed if not np.isnan(other).any())
        on.append(not np.isnan(row).any() and not beaten)
    return on


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_that_of_the_definition(columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.integers(0, 6, size=(60, columns)).astype(float) if seed % 2 else random.normal(size=(60, columns))
    points[random.random(points.shape) < 0.03] = np.nan
    points[random.random(points.shape) < 0.02] = np.inf
    higher = [bool(flag) for flag in random.integers(0, 2, columns)]
    assert non_dominated(points, higher).tolist() == by_definition(points, higher)


def test_it_agrees_with_optuna_s_front() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    points = np.random.default_rng(0).integers(0, 9, size=(50, 2)).astype(float)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for row in points:
        study.add_trial(optuna.trial.create_trial(values=row.tolist()))
    expected = {trial.number for trial in study.best_trials}
    assert set(np.flatnonzero(non_dominated(points, [True, False]))) == expected


def test_equal_rows_are_on_the_front_together_and_rows_with_a_gap_never() -> None:
    points = np.array([[1.0, 2.0], [1.0, 2.0], [0.5, 2.0], [np.nan, 9.0], [0.0, 3.0]])
    assert non_dominated(points, [True, True]).tolist() == [True, True, False, False, True]


def test_nothing_gives_nothing_and_a_wrong_shape_is_refused() -> None:
    assert non_dominated(np.empty((0, 2)), [True, False]).tolist() == []
    assert non_dominated(np.full((3, 1), np.nan), [True]).tolist() == [False] * 3
    with pytest.raises(ValueError, match="2 directions"):
        non_dominated(np.zeros((3, 3)), [True, False])
