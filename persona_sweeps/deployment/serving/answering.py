"""Answers to requests: prompts as tokens, jobs for the worker, and pieces of text as they come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from persona_sweeps.data.rendering import Renderer
from persona_sweeps.deployment.conversation import Decoding
from persona_sweeps.deployment.serving.errors import ApiError
from persona_sweeps.deployment.serving.models import Offered
from persona_sweeps.deployment.serving.running_batch import GrowingText
from persona_sweeps.deployment.serving.worker import Job, QueueFull, Stopping, Worker
from persona_sweeps.deployment.streaming import TextStream
from persona_sweeps.errors import UserError
from persona_sweeps.prediction.decoding import Generation


@dataclass(frozen=True)
class Piece:
    """A piece of a text, or its end with the reason."""

    index: int
    text: str = ""
    reason: str | None = None


@dataclass
class Answer:
    """The texts that one request asked for, as they grow."""

    jobs: list[Job] = field(default_factory=list)
    prompt_tokens: int = 0
    pieces: asyncio.Queue[Piece | Exception] = field(default_factory=asyncio.Queue)

    @property
    def completion_tokens(self) -> int:
        return sum(len(job.text.tokens) for job in self.jobs)

    @property
    def usage(self) -> dict[str, int]:
        """Return how many tokens it took."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }

    def cancel(self) -> None:
        """Give up what hasn't ended."""
        for job in self.jobs:
            job.cancel()

    async def stream(self, seconds: float) -> AsyncIterator[Piece]:
        """Yield the pieces until all texts have ended. Raises `ApiError`, also when that takes longer than it may."""
        open_texts = len(self.jobs)
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while open_texts:
                left = deadline - asyncio.get_running_loop().time()
                try:
                    found = await asyncio.wait_for(self.pieces.get(), max(0.0, left))
                except TimeoutError:
                    raise ApiError(504, f"The answer took more than {seconds:g} seconds.", "timeout") from None
                if isinstance(found, Exception):
                    raise _as_api_error(found)
                open_texts -= found.reason is not None
                yield found
        finally:
            self.cancel()


def chat_prompt(model: Offered, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
    """Return messages as tokens, behind the persona card unless they bring a system message. Raises `ApiError`."""
    try:
        return model.predictor.encode([messages], system=model.card)[0]
    except UserError as error:
        raise ApiError(400, str(error), "context_length_exceeded", "messages") from None


def plain_prompt(model: Offered, text: str) -> tuple[int, ...]:
    """Return a text as tokens, without any template. Raises `ApiError` if it is too long."""
    tokens = tuple(Renderer(model.predictor.host.base.tokenizer, raw=True).prompt_ids(text))
    most = model.predictor.config.train.max_length
    if not 0 < len(tokens) <= most:
        raise ApiError(
            400, f"A prompt of {len(tokens)} tokens: from 1 to {most} can be read.", "context_length_exceeded"
        )
    return tokens


def ask(
    worker: Worker,
    model: Offered,
    prompts: Sequence[tuple[int, ...]],
    decoding: Decoding,
    stops: Sequence[str],
    seed: int | None,
    each: int = 1,
) -> Answer:
    """Queue `each` texts for every prompt. Must be called in the event loop's thread. Raises `ApiError`."""
    answer = Answer(prompt_tokens=sum(len(prompt) for prompt in prompts))
    first = random.randrange(2**31) if seed is None else seed
    config = model.predictor.config
    try:
        generation = decoding.generation(config)
    except UserError as error:
        raise ApiError(400, str(error), "invalid_value") from None
    generation = replace(generation, stop=[*config.generation.stop, *stops])
    for prompt in prompts:
        for one in range(each):
            answer.jobs.append(_job(answer, len(answer.jobs), model, prompt, generation, first + one))
    try:
        worker.submit(*answer.jobs)
    except QueueFull:
        raise ApiError(429, "Too many requests wait already: try again in a moment.", "queue_full") from None
    except Stopping as error:
        raise _as_api_error(error) from None
    return answer


def _job(answer: Answer, index: int, model: Offered, prompt: tuple[int, ...], generation: Generation, seed: int) -> Job:
    """Return the job of one text, which puts its pieces into the answer's queue from the worker's thread."""
    loop, predictor = asyncio.get_running_loop(), model.predictor
    ending = predictor.ending(generation)

    def put(piece: Piece | Exception) -> None:
        loop.call_soon_threadsafe(answer.pieces.put_nowait, piece)

    stream = TextStream(ending, lambda text: put(Piece(index, text)))
    text = GrowingText(predictor.request(prompt, seed), generation, ending, lambda tokens: stream(0, tokens))

    def ended(error: Exception | None) -> None:
        if error is None and text.finish_reason is not None:
            stream.finish(text.tokens)
        put(error or Piece(index, "", text.finish_reason or "stop"))

    return Job(text, ended)


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, Stopping):
        return ApiError(503, "The server is being stopped.", "stopping")
    return ApiError(500, f"Answering failed: {type(error).__name__}. The server's log says more.", "internal_error")
