"""Full fine-tuning: train fp32 copies of all weights; the model's own weights follow them, rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel

from persona_sweeps.errors import TrialError
from persona_sweeps.methods.stacked import Stacked
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.progress_bars import no_progress_bars


@dataclass(slots=True)
class FullWeights:
    """Copies of all weights of the language model, by name."""

    tensors: dict[str, nn.Parameter]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield from self.tensors.values()


def language_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Return the parameters of the decoder and the output head by name, without any vision tower; tied ones once."""
    head = model.get_output_embeddings()
    inside = {*model.get_decoder().parameters(), *(head.parameters() if head is not None else ())}
    return {name: parameter for name, parameter in model.named_parameters() if parameter in inside}


def create_full(model: PreTrainedModel) -> FullWeights:
    """Return fp32 copies of the model's weights, each on the device of the original."""
    parameters = language_parameters(model)
    return FullWeights({name: nn.Parameter(p.detach().float().clone()) for name, p in parameters.items()})


def read_full(folder: Path, model: PreTrainedModel) -> FullWeights:
    """Return the weights that a run saved to a folder, in the precision in which this model computes.

    Reads safetensors only, and runs no code from the folder. Raises TrialError for a folder that holds no such model.
    """
    try:
        with no_progress_bars():
            loaded = type(model).from_pretrained(
                folder, dtype=model.dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise TrialError(f"{folder} can't be read: {str(error).strip().splitlines()[0]}") from error
    parameters, saved = language_parameters(model), language_parameters(loaded)
    for name, parameter in parameters.items():
        if name not in saved or saved[name].shape != parameter.shape:
            raise TrialError(f"{folder} holds another model: its {name} doesn't fit.")
    return FullWeights({name: nn.Parameter(saved[name].detach().to(parameters[name].device)) for name in parameters})


class FullHook:
    """A hook on the whole base model, which holds one trial's weights until the hook is closed.

    The model computes in its own precision with rounded copies of the fp32 weights; gradients accumulate in fp32.
    """

    path = ""

    def __init__(self, model: PreTrainedModel, weights: FullWeights) -> None:
        parameters = language_parameters(model)
        self.device = model.device
        self._pairs = [(parameters[name], weights.tensors[name]) for name in weights.tensors]
        self._before = [parameter.detach().clone() for parameter, _ in self._pairs]
        self._gradients: list[Tensor | None] = [None] * len(self._pairs)
        self._handles = []
        for index, (parameter, _) in enumerate(self._pairs):
            parameter.requires_grad_(True)
            self._handles.append(parameter.register_post_accumulate_grad_hook(self._gatherer(index)))

    def stack(self, adapters: Sequence[Adapter]) -> None:
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        for parameter, trained in self._pairs:
            parameter.copy_(trained)

    def stacks(self) -> Iterator[Stacked]:
        return iter(())

    def bind_gradients(self) -> None:
        for (_, trained), gradient in zip(self._pairs, self._gradients, strict=True):
            trained.grad = gradient
        self._gradients = [None] * len(self._pairs)

    def route(self, row_trials: Tensor | None, dropout: tuple[Tensor, Tensor, Tensor] | None) -> None:
        pass

    @torch.no_grad()
    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        for (parameter, _), before in zip(self._pairs, self._before, strict=True):
            parameter.copy_(before)
            parameter.requires_grad_(False)
            parameter.grad = None

    def _gatherer(self, index: int) -> Callable[[Tensor], None]:
        def gather(parameter: Tensor) -> None:
            assert parameter.grad is not None
            gathered = self._gradients[index]
            new = parameter.grad.float()
            self._gradients[index] = new if gathered is None else gathered.add_(new)
            parameter.grad = None

        return gather
