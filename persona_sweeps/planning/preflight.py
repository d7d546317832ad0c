"""What a cell will need, predicted from its card's facts and its data before anything is loaded or trained.

Shapes come from the model's skeleton on the meta device; nothing is downloaded. Tokens are counted with the model's
tokenizer where it is on this machine, and guessed from the text's length where it isn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Precision, RunConfig
from persona_sweeps.device import resolve_device
from persona_sweeps.models.families import family_of
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.plan import Plan, by_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from persona_sweeps.data.packing import TokenSequence
    from persona_sweeps.models.families.family import Family

BYTES_A_TOKEN = 4.0
"""UTF-8 bytes of English text to a token, where no tokenizer is at hand"""

PROGRAM_BYTES = 650_000_000
"""resident memory of Python with torch, transformers and datasets before a model is loaded"""

TOKENIZER_BYTES = 1500
"""of an entry of the vocabulary, in the process; measured"""

INT8_ON_CPU = 1.7
"""times the activations: outliers make tensors of ever other sizes, between which the heap is in pieces; measured"""

SLACK = 1.5
"""of activations: what the backward pass holds for a moment, and what the allocator can't reuse; measured"""

STATE_BYTES = 16
"""of a trained parameter: itself, its gradient, and AdamW's two moments, all in fp32; full fine-tuning also keeps the
base model's own"""


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
    """places computed for them, shared prefixes counted once a row"""
    flops: float
    """of training"""
    guessed: bool
    """whether tokens were guessed, for want of the tokenizer"""


NOTHING = Prediction(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flops=0.0, guessed=False)
"""for a run without a model, beside the program"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the skeleton tells: parameters, and the widths that activations have."""

    parameters: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_width: int
    """features that the norms of a block have in all"""
    norm_bytes: int
    """what a norm keeps of a feature besides its result: fp32 copies"""


def predict(plan: Plan) -> dict[str, Prediction]:
    """Return a prediction for each run that is to do, by run id."""
    return {run_id: prediction for group in plan.groups for run_id, prediction in predict_group(group)}


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


def predict_group(group: Sequence[Cell]) -> list[tuple[str, Prediction]]:
    """Return a prediction for each run of a group that trains together, with its run id."""
    from persona_sweeps.models.skeleton import skeleton

    if not needs_base(group[0]):
        return [(own[0].run_id, NOTHING) for own in by_run(group)]
    card = group[0].config.model
    model = skeleton(card)
    shape = shape_of(model, family_of(card))
    return [(own[0].run_id, _predict(own[0], model, shape, len(by_run(group)))) for own in by_run(group)]


def _predict(cell: Cell, model: PreTrainedModel, shape: Shape, group_size: int) -> Prediction:
    from persona_sweeps.models.quantization import predicted_bytes, quantizing_bytes

    config = cell.config
    width = 2 if config.train.precision is Precision.bf16 else 4
    trainable = config.peft.trainable_parameters(model) if cell.stage is Stage.train else 0
    full = config.peft.owns_base
    on_cpu = resolve_device(config.device) == "cpu"
    pieces = INT8_ON_CPU if on_cpu and config.quantization.method == "int8" else 1.0
    work = _measured(config, group_size) if _has_tokenizer(config) else _guessed(config, group_size)
    return Prediction(
        trainable_parameters=trainable,
        weights_bytes=predicted_bytes(model, config.quantization, width),
        tokenizer_bytes=TOKENIZER_BYTES * model.config.get_text_config().vocab_size,
        loading_bytes=shape.parameters * _file_width(config) + quantizing_bytes(model, config.quantization),
        state_bytes=trainable * (STATE_BYTES + (width if full else 0)),
        activation_bytes=round(pieces * activation_bytes(shape, work.largest, width)) if trainable else 0,
        cache_bytes=2 * width * shape.layers * shape.kv_heads * shape.head_dim * work.cached,
        disk_bytes=config.peft.saved_parameters(model) * (width if full else 4) if trainable else 0,
        tokens=work.tokens if trainable else 0,
        computed=work.nodes if trainable else 0,
        # Forward and the backward to the inputs; frozen weights themselves have no gradient.
        flops=(4.0 * (0 if full else shape.parameters) + 6.0 * trainable) * work.nodes if trainable else 0.0,
        guessed=work.guessed,
    )


def shape_of(model: PreTrainedModel, family: Family) -> Shape:
    """Read the shape off a model's config; tied weights count once."""
    config = model.config.get_text_config()
    parameters = {id(parameter): parameter.numel() for parameter in model.parameters()}
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        norm_width=_norm_width(model, {"q_norm": heads * head_dim, "k_norm": kv_heads * head_dim}),
        norm_bytes=8 if family.norms_keep_input else 4,
        parameters=sum(parameters.values()),
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None)
        or getattr(config, "n_inner", None)
        or 4 * config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
    )


def _norm_width(model: PreTrainedModel, widths: dict[str, int]) -> int:
    """Return the width of all norms of a block.

    `widths` are those of norms within attention, whose weights are shared by the heads.
    """
    norms = {
        name: module
        for name, module in model.get_decoder().named_modules()
        if "Norm" in type(module).__name__ and ".0." in f".{name}."
    }
    return sum(widths.get(name.rsplit(".", 1)[-1], module.weight.numel()) for name, module in norms.items())


@dataclass(frozen=True, slots=True)
class PassSize:
    """What decides the memory of a forward pass, padding included."""

    places: int = 0
    """in its rows"""
    path_places: int = 0
    """in the paths that its branches attend to, one after the other"""
    scores: int = 0
    """pairs of a query and a key"""


def activation_bytes(shape: Shape, largest: PassSize, width: int) -> int:
    """Return what a pass keeps for its backward, in numbers of `width` bytes.

    In each block: the norms' inputs in fp32 and their results; the gate, its activation, the up projection and their
    product in the MLP; queries and the attention's output; the keys and values of each path; and in each head a
    probability for each pair of a query and a key.
    """
    norms = (shape.norm_bytes + width) * shape.norm_width
    attention = 2 * width * shape.heads * shape.head_dim
    mlp = 4 * width * shape.intermediate
    paths = 2 * width * shape.kv_heads * shape.head_dim * largest.path_places
    block = largest.places * (norms + attention + mlp) + paths + width * shape.heads * largest.scores
    return round(SLACK * shape.layers * block)


def _file_width(config: RunConfig) -> int:
    """Bytes of a number in the model's files: converted GGUF files are in fp32, published weights in bf16."""
    from persona_sweeps.models.source import Origin, locate

    return {Origin.tiny: 0, Origin.package: 4}.get(locate(config.model).origin, 2)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a cell's data amount to: tokens seen, nodes computed, and the largest pass."""

    tokens: int
    nodes: int
    largest: PassSize
    cached: int
    """places in the cache while all its texts are generated"""
    guessed: bool


def _has_tokenizer(config: RunConfig) -> bool:
    """Whether the tokenizer can be had without the network."""
    from persona_sweeps.models.source import locate

    card = config.model
    if locate(card).is_here:
        return True
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(card.hub_id, "tokenizer_config.json", revision=card.revision), str)


def _measured(config: RunConfig, group_size: int) -> _Work:
    """Pack the first epoch's batches as the engine will."""
    from persona_sweeps.data.packing import TokenSequence
    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint
    from persona_sweeps.training.order import batches, steps_per_epoch, total_steps

    tokenizer = load_tokenizer(config.model)
    prepared = prepare(config, tokenizer, tokenizer_fingerprint(config.model, tokenizer))
    data, prompts = prepared.train, prepared.eval["prompt_length"]
    rows = zip(data["input_ids"], data["loss_from"], strict=True)
    sequences = [TokenSequence(tuple(ids), loss_from, index) for index, (ids, loss_from) in enumerate(rows)]
    train = config.train
    per_epoch = steps_per_epoch(len(sequences), train.batch_size)
    steps = total_steps(len(sequences), train.batch_size, train.epochs, train.max_steps)
    order = batches([len(sequence.tokens) for sequence in sequences], train.batch_size, config.seed, steps)
    tokens, nodes, largest = 0, 0, PassSize()
    looked_at = min(steps, per_epoch)
    for _ in range(looked_at):
        chosen = [sequences[index] for index in next(order)]
        computed, found = _pass_of(chosen, config, group_size)
        tokens += sum(len(sequence.tokens) for sequence in chosen)
        nodes += computed
        largest = max(largest, found, key=lambda size: (size.places + size.path_places, size.scores))
    scale = steps / looked_at
    cached = _cached(config, len(prompts), max(prompts))
    return _Work(round(tokens * scale), round(nodes * scale), largest, cached, guessed=False)


def _pass_of(chosen: Sequence[TokenSequence], config: RunConfig, group_size: int) -> tuple[int, PassSize]:
    """Return a step's nodes, and the size of its largest pass if the whole group has such a step."""
    from persona_sweeps.data.packing import pack
    from persona_sweeps.models.attention import tree_layout
    from persona_sweeps.models.batch import split_passes
    from persona_sweeps.training.limits import PASS_NODES
    from persona_sweeps.training.trial import ROW_NODES, with_virtual_tokens

    virtual = config.peft.virtual_tokens
    size = config.train.micro_batch_size or len(chosen)
    own = [with_virtual_tokens(sequence, virtual) for sequence in chosen]
    micro = [pack(own[start : start + size], ROW_NODES) for start in range(0, len(own), size)]
    largest = max(micro, key=lambda rows: sum(map(len, rows)))
    passes = split_passes([(trial, row) for trial in range(group_size) for row in largest], PASS_NODES)
    rows = [row for _, row in max(passes, key=lambda rows: len(rows) * max(len(row) for _, row in rows))]
    length = max(map(len, rows))
    shapes = [(*bucket.queries.shape, bucket.keys.shape[1]) for bucket in tree_layout(rows, length, "cpu").buckets]
    size_of_pass = PassSize(
        places=len(rows) * length,
        path_places=sum(branches * k for branches, _, k in shapes),
        scores=sum(branches * q * k for branches, q, k in shapes),
    )
    return sum(len(row) for rows in micro for row in rows), size_of_pass


def _guessed(config: RunConfig, group_size: int) -> _Work:
    """Guess from the lengths of the texts; nothing is known to be shared."""
    from persona_sweeps.data import load_corpus
    from persona_sweeps.data.few_shot import guessed_length
    from persona_sweeps.training.limits import PASS_NODES
    from persona_sweeps.training.order import total_steps

    texts = [_length(example.prompt) + _length(example.completion) for example in load_corpus(config.dataset).train]
    lengths = [min(config.train.max_length, round(size / BYTES_A_TOKEN)) for size in texts]
    mean = sum(lengths) / len(lengths)
    train = config.train
    steps = total_steps(len(lengths), train.batch_size, train.epochs, train.max_steps)
    tokens = round(mean * steps * min(train.batch_size, len(lengths)))
    size = min(train.micro_batch_size or train.batch_size, len(lengths))
    nodes = round(min(mean * size * group_size, max(PASS_NODES, mean * size)))
    prompts = config.dataset.eval_limit or len(lengths)
    cached = _cached(config, prompts, guessed_length(config, round(mean)))
    return _Work(tokens, tokens, PassSize(nodes, nodes, round(nodes * mean)), cached, guessed=True)


def _cached(config: RunConfig, texts: int, longest: int) -> int:
    """Return the places of the texts that are generated side by side, each as wide as the longest."""
    from persona_sweeps.prediction.generation import SEQUENCES

    if not asks_for_texts(config):
        return 0
    virtual = config.peft.virtual_tokens
    return min(texts, SEQUENCES) * (longest + virtual + config.generation.max_new_tokens)


def asks_for_texts(config: RunConfig) -> bool:
    """Whether a metric scores generated texts."""
    return any(request.kind == "text" for metric in config.metrics.values() for request in metric.requests())


def _length(text: object) -> int:
    """UTF-8 bytes of a text, or of all messages."""
    parts = [text] if isinstance(text, str) else [message.content for message in text]  # type: ignore[attr-defined]
    return sum(len(part.encode()) for part in parts)
