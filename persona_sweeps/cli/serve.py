"""`persona-sweeps serve`: an OpenAI-compatible server, and a page to talk on, for runs that share a base model."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.cli.choosing import add_best, chosen_run, require_best
from persona_sweeps.errors import UserError
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.deployment.host import FinishedRun
    from persona_sweeps.deployment.serving.models import Models
    from persona_sweeps.deployment.serving.settings import Settings

KEY = "PERSONA_SWEEPS_KEY"
"""the environment variable with the key that clients must send"""


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps serve",
        description="Serve runs that share a base model from one process: OpenAI's /v1/chat/completions, "
        "/v1/completions and /v1/models with streaming, a page at / to talk with them side by side, /health and "
        "/metrics. A model's name is a run's name or the beginning of its id; `base` is the untuned base. Requests to "
        "all of them are computed together, and one that comes joins at the next token. Ctrl-C lets answers end. "
        f"Clients need the key of {KEY}, where that is set; an address that others can reach always has one.",
        epilog="persona-sweeps serve --best demo; persona-sweeps serve 3f9a2c 81d0e7 --port 8080 --votes votes",
    )
    made.add_argument("runs", nargs="*", metavar="RUN", help="folders, names, or beginnings of ids")
    add_best(made)
    made.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="(127.0.0.1, for this machine alone)")
    made.add_argument("--port", type=int, default=8000, metavar="N", help="(8000; 0 for a free one)")
    made.add_argument("--side-by-side", type=int, default=16, metavar="N", help="texts that grow at a time (16)")
    made.add_argument("--waiting", type=int, default=256, metavar="N", help="texts that may wait for a place (256)")
    made.add_argument("--max-tokens", type=int, default=512, metavar="N", help="most tokens of an answer (512)")
    made.add_argument("--seconds", type=float, default=300.0, metavar="S", help="most seconds for a request (300)")
    made.add_argument("--votes", type=Path, metavar="FOLDER", help="record blind votes of the page there")
    return made


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = parser().parse_args(words)
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"serve needs {package}: pip install 'persona-sweeps[serve]'.")
    for name in ("side_by_side", "waiting", "max_tokens", "seconds"):
        if getattr(options, name) <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0.")
    runs = _runs(options)
    from persona_sweeps.deployment.host import device_of
    from persona_sweeps.deployment.serving.listening import listen, serve, with_key
    from persona_sweeps.deployment.serving.models import load_models
    from persona_sweeps.deployment.serving.settings import Settings
    from persona_sweeps.execution.quiet import quiet_libraries

    quiet_libraries()
    key = os.environ.get(KEY) or None
    settings = with_key(
        Settings(
            options.host,
            options.port,
            key,
            options.side_by_side,
            options.waiting,
            options.max_tokens,
            options.seconds,
            votes=options.votes,
        )
    )
    opened = listen(settings)
    print(f"Loading {runs[0].config.model.name} with {pluralize(len(runs), 'run')} …", flush=True)
    models = load_models(runs, device_of(options.device), options.max_tokens)
    serve(models, settings, opened, lambda address: _say(address, models, settings, made_here=settings.key != key))
    print("Stopped.")
    if options.votes is not None:
        print(f"persona-sweeps analyze rate read {options.votes}/votes-*.csv --key {options.votes}/key.json")


def _say(address: str, models: Models, settings: Settings, made_here: bool) -> None:
    """Say where the server is, what it offers and how to ask it."""
    for model in models.offered:
        print(f"  {model.name}")
    print(f"Talk with them at {address} or, in Python, by OpenAI(base_url='{address}/v1', api_key='…').")
    if made_here:
        print(f"Others can reach {settings.host}, so clients need a key: {settings.key} ({KEY} sets your own).")
    print("Ctrl-C stops it, once answers under way have ended.", flush=True)


def _runs(options: argparse.Namespace) -> list[FinishedRun]:
    """Return the runs that the arguments mean, the best of a sweep first. Raises `UserError`."""
    from persona_sweeps.deployment.choice import run_folder
    from persona_sweeps.deployment.host import read_run

    require_best(options)
    found = []
    if options.best is not None or not options.runs:
        run, why = chosen_run(argparse.Namespace(**{**vars(options), "run": None}))
        print(why)
        found.append(run)
    return [*found, *(read_run(run_folder(name, options.output_dir)) for name in options.runs)]
