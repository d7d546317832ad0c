"""Load what a run trained, and let it answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from omegaconf import OmegaConf

from persona_sweeps.api.sweeps import OUTPUT_DIR
from persona_sweeps.cli.analysis_package import analysis_module
from persona_sweeps.config.schema import DeviceKind, Precision, RunConfig, typed
from persona_sweeps.data import corpus_of
from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.templates import split_system
from persona_sweeps.device import resolve_device
from persona_sweeps.errors import UserError, did_you_mean
from persona_sweeps.records.folders import HYDRA_FILES, RunFolder
from persona_sweeps.records.run import has_trained, read_record

if TYPE_CHECKING:
    from persona_sweeps.data.prepare import PreparedPrompts
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine

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
    folder = _folder(run, Path(output_dir))
    record = read_record(folder)
    if record is None or record["status"] != "completed" or not has_trained(folder, record):
        state = "has no record" if record is None else f"is {record['status']}"
        raise UserError(f"The run {folder.path} {state}, with nothing to load: the same command trains it.")
    path = folder.hydra / HYDRA_FILES[0]
    if not path.is_file():
        raise UserError(f"{path} is missing, which says how the run was configured.")
    config = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.load(path))
    return Predictor(folder, typed(config), resolve_device(_device(device)))  # type: ignore[arg-type]


class Predictor:
    """A run's adapter on its base model, or a reference that needs a model."""

    def __init__(self, folder: RunFolder, config: RunConfig, device: str) -> None:
        """Load the base model and the adapter. Raises UserError where the run answers without a model."""
        import torch

        from persona_sweeps.methods.stack import AdapterStack
        from persona_sweeps.models.loading import load_base
        from persona_sweeps.training.engine import Engine
        from persona_sweeps.training.limits import limits_for

        if not config.peft.has_model:
            raise UserError(
                f"peft={config.peft.method} answers without a model: its texts are in {folder.predictions}."
            )
        self.folder, self.config = folder, config
        dtype = torch.bfloat16 if config.train.precision is Precision.bf16 else torch.float32
        self._base: BaseModel = load_base(config.model, dtype, device, config.quantization)
        adapter = config.peft.load(self._base.model, folder.path)
        stack = AdapterStack(self._base.model, [adapter])
        stack.__enter__()  # for as long as this object lives: nobody else has the model
        self._engine: Engine = Engine(self._base.model, stack, [], limits_for(config, device))

    @property
    def name(self) -> str | None:
        """The character that it was trained on; None for several, or none."""
        persona = getattr(self.config.dataset, "persona", None)
        return persona if isinstance(persona, str) else None

    def card(self, persona: str | None = None) -> str | None:
        """Return the persona card that stood before a character's lines in training; None if there was none.

        Raises UserError where the run's data aren't on this machine any more.
        """
        wanted = (persona or self.name or "").casefold()
        for example in corpus_of(self.config).train:
            if not wanted or (example.persona or "").casefold() == wanted:
                system, _ = split_system(example.prompt if not isinstance(example.prompt, str) else ())
                return system[0].content if system else None
        return None

    def reply(self, prompt: Prompt, *, system: str | None = None, seed: int | None = None, **decoding: object) -> str:
        """Return the answer to a prompt; `replies` says what the rest is."""
        return self.replies([prompt], system=system, seed=seed, **decoding)[0]

    def replies(
        self, prompts: Sequence[Prompt], *, system: str | None = None, seed: int | None = None, **decoding: object
    ) -> list[str]:
        """Return the answer to each prompt; they are made side by side, and none depends on the others.

        A text, or messages without a system message, stand behind the character's card, as in training; `system` gives
        another one, and "" none. `decoding` are keys of `generation`, such as max_new_tokens; without any, the run's
        own decoding counts. `seed` is that of sampling: by default another one each time, where the run's decoding
        samples. Raises UserError for a prompt that leaves no room in train.max_length, and for an unknown key.
        """
        from persona_sweeps.prediction.ending import Ending
        from persona_sweeps.prediction.generation import generate, requests

        try:
            config = replace(self.config.generation, **decoding)
        except TypeError:
            known = ", ".join(key for key in vars(self.config.generation) if key != "method")
            raise UserError(f"{', '.join(decoding)}: generation={self.config.generation.method} has {known}.") from None
        examples = self._examples(prompts, [""] * len(prompts), system)
        prepared = self._prepared(examples)
        tokens = [tuple(row["input_ids"][: row["prompt_length"]]) for row in prepared.rows]
        stream = random.randrange(2**31) if seed is None else seed
        asked = requests(0, tokens, [example.id for example in examples], stream)
        stop = self._stop_token_ids()
        ending = Ending(frozenset(stop), tuple(config.stop), self._decode)
        return [ending.text(found) for found in generate(self._engine, asked, config, stop, self._decode)]

    def nll(self, prompt: Prompt, completion: str, *, system: str | None = None) -> float:
        """Return the summed negative log-likelihood, in nats, of a completion with its end token."""
        return self.nlls([prompt], [completion], system=system)[0]

    def nlls(self, prompts: Sequence[Prompt], completions: Sequence[str], *, system: str | None = None) -> list[float]:
        """Return `nll` for each prompt with its completion, computed together."""
        from persona_sweeps.data.sequences import evaluation_sequences

        prepared = self._prepared(self._examples(prompts, completions, system))
        sequences = evaluation_sequences(prepared.rows, prepared.windows)
        return [float(value) for value in self._engine.sequence_nll({0: sequences})[0]]

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

        prepared = prepare_prompts(self.config, examples, self._base.tokenizer, self._solved)
        if prepared.dropped:
            raise UserError(
                f"{sum(prepared.dropped.values())} of {len(examples)} prompts leave no room in "
                f"train.max_length={self.config.train.max_length}: make them shorter."
            )
        return prepared

    @cached_property
    def _solved(self) -> Sequence[Example]:
        """The training examples that may stand before a prompt; none unless the predictor has shots."""
        from persona_sweeps.data.prepare import prepare
        from persona_sweeps.models.loading import tokenizer_fingerprint

        if not self.config.peft.shots:
            return ()
        tokenizer = self._base.tokenizer
        prepared = prepare(self.config, tokenizer, tokenizer_fingerprint(self.config.model, tokenizer))
        fitting = set(prepared.train["id"])
        return [example for example in corpus_of(self.config).train if example.id in fitting]

    def _stop_token_ids(self) -> tuple[int, ...]:
        from persona_sweeps.data.rendering import Renderer

        return Renderer(self._base.tokenizer, raw=self.config.dataset.template == "raw").stop_token_ids

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._base.tokenizer.decode(list(tokens), skip_special_tokens=True))


def _device(name: str) -> DeviceKind:
    known = [kind.value for kind in DeviceKind]
    if name not in known:
        raise UserError(f"device={name} is none of {', '.join(known)}.{did_you_mean(name, known)}")
    return DeviceKind(name)


def _folder(run: str | Path, output_dir: Path) -> RunFolder:
    """Return the folder that a name, an id, the beginning of one, or a path means. Raises UserError."""
    if Path(run).is_dir():
        return RunFolder(Path(run))
    read = analysis_module("read.selection").read_all(output_dir)
    found = analysis_module("read.find").find(str(run), read.runs(), "run")
    return RunFolder(found.folder)
