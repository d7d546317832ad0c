"""Tell whether the code that reads data has changed."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Return a hash of this package's modules, which decide what examples and tokens the same bytes give."""
    modules = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.rglob("*.py"))]
    return hashlib.sha256(json.dumps(modules).encode()).hexdigest()
