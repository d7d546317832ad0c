"""`tracker=tensorboard`: event files in the run folder; read them with `tensorboard --logdir <output_dir>/runs`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.tracking.tracker import SAMPLE_COLUMNS, Tracker, sample_row

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass
class TensorBoard(Tracker):
    """Writes event files into each run's folder."""

    package = "tensorboard"

    def start(self, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str, sweep: str) -> TensorBoardRun:
        """Start an event file in `folder`/tensorboard. Raises OSError if that folder can't be made."""
        events = folder / "tensorboard"
        events.mkdir(parents=True, exist_ok=True)
        return TensorBoardRun(events, resolved, run_id, name)


class TensorBoardRun:
    """A run's event file: scalars for curves, text for config and samples, an HParams entry for the final metrics."""

    def __init__(self, folder: Path, config: Mapping[str, Any], run_id: str, name: str) -> None:
        self._folder = folder
        self._config = config
        self._title = f"{name} ({run_id})"
        self._writer: SummaryWriter | None = None
        self._last_step = 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        writer = self._writer_from(step)
        self._last_step = max(step, self._last_step)
        for key, value in values.items():
            writer.add_scalar(key, value, global_step=step)

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        step = self._last_step
        writer = self._writer_from(step)
        writer.add_text("status", escape(f"{self._title}: {status}"), global_step=step)
        if samples:
            writer.add_text("samples", samples_table(samples), global_step=step)
        metrics = {f"final/{key}": float(value) for key, value in summary.items()}
        # "." keeps the entry in this run's own folder; by default it would become a run of its own.
        writer.add_hparams({**flat(self._config), "status": status}, metrics, run_name=".")
        writer.close()

    def _writer_from(self, step: int) -> SummaryWriter:
        """Return the writer; it is made at the first use, so that it can purge an earlier attempt from `step` on."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(log_dir=str(self._folder), purge_step=step)
            self._writer.add_text("config", code_block(json.dumps(self._config, indent=2, default=str)), step)
        return self._writer


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Return nested settings by dotted name (`peft.r`), with lists and nulls as text, as the HParams tab needs them."""
    settings: dict[str, bool | int | float | str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            settings |= flat(value, f"{prefix}{key}.")
        else:
            settings[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
    return settings


def escape(text: str) -> str:
    """Escape text so that TensorBoard's Markdown renders it literally: a prompt may hold any markup."""
    entities = _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", text)
    return "<br>".join(entities.splitlines())


def code_block(text: str) -> str:
    """Return text as an indented Markdown code block, which no content can close."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def samples_table(samples: Sequence[Mapping[str, Any]]) -> str:
    """Return evaluation items as a Markdown table."""
    rows = [list(SAMPLE_COLUMNS), ["---"] * len(SAMPLE_COLUMNS)]
    rows += [[escape(cell) for cell in sample_row(sample)] for sample in samples]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
