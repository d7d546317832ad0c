"""Render examples as token ids: the prompt in the model's template, then the completion and its end token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.templates import RawTemplate, template_of
from persona_sweeps.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOSS_ON = ("completion", "all_tokens")


@dataclass(frozen=True, slots=True)
class RenderedExample:
    """One example as tokens: `input_ids` = prompt, completion, end token.

    The first `prompt_length` tokens are the prompt with its generation prompt. Labels are the tokens from index
    `loss_from` on (never index 0, which nothing predicts). `completion_bytes` counts the completion's UTF-8 bytes,
    for bits a byte.
    """

    id: str
    cluster: str
    persona: str | None
    prompt: str
    completion: str
    input_ids: list[int]
    prompt_length: int
    loss_from: int
    completion_bytes: int
    dialogue: str | None = None


class Renderer:
    """Renders examples for one tokenizer.

    A prompt that is text becomes one user message if the tokenizer has a chat template; otherwise it stays unchanged,
    and the completion follows directly. `raw` ignores the chat template, and puts a line break after the prompt. The
    completion is tokenized separately, and so is each answer in the prompt: exactly the same tokens precede it in
    training and in generation, and the turns of a dialogue begin with the same tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, raw: bool = False) -> None:
        self._tokenizer = tokenizer
        self._template = RawTemplate() if raw else template_of(tokenizer)
        self._plain_bos = self._bos_tokens()
        self._bos = self._plain_bos if self._template.begins_plain else []  # chat templates write their own
        self.end_token_id = self._end_token()
        self.template_fingerprint: str = self._template.fingerprint
        """SHA-256 (hex) of the template's text, or of the plain template's version."""

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer: the template's end token, and the tokenizer's end of sequence."""
        eos = self._tokenizer.eos_token_id
        return tuple(dict.fromkeys([self.end_token_id, *([eos] if isinstance(eos, int) else [])]))

    def prompt_text(self, prompt: str | Sequence[Message], shots: Sequence[Example] = ()) -> str:
        """Return a prompt as text, up to the start of the completion, with solved examples before it."""
        if isinstance(prompt, str) and self._template.begins_plain:
            solved_before = (f"{self.prompt_text(s.prompt)}{s.completion}\n\n" for s in shots)
            return "".join([*solved_before, self._template.text(prompt)])
        if not shots:
            return self._template.prompt(_messages(prompt))
        solved = [(_messages(shot.prompt), shot.completion) for shot in shots]
        return self._template.few_shot(solved, _messages(prompt))

    def prompt_ids(self, text: str) -> list[int]:
        """Return the tokens of a prompt's text, with the tokenizer's bos token if the template is plain."""
        return self._bos + self._encode([text])[0]

    def render(
        self,
        examples: Sequence[Example],
        loss_on: str = "completion",
        shots: Mapping[str | None, Sequence[Example]] | None = None,
        continued: bool = False,
    ) -> list[RenderedExample]:
        """Render examples in their order; `shots` are solved examples to put before the prompts, by persona.

        A whole text has an empty prompt, and no template. With `continued`, prompts are beginnings of such texts, which
        the completion goes on from: they have none either.

        Raises `ConfigError` for an unknown `loss_on`, `DataError` if the template refuses an example's messages.
        """
        if loss_on not in LOSS_ON:
            hint = did_you_mean(loss_on, LOSS_ON)
            raise ConfigError(f"dataset.loss_on={loss_on} is none of {', '.join(LOSS_ON)}.{hint}")
        bare = [continued or not example.prompt for example in examples]
        prompts = [
            example.prompt_text if plain else self._prompt_of(example, (shots or {}).get(example.persona, ()))
            for example, plain in zip(examples, bare, strict=True)
        ]
        prompt_ids = self._prompt_ids(examples, prompts)
        completion_ids = self._encode([example.completion for example in examples])
        rendered = []
        rows = zip(examples, bare, prompts, prompt_ids, completion_ids, strict=True)
        for example, plain, prompt, before, after in rows:
            bos = self._plain_bos if plain else self._bos
            prompt_length = len(bos) + len(before)
            rendered.append(
                RenderedExample(
                    id=example.id,
                    cluster=example.cluster,
                    persona=example.persona,
                    prompt=prompt,
                    completion=example.completion,
                    input_ids=[*bos, *before, *after, self.end_token_id],
                    prompt_length=prompt_length,
                    loss_from=max(1, prompt_length if loss_on == "completion" else 1),
                    completion_bytes=len(example.completion.encode()),
                    dialogue=example.dialogue,
                )
            )
        return rendered

    def cut(self, example: RenderedExample, length: int) -> RenderedExample:
        """Return an example without the tokens from `length` on; its completion is what the rest says."""
        ids = example.input_ids[:length]
        completion = str(self._tokenizer.decode(ids[example.prompt_length :], skip_special_tokens=True))
        return replace(example, input_ids=ids, completion=completion, completion_bytes=len(completion.encode()))

    def _prompt_ids(self, examples: Sequence[Example], prompts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each prompt; all pieces of all prompts are tokenized in one call, which is faster."""
        pieces = [self._pieces(example.prompt, text) for example, text in zip(examples, prompts, strict=True)]
        encoded = iter(self._encode([piece for of_prompt in pieces for piece in of_prompt]))
        return [[token for _ in of_prompt for token in next(encoded)] for of_prompt in pieces]

    def _pieces(self, prompt: str | Sequence[Message], text: str) -> list[str]:
        """Divide a prompt's text at the answers in it, where its template writes them as they are.

        An answer in a prompt then has the tokens that it had as a completion.
        """
        if isinstance(prompt, str):
            return [text]
        pieces, begin = [], 0
        for index, message in enumerate(prompt):
            if message.role != "assistant":
                continue
            before = self.prompt_text(prompt[:index])
            if len(before) < begin or not text.startswith(before + message.content):
                return [text]
            pieces += [text[begin : len(before)], message.content]
            begin = len(before) + len(message.content)
        return [piece for piece in [*pieces, text[begin:]] if piece]

    def _prompt_of(self, example: Example, shots: Sequence[Example]) -> str:
        try:
            return self.prompt_text(example.prompt, shots)
        except DataError as error:
            raise DataError(f"Example {example.id}: {error}") from None

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def _bos_tokens(self) -> list[int]:
        """Return the tokens that this tokenizer puts before plain text."""
        bos = self._tokenizer.bos_token_id
        if bos is None:
            return []
        return [bos] if self._tokenizer("a")["input_ids"][:1] == [bos] else []

    def _end_token(self) -> int:
        """Return the first special token that the template writes after an answer, else the end of sequence."""
        ending = self._encode([self._template.ending()])[0]
        special = set(self._tokenizer.added_tokens_decoder) | set(self._tokenizer.all_special_ids)
        end = next((token for token in ending if token in special), self._tokenizer.eos_token_id)
        if end is None and not ending:
            raise DataError("The tokenizer has neither an end-of-sequence token nor a chat template that ends answers.")
        return int(end if end is not None else ending[0])


def _messages(prompt: str | Sequence[Message]) -> Sequence[Message]:
    return [Message("user", prompt)] if isinstance(prompt, str) else prompt
