"""``/metrics``: text and OpenMetrics over HTTP, on loopback unless told otherwise, with TLS and password on request."""

from __future__ import annotations

import base64
import errno
import hmac
import os
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
SCRAPE_USER = "prometheus"


@dataclass(frozen=True)
class MetricsServer:
    """A running endpoint: its URL, and ``close()``."""

    url: str
    _server: WSGIServer

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""


class _WithoutCreated(Collector):
    """The registry less ``…_created``: those double the series, and Prometheus has no use for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def serve_metrics(
    port: int,
    address: str,
    *,
    registry: CollectorRegistry,
    password: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> MetricsServer:
    """Serve a registry from a daemon thread; port 0 takes a free one.

    With ``password``, scrapes need basic auth as user ``prometheus``. With ``certificate`` and ``key`` (PEM files),
    it is HTTPS. With ``PROMETHEUS_MULTIPROC_DIR`` set, all worker processes are summed. Raises OSError, naming the
    port, when it is taken.
    """
    app = metrics_app(registry)
    if password is not None:
        app = _require_password(app, password)
    try:
        server = make_server(address, port, app, server_class=_ThreadingServer, handler_class=_QuietHandler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                error.errno,
                f"port {port} for /metrics is in use; stop what listens there or choose another: serve(port=…)",
            ) from None
        raise
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    threading.Thread(target=server.serve_forever, name="agentgauge-metrics", daemon=True).start()
    return MetricsServer(f"{scheme}://{address}:{server.server_port}/metrics", server)


def metrics_app(registry: CollectorRegistry) -> WsgiApp:
    """A WSGI app that answers any path with the registry's metrics, for mounting in a server of your own."""
    source = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(source)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    else:
        source.register(_WithoutCreated(registry))
    app: WsgiApp = make_wsgi_app(source)
    return app


def _require_password(app: WsgiApp, password: str) -> WsgiApp:
    expected = "Basic " + base64.b64encode(f"{SCRAPE_USER}:{password}".encode()).decode()

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), expected.encode()):
            return app(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="metrics"')])
        return [b"password required\n"]

    return guarded
