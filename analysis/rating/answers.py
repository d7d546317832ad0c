"""Keeps a judge's answers on disk by the hash of what was asked, so that none is asked (and paid for) twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from persona_sweeps.records.files import write_bytes


class Answers:
    """A folder of answers. A file that can't be read is as good as none: the question is asked again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, question: Mapping[str, Any]) -> str | None:
        """Return the answer to exactly this question, if there is one."""
        try:
            found = json.loads(self._path(question).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        answer = found.get("answer") if isinstance(found, dict) and found.get("question") == question else None
        return answer if isinstance(answer, str) else None

    def put(self, question: Mapping[str, Any], answer: str) -> None:
        path = self._path(question)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"question": question, "answer": answer}, ensure_ascii=True, indent=1)
        write_bytes(path, text.encode())

    def _path(self, question: Mapping[str, Any]) -> Path:
        name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.json"
