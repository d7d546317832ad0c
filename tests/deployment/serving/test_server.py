"""The server: the official client gets from each model what that says alone, and a bad client harms no other."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import openai
import pytest

from persona_sweeps.deployment.serving.models import Models, load_models
from persona_sweeps.deployment.serving.settings import Settings
from persona_sweeps.errors import UserError

from ..conftest import Finished
from .conftest import MOST, Server, running

pytestmark = pytest.mark.slow

MESSAGES = [f"{line} ({n})" for n in range(4) for line in ("Who's there?", "Speak to me.", "What hour now?")]
REQUESTS, AT_A_TIME = 200, 16
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def server(models: Models, alone: Callable[[str, str], str]) -> Iterator[Server]:
    for model in models.offered:
        for message in MESSAGES:
            alone(model.name, message)
    with running(models, Settings(port=0, side_by_side=8, max_tokens=MOST, body_bytes=60_000)) as started:
        yield started


def ask(server: Server, **body: object) -> httpx.Response:
    asked = {"model": "base", "messages": [{"role": "user", "content": "x"}], "temperature": 0, **body}
    return httpx.post(f"{server.address}/v1/chat/completions", json=asked, timeout=60)


def in_a_thread(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a loop of its own; a browser's may be running in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def test_the_official_client_gets_from_each_model_what_it_says_alone(
    server: Server, models: Models, alone: Callable[[str, str], str]
) -> None:
    names = [model.name for model in models.offered]
    assert len(names) == 4 and len({alone(name, MESSAGES[0]) for name in names}) > 1

    async def one(client: openai.AsyncOpenAI, gate: asyncio.Semaphore, number: int) -> tuple[str, str, str]:
        name, message = names[number % len(names)], MESSAGES[number % len(MESSAGES)]
        async with gate:
            asked = {"model": name, "messages": [{"role": "user", "content": message}], "temperature": 0}
            if number % 2:
                whole = await client.chat.completions.create(**asked)
                return name, message, whole.choices[0].message.content or ""
            stream = await client.chat.completions.create(**asked, stream=True)
            return name, message, "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def everything() -> list[tuple[str, str, str]]:
        async with openai.AsyncOpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as client:
            gate = asyncio.Semaphore(AT_A_TIME)
            return await asyncio.gather(*(one(client, gate, number) for number in range(REQUESTS)))

    answers = in_a_thread(everything())
    assert len(answers) == REQUESTS
    assert [text for _, _, text in answers] == [alone(name, message) for name, message, _ in answers]
    health = httpx.get(f"{server.address}/health").json()
    assert health == {"status": "ok", "models": 4, "running": 0, "queued": 0}


def test_its_lists_usage_and_seeds_are_those_of_the_api(server: Server, models: Models) -> None:
    client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == [model.name for model in models.offered]
    first = models.offered[0]
    assert client.models.retrieve(first.name).model_extra["persona_card"] == first.card  # type: ignore[index]
    by_id = client.completions.create(model=str(first.run_id), prompt=["Who", "What hour"], max_tokens=5, n=2, seed=3)
    assert [choice.index for choice in by_id.choices] == [0, 1, 2, 3] and by_id.usage is not None
    assert 0 < by_id.usage.completion_tokens <= 20
    again = client.completions.create(model=first.name, prompt=["Who", "What hour"], max_tokens=5, n=2, seed=3)
    assert [choice.text for choice in again.choices] == [choice.text for choice in by_id.choices]
    stopping = [{"role": "user", "content": "x"}]
    whole = client.chat.completions.create(model="base", messages=stopping, temperature=0).choices[0].message.content  # type: ignore[arg-type]
    assert whole and len(whole) > 6
    cut = client.chat.completions.create(model="base", messages=stopping, temperature=0, stop=whole[3:6])  # type: ignore[arg-type]
    assert cut.choices[0].message.content == whole[: whole.find(whole[3:6])].strip()
    assert cut.choices[0].finish_reason == "stop"
    stream = client.chat.completions.create(
        model="base",
        messages=stopping,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},  # type: ignore[arg-type]
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole
    assert chunks[-1].usage is not None and chunks[-2].choices[0].finish_reason in ("stop", "length")


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"model": "bse"}, 404, "Did you mean base"),
        ({"messages": []}, 400, "messages: "),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "role=tool is none of"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "Only text"),
        ({"messages": [{"role": "user", "content": "a " * 20_000}]}, 400, "tokens: at most 8168 can be read"),
        ({"messages": [{"role": "user", "content": "x" * 70_000}]}, 413, "60,000 bytes"),
        ({"max_tokens": MOST + 1}, 400, f"more than this server's {MOST}"),
        ({"max_tokens": 0}, 400, "max_tokens: "),
        ({"n": 17}, 400, "n: "),
        ({"temperature": -1}, 400, "temperature: "),
        ({"stop": [""]}, 400, "stop takes up to"),
        ({"tools": [{"type": "function"}]}, 400, "tools isn't heeded"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty isn't heeded"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format can only be text"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    server: Server, body: dict[str, object], status: int, why: str
) -> None:
    response = ask(server, **body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert re.search(why, error["message"]) and set(error) == {"message", "type", "param", "code"}


def test_bytes_that_are_no_request_are_refused(server: Server) -> None:
    path = f"{server.address}/v1/chat/completions"
    json_type = {"content-type": "application/json"}
    assert httpx.post(path, content=b"{", headers=json_type).status_code == 400
    assert httpx.post(path, content=b"\xff" * 50, headers=json_type).status_code == 400
    assert httpx.get(f"{server.address}/v1/nothing").json()["error"]["message"].startswith("GET /v1/nothing")
    assert httpx.get(path).status_code == 405
    endless = httpx.post(path, content=iter([b" " * 1000] * 100), headers=json_type)  # no length declared
    assert endless.status_code == 413 and "bytes" in endless.json()["error"]["message"]
    assert httpx.get(f"{server.address}/health", headers={"host": "elsewhere.example"}).status_code == 400


def test_clients_that_leave_give_up_their_texts_and_harm_no_other(
    server: Server, alone: Callable[[str, str], str]
) -> None:
    async def leave(client: httpx.AsyncClient, stream: bool) -> None:
        body = {"model": "base", "messages": [{"role": "user", "content": "x"}], "n": 8, "stream": stream}
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if stream:
                async for _ in response.aiter_bytes():
                    return

    async def stay(client: httpx.AsyncClient, message: str) -> str:
        body = {"model": "base", "messages": [{"role": "user", "content": message}], "temperature": 0}
        found = (await client.post("/v1/chat/completions", json=body)).json()
        return str(found["choices"][0]["message"]["content"])

    async def everything() -> list[str]:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            impatient = [asyncio.create_task(leave(client, True)) for _ in range(4)]
            leaving = asyncio.create_task(leave(client, False))
            answers = asyncio.gather(*(stay(client, message) for message in MESSAGES))
            await asyncio.sleep(0.05)
            leaving.cancel()
            await asyncio.gather(*impatient)
            return await answers

    assert in_a_thread(everything()) == [alone("base", message) for message in MESSAGES]
    deadline = time.monotonic() + 30
    while (busy := httpx.get(f"{server.address}/health").json())["running"] + busy["queued"]:
        assert time.monotonic() < deadline, busy
        time.sleep(0.05)


def test_a_server_with_a_key_answers_those_who_have_it(models: Models) -> None:
    with running(models, Settings(port=0, key="secret", max_tokens=MOST)) as server:
        for key, status in (("secret", 200), ("wrong", 401), ("", 401)):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            assert httpx.get(f"{server.address}/v1/models", headers=headers).status_code == status
            assert httpx.get(f"{server.address}/metrics", headers=headers).status_code == status
        assert httpx.get(f"{server.address}/health").status_code == 200
        assert httpx.get(server.address).status_code == 200
        with pytest.raises(openai.AuthenticationError, match="missing or wrong"):
            openai.OpenAI(base_url=f"{server.address}/v1", api_key="wrong").models.list()


def test_a_full_queue_and_a_time_that_is_over_are_said(models: Models) -> None:
    with running(models, Settings(port=0, side_by_side=1, waiting=2, max_tokens=MOST)) as server:
        refused = ask(server, n=4)
        assert refused.status_code == 429 and "wait already" in refused.json()["error"]["message"]
        assert ask(server, n=3).status_code == 200
    with running(models, Settings(port=0, seconds=1e-4, max_tokens=MOST)) as server:
        late = ask(server)
        assert late.status_code == 504 and "more than 0.0001 seconds" in late.json()["error"]["message"]
        assert "Answer" not in late.text


def test_what_happens_is_measured(server: Server) -> None:
    before = httpx.get(f"{server.address}/metrics").text
    assert ask(server).status_code == 200
    after = httpx.get(f"{server.address}/metrics").text
    count = 'persona_sweeps_requests_total{path="/v1/chat/completions",status="200"}'

    def number(text: str) -> float:
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(count)), 0.0)

    assert number(after) == number(before) + 1
    assert 'persona_sweeps_tokens_total{kind="written",model="base"}' in after


def test_a_run_that_trained_all_weights_is_served_alone(finished: Finished) -> None:
    run = finished.run("full")
    models = load_models([run], "cpu", MOST)
    assert [model.name for model in models.offered] == [run.name]
    with running(models, Settings(port=0, max_tokens=MOST)) as server:
        assert ask(server, model=run.name).status_code == 200
        assert "There is no model 'base' here" in ask(server).json()["error"]["message"]
    with pytest.raises(UserError, match="load it alone"):
        load_models([run, finished.run("lora")], "cpu", MOST)
