"""A voice as a small transformer learns it, which reads a line together with what it replies to."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.metrics.encoder import BATCH, PACKAGED, Encoder, encoder_obstacles, encoder_version, fresh_encoder
from persona_sweeps.metrics.style.classifier import Arrays, Classifier
from persona_sweeps.metrics.style.negatives import Pairs, pairs_of
from persona_sweeps.metrics.style.separation import separation
from persona_sweeps.metrics.style.voices import Part, Said

if TYPE_CHECKING:
    import torch

EPOCHS = 3
LEARNING_RATE = 5e-5
TRAIN_BATCH = 16
HEAD = "head"


class CrossEncoder(Classifier):
    """An encoder with a linear head on its first token, fine-tuned on pairs of a line and its cue.

    Lines of the character are right; wrong are another speaker's answers, to the same cue (hard) and to their own, and
    texts of nobody (easy). Its embeddings stay frozen. A fifth of the scenes says which epoch is kept: the one with the
    best AUC there, in `learning_curve`. Nogueira & Cho (2019), "Passage Re-ranking with BERT". It takes minutes.
    """

    label = "a cross-encoder"

    def __init__(self, encoder: Encoder, head: torch.nn.Linear, curve: Sequence[Mapping[str, float]]) -> None:
        self._encoder, self._head, self._curve = encoder, head, tuple(curve)

    @classmethod
    def version(cls) -> str:
        return f"cross-encoder 1, {encoder_version(PACKAGED)}, {EPOCHS} epochs at {LEARNING_RATE:g}"

    @classmethod
    def obstacles(cls, key: str) -> Iterator[str]:
        yield from encoder_obstacles(key, PACKAGED)

    @classmethod
    def fit(cls, train: Part) -> CrossEncoder:
        import torch

        fitting, checking = _divided(train)
        encoder, head = _fresh()
        pairs = pairs_of(fitting)
        draw = np.random.default_rng(0)
        best, curve = (0.0, _trained(encoder, head)), []
        optimizer = torch.optim.AdamW(_parameters(encoder, head), lr=LEARNING_RATE)
        steps = EPOCHS * -(-len(pairs.lines) // TRAIN_BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
        for epoch in range(1, EPOCHS + 1):
            loss = _epoch(encoder, head, pairs, draw, optimizer, schedule)
            auc = _checked(cls(encoder, head, ()), checking)
            curve.append({"epoch": epoch, "loss": loss, "auc": auc})
            if auc > best[0]:
                best = auc, _trained(encoder, head)
        _restore(encoder, head, best[1])
        return cls(encoder, head, curve)

    @classmethod
    def restored(cls, arrays: Arrays) -> CrossEncoder:
        encoder, head = _fresh()
        _restore(encoder, head, {name: value for name, value in arrays.items() if name != "curve"})
        curve = [{"epoch": int(e), "loss": float(loss), "auc": float(auc)} for e, loss, auc in arrays["curve"]]
        return cls(encoder, head, curve)

    def arrays(self) -> dict[str, NDArray[Any]]:
        curve = np.array([[step["epoch"], step["loss"], step["auc"]] for step in self._curve], dtype=np.float64)
        return _trained(self._encoder, self._head) | {"curve": curve}

    def scores(self, lines: Sequence[Said]) -> NDArray[np.float64]:
        import torch

        found = np.zeros(len(lines))
        order = sorted(range(len(lines)), key=lambda index: -len(lines[index].cue) - len(lines[index].text))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            with torch.inference_mode():
                found[chosen] = _logits(self._encoder, self._head, [lines[index] for index in chosen]).numpy()
        return found

    @property
    def learning_curve(self) -> Sequence[Mapping[str, float]]:
        return self._curve


def _divided(train: Part) -> tuple[Part, Part]:
    """Return four fifths of the scenes to learn from, and every fifth to check by."""
    scenes = sorted({*train.own_scenes})
    checked = set(scenes[::5]) if len(scenes) > 1 else set()

    def part(check: bool) -> Part:
        own, other = (
            [(line, scene) for line, scene in zip(lines, of, strict=True) if (scene in checked) is check]
            for lines, of in ((train.own, train.own_scenes), (train.other, train.other_scenes))
        )
        return Part([line for line, _ in own], [s for _, s in own], [line for line, _ in other], [s for _, s in other])

    return part(False), part(True)


def _fresh() -> tuple[Encoder, torch.nn.Linear]:
    import torch

    encoder = fresh_encoder(PACKAGED)
    encoder.model.embeddings.requires_grad_(False)
    encoder.model.pooler = None
    head = torch.nn.Linear(encoder.model.config.hidden_size, 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return encoder, head


def _parameters(encoder: Encoder, head: torch.nn.Linear) -> list[torch.nn.Parameter]:
    return [*(p for p in encoder.model.parameters() if p.requires_grad), *head.parameters()]


def _epoch(
    encoder: Encoder, head: torch.nn.Linear, pairs: Pairs, draw: np.random.Generator, optimizer: Any, schedule: Any
) -> float:
    """Train on each pair once, and return the mean loss. Dropout stays off, so that the seed decides all."""
    import torch

    losses = []
    weight = torch.tensor(pairs.weight_of_right)
    for batch in np.array_split(draw.permutation(len(pairs.lines)), -(-len(pairs.lines) // TRAIN_BATCH)):
        target = torch.tensor([float(pairs.is_right[index]) for index in batch])
        logits = _logits(encoder, head, [pairs.lines[index] for index in batch])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _logits(encoder: Encoder, head: torch.nn.Linear, lines: Sequence[Said]) -> torch.Tensor:
    inputs = encoder.batch([line.cue for line in lines], [line.text for line in lines])
    found: torch.Tensor = head(encoder.model(**inputs).last_hidden_state[:, 0])[:, 0]
    return found


def _checked(classifier: CrossEncoder, part: Part) -> float:
    if not part.own or not part.other:
        return 0.0
    own, other = classifier.scores(part.own), classifier.scores(part.other)
    return separation(own, part.own_scenes, other, part.other_scenes).auc


def _trained(encoder: Encoder, head: torch.nn.Linear) -> dict[str, NDArray[Any]]:
    """Return copies of the weights that training changes."""
    named = {name: p for name, p in encoder.model.named_parameters() if p.requires_grad}
    named |= {f"{HEAD}.{name}": p for name, p in head.named_parameters()}
    return {name: copy.deepcopy(p.detach().numpy()) for name, p in named.items()}


def _restore(encoder: Encoder, head: torch.nn.Linear, weights: Mapping[str, NDArray[Any]]) -> None:
    import torch

    tensors = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    of_head = {name.removeprefix(f"{HEAD}."): value for name, value in tensors.items() if name.startswith(f"{HEAD}.")}
    head.load_state_dict(of_head)
    encoder.model.load_state_dict({n: v for n, v in tensors.items() if not n.startswith(f"{HEAD}.")}, strict=False)
