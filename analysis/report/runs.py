"""Each run on the page: its place there, its files, its numbers, how it ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..read.measures import measure
from ..read.results import Record
from ..read.settings import Setting, dataset_label, model_label, settings
from ..tables import numbers
from ..tables.notes import reason

FILES = ("run.json", "history.jsonl", "samples.jsonl", "run.log")
_ANCHOR = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_BESIDE_THE_POINT = ("output_dir", "tracker", "sweep", "show_examples")


@dataclass(frozen=True)
class Run:
    """A run as the page shows it; `colour` is the number of its colour in charts, `files` have links by name."""

    record: Record
    anchor: str
    label: str
    name: str
    model: str
    data: str
    colour: int
    files: Mapping[str, str]
    metrics: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    config: Sequence[tuple[str, str]]
    ended: str | None
    traceback: str | None

    @property
    def id(self) -> str:
        return self.record.run_id

    @property
    def status(self) -> str:
        return self.record.status

    @property
    def seed(self) -> str:
        return str(self.record.get("config.seed", numbers.ABSENT))


def anchors(records: Sequence[Record]) -> dict[str, str]:
    """Return the place of each run on the page, by run id: no id can stand for another's, or end an attribute."""
    return {
        record.run_id: f"run-{record.run_id}" if _ANCHOR.fullmatch(record.run_id) else f"run--{place}"
        for place, record in enumerate(records)
    }


def link(path: Path, page: Path) -> str:
    """Return the relative link from a page to a file, safe in an attribute whatever the folders are called."""
    return quote(Path(os.path.relpath(path.absolute(), page.parent.absolute())).as_posix(), errors="surrogateescape")


def runs(records: Sequence[Record], page: Path) -> list[Run]:
    """Return the runs in the order of the records."""
    labels = _labels(records)
    colours = _colours(records)
    differing = _differing(records)
    places = anchors(records)
    return [
        Run(
            record=record,
            anchor=places[record.run_id],
            label=labels[record.run_id],
            name=str(record.get("name") or record.folder.name),
            model=model_label(record),
            data=dataset_label(record),
            colour=colours[record.run_id],
            files={name: link(record.folder / name, page) for name in FILES if (record.folder / name).exists()},
            metrics=_numbers(record, "metrics"),
            facts=[*_numbers(record, "training"), *_numbers(record, "resources"), *_origin(record)],
            config=[(key, _told(record.get(f"config.{key}"))) for key in differing],
            ended=None if record.status == "completed" else reason(record),
            traceback=_traceback(record),
        )
        for record in records
    ]


def _labels(records: Sequence[Record]) -> dict[str, str]:
    """Return what a run is called in charts: its setting and rate, with what tells it from its like."""
    labels = {}
    for setting in settings(records):
        for record in setting.records:
            labels[record.run_id] = _label(setting, record)
    return labels


def _label(setting: Setting, record: Record) -> str:
    rate = setting.learning_rate
    parts = [setting.label, *([f"lr={rate:g}"] if rate is not None else []), f"seed {record.get('config.seed')}"]
    return " ".join(parts)


def _colours(records: Sequence[Record]) -> dict[str, int]:
    """Return a number a run: its own while there are few runs, else that of its method."""
    if len(records) <= 7:
        return {record.run_id: place for place, record in enumerate(records)}
    methods = list(dict.fromkeys(str(record.get("config.peft.method")) for record in records))
    return {record.run_id: methods.index(str(record.get("config.peft.method"))) % 7 for record in records}


def _differing(records: Sequence[Record]) -> list[str]:
    """Return the config keys in which runs of this page differ."""
    flats = [_flat(record.raw["config"]) for record in records]
    keys = sorted({key for flat in flats for key in flat if key.split(".")[0] not in _BESIDE_THE_POINT})
    return [key for key in keys if len({json.dumps(flat.get(key), default=str) for flat in flats}) > 1]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _numbers(record: Record, part: str) -> list[tuple[str, str]]:
    found = record.get(part)
    if not isinstance(found, Mapping):
        return []
    return [_number(part, str(key), value) for key, value in found.items() if not isinstance(value, (Mapping, list))]


def _number(part: str, key: str, value: Any) -> tuple[str, str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return key, numbers.ABSENT if value is None else str(value)
    if part == "metrics":
        return measure(key).label, measure(key).form(value)
    if key.endswith("_bytes"):
        return f"{key.removesuffix('_bytes')} (MB)", f"{value / 1e6:,.1f}"
    form = "," if isinstance(value, int) else ",.4g" if value < 1e4 else ",.0f"
    return key.replace("_", " "), format(value, form)


def _origin(record: Record) -> list[tuple[str, str]]:
    keys = ("created", "finished", "git_commit", "host_cpu")
    found = [(key.replace("_", " "), record.get(f"provenance.{key}")) for key in keys]
    return [(key, str(value)) for key, value in found if value]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _traceback(record: Record) -> str | None:
    tail = record.get("failure.traceback_tail")
    return str(tail) if tail else None
