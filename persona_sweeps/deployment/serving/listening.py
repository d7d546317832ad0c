"""Run the server on an address until it is asked to stop."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import replace

import uvicorn

from persona_sweeps.deployment.serving.app import create_app
from persona_sweeps.deployment.serving.models import Models
from persona_sweeps.deployment.serving.settings import Settings
from persona_sweeps.errors import UserError

BACKLOG = 2048
"""most connections that wait to be taken"""
GRACE = 30
"""seconds that answers under way have to end in, once the server is asked to stop"""


def with_key(settings: Settings) -> Settings:
    """Return the settings with a key made here if others can reach the server and none was given."""
    if settings.key is not None or settings.is_local:
        return settings
    return replace(settings, key=secrets.token_urlsafe(24))


def listen(settings: Settings) -> socket.socket:
    """Return a socket on the address. Raises `UserError` if it can't be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((settings.host, settings.port))
        opened.listen(BACKLOG)  # whoever connects before the server runs waits for it
    except (OSError, OverflowError) as error:
        opened.close()
        why = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise UserError(f"{settings.host}:{settings.port} can't be listened on: {why}. Take another --port.") from None
    return opened


def serve(models: Models, settings: Settings, opened: socket.socket, ready: Callable[[str], None]) -> None:
    """Answer until Ctrl-C or SIGTERM, then let answers under way end; `ready` is called with the address at first."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        create_app(models, settings), log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE
    )
    ready(f"http://{host}:{opened.getsockname()[1]}")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn stops, and then sends it once more
    try:
        with opened, contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[opened])
    finally:
        signal.signal(signal.SIGTERM, before)
