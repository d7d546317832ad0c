"""What a cell will need, predicted from its card's facts and its data before anything is loaded or trained.

Shapes come from the model's skeleton on the meta device; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Precision
from persona_sweeps.device import resolve_device
from persona_sweeps.errors import UserError
from persona_sweeps.models.activations import Shape, activation_bytes, shape_of
from persona_sweeps.models.families import family_of
from persona_sweeps.models.source import Origin
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.duration import BACKWARD, Work
from persona_sweeps.planning.plan import Plan, by_run
from persona_sweeps.planning.speed import ELEMENTWISE
from persona_sweeps.planning.token_counts import (
    NO_TRAINING,
    AnswerTokens,
    TrainingTokens,
    answer_tokens,
    cached_slots,
    has_tokenizer,
    training_tokens,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from persona_sweeps.config.schema import ModelConfig

PROGRAM_BYTES = 650_000_000
"""resident memory of Python with torch, transformers and datasets before a model is loaded"""

TOKENIZER_BYTES = 1500
"""of an entry of the vocabulary, in the process; measured"""

INT8_ON_CPU = 1.7
"""times the activations: outliers make tensors of ever other sizes, between which the heap is in pieces; measured"""

STATE_BYTES = 16
"""of a trained parameter: itself, its gradient, and AdamW's two moments, all in fp32; full fine-tuning also keeps the
base model's own"""

FILE_WIDTH = {Origin.tiny: 0, Origin.random: 0, Origin.package: 4}
"""bytes of a number in the model's files: converted GGUF files are in fp32, published weights in bf16"""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one cell trains and needs; bytes, tokens and floating-point operations."""

    trainable_parameters: int
    weights_bytes: int
    """the frozen base model as it is stored, shared by a group"""
    tokenizer_bytes: int
    loading_bytes: int
    """what loading it takes on a CPU beside that: its files are mapped, and a layer is quantized at a time"""
    state_bytes: int
    """the adapter with its gradients and optimizer"""
    activation_bytes: int
    """what one pass keeps for its backward, shared by a group"""
    cache_bytes: int
    """the keys and values of this run's texts while they are generated"""
    disk_bytes: int
    """the exported adapter"""
    tokens: int
    """of the examples seen in training"""
    computed: int
    """token slots computed for them, shared prefixes counted once a row"""
    flops: float
    """of training"""
    work: Work
    """all that it computes, its evaluations too"""
    shape: Shape | None
    """of the model; None without one"""
    guessed: bool
    """whether tokens were guessed, for want of the tokenizer"""


NOTHING = Prediction(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flops=0.0, work=Work(), shape=None, guessed=False)
"""for a run without a model, beside the program"""


Predictions = dict[str, Prediction]
"""by run id; a run whose model's shape can't be had has none"""


def predict(plan: Plan) -> Predictions:
    """Return a prediction for each run that is to do.

    A group whose model isn't here, and whose card has no facts of it, has none, if it can't run anyway. Raises
    UserError where such a group could run but for that.
    """
    predictions: Predictions = {}
    for group in plan.groups:
        try:
            predictions |= predict_group(group)
        except UserError:
            if not all(cell.obstacles for cell in group):
                raise
    return predictions


def needs_base(cell: Cell) -> bool:
    """Whether a base model has to be loaded for what is missing of a cell."""
    return cell.config.peft.has_model and cell.stage is not Stage.score


def group_bytes(predictions: Sequence[Prediction], on_cpu: bool) -> int:
    """Return the peak memory of a process that trains these together: on a CPU its resident memory, else the GPU's.

    Loading counts too: on a CPU the files are mapped while the weights are made of them.
    """
    weights = max(p.weights_bytes for p in predictions)
    states = sum(p.state_bytes for p in predictions)
    passes = max(p.activation_bytes for p in predictions)
    training = weights + states + max(passes, sum(p.cache_bytes for p in predictions))
    if not on_cpu:
        return training
    program = PROGRAM_BYTES + max(p.tokenizer_bytes for p in predictions)
    return program + max(training, weights + max(p.loading_bytes for p in predictions))


def predict_group(group: Sequence[Cell]) -> Predictions:
    """Return a prediction for each run of a group that trains together."""
    runs = by_run(group)
    if not needs_base(group[0]):
        return {cells[0].run_id: NOTHING for cells in runs}
    model, shape = _model_of(group[0].config.model)
    return {cells[0].run_id: _predict(cells, model, shape, len(runs)) for cells in runs}


def _model_of(card: ModelConfig) -> tuple[PreTrainedModel, Shape]:
    """Return a card's model without weights, and its shape; the last one is kept, which the next group often has."""
    from persona_sweeps.models.skeleton import skeleton

    if str(card) not in _models:
        _models.clear()
        model = skeleton(card)
        _models[str(card)] = model, shape_of(model, family_of(card))
    return _models[str(card)]


_models: dict[str, tuple[PreTrainedModel, Shape]] = {}


def _predict(cells: Sequence[Cell], model: PreTrainedModel, shape: Shape, group_size: int) -> Prediction:
    """Predict a run with its evaluations, which the cells are."""
    from persona_sweeps.models.quantization import predicted_bytes, quantizing_bytes
    from persona_sweeps.training.limits import RECORDED, pass_token_slots

    cell = cells[0]
    config, weights = cell.config, cell.weights
    assert weights is not None
    width = 2 if config.train.precision is Precision.bf16 else 4
    trainable = config.peft.trainable_parameters(model) if cell.stage is Stage.train else 0
    full = config.peft.owns_base
    device = resolve_device(config.device)
    on_cpu = device == "cpu"
    pieces = INT8_ON_CPU if config.quantization.method == "int8" else 1.0
    times = pieces if on_cpu else RECORDED
    weights_bytes = predicted_bytes(model, config.quantization, width)
    most_slots = pass_token_slots(shape, weights_bytes, width, device)
    work = training_tokens(config, weights, group_size, most_slots) if trainable else NO_TRAINING
    answers = [answer_tokens(one.config, weights) for one in cells]
    cached = max(cached_slots(one.config, answer) for one, answer in zip(cells, answers, strict=True))
    # Forward and the backward to the inputs; frozen weights themselves have no gradient.
    flops = (4.0 * (0 if full else shape.parameters) + 6.0 * trainable) * work.computed
    return Prediction(
        trainable_parameters=trainable,
        weights_bytes=weights_bytes,
        tokenizer_bytes=TOKENIZER_BYTES * model.config.get_text_config().vocab_size,
        loading_bytes=shape.parameters * FILE_WIDTH.get(weights.origin, 2)
        + quantizing_bytes(model, config.quantization),
        state_bytes=trainable * (STATE_BYTES + (width if full else 0)),
        activation_bytes=round(times * activation_bytes(shape, work.largest, width, device)),
        cache_bytes=2 * width * shape.layers * shape.kv_heads * shape.head_dim * cached,
        disk_bytes=config.peft.saved_parameters(model) * (width if full else 4) if trainable else 0,
        tokens=work.tokens,
        computed=work.computed,
        flops=flops,
        work=_work(cells, shape, flops, work, answers),
        shape=shape,
        guessed=not has_tokenizer(config, weights),
    )


def _work(
    cells: Sequence[Cell], shape: Shape, flops: float, training: TrainingTokens, answers: Sequence[AnswerTokens]
) -> Work:
    """Return all that a run computes with its evaluations, which the cells are."""
    every = cells[0].config.train.eval_every
    epochs = training.tokens and max(1, round(cells[0].config.train.epochs))
    scorings = 1 + (training.steps // every if every else 0 if every == 0 else epochs)
    new = max((cell.config.new_tokens for cell in cells), default=0)
    generated = sum(a.prompts + a.texts * cell.config.new_tokens for cell, a in zip(cells, answers, strict=True))
    scored = max(answer.scored for answer in answers)
    of_layers = shape.layers * ELEMENTWISE * (training.steps * BACKWARD + scorings + new)
    return Work(flops, 2.0 * shape.parameters * scored * scorings, 2.0 * shape.parameters * generated, of_layers)
