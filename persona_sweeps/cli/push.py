"""`persona-sweeps push`: show a sweep in trackers, from its records, whenever and wherever it was trained."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.config.folder import conf_folder
from persona_sweeps.config.kinds import TRACKERS
from persona_sweeps.config.schema import RunConfig
from persona_sweeps.errors import ConfigError, UserError, did_you_mean
from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import OUTPUT_DIR, RunFolder, SweepFolder
from persona_sweeps.tracking.entries import RunEntry, entries_of, rows_of, tables_of
from persona_sweeps.tracking.showing import Count, Showing
from persona_sweeps.tracking.tracker import Tracker
from persona_sweeps.wording import pluralize

LINE_SECONDS = 5.0


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps push",
        description="Show a sweep in a tracker: every run with its curves, samples and adapter, every evaluation, and "
        "the sweep's tables, whether it was trained with a tracker or not. What is there already isn't shown twice, "
        "so the same command sends what a dead network or a kill left out.",
        epilog="persona-sweeps push --sweep first --to wandb project=personas; "
        "persona-sweeps push --sweep first --to mlflow,tensorboard",
    )
    made.add_argument("--sweep", required=True, metavar="NAME", help="its sweep.name")
    made.add_argument("--to", required=True, metavar="TRACKERS", help=f"one or several of {', '.join(_names())}")
    made.add_argument(
        "keys",
        nargs="*",
        metavar="KEY=VALUE",
        help="a tracker's keys, such as project=personas or wandb.mode=offline (those that the sweep was run with, "
        "else those of conf/tracker)",
    )
    made.add_argument("--workspace", action="store_true", help="with wandb: also make a view of the sweep")
    made.add_argument("--output-dir", type=Path, default=Path(OUTPUT_DIR), metavar="DIR", help=f"({OUTPUT_DIR})")
    return made


def main(words: Sequence[str]) -> None:
    """Run the command; the exit code is 1 if something couldn't be shown."""
    options = parser().parse_args(words)
    files = SweepFolder.of(options.output_dir, options.sweep)
    rows = rows_of(files)
    if not rows:
        known = [path.parent.name for path in (options.output_dir / "sweeps").glob("*/sweep.json")]
        raise UserError(
            f"There is no sweep {options.sweep} in {options.output_dir}.{did_you_mean(options.sweep, known)}"
        )
    trackers = list(_trackers(options, rows))
    entries = list(entries_of(options.output_dir, options.sweep, rows))
    complete = all([_push(tracker, entries, options) for tracker in trackers])
    if options.workspace:
        from persona_sweeps.tracking.wandb import Wandb
        from persona_sweeps.tracking.wandb_workspace import write_workspace

        for tracker in trackers:
            if isinstance(tracker, Wandb):
                print(write_workspace(tracker, files.path, options.sweep, entries))
    if not complete:
        sys.exit(1)


def _push(tracker: Tracker, entries: Sequence[RunEntry], options: argparse.Namespace) -> bool:
    """Show runs and tables in one tracker; return whether all that could be shown is there."""
    showing = Showing(tracker, options.output_dir, options.sweep, lambda text: print(text, flush=True), live=False)
    last = time.monotonic()
    for place, entry in enumerate(entries, start=1):
        showing.update([entry])
        if time.monotonic() - last > LINE_SECONDS:
            last = time.monotonic()
            print(f"{tracker.name}: {place} of {pluralize(len(entries), 'run')}", flush=True)
    showing.tables(lambda: tables_of(options.output_dir, options.sweep))
    count = showing.close()
    print(f"{tracker.name}: {_in_words(count, sum(not entry.is_over for entry in entries))}.")
    return not count.failed


def _in_words(count: Count, unfinished: int) -> str:
    parts = [f"{pluralize(count.shown, 'run')} shown"]
    parts += [f"{count.before} there already"] if count.before else []
    parts += [f"{unfinished} not over yet, which another push shows"] if unfinished else []
    parts += [f"{count.failed} that couldn't be shown"] if count.failed else []
    return ", ".join(parts)


def _names() -> list[str]:
    return [name for name in TRACKERS.names() if name != "none"]


def _trackers(options: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> Iterator[Tracker]:
    """Yield the trackers with their keys. Raises `UserError` for a wrong name or key, or a missing package."""
    names = list(dict.fromkeys(name for name in options.to.split(",") if name))
    for name in names:
        if name not in _names():
            raise UserError(f"--to {name}: there is no such tracker.{did_you_mean(name, _names())}")
    if options.workspace and "wandb" not in names:
        raise UserError("--workspace is a view in W&B: add --to wandb.")
    used = _used(options.output_dir, rows)
    for name in names:
        keys = _defaults(name) | dict(used.get(name) or {}) | dict(_given(name, names, options.keys))
        tracker: Tracker = TRACKERS.make(name, keys)
        if mistakes := list(tracker.check(RunConfig())):
            raise UserError(" ".join(mistakes))
        yield tracker


def _defaults(name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    path = conf_folder() / "tracker" / f"{name}.yaml"
    found: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else {}
    return dict(found.get(name) or {})


def _used(output_dir: Path, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the trackers that the sweep's first run was trained with."""
    for row in rows:
        record = read_json(RunFolder(output_dir / str(row.get("folder"))).record) or {}
        found = (record.get("config") or {}).get("tracker")
        if isinstance(found, Mapping):
            return found
    return {}


def _given(name: str, names: Sequence[str], keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of the command that are for this tracker."""
    import yaml

    for text in keys:
        key, is_given, value = text.partition("=")
        if not is_given:
            raise UserError(f"{text} stands alone: a tracker's key is written KEY=VALUE, such as project=personas.")
        owner, _, rest = key.removeprefix("tracker.").rpartition(".")
        if owner and owner not in names:
            raise UserError(f"{text}: --to doesn't name {owner}.{did_you_mean(owner, names)}")
        if owner in ("", name):
            try:
                yield rest, yaml.safe_load(value)
            except yaml.YAMLError:
                raise ConfigError(f"{text} can't be read: quote a text.") from None
