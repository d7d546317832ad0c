"""A server on this machine that speaks as much of W&B's protocol as its client needs to keep runs there."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a" * 40


@dataclass
class Kept:
    """A run as the server has it."""

    id: str
    group: str = ""
    job_type: str = ""
    name: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    """by line: what is sent twice for a line is there once, as W&B keeps it"""
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    starts: int = 0

    def curve(self, key: str) -> list[tuple[int, float]]:
        lines = [self.history[line] for line in sorted(self.history)]
        return [(line["step"], line[key]) for line in lines if key in line and "step" in line]


class Server:
    """What clients have sent."""

    def __init__(self) -> None:
        self.runs: dict[str, Kept] = {}
        self.deleted: set[str] = set()
        self.artifacts: dict[str, list[str]] = {}
        """type → names"""
        self.used: list[tuple[str, str]] = []
        self.unknown: list[str] = []
        self.lock = threading.Lock()
        self.stall = threading.Event()
        """set while the server answers nothing"""
        self.url = ""

    def delete(self, run: str) -> None:
        del self.runs[run]
        self.deleted.add(run)

    def answer(self, operation: str, query: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the answer of a GraphQL request."""
        if (answer := self._answers().get(operation)) is not None:
            return answer(given)
        if "viewer" in query:
            me = {"id": "me", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return 200, {"data": {"viewer": me}}
        self.unknown.append(" ".join(query.split()))
        return 200, {"data": {}}

    def _answers(self) -> dict[str, Any]:
        return {
            "RunResumeStatus": self._resume,
            "UpsertBucket": self._upsert,
            "CreateRunFiles": self._files,
            "CreateArtifact": self._artifact,
            "CreateArtifactManifest": self._manifest,
            "CreateArtifactFiles": self._artifact_files,
            "CommitArtifact": lambda given: (
                200,
                {"data": {"commitArtifact": {"artifact": {"id": given["artifactID"]}}}},
            ),
            "UseArtifact": self._use,
            "ArtifactType": lambda given: (200, {"data": {"project": {"artifact": None}}}),
            "ArtifactByID": self._by_id,
        }

    def _bucket(self, run: Kept, project: str) -> dict[str, Any]:
        own = (run.config.get("_wandb") or {}).get("value") or {}
        return {
            "id": run.id, "name": run.id, "displayName": run.name, "description": "", "sweepName": None, "notes": "",
            "config": json.dumps(run.config), "tags": run.tags, "wandbConfig": json.dumps(own),
            "project": {"id": project, "name": project, "entity": {"id": "me", "name": "me"}},
            "historyLineCount": len(run.history), "eventsLineCount": 0, "logLineCount": 0, "eventsTail": "[]",
            "summaryMetrics": json.dumps(run.summary),
            "historyTail": json.dumps([json.dumps(run.history[line]) for line in sorted(run.history)[-1:]]),
        }  # fmt: skip

    def _resume(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        run, project = self.runs.get(given["name"]), given["project"]
        bucket = self._bucket(run, project) if run else None
        entity = {"id": "me", "name": "me"}
        return 200, {"data": {"model": {"id": project, "name": project, "entity": entity, "bucket": bucket}}}

    def _upsert(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = given["name"]
        if name in self.deleted:
            message = f"run {given['project']}/{name} was previously created and deleted; try a new run name"
            return 410, {"errors": [{"message": message}]}
        new = name not in self.runs
        run = self.runs.setdefault(name, Kept(name))
        run.starts += 1
        run.group, run.job_type = given.get("groupName") or run.group, given.get("jobType") or run.job_type
        run.name, run.tags = given.get("displayName") or run.name, given.get("tags") or run.tags
        if given.get("config"):
            run.config = json.loads(given["config"])
        found = {"bucket": self._bucket(run, given["project"]), "inserted": new}
        return 200, {"data": {"upsertBucket": found}}

    def _files(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given["files"]]
        return 200, {"data": {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}}

    def _artifact(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        kind = given.get("artifactTypeName", "")
        name = given["artifactCollectionName"]
        self.artifacts.setdefault(kind, []).append(name)
        identity = base64.b64encode(f"Artifact:{kind}/{name}".encode()).decode()
        sequence = {"id": "s", "latestArtifact": None}
        made = {"id": identity, "state": "PENDING", "artifactSequence": sequence}
        return 200, {"data": {"createArtifact": {"artifact": made}}}

    def _manifest(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        file = {"id": "f", "name": given.get("name", "m"), "displayName": "m", "uploadUrl": f"{self.url}/upload/m"}
        made = {"id": "m", "file": {**file, "uploadHeaders": []}}
        return 200, {"data": {"createArtifactManifest": {"artifactManifest": made}}}

    def _artifact_files(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        asked = given.get("artifactFiles") or given.get("input", {}).get("artifactFiles") or []
        edges = [
            {
                "node": {
                    "id": "f", "name": file["name"], "displayName": file["name"], "storagePath": file["name"],
                    "uploadUrl": f"{self.url}/upload/{file['name']}", "uploadHeaders": [], "artifact": {"id": "a"},
                    "uploadMultipartUrls": None,
                }
            }
            for file in asked
        ]  # fmt: skip
        return 200, {"data": {"createArtifactFiles": {"files": {"edges": edges}}}}

    def _by_id(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        kind, _, name = base64.b64decode(given["id"]).decode().partition(":")[2].partition("/")
        project = {"id": "p", "internalId": "p", "name": "personas", "entity": {"id": "me", "name": "me"}}
        sequence = {"__typename": "ArtifactSequence", "id": "s", "name": name, "project": project}
        now = "2026-11-28T00:00:00"
        found = {
            "__typename": "Artifact", "id": given["id"], "artifactSequence": sequence, "versionIndex": 0,
            "artifactType": {"name": kind}, "description": None, "metadata": "{}", "ttlDurationSeconds": -1,
            "ttlIsInherited": False, "tags": [], "historyStep": None, "state": "COMMITTED", "size": 1, "digest": "d",
            "commitHash": "c", "fileCount": 1, "createdAt": now, "updatedAt": now, "aliases": [],
        }  # fmt: skip
        return 200, {"data": {"artifact": found}}

    def _use(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.used.append((str(given.get("runName")), str(given.get("artifactID"))))
        return 200, {"data": {"useArtifact": {"artifact": {"id": given.get("artifactID"), "digest": "d"}}}}

    def stream(self, run: str, content: dict[str, Any]) -> None:
        """Keep the lines that a client streams."""
        kept = self.runs[run]
        files = content.get("files") or {}
        history = files.get("wandb-history.jsonl") or {"offset": 0, "content": []}
        for place, line in enumerate(history["content"], start=history["offset"]):
            kept.history[place] = json.loads(line)
        for line in (files.get("wandb-summary.json") or {}).get("content", []):
            kept.summary = json.loads(line)
        if content.get("complete"):
            kept.exit_code = content.get("exitcode")


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that is gone
            super().handle()

    def _any(self) -> None:
        kept: Server = self.server.kept
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = 200, {}
        with kept.lock:
            if self.path == "/graphql":
                content = json.loads(body)
                given = content.get("variables") or {}
                given = given.get("input", given)
                named = re.search(r"(?:query|mutation)\s+(\w+)", content["query"])
                status, answer = kept.answer(named[1] if named else "", content["query"], given)
            elif self.path.startswith("/files/"):
                kept.stream(self.path.split("/")[-2], json.loads(body))
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _any


@contextmanager
def running() -> Iterator[Server]:
    """Serve on a free port of this machine."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.kept = kept = Server()  # type: ignore[attr-defined]
    kept.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        http.shutdown()
        http.server_close()
