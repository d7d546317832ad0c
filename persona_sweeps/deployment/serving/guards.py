"""What stands before the endpoints: the size of a request, its key, its status and time, and headers for browsers."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from persona_sweeps.deployment.serving.errors import ApiError
from persona_sweeps.deployment.serving.measures import Measures
from persona_sweeps.deployment.serving.settings import Settings

OPEN = ("/", "/health", "/assets/")
"""paths that need no key: the page itself has no answers in it"""
HEADERS = (
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)  # fmt: skip


class Guards:
    """Refuses what may not come in, and counts what goes out."""

    def __init__(self, app: ASGIApp, settings: Settings, measures: Measures) -> None:
        self._app, self._settings, self._measures = app, settings, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        try:
            self._require_key(scope)
            await self._app(scope, self._limited(scope, receive), send_on)
        except ApiError as error:
            await _refuse(error, send_on)
        finally:
            path = _counted(scope)
            self._measures.requests.labels(path, str(status)).inc()
            self._measures.seconds.labels(path).observe(time.monotonic() - begun)

    def _require_key(self, scope: Scope) -> None:
        path, key = scope["path"], self._settings.key
        if key is None or path in OPEN or path.startswith(OPEN[-1]):
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {key}".encode()):
            raise ApiError(
                401, "The key is missing or wrong: send it as `Authorization: Bearer KEY`.", "invalid_api_key"
            )

    def _limited(self, scope: Scope, receive: Receive) -> Callable[[], Awaitable[Message]]:
        most, read = self._settings.body_bytes, 0
        too_large = f"A request may have {most:,} bytes at most."
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            raise ApiError(413, too_large, "request_too_large")

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, too_large)  # what reads a body takes any other error for one in it
            return message

        return receive_some


async def _refuse(error: ApiError, send: Send) -> None:
    body = json.dumps(error.body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _counted(scope: Scope) -> str:
    """Return the path of the endpoint that was found; what nobody serves counts as one."""
    return getattr(scope.get("route"), "path", "other")
