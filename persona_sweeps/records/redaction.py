"""Replace secrets in configs, records and logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET_KEY = re.compile(r"(api_?key|token|secret|password|passwd|credential)s?$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|(?<![/@])(?<!revision=)[0-9a-f]{40}(?!/))\b")
ASSIGNMENT = re.compile(r"([\w.]+)=(\S+)")
"""an override inside a text, such as train.seed=1"""
NOT_SECRET = {"num_virtual_tokens", "max_tokens", "max_new_tokens", "all_tokens"}
PUBLIC = {"revision"}
"""keys whose values may look like a secret: a commit has as many hexadecimal digits as a W&B key"""
REDACTED = "<redacted>"


def redacted(value: Any, key: str = "") -> Any:
    """Return a config with secrets replaced: the values of secret keys, and texts that look like secrets.

    An override inside a text (`tracker.api_key=…`) counts as a key with its value.
    """
    if isinstance(value, Mapping):
        return {name: redacted(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    if isinstance(value, str):
        if key in PUBLIC:
            return value
        return REDACTED if _names_secret(key) else _without_secrets(value)
    return value


def _names_secret(key: str) -> bool:
    return key not in NOT_SECRET and SECRET_KEY.search(key) is not None


def _without_secrets(text: str) -> str:
    def redact(match: re.Match[str]) -> str:
        return f"{match[1]}={REDACTED}" if _names_secret(match[1].rsplit(".", 1)[-1]) else match[0]

    return SECRET_VALUE.sub(REDACTED, ASSIGNMENT.sub(redact, text))
