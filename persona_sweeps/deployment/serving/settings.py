"""What a server takes: limits on input, output, queue and time, and the key that clients need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Settings:
    """How a server answers, and whom."""

    host: str = LOOPBACK[0]
    port: int = 8000
    key: str | None = None
    """what clients must send as a bearer token; None: nothing"""
    side_by_side: int = 16
    """most texts that grow at a time"""
    waiting: int = 256
    """most texts that wait for a place"""
    max_tokens: int = 512
    """most tokens of an answer"""
    seconds: float = 300.0
    """most seconds that a request may take, waiting included"""
    body_bytes: int = 1_000_000
    """most bytes of a request"""
    votes: Path | None = None
    """the folder for blind votes; None: none are taken"""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK
