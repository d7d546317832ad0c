"""The plan as a person reads it: every run with what it will take, the groups, the total, and what can't work."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from persona_sweeps.config.schema import RunConfig
from persona_sweeps.device import devices_for, resolve_device
from persona_sweeps.errors import UserError
from persona_sweeps.planning.cells import Cell, Refused
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan, by_run
from persona_sweeps.planning.preflight import Prediction, group_bytes
from persona_sweeps.wording import counted

SHOWN = 20
"""reasons that are told in full"""


def refusal(refused: Sequence[Refused], cells: int) -> UserError:
    """Return the error that tells which of a command's cells can't work, each reason once."""
    by_reason: dict[str, list[Refused]] = {}
    for cell in refused:
        by_reason.setdefault(cell.reason, []).append(cell)
    sentences = []
    for reason, concerned in by_reason.items():
        first = " ".join(concerned[0].overrides)
        others = f" and {len(concerned) - 1} more" if len(concerned) > 1 else ""
        sentences.append(f"In the cell {first}{others}: {reason}")
    if len(sentences) == 1:
        return UserError(sentences[0])
    hidden = len(sentences) - SHOWN
    more = [f"… and {hidden} more reasons."] if hidden > 0 else []
    return UserError("\n  ".join([f"{len(refused)} of {cells} cells can't work.", *sentences[:SHOWN], *more]))


def review(plan: Plan, predictions: dict[str, Prediction], console: Console) -> None:
    """Print a row a run, and the totals of what is to do."""
    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    for title in ("group", "trains", "weights", "adapter", "one pass", "disk", "tokens", "TFLOP"):
        table.add_column(title, justify="right")
    group_of = {cell.evaluation_id: number for number, group in enumerate(plan.groups, start=1) for cell in group}
    for cell in plan.distinct:
        table.add_row(escape(cell.name), *_row(cell, group_of, predictions))
    console.terminal.print(table)
    for number, group in enumerate(plan.groups, start=1):
        console.note(_group_line(number, group, predictions))
    _total(plan, predictions, console)


def _row(cell: Cell, group_of: dict[str, int], predictions: dict[str, Prediction]) -> list[str]:
    if cell.done:
        return ["done", *["–"] * 7]
    found = predictions[cell.run_id]
    about = "≈" if found.guessed else ""
    return [
        str(group_of[cell.evaluation_id]),
        f"{found.trainable_parameters:,}",
        size(found.weights_bytes),
        size(found.state_bytes),
        about + size(found.activation_bytes),
        size(found.disk_bytes),
        f"{about}{found.tokens:,}",
        f"{about}{found.flops / 1e12:,.1f}",
    ]


def _group_line(number: int, group: Sequence[Cell], predictions: dict[str, Prediction]) -> str:
    config = group[0].config
    memory = size(group_memory(group, predictions))
    trials = counted(len(by_run(group)), "run")
    devices = devices_for(predictions[group[0].run_id].weights_bytes, resolve_device(config.device))
    spread = f", spread over {devices} GPUs" if devices > 1 else ""
    return f"Group {number}: {trials} of {stored_model(config)}, about {memory} of memory{spread}."


def stored_model(config: RunConfig) -> str:
    """Return the model's name with how its weights are held, such as gpt2 in bf16."""
    if not config.peft.has_model:
        return "no model"
    method = config.quantization.method
    return f"{config.model.name} in {config.train.precision.value if method == 'none' else method}"


def group_memory(group: Sequence[Cell], predictions: dict[str, Prediction]) -> int:
    """Return the peak memory in bytes of a group that trains together."""
    on_cpu = resolve_device(group[0].config.device) == "cpu"
    return group_bytes([predictions[own[0].run_id] for own in by_run(group)], on_cpu)


def _total(plan: Plan, predictions: dict[str, Prediction], console: Console) -> None:
    found = [predictions[own[0].run_id] for own in by_run(plan.to_do)]
    if not found:
        console.note("Nothing is left to run.")
        return
    largest = max(group_memory(group, predictions) for group in plan.groups)
    disk = size(sum(prediction.disk_bytes for prediction in found))
    tokens, flops = sum(prediction.tokens for prediction in found), sum(prediction.flops for prediction in found)
    console.note(
        f"Total: {len(found)} to run, {tokens:,} tokens, {flops / 1e12:,.1f} TFLOP of training, {disk} of adapters on "
        f"disk; at most about {size(largest)} of memory."
    )
    if any(prediction.guessed for prediction in found):
        console.note("≈ is guessed from the length of the texts: the model's tokenizer isn't on this machine.")


def size(count: int) -> str:
    """Write a number of bytes, such as 19.5 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
