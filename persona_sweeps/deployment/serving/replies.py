"""Answers as JSON: whole, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request

from persona_sweeps.deployment.serving.answering import Answer
from persona_sweeps.deployment.serving.errors import ApiError
from persona_sweeps.deployment.serving.protocol import CHAT, Shape

LOOKS = 0.5
"""seconds between looks at whether a client is still there"""
LEFT = 499
"""the status of a request whose client has left, which nobody reads (nginx)"""


async def whole(request: Request, answer: Answer, shape: Shape, seconds: float) -> list[dict[str, Any]]:
    """Return the choices when all have ended; a client that leaves gives them up."""
    texts, reasons = [""] * len(answer.jobs), [""] * len(answer.jobs)

    async def collect() -> None:
        async for piece in answer.stream(seconds):
            texts[piece.index] += piece.text
            reasons[piece.index] = piece.reason or ""

    collecting = asyncio.create_task(collect())
    try:
        while not (await asyncio.wait({collecting}, timeout=LOOKS))[0]:
            if await request.is_disconnected():
                raise ApiError(LEFT, "The client has left.")
        await collecting
    finally:
        collecting.cancel()
        answer.cancel()
    return [shape.choice(index, text, reasons[index]) for index, text in enumerate(texts)]


async def events(
    answer: Answer, head: dict[str, Any], shape: Shape, seconds: float, usage: bool, written: Callable[[int], None]
) -> AsyncIterator[str]:
    """Yield server-sent events: the pieces as they come, and an error where one ends the stream."""

    def event(**body: Any) -> str:
        return f"data: {json.dumps({**head, 'object': shape.streamed, **body}, ensure_ascii=False)}\n\n"

    try:
        if shape is CHAT:
            for index in range(len(answer.jobs)):
                yield event(choices=[shape.piece(index, "", first=True)])
        async for piece in answer.stream(seconds):
            yield event(choices=[shape.piece(piece.index, piece.text, piece.reason)])
        if usage:
            yield event(choices=[], usage=answer.usage)
        yield "data: [DONE]\n\n"
    except ApiError as error:
        yield f"data: {json.dumps(error.body)}\n\n"
    finally:
        answer.cancel()
        written(answer.completion_tokens)
