"""Find out whether W&B can go online, without a prompt, and before any run waits for it."""

from __future__ import annotations

import logging
import os
import socket
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

_log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0

_given_up: list[str] = []


def choose_mode(configured: str | None) -> str:
    """Return the W&B mode for a run: that of the config, else of the environment (`WANDB_MODE`), else online.

    Without an API key (W&B would wait for one) or without a connection, online becomes offline, with one warning a
    process. Raises W&B's `AuthenticationError` for a malformed key.
    """
    mode = configured or os.environ.get("WANDB_MODE") or "online"
    if mode != "online":
        return mode
    reason = _given_up[0] if _given_up else _why_not_online()
    if reason is None:
        return mode
    _warn_once(f"W&B: {reason}, so runs are kept offline; `wandb sync <run folder>/wandb/offline-run-*` uploads them.")
    return "offline"


def give_up(reason: str) -> None:
    """Keep all later runs of this process offline, so that they don't wait for the same failure."""
    _given_up.append(reason)


@cache
def _why_not_online() -> str | None:
    import wandb

    settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
    if not wandb.login(prompt=False, verify=False):
        return "no API key is configured (`wandb login` or WANDB_API_KEY)"
    if not _reachable(settings.base_url):
        return f"no connection to {settings.base_url}"
    return None


def _reachable(base_url: str) -> bool:
    """Return whether the server accepts connections; True behind a proxy, where only W&B itself can find out."""
    if getproxies():
        return True
    url = urlsplit(base_url)
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection((url.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@cache
def _warn_once(message: str) -> None:
    _log.warning(message)
