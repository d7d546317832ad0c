"""A real server on this machine that plays an OpenAI-compatible endpoint, and ways in which it may answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "sk-very-secret-0123456789"
Behaviour = Callable[[dict[str, Any], int], tuple[int, str]]


def everywhere(answer: str) -> str:
    return json.dumps(dict.fromkeys(("persona", "coherence", "engagement"), answer))


def reply(content: str) -> tuple[int, str]:
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


def longest(given: dict[str, Any], _: int) -> tuple[int, str]:
    """A consistent judge, who likes long replies wherever they stand, and talks around its answer."""
    better = "A" if len(given["A"]) > len(given["B"]) else "B"
    return reply(f"Let me think {{about it}}.\n```json\n{everywhere(better)}\n```")


def always_first(given: dict[str, Any], _: int) -> tuple[int, str]:
    return reply(everywhere("A"))


class Http(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that went away, into whatever test comes next."""


class Server:
    """A server on this machine; `behaviour` gets the request and the number of requests before it."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = longest
        self.seen: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.seen.append({**dict(self.headers), "path": self.path})
                status, text = server.behaviour(json.loads(body["messages"][1]["content"]), len(server.seen) - 1)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://localhost:9/elsewhere")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@contextmanager
def serving() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


def knows(tells: dict[str, str], otherwise: Behaviour = longest) -> Behaviour:
    """Return a judge who knows each speaker by a word, and who judges as `otherwise` does."""

    def behaviour(given: dict[str, Any], n: int) -> tuple[int, str]:
        if "speakers" not in given:
            return otherwise(given, n)
        speaker = next(name for name, word in tells.items() if word in given["line"])
        (letter,) = [letter for letter, name in given["speakers"].items() if name == speaker]
        return reply(json.dumps({"speaker": letter}))

    return behaviour


def guesses(given: dict[str, Any], n: int) -> tuple[int, str]:
    """A judge who names whoever is offered first, and judges with confidence."""
    return reply('{"speaker": "A"}') if "speakers" in given else longest(given, n)


def garbage(given: dict[str, Any], _: int) -> tuple[int, str]:
    return reply('As an AI, I {"think": "not"} {{{ ```json')
