"""A conversation with a predictor: its history, its persona card, and what fits before the model's end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from persona_sweeps.config.schema import RunConfig
from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.deployment.predictor import Predictor
from persona_sweeps.deployment.streaming import Say
from persona_sweeps.errors import UserError
from persona_sweeps.prediction.decoding import Generation
from persona_sweeps.prediction.greedy import Greedy
from persona_sweeps.prediction.nucleus import Nucleus
from persona_sweeps.seeds import derive_seed

Message = dict[str, str]


@dataclass(frozen=True)
class Decoding:
    """How a conversation's answers are chosen: greedily at temperature 0, else by nucleus sampling."""

    max_new_tokens: int = 256
    temperature: float = 0.8
    top_p: float = 0.95
    repetition_penalty: float | None = None

    def generation(self, config: RunConfig) -> Generation:
        """Return it as a run's config has it, with the texts at which the run's answers end.

        Raises `UserError` for a number that none can be.
        """
        run = config.generation
        if self.temperature == 0:
            chosen: Generation = Greedy("greedy", self.max_new_tokens, self.repetition_penalty, run.stop)
        else:
            chosen = Nucleus(
                "nucleus", self.max_new_tokens, self.repetition_penalty, run.stop, None, self.temperature, self.top_p
            )
        for mistake in chosen.check(config):
            raise UserError(mistake.replace("generation.", ""))
        return chosen


def for_conversation(run: FinishedRun, decoding: Decoding) -> FinishedRun:
    """Return a run as it answers in a conversation: prompts may be as long as the model can read.

    Raises `UserError` if the answers alone are longer than that.
    """
    config = run.config
    room = config.model.context_length - config.peft.virtual_tokens - decoding.max_new_tokens
    if room < 1:
        raise UserError(
            f"max_new_tokens={decoding.max_new_tokens} leaves no room for a prompt: {config.model.name} reads "
            f"{config.model.context_length} tokens."
        )
    train = replace(config.train, max_length=room)
    return replace(run, config=replace(config, train=train, generation=decoding.generation(config)))


@dataclass
class Conversation:
    """Messages that a user and a predictor exchange behind a persona card; `seed` makes its answers come again."""

    predictor: Predictor
    card: str | None
    seed: int
    messages: list[Message] = field(default_factory=list)
    forgotten: int = 0
    """how many of the first messages the model no longer reads, since they don't fit"""

    def ask(self, text: str, say: Say) -> str:
        """Return the answer to a message, each piece of which `say` gets at once; both go into the history.

        An interrupted answer stays as far as it was said. Raises `UserError` for a message that doesn't fit by itself.
        """
        said: list[str] = []

        def pass_on(piece: str) -> None:
            said.append(piece)
            say(piece)

        self.messages.append({"role": "user", "content": text})
        try:
            answer = self._answer(self.predictor, pass_on)
        except KeyboardInterrupt:
            self._close("".join(said))
            raise
        except UserError:
            self.messages.pop()
            raise
        self._close(answer)
        return answer

    def answer_of(self, other: Predictor, say: Say) -> str:
        """Return what another predictor answers to the last message, after the same history, which stays as it is."""
        messages = self.messages
        self.messages = messages[:-1]
        try:
            return self._answer(other, say)
        finally:
            self.messages = messages

    def reset(self) -> None:
        """Forget all messages."""
        self.messages, self.forgotten = [], 0

    def save(self, path: Path) -> None:
        """Add the conversation to a file, as a line that `dataset=jsonl` reads."""
        system = [{"role": "system", "content": self.card}] if self.card else []
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"messages": [*system, *self.messages]}, ensure_ascii=False) + "\n")

    def _close(self, answer: str) -> None:
        self.messages.append({"role": "assistant", "content": answer})

    def _answer(self, predictor: Predictor, say: Say) -> str:
        """Answer the messages, without the earliest ones where all don't fit."""
        turn = derive_seed(self.seed, "conversation", str(len(self.messages)))
        for first in range(0, len(self.messages), 2):
            try:
                answer = predictor.reply(self.messages[first:], system=self.card or "", seed=turn, say=say)
            except UserError:
                if first + 2 >= len(self.messages):
                    raise
            else:
                self.forgotten = first
                return answer
        raise AssertionError("a conversation has a message when it is answered")
