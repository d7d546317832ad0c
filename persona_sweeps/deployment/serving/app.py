"""The server's endpoints: those of the OpenAI API, its health and measures, and the page to talk on."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

import persona_sweeps
from persona_sweeps.deployment.serving.answering import ask, chat_prompt, plain_prompt
from persona_sweeps.deployment.serving.errors import ApiError, answer_errors
from persona_sweeps.deployment.serving.guards import Guards
from persona_sweeps.deployment.serving.measures import Measures
from persona_sweeps.deployment.serving.models import Models, Offered
from persona_sweeps.deployment.serving.protocol import CHAT, COMPLETION, ChatRequest, CompletionRequest, Shape
from persona_sweeps.deployment.serving.replies import events, whole
from persona_sweeps.deployment.serving.settings import LOOPBACK, Settings
from persona_sweeps.deployment.serving.votes import Vote, Votes
from persona_sweeps.deployment.serving.worker import Worker

ASSETS = {"page.js": "text/javascript", "page.css": "text/css"}
Result = TypeVar("Result")


def create_app(models: Models, settings: Settings) -> FastAPI:
    """Return the server for models that share a base; it answers in a thread that starts and ends with it."""
    endpoints = Endpoints(models, settings)
    app = FastAPI(
        title="persona-sweeps",
        version=persona_sweeps.__version__,
        lifespan=endpoints.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guards, settings=settings, measures=endpoints.measures)
    if settings.is_local:  # a page elsewhere could reach it under a name of its own
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    answer_errors(app)
    app.post("/v1/chat/completions")(endpoints.chat)
    app.post("/v1/completions")(endpoints.complete)
    app.get("/v1/models")(endpoints.listing)
    app.get("/v1/models/{name}")(endpoints.model)
    app.post("/votes")(endpoints.vote)
    app.get("/health")(endpoints.health)
    app.get("/metrics")(endpoints.metrics)
    app.get("/")(endpoints.page)
    app.get("/assets/{name}")(endpoints.asset)
    return app


class Endpoints:
    """What each path does, with the worker whose texts it waits for."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models, self._settings = models, settings
        self._worker = Worker(models.offered[0].predictor.host.engine, settings.side_by_side, settings.waiting)
        self.measures = Measures(self._worker)
        self._votes = Votes(settings.votes) if settings.votes is not None else None
        self._reading = ThreadPoolExecutor(1, "prompts")  # a tokenizer serves one thread at a time

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Answer from the start of the server to its end."""
        self._worker.start()
        yield
        self._worker.stop()
        self._reading.shutdown()

    async def chat(self, request: Request, asked: ChatRequest) -> Response:
        """Answer chat messages as a run, behind its persona card unless they begin with a system message."""
        model = self._models.find(asked.model)
        messages = asked.conversation()
        prompt = await self._read(lambda: chat_prompt(model, messages))
        return await self._reply(request, asked, CHAT, [prompt], model)

    async def complete(self, request: Request, asked: CompletionRequest) -> Response:
        """Go on with texts, without a chat template."""
        model = self._models.find(asked.model)
        texts = asked.prompts()
        prompts = await self._read(lambda: [plain_prompt(model, text) for text in texts])
        return await self._reply(request, asked, COMPLETION, prompts, model)

    async def listing(self) -> dict[str, Any]:
        """List the runs, and the base, and whether votes are taken."""
        listed = [model.listing() for model in self._models.offered]
        return {"object": "list", "data": listed, "votes": self._votes is not None}

    async def model(self, name: str) -> dict[str, Any]:
        """Return one of them, with its persona card."""
        found = self._models.find(name)
        return {**found.listing(), "persona_card": await self._read(lambda: found.card)}

    async def vote(self, vote: Vote) -> dict[str, int]:
        """Record which of two answers someone preferred."""
        votes = self._votes
        if votes is None:
            raise ApiError(404, "No votes are taken here: serve with --votes FOLDER.")
        names = {model.name for model in self._models.offered}
        return {"votes": await self._read(lambda: votes.add(vote, names))}

    async def health(self) -> dict[str, Any]:
        """Say that it answers, and how busy it is."""
        busy = {"running": self._worker.running, "queued": self._worker.queued}
        return {"status": "ok", "models": len(self._models.offered), **busy}

    async def metrics(self) -> Response:
        """Return the measures for Prometheus."""
        return Response(self.measures.text(), media_type="text/plain; version=0.0.4")

    async def page(self) -> Response:
        """Return the page to talk on."""
        return Response(_asset("page.html"), media_type="text/html; charset=utf-8")

    async def asset(self, name: str) -> Response:
        """Return the page's script or style."""
        if name not in ASSETS:
            raise ApiError(404, f"There is no {name}.")
        return Response(_asset(name), media_type=f"{ASSETS[name]}; charset=utf-8")

    async def _read(self, work: Callable[[], Result]) -> Result:
        """Do what needs the tokenizer or the data, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    async def _reply(
        self,
        request: Request,
        asked: ChatRequest | CompletionRequest,
        shape: Shape,
        prompts: Sequence[tuple[int, ...]],
        model: Offered,
    ) -> Response:
        """Answer with the texts after these prompts, whole or as they come."""
        decoding, seconds = asked.decoding(self._settings.max_tokens), self._settings.seconds
        answer = ask(self._worker, model, prompts, decoding, asked.stops(), asked.seed, asked.n)
        self.measures.tokens.labels(model.name, "read").inc(answer.prompt_tokens)
        written = self.measures.tokens.labels(model.name, "written").inc
        head = {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model.name}
        if asked.stream:
            coming = events(answer, head, shape, seconds, asked.wants_usage, written)
            return StreamingResponse(coming, media_type="text/event-stream", headers={"cache-control": "no-store"})
        choices = await whole(request, answer, shape, seconds)
        written(answer.completion_tokens)
        return JSONResponse({**head, "object": shape.kind, "choices": choices, "usage": answer.usage})


def _asset(name: str) -> bytes:
    return (files(__package__) / "assets" / name).read_bytes()
