"""The base classes of methods that put virtual tokens before every prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.methods.checks import check_token_init
from persona_sweeps.methods.method import Method

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.virtual_tokens import TokenInit


@dataclass
class VirtualTokens(Method):
    """A method that puts virtual tokens before every prompt."""

    num_virtual_tokens: int = MISSING

    title = ""

    @property
    def virtual_tokens(self) -> int:  # type: ignore[override]
        return self.num_virtual_tokens

    @property
    def label(self) -> str:
        return f"{self.title} {self.num_virtual_tokens} tokens"

    @property
    def name_parts(self) -> list[str]:
        return [self.method, f"v{self.num_virtual_tokens}"]

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from at_least("peft.num_virtual_tokens", self.num_virtual_tokens, 1)


@dataclass
class InitializedTokens(VirtualTokens):
    """A method whose virtual tokens are initialized from real tokens, or at random."""

    init: str = MISSING
    init_text: str | None = None

    @property
    def search_space(self) -> Mapping[str, str]:
        return {
            "peft.num_virtual_tokens": "choice(4,8,16,32)",
            "peft.init": "choice(sample_vocab,random)",
            "train.learning_rate": "tag(log, interval(1e-3,1e-1))",
        }

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from check_token_init("peft.init", self.init, self.init_text)

    def token_init(self) -> TokenInit:
        """Return how to initialize the virtual tokens."""
        from persona_sweeps.methods.virtual_tokens import TokenInit

        return TokenInit(self.init, self.num_virtual_tokens, self.init_text)
