"""Initialize a prefix with the keys and values that the base model computes for some text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache, DynamicLayer

from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.prefix import PrefixWeights
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.virtual_tokens import TokenInit, choose_tokens
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import collate
from persona_sweeps.seeds import derive_seed


def create_prefix(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, init: TokenInit, seed: int
) -> PrefixWeights:
    """Return an initial prefix: the keys and values of real tokens, or Gaussian noise with each layer's spread.

    With the prefix of a text, the model behaves as if that text stood before every prompt. The prefix is on the model's
    first device, as batches are, whatever the devices of the layers.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "prompt"))
    states = _states(model, choose_tokens(tokenizer, init, generator))
    if init.name == "random":
        spread = states.std(dim=(0, 3, 4), keepdim=True).cpu()
        states = (torch.randn(states.shape, generator=generator) * spread).to(states.device)
    return PrefixWeights(nn.Parameter(states.float().contiguous()))


@torch.no_grad()
def _states(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """Return the keys and values [V, layers, 2, kv heads, head_dim] of V tokens at the start of a text."""
    ids = tuple(tokens.tolist())
    # The last token is a placeholder: a sequence's last token is only predicted, never computed.
    rows = [(0, row) for row in pack([TokenSequence((*ids, 0), len(ids), 0)], len(ids) + 1)]
    cache = DynamicCache()
    with AdapterStack(model, [Adapter()]) as stack:
        stack.stack((0,))
        GroupForward(model, stack).hidden(collate(rows, model.device), cache=cache)
    layers = []
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
        layers.append(torch.stack((layer.keys[0], layer.values[0])).to(model.device))
    return torch.stack(layers).permute(3, 0, 1, 2, 4)
