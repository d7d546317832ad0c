"""Find out whether W&B can go online, without a prompt, and before any run waits for it."""

from __future__ import annotations

import os
import socket
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

CONNECT_SECONDS = 5.0


def choose_mode(configured: str | None) -> tuple[str, str]:
    """Return the W&B mode for a sweep, and why it isn't online although it was to be (else "").

    The mode is that of the config, else of the environment (`WANDB_MODE`), else online. Without an API key (W&B would
    wait for one) or without a connection, online becomes offline. Raises W&B's `AuthenticationError` for a malformed
    key.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # what there is to say of it, this project says
    mode = configured or os.environ.get("WANDB_MODE") or "online"
    reason = _why_not_online() if mode == "online" else None
    return ("offline", reason) if reason is not None else (mode, "")


@cache
def _why_not_online() -> str | None:
    import wandb

    if not wandb.login(prompt=False, verify=False):
        return "no API key is configured (`wandb login` or WANDB_API_KEY)"
    if not _reachable(address := base_url()):
        return f"there is no connection to {address}"
    return None


def base_url() -> str:
    """Return the address of the server."""
    import wandb

    return str(wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url)


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
