"""`tracker=tensorboard`: event files in each run's folder; read them with `tensorboard --logdir <output_dir>/runs`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.tracking.tracker import SAMPLE_COLUMNS, Tracker, flat, sample_row

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    from persona_sweeps.tracking.entries import RunEntry, TableEntry

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_LARGEST_TABLE = 500
"""rows of a sweep's table that are shown as text"""


@dataclass
class TensorBoard(Tracker):
    """Writes event files into each run's folder, by TensorBoard's own writer: torch isn't needed."""

    name: ClassVar[str] = "tensorboard"
    package: ClassVar[str] = "tensorboard"

    def target(self, output_dir: Path) -> str:
        return "in each run's folder"

    def session(self, output_dir: Path, sweep: str) -> TensorBoardSession:
        return TensorBoardSession(output_dir, sweep)


class TensorBoardSession:
    """TensorBoard at work: what an earlier attempt wrote of a run is replaced by what its records have."""

    live = True

    def __init__(self, output_dir: Path, sweep: str) -> None:
        self._output_dir, self._sweep = output_dir, sweep
        self._shown = False

    def open(self, entry: RunEntry) -> TensorBoardRun:
        """Begin a run's event file anew. Raises OSError if its folder can't be made."""
        self._shown = True
        return TensorBoardRun(_emptied(entry.files / "tensorboard"), entry)

    def show_tables(self, tables: Sequence[TableEntry]) -> None:
        folder = SweepFolder.of(self._output_dir, self._sweep).path / "tensorboard"
        writer = _Writer(_emptied(folder))
        for table in tables:
            rows = [["" if cell is None else str(cell) for cell in row] for row in table.rows[:_LARGEST_TABLE]]
            writer.text(f"tables/{table.name}", markdown_table(table.columns, rows), 0)
        writer.close()

    def close(self) -> Sequence[str]:
        runs = self._output_dir / "runs"
        return [f"TensorBoard: `tensorboard --logdir {runs}` shows the runs."] if self._shown else []


class TensorBoardRun:
    """A run's event file: scalars for curves, text for config and samples, an HParams entry for the final metrics."""

    points = 0

    def __init__(self, folder: Path, entry: RunEntry) -> None:
        self.id = entry.id
        self._writer = _Writer(folder)
        self._step = 0

    def log(self, index: int, point: Mapping[str, float]) -> None:
        self._step = int(point["step"])
        for key, value in point.items():
            if key != "step":
                self._writer.scalar(key, value, self._step)
        self._writer.flush()

    def finish(self, entry: RunEntry) -> None:
        writer, step = self._writer, self._step
        writer.text("config", code_block(json.dumps(entry.config, indent=2, default=str)), step)
        reason = f": {entry.reason}" if entry.reason else ""
        writer.text("status", escape(f"{entry.name} ({entry.id}): {entry.status}{reason}"), step)
        if samples := [sample_row(sample) for sample in entry.samples()]:
            writer.text("samples", markdown_table(SAMPLE_COLUMNS, samples), step)
        writer.hparams({**settings(entry.config), "status": entry.status}, entry.status != "failed")
        for key, value in entry.metrics.items():
            writer.scalar(f"final/{key}", float(value), step)
        writer.close()


class _Writer:
    """Writes the summaries that this module needs in TensorBoard's format."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._file: EventFileWriter = EventFileWriter(str(folder))

    def scalar(self, tag: str, value: float, step: int) -> None:
        self._add(step, tag=tag, simple_value=value)

    def text(self, tag: str, markdown: str, step: int) -> None:
        from tensorboard.plugins.text import metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        kind = metadata.create_summary_metadata(tag, "")
        self._add(step, tag=f"{tag}/text_summary", metadata=kind, tensor=make_tensor_proto([markdown.encode()]))

    def hparams(self, values: Mapping[str, bool | float | str], succeeded: bool) -> None:
        """Write a session of the HParams tab: its settings, and that it is over."""
        from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
        from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, SESSION_START_INFO_TAG
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

        start = SessionStartInfo()
        for key, value in values.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, int | float):
                start.hparams[key].number_value = value
            else:
                start.hparams[key].string_value = value
        end = SessionEndInfo(status=STATUS_SUCCESS if succeeded else STATUS_FAILURE)
        self._plugin(SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))
        self._plugin(SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _plugin(self, tag: str, content: Any) -> None:
        from tensorboard.plugins.hparams.metadata import create_summary_metadata

        self._add(0, tag=tag, metadata=create_summary_metadata(content))

    def _add(self, step: int, metadata: SummaryMetadata | None = None, **value: Any) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(metadata=metadata, **value)])
        self._file.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _emptied(folder: Path) -> Path:
    """Return a folder, made or emptied. Raises OSError."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def settings(config: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Return nested settings by dotted name, with lists and nulls as text, as the HParams tab needs them."""
    return {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value) for key, value in flat(config)
    }


def escape(text: str) -> str:
    """Escape text so that TensorBoard's Markdown renders it literally: a prompt may hold any markup."""
    entities = _PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", text)
    return "<br>".join(entities.splitlines())


def code_block(text: str) -> str:
    """Return text as an indented Markdown code block, which no content can close."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table whose cells are shown literally."""
    lines = [[escape(column) for column in columns], ["---"] * len(columns)]
    lines += [[escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
