"""The plan as a person reads it: a row a run with what it will take, the groups, the total, and what can't run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from persona_sweeps.config.schema import Precision, RunConfig, Scale
from persona_sweeps.device import devices_for, resolve_device
from persona_sweeps.errors import UserError
from persona_sweeps.planning.cells import Cell, Refused
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.duration import group_seconds
from persona_sweeps.planning.plan import Plan, by_run
from persona_sweeps.planning.preflight import Prediction, Predictions, group_bytes
from persona_sweeps.planning.speed import measured_speed
from persona_sweeps.wording import duration, pluralize, size

SHOWN = 20
"""reasons that are given in full"""
COLUMNS = ("trains", "weights", "memory", "disk", "tokens", "here")
UNKNOWN = "?"


def refusal(refused: Sequence[Refused], cells: int, blocked: int = 0) -> UserError:
    """Return the error that says which of a command's cells can't run, each reason once.

    `blocked` more can't run on this machine, and a table that was printed before says why.
    """
    by_reason: dict[str, list[Refused]] = {}
    for cell in refused:
        by_reason.setdefault(cell.reason, []).append(cell)
    sentences = []
    for reason, concerned in by_reason.items():
        first = " ".join(concerned[0].overrides)
        others = f" and {len(concerned) - 1} more" if len(concerned) > 1 else ""
        sentences.append(f"{reason} (In the cell {first}{others}.)")
    if blocked:
        sentences.append(f"{blocked} of {pluralize(cells, 'cell')} can't run here: the lines under the table say why.")
    if len(sentences) == 1:
        return UserError(refused[0].reason if len(refused) == cells else sentences[0])
    hidden = len(sentences) - SHOWN
    more = [f"… and {hidden} more reasons."] if hidden > 0 else []
    count = len(refused) + blocked
    return UserError("\n  ".join([f"{count} of {cells} cells can't work.", *sentences[:SHOWN], *more]))


def blocked(cells: Sequence[Cell]) -> list[Refused]:
    """Return the cells that can't run on this machine, with the sentences that say why."""
    return [
        Refused(cell.overrides, " ".join(obstacle.sentence for obstacle in cell.obstacles))
        for cell in cells
        if cell.obstacles
    ]


def refuse_blocked(cells: Sequence[Cell]) -> None:
    """Raise UserError with each reason once when cells can't run on this machine."""
    if found := blocked(cells):
        raise refusal(found, len(cells))


def review(plan: Plan, predictions: Predictions, console: Console, is_for_this_machine: bool = True) -> None:
    """Print a row a run, what keeps runs from starting here, the groups, and the totals of what is to do."""
    print_table(plan, predictions, console)
    for line in (*_group_lines(plan, predictions), *_totals(plan, predictions)):
        console.note(line)
    if is_for_this_machine and (seconds := plan_seconds(plan, predictions)):
        console.note(
            f"Time: about {duration(seconds)} on this machine, by the speed of matrix products measured here; half of "
            "that or twice as much is usual."
        )


def plan_seconds(plan: Plan, predictions: Predictions) -> float | None:
    """Return about how long the plan takes on this machine; None where some of it can't run or isn't known.

    Tiny twins have none: attention and small operations are most of what they take.
    """
    import torch

    total = 0.0
    for group in plan.groups:
        config = group[0].config
        runs = [predictions.get(cells[0].run_id) for cells in by_run(group)]
        known = [run for run in runs if run is not None]
        if len(known) < len(runs) or any(cell.obstacles for cell in group) or config.model.scale is Scale.tiny:
            return None
        if (shape := known[0].shape) is None:
            continue
        dtype = torch.bfloat16 if config.train.precision is Precision.bf16 else torch.float32
        speed = measured_speed(shape, dtype, resolve_device(config.device))
        total += group_seconds([run.work for run in known], speed)
    return total


def print_table(plan: Plan, predictions: Predictions, console: Console) -> None:
    """Print a row a run, and what keeps runs from starting here."""
    memory = _memory_by_cell(plan, predictions)
    rows = [(cell.name, _row(cell, memory.get(cell.evaluation_id), predictions)) for cell in plan.distinct]
    for line in table_lines(rows, console.terminal.width):
        console.note(line)
    for line in _reasons(plan):
        console.note(line)


def table_lines(rows: Sequence[tuple[str, Sequence[str]]], width: int) -> Iterator[str]:
    """Yield the lines of a table of runs: a name and its values in one line, or where that is too wide in two."""
    values = [COLUMNS, *(own for _, own in rows)]
    widths = [max(map(len, column)) for column in zip(*values, strict=True)]
    texts = [
        "  ".join([text.rjust(size) for text, size in zip(own[:-1], widths, strict=False)] + [own[-1]])
        for own in values
    ]
    names = ["run", *(name for name, _ in rows)]
    longest = max(map(len, names))
    if longest + 2 + max(map(len, texts)) <= width:
        yield from (f"{name.ljust(longest)}  {text}" for name, text in zip(names, texts, strict=True))
        return
    for name, text in zip(names, texts, strict=True):
        yield name
        yield f"  {text}"


def _row(cell: Cell, memory: int | None, predictions: Predictions) -> list[str]:
    if cell.done:
        return [*["–"] * (len(COLUMNS) - 1), "done"]
    here = ", ".join(obstacle.short for obstacle in cell.obstacles) or "yes"
    prediction = predictions.get(cell.run_id)
    if prediction is None:
        return [*[UNKNOWN] * (len(COLUMNS) - 1), here]
    about = _about(prediction)
    return [
        f"{prediction.trainable_parameters:,}",
        size(prediction.weights_bytes),
        about + size(memory) if memory is not None else UNKNOWN,
        size(prediction.disk_bytes),
        f"{about}{prediction.tokens:,}",
        here,
    ]


def _memory(group: Sequence[Cell], predictions: Predictions) -> int | None:
    """Return the memory of a group; None where its model's shape isn't known."""
    known = all(cell.run_id in predictions for cell in group)
    return group_memory(group, predictions) if known else None


def _about(prediction: Prediction) -> str:
    return "≈" if prediction.guessed else ""


def _memory_by_cell(plan: Plan, predictions: Predictions) -> dict[str, int]:
    """Return the memory that the group of each cell takes, by evaluation id."""
    return {
        cell.evaluation_id: memory
        for group in plan.groups
        if (memory := _memory(group, predictions)) is not None
        for cell in group
    }


def _reasons(plan: Plan) -> list[str]:
    """Return a line for each thing that keeps runs from starting here."""
    concerned: dict[tuple[str, str], int] = {}
    for cell in plan.to_do:
        for obstacle in cell.obstacles:
            key = obstacle.short, obstacle.sentence
            concerned[key] = concerned.get(key, 0) + 1
    return [f"{short} ({pluralize(count, 'cell')}): {sentence}" for (short, sentence), count in concerned.items()]


def _group_lines(plan: Plan, predictions: Predictions) -> list[str]:
    return [_group_line(number, group, predictions) for number, group in enumerate(plan.groups, start=1)]


def _group_line(number: int, group: Sequence[Cell], predictions: Predictions) -> str:
    config = group[0].config
    start = f"Group {number}: {pluralize(len(by_run(group)), 'run')} of {stored_model(config)}"
    memory = _memory(group, predictions)
    if memory is None:
        return f"{start}, whose size isn't known."
    of_group = [predictions[cells[0].run_id] for cells in by_run(group)]
    devices = devices_for(of_group[0].weights_bytes, resolve_device(config.device))
    spread = f", spread over {devices} GPUs" if devices > 1 else ""
    states, activations = sum(one.state_bytes for one in of_group), max(one.activation_bytes for one in of_group)
    about = _about(of_group[0])
    training = f": {size(states)} to train adapters, {about}{size(activations)} a pass" if states else ""
    return f"{start}, about {size(memory)} of memory{spread}{training}."


def stored_model(config: RunConfig) -> str:
    """Return the model's name with how its weights are held, such as gpt2 in bf16."""
    if not config.peft.has_model:
        return "no model"
    method = config.quantization.method
    return f"{config.model.name} in {config.train.precision.value if method == 'none' else method}"


def group_memory(group: Sequence[Cell], predictions: Predictions) -> int:
    """Return the peak memory in bytes of a group that trains together."""
    on_cpu = resolve_device(group[0].config.device) == "cpu"
    return group_bytes([predictions[cells[0].run_id] for cells in by_run(group)], on_cpu)


def _totals(plan: Plan, predictions: Predictions) -> list[str]:
    runs = by_run(plan.to_do)
    if not runs:
        return ["Nothing is left to run."]
    predicted = [predictions[cells[0].run_id] for cells in runs if cells[0].run_id in predictions]
    largest = max((_memory(group, predictions) or 0 for group in plan.groups), default=0)
    disk = size(sum(one.disk_bytes for one in predicted))
    tokens, flops = sum(one.tokens for one in predicted), sum(one.flops for one in predicted)
    lines = [
        f"Total: {len(runs)} to run, {tokens:,} tokens, {flops / 1e12:,.1f} TFLOP of training, {disk} of adapters on "
        f"disk; at most about {size(largest)} of memory."
    ]
    if any(one.guessed for one in predicted):
        lines.append("≈ is guessed from the length of the texts: the model's tokenizer isn't on this machine.")
    return lines
