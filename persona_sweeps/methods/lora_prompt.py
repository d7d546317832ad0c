"""`peft=lora_prompt`: LoRA pairs beside the layers, and a soft prompt before the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.methods.checks import check_token_init
from persona_sweeps.methods.lora import Lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter


@dataclass
class LoraPrompt(Lora):
    """LoRA and prompt tuning, trained together at different rates."""

    method: str = "lora_prompt"
    num_virtual_tokens: int = MISSING
    prompt_init: str = MISSING
    init_text: str | None = None
    prompt_rate_ratio: float = MISSING

    @property
    def virtual_tokens(self) -> int:  # type: ignore[override]
        return self.num_virtual_tokens

    @property
    def label(self) -> str:
        return f"{super().label} + prompt {self.num_virtual_tokens} tokens"

    @property
    def name_parts(self) -> list[str]:
        return [*super().name_parts, f"v{self.num_virtual_tokens}"]

    @property
    def search_space(self) -> Mapping[str, str]:
        return {
            "peft.r": "choice(4,8,16,32)",
            "peft.alpha_ratio": "choice(0.5,1,2,4)",
            "peft.num_virtual_tokens": "choice(4,8,16,32)",
            "train.learning_rate": "tag(log, interval(1e-4,1e-2))",
        }

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from at_least("peft.num_virtual_tokens", self.num_virtual_tokens, 1)
        yield from check_token_init("peft.prompt_init", self.prompt_init, self.init_text)
        if not self.prompt_rate_ratio > 0:
            yield f"peft.prompt_rate_ratio={self.prompt_rate_ratio:g} must be above 0."

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.soft_prompt import create_prompt
        from persona_sweeps.methods.virtual_tokens import TokenInit

        adapter = super().create(model, tokenizer, seed)
        init = TokenInit(self.prompt_init, self.num_virtual_tokens, self.init_text)
        adapter.prompt = create_prompt(model, tokenizer, init, seed)
        adapter.prompt_rate_ratio = self.prompt_rate_ratio
        return adapter

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        return (
            super().trainable_parameters(model) + self.num_virtual_tokens * model.config.get_text_config().hidden_size
        )
