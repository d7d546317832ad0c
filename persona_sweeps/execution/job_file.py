"""The file that a job is given: a group of runs, which it composes again, or a command of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from persona_sweeps.errors import UserError
from persona_sweeps.planning.cells import Cell, make_cell
from persona_sweeps.records.files import read_json, write_json

FORMAT = 1


def write_group(path: Path, cells: Sequence[Cell], search_path: Sequence[str] = ()) -> None:
    """Write what composes these cells: their overrides, and the folders of configs beside the project's own."""
    rows = [
        {
            "overrides": _settled(cell),
            "given": list(cell.overrides),
            "run_id": cell.run_id,
            "evaluation_id": cell.evaluation_id,
            "study": cell.study,
        }
        for cell in cells
    ]
    hydra = cells[0].hydra if cells else {}
    write_json(path, {"format": FORMAT, "search_path": list(search_path), "hydra": hydra, "cells": rows})


def write_command(path: Path, arguments: Sequence[str]) -> None:
    """Write the arguments of `launch.py` with which a job is to run it, in place of a group."""
    write_json(path, {"format": FORMAT, "arguments": list(arguments)})


def read_command(path: Path) -> list[str] | None:
    """Return the arguments with which a job is to run `launch.py`; None where the file has none."""
    return (read_json(path) or {}).get("arguments")


def read_group(path: Path) -> list[Cell]:
    """Compose the cells of a group. Raises UserError when the file can't be read, or a run is no longer the same."""
    group = read_json(path)
    if group is None or group.get("format") != FORMAT or not group.keys() >= {"cells", "search_path", "hydra"}:
        raise UserError(f"{path} is no group of runs that this version wrote.")
    return [_cell(row, group) for row in group["cells"]]


def search_path_of(config: DictConfig) -> list[str]:
    """Return the folders of configs beside the project's own: those of --config-dir and hydra.searchpath."""
    from persona_sweeps.config.folder import conf_folder

    sources = config.hydra.runtime.config_sources
    paths = [str(source.path) for source in sources if source.schema == "file"]
    return [f"file://{path}" for path in paths if Path(path) != conf_folder()]


def _settled(cell: Cell) -> list[str]:
    """Return a cell's overrides with what its command and the planning machine have decided."""
    config = cell.config
    return [
        *cell.overrides,
        f"sweep.name={config.sweep.name}",
        f"device={cell.resolved['device']}",
        f"train.precision={config.train.precision.value}",
    ]


def _cell(row: Mapping[str, Any], group: Mapping[str, Any]) -> Cell:
    from hydra import compose, initialize_config_dir

    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.schema import register_schemas

    register_schemas()
    extra = [f"hydra.searchpath=[{','.join(group['search_path'])}]"] if group["search_path"] else []
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", overrides=[*row["overrides"], *extra])
    cell = make_cell(config, row["given"], dict(group["hydra"]))
    if (cell.run_id, cell.evaluation_id) != (row["run_id"], row["evaluation_id"]):
        raise UserError(
            f"{' '.join(row['given'])} was run {row['run_id']} (evaluation {row['evaluation_id']}) when it was planned "
            f"and is {cell.run_id} ({cell.evaluation_id}) now: its data, weights or config files have changed since. "
            "Give the command again."
        )
    cell.study = row["study"]
    return cell
