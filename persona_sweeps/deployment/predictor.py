"""Load what a run trained, and let it answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from persona_sweeps.data import corpus_of
from persona_sweeps.data.example import Example, Message
from persona_sweeps.deployment.cards import card_of, persona_of
from persona_sweeps.deployment.choice import run_folder
from persona_sweeps.deployment.host import FinishedRun, Host, device_of, read_run
from persona_sweeps.deployment.streaming import Say, TextStream
from persona_sweeps.errors import NoneFits, UserError
from persona_sweeps.records.folders import OUTPUT_DIR

if TYPE_CHECKING:
    from persona_sweeps.data.packing import TokenSequence
    from persona_sweeps.data.prepare import PreparedPrompts
    from persona_sweeps.data.rendering import Renderer
    from persona_sweeps.data.store import PreparedData
    from persona_sweeps.prediction.decoding import Generation
    from persona_sweeps.prediction.ending import Ending
    from persona_sweeps.prediction.prefill import GenerationRequest

Prompt: TypeAlias = "str | Sequence[Mapping[str, str]]"
"""a user's message, or chat messages with `role` and `content`"""


def load_predictor(run: str | Path, output_dir: str | Path = OUTPUT_DIR, device: str = "auto") -> Predictor:
    """Load a completed run with its base model, to talk with the character in Python.

    `run` is a run's folder, its name, its id, or the beginning of the id. `device` is auto, cpu or cuda. Raises
    `UserError` for a run that isn't there, isn't completed, or has no model.

    >>> from persona_sweeps import load_predictor, load_runs
    >>> character = load_predictor(max(load_runs(), key=lambda run: run.number("training.steps")).folder)
    >>> character.name
    'Hamlet'
    >>> text = character.reply("Who's there?", max_new_tokens=8)
    >>> character.nll("Who's there?", "Nay, answer me.") > 0
    True
    """
    return predictors([read_run(run_folder(run, output_dir))], device_of(device))[0]


def predictors(runs: Sequence[FinishedRun], device: str) -> list[Predictor]:
    """Load runs that share a base model, each as a predictor. Raises `UserError` as `Host` does."""
    host = Host(runs, device)
    return [Predictor(host, index) for index in range(len(runs))]


@dataclass(frozen=True)
class _Asked:
    """Prompts as tokens, with their ids, and how their answers are decoded and where they end."""

    prompts: list[tuple[int, ...]]
    ids: list[str]
    config: Generation
    ending: Ending


class Predictor:
    """A run's adapter on its base model, or a reference that needs a model."""

    def __init__(self, host: Host, index: int = 0) -> None:
        """Speak for one run of a host, by its index."""
        self.host, self._index = host, index
        self.run = host.runs[index]
        self.folder, self.config = self.run.folder, self.run.config

    @property
    def name(self) -> str | None:
        """The character that it was trained on; None for several, or none."""
        return persona_of(self.config)

    def card(self, persona: str | None = None) -> str | None:
        """Return the persona card that stood before a character's lines in training; None if there was none.

        Raises UserError where the run's data aren't on this machine any more.
        """
        return card_of(self.config, persona)

    def reply(
        self,
        prompt: Prompt,
        *,
        system: str | None = None,
        seed: int | None = None,
        say: Say | None = None,
        **decoding: object,
    ) -> str:
        """Return the answer to a prompt; `say` is called with each piece of it as soon as it is there.

        `replies` says what the rest is.
        """
        asked = self._asked([prompt], system, decoding)
        stream = TextStream(asked.ending, say) if say is not None else None
        return self._generated(asked, seed, stream)[0]

    def replies(
        self, prompts: Sequence[Prompt], *, system: str | None = None, seed: int | None = None, **decoding: object
    ) -> list[str]:
        """Return the answer to each prompt; they are made side by side, and none depends on the others.

        A text, or messages without a system message, stand behind the character's card, as in training; `system` gives
        another one, and "" none. `decoding` are keys of `generation`, such as max_new_tokens; without any, the run's
        own decoding counts. `seed` is that of sampling: by default another one each time, where the run's decoding
        samples. Raises UserError for a prompt that leaves no room in train.max_length, and for an unknown key.
        """
        return self._generated(self._asked(prompts, system, decoding), seed)

    def _asked(self, prompts: Sequence[Prompt], system: str | None, decoding: Mapping[str, object]) -> _Asked:
        try:
            config = replace(self.config.generation, **decoding)
        except TypeError:
            known = ", ".join(key for key in vars(self.config.generation) if key != "method")
            raise UserError(f"{', '.join(decoding)}: generation={self.config.generation.method} has {known}.") from None
        prepared = self._prepared(self._examples(prompts, [""] * len(prompts), system))
        tokens = [tuple(row["input_ids"][: row["prompt_length"]]) for row in prepared.rows]
        return _Asked(tokens, list(prepared.rows["id"]), config, self.ending(config))

    def continuations(self, prompts: Sequence[Sequence[int]], most: int) -> list[str]:
        """Return the likeliest texts after prompts that are tokens already, each of at most so many tokens."""
        from persona_sweeps.prediction.greedy import Greedy

        config = Greedy("greedy", most, None, self.config.generation.stop)
        ids = [str(index) for index in range(len(prompts))]
        return self._generated(_Asked([tuple(one) for one in prompts], ids, config, self.ending(config)), 0)

    def encode(self, prompts: Sequence[Prompt], system: str | None = None) -> list[tuple[int, ...]]:
        """Return prompts as tokens, as `replies` reads them. Raises UserError as it does."""
        return self._asked(prompts, system, {}).prompts

    def request(self, prompt: tuple[int, ...], seed: int) -> GenerationRequest:
        """Return what asks the engine for an answer to a prompt that is tokens already."""
        from persona_sweeps.prediction.generation import requests

        return requests(self._index, [prompt], ["0"], seed)[0]

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of an answer's tokens, up to what ends it."""
        ending = self.ending(self.config.generation)
        end = next((at for at, token in enumerate(tokens) if token in ending.tokens), len(tokens))
        return ending.text(tokens[:end])

    def _generated(self, asked: _Asked, seed: int | None, stream: TextStream | None = None) -> list[str]:
        from persona_sweeps.prediction.generation import generate, no_watch, requests

        chosen = random.randrange(2**31) if seed is None else seed
        wanted = requests(self._index, asked.prompts, asked.ids, chosen)
        stop = sorted(asked.ending.tokens)
        found = generate(self.host.engine, wanted, asked.config, stop, self._decode, stream or no_watch)
        if stream is not None:
            stream.finish(found[0])
        return [asked.ending.text(tokens) for tokens in found]

    def nll(self, prompt: Prompt, completion: str, *, system: str | None = None) -> float:
        """Return the summed negative log-likelihood, in nats, of a completion with its end token."""
        return self.nlls([prompt], [completion], system=system)[0]

    def nlls(self, prompts: Sequence[Prompt], completions: Sequence[str], *, system: str | None = None) -> list[float]:
        """Return `nll` for each prompt with its completion, computed together."""
        from persona_sweeps.data.sequences import evaluation_sequences

        prepared = self._prepared(self._examples(prompts, completions, system))
        return self.sequence_nlls(evaluation_sequences(prepared.rows, prepared.windows))

    def sequence_nlls(self, sequences: Sequence[TokenSequence]) -> list[float]:
        """Return the summed negative log-likelihood, in nats, of each example that these sequences are of."""
        found = self.host.engine.sequence_nll({self._index: sequences})[self._index]
        return [float(value) for value in found]

    def held_out(self, most: int) -> list[TokenSequence]:
        """Return the first held-out items of the run's data as tokens. Raises UserError where the data aren't here."""
        from persona_sweeps.data.sequences import evaluation_sequences

        items = self._data.eval
        return evaluation_sequences(items.select(range(min(most, len(items)))), self._data.windows)

    def _examples(self, prompts: Sequence[Prompt], completions: Sequence[str], system: str | None) -> list[Example]:
        pairs = zip(prompts, completions, strict=True)
        return [
            Example(str(index), self._messages(prompt, system), completion, "", self.name)
            for index, (prompt, completion) in enumerate(pairs)
        ]

    def _messages(self, prompt: Prompt, system: str | None) -> str | tuple[Message, ...]:
        given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        try:
            messages = tuple(Message(message["role"], message["content"]) for message in given)
        except (KeyError, TypeError):
            raise UserError("A prompt is a text, or messages that each have a role and content.") from None
        if messages and messages[0].role == "system":
            return messages
        card = self.card() if system is None else system
        if card:
            return (Message("system", card), *messages)
        return prompt if isinstance(prompt, str) else messages

    def _prepared(self, examples: Sequence[Example]) -> PreparedPrompts:
        from persona_sweeps.data.prepare import prepare_prompts

        most = self.config.train.max_length
        try:
            prepared = prepare_prompts(self.config, examples, self.host.base.tokenizer, self._solved)
        except NoneFits as error:
            raise UserError(f"A prompt of {error.shortest} tokens: at most {most} can be read.") from None
        if prepared.dropped:
            count = sum(prepared.dropped.values())
            raise UserError(f"{count} of {len(examples)} prompts are too long: at most {most} tokens can be read.")
        return prepared

    @cached_property
    def _solved(self) -> Sequence[Example]:
        """The training examples that may stand before a prompt; none unless the predictor has shots."""
        if not self.config.peft.shots:
            return ()
        fitting = set(self._data.train["id"])
        return [example for example in corpus_of(self.config).train if example.id in fitting]

    @cached_property
    def _data(self) -> PreparedData:
        """The run's training and held-out data, read and tokenized."""
        from persona_sweeps.data.prepare import prepare
        from persona_sweeps.models.loading import tokenizer_fingerprint

        tokenizer = self.host.base.tokenizer
        return prepare(self.config, tokenizer, tokenizer_fingerprint(self.config.model, tokenizer))

    def renderer(self) -> Renderer:
        """Return what writes its prompts as text and as tokens."""
        from persona_sweeps.data.rendering import Renderer

        return Renderer(self.host.base.tokenizer, raw=self.config.dataset.template == "raw")

    def ending(self, config: Generation) -> Ending:
        """Return where the texts of a decoding end."""
        from persona_sweeps.prediction.ending import Ending

        return Ending(frozenset(self.renderer().stop_token_ids), tuple(config.stop), self._decode)

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self.host.base.tokenizer.decode(list(tokens), skip_special_tokens=True))
