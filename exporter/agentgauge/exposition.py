"""``/metrics`` over WSGI: text that is ready goes out as it is, and prometheus_client writes all else."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from agentgauge.series import Shown

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FASTEST = 1
"""The level of gzip: the next ones take several times as long for a tenth of the bytes."""
_RENAMING = ("escaping=dots", "escaping=values")


def metrics_wsgi(registry: CollectorRegistry) -> WsgiApp:
    """A WSGI app that answers any path with what the registry holds, in the format that the client accepts."""
    whole: WsgiApp = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        accepted = environ.get("HTTP_ACCEPT", "")
        if _is_special(environ) or any(word in accepted for word in _RENAMING):
            return whole(environ, start_response)
        encode, content_type = choose_encoder(accepted)
        names = parse_qs(environ.get("QUERY_STRING", "")).get("name[]")
        ready: list[str] = []
        others: list[Metric] = []
        for family in registry.collect():
            if names is not None:
                others += _restricted(family, names)
            elif isinstance(family, Shown):
                ready.append(family.text(openmetrics=content_type.startswith("application/openmetrics-text")))
            else:
                others.append(family)
        body = "".join(ready).encode() + encode(_These(others))  # last, as OpenMetrics ends with a line of its own
        headers = [("Content-Type", content_type)]
        if gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", "")):
            body = gzip.compress(body, FASTEST)
            headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", headers)
        return [body]

    return app


def _is_special(environ: dict[str, Any]) -> bool:
    """Whether something else is asked for than metrics."""
    return environ["REQUEST_METHOD"] != "GET" or environ.get("PATH_INFO") == "/favicon.ico"


def _restricted(family: Metric, names: list[str]) -> list[Metric]:
    """The samples of a family that have one of these names.

    prometheus_client would ask the collectors for their names, and these stand behind one that has none.
    """
    restricted = Metric(family.name, family.documentation, family.type)
    restricted.samples = [sample for sample in family.samples if sample.name in names]
    return [restricted] if restricted.samples else []


class _These(Collector):
    """Families that are collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
