"""Tokens a second, share of the device's matrix rate and peak memory of training, for trials solo and stacked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.gpu.device import peak_bytes, start_watching_memory
from benchmarks.gpu.workload import CARD, Shape, workload
from benchmarks.workload import Workload
from persona_sweeps.models.activations import activation_bytes, shape_of
from persona_sweeps.models.families import family_of
from persona_sweeps.models.skeleton import skeleton
from persona_sweeps.planning.preflight import STATE_BYTES
from persona_sweeps.planning.token_counts import pass_of
from persona_sweeps.training.limits import RECORDED, pass_token_slots


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table: who trains what, how many trials, behind which card."""

    shape: Shape
    contestant: str = "stacked"
    trials: int = 1
    card: int = CARD

    @property
    def title(self) -> str:
        trials = f", {self.trials} trials" if self.trials > 1 else ""
        return f"{self.shape.title}{trials}, card of {self.card} ({self.contestant})"


SMALL = Shape("SmolLM2-135M", "smollm2_135m", steps=24)
ONE = Shape("Llama-3.2-1B", "llama32_1b", steps=20)
EIGHT = Shape("Llama-3.1-8B", "llama31_8b", steps=16)
EIGHT_NF4 = Shape("Llama-3.1-8B in nf4", "llama31_8b", "nf4", steps=12)
GEMMA = Shape("Gemma-2-27B in nf4", "gemma2_27b", "nf4", steps=6)
UNRECORDED_STEPS = 8
"""of what takes as long at each step"""

CASES = (
    *(Case(SMALL, contestant) for contestant in ("stacked", "unrecorded", "trl")),
    *(Case(SMALL, trials=trials) for trials in (8, 32)),
    *(Case(EIGHT, contestant) for contestant in ("stacked", "trl")),
    Case(EIGHT, trials=8),
    *(Case(ONE, contestant) for contestant in ("stacked", "trl")),
    *(Case(ONE, trials=trials) for trials in (8, 32)),
    *(Case(EIGHT_NF4, contestant) for contestant in ("stacked", "trl")),
    Case(EIGHT_NF4, trials=8),
    *(Case(SMALL, contestant, card=0) for contestant in ("stacked", "trl")),
    *(Case(shape, "unrecorded") for shape in (ONE, EIGHT)),
    Case(GEMMA),
)


def rows(device: str, tiny: bool, matrix_tflops: float) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the title of each row, and a function that measures it."""
    for case in CASES:
        yield case.title, lambda case=case: measure(case, device, tiny, matrix_tflops)  # type: ignore[misc]


def measure(case: Case, device: str, tiny: bool, matrix_tflops: float) -> dict[str, Any]:
    """Train a step to warm up; then train the case's trials on a newly loaded base model and return what it took."""
    train = CONTESTANTS[case.contestant]
    steps = case.shape.steps if case.contestant == "stacked" else UNRECORDED_STEPS
    chosen = workload(case.shape, device, tiny, case.trials, case.card, steps)
    train(chosen.one_step(), chosen.load_base())
    start_watching_memory(device)
    found = train(chosen, chosen.load_base())
    tokens = sum(len(example.tokens) for example in chosen.examples) * case.trials
    if not all(math.isfinite(loss) for losses in found.losses for loss in losses):
        raise RuntimeError("the losses aren't finite numbers")
    a_second = 1 / (found.seconds_a_step * chosen.steps)
    return {
        "model": case.shape.title,
        "contestant": case.contestant,
        "trials": case.trials,
        "card": case.card,
        "steps": chosen.steps,
        "seconds": found.wall_seconds,
        "cpu_seconds": found.cpu_seconds,
        "tokens": tokens,
        "token_slots": found.token_slots,
        "seconds_a_step": found.seconds_a_step,
        "tokens_per_second": tokens * a_second,
        "share_of_matrix_rate": needed_flops(chosen, found.token_slots) * a_second / (matrix_tflops * 1e12),
        "peak_bytes": peak_bytes(device),
        "losses": found.losses,
    }


def needed_flops(chosen: Workload, token_slots: int) -> float:
    """Return the floating-point operations of the matrix products that so many token slots need.

    A frozen weight takes part in the forward pass and in the gradient of its inputs, a trained one also in its own. The
    output head is needed where a token is under loss.
    """
    model = skeleton(chosen.config.model)
    head = model.get_output_embeddings().weight.numel()
    embeddings = 1 if model.config.get_text_config().tie_word_embeddings else 2
    body = sum(parameter.numel() for parameter in model.parameters()) - embeddings * head
    labels = sum(example.labels for example in chosen.examples) * len(chosen.seeds)
    trained = chosen.config.peft.trainable_parameters(model)
    return (4.0 * body + 6.0 * trained) * token_slots + 4.0 * head * labels


def predicted_peak(chosen: Workload) -> int:
    """Return what the plan says of the peak: the weights, the adapters with their optimizers, and one pass."""
    from persona_sweeps.models.quantization import predicted_bytes

    card, count = chosen.config.model, len(chosen.seeds)
    model = skeleton(card)
    width = chosen.dtype.itemsize
    trained = chosen.config.peft.trainable_parameters(model)
    batch = chosen.train.batch_size
    shape = shape_of(model, family_of(card))
    weights = predicted_bytes(model, chosen.config.quantization, width)
    slots = pass_token_slots(shape, weights, width, chosen.device)
    starts = range(0, len(chosen.examples), batch)
    passes = [pass_of(chosen.examples[start : start + batch], chosen.config, count, slots)[1] for start in starts]
    largest = max(passes, key=lambda one: (one.slots + one.path_slots, one.scores))
    activations = activation_bytes(shape, largest, width, chosen.device)
    return weights + count * trained * STATE_BYTES + RECORDED * activations
