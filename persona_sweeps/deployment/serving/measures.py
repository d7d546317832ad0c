"""What a server measures of itself, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from persona_sweeps.deployment.serving.worker import Worker


class Measures:
    """Counts of requests and tokens, and how many texts grow and wait."""

    def __init__(self, worker: Worker) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry

        def name(of: str) -> str:
            return f"persona_sweeps_{of}"

        self.requests = Counter(name("requests"), "Requests by status", ["path", "status"], registry=registry)
        self.tokens = Counter(name("tokens"), "Tokens read and written", ["model", "kind"], registry=registry)
        self.seconds = Histogram(name("seconds"), "Seconds to answer a request", ["path"], registry=registry)
        Gauge(name("running"), "Texts that grow", registry=registry).set_function(lambda: worker.running)
        Gauge(name("queued"), "Texts that wait", registry=registry).set_function(lambda: worker.queued)

    def text(self) -> bytes:
        """Return all of it."""
        return generate_latest(self._registry)
