"""``/metrics``: text and OpenMetrics over HTTP, on loopback by default, with TLS and password on request."""

from __future__ import annotations

import base64
import errno
import hmac
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from agentgauge import workers
from agentgauge.exposition import WsgiApp, metrics_wsgi
from agentgauge.forks import in_forked_children
from agentgauge.in_flight import with_ages
from agentgauge.instruments import own_gauges
from agentgauge.series import Shown

SCRAPE_USER = "prometheus"
MOST_CONNECTIONS = 50
SILENT_SECONDS = 10
"""After which a silent client is disconnected: each takes a thread."""
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound to
"""Addresses that stand for all of a host's."""


@dataclass(frozen=True)
class MetricsServer:
    """A running endpoint: its URL, and ``close()``."""

    url: str
    _server: WSGIServer
    _when_closed: list[Callable[[], None]] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def when_closed(self, action: Callable[[], None]) -> None:
        """Call this when the server is closed."""
        self._when_closed.append(action)

    def close(self) -> None:
        """Stop serving and free the port."""
        for action in self._when_closed:
            action()
        self._server.shutdown()
        self._server.server_close()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread for each connection, and never more than MOST_CONNECTIONS: one more is closed at once."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or that does not speak TLS, is not the agent's fault and fills no log of its."""


class _SharedServer(_ThreadingServer):
    """Listens on the same port as the other workers, by the right to it, which it holds until it is closed."""

    right: workers.SharedPort

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def server_close(self) -> None:
        super().server_close()
        self.right.close()


class _QuietHandler(WSGIRequestHandler):
    timeout = SILENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not logged."""


class _WorkersTogether(Collector):
    """What all processes wrote under PROMETHEUS_MULTIPROC_DIR, and what this one read from the ledger for all."""

    def __init__(self, shared: Path, registry: CollectorRegistry) -> None:
        self._shared = shared
        self._registry = registry
        self._files = MultiProcessCollector(None, str(shared))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped

    def collect(self) -> Iterable[Metric]:
        workers.sweep(self._shared)
        yield from with_ages(self._files.collect())  # type: ignore[no-untyped-call]  # as above
        for gauge in own_gauges(self._registry):
            yield from gauge.collect()


class _WithoutCreated(Collector):
    """The registry less ``…_created``: those double the series, and Prometheus has no use for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            if not isinstance(metric, Shown):  # which has none
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
    control: WsgiApp | None = None,
    shared: Path | None = None,
) -> MetricsServer:
    """Serve a registry from a daemon thread; port 0 takes a free one.

    With ``password``, scrapes need basic auth as user ``prometheus``. With ``certificate`` and ``key`` (PEM files),
    it is HTTPS. With ``PROMETHEUS_MULTIPROC_DIR`` set, all worker processes are summed; those that give the same folder
    as ``shared`` listen on this port together. ``control`` answers what is asked under ``/control/``, which has its own
    token. Raises OSError, naming the port, when it is taken.
    """
    app = metrics_app(registry)
    if password is not None:
        app = _require_password(app, password)
    if control is not None:
        app = _beside(app, control)
    server: _ThreadingServer
    try:
        if shared is None:
            server = make_server(address, port, app, server_class=_ThreadingServer, handler_class=_QuietHandler)
        else:
            right = workers.SharedPort(shared, address, port)
            server = make_server(address, port, app, server_class=_SharedServer, handler_class=_QuietHandler)
            server.right = right
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
        # Not while it is accepted: a client that never speaks would keep all others out.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    in_forked_children(server.server_close)  # where no thread answers, and the port would stay taken
    threading.Thread(target=server.serve_forever, name="agentgauge-metrics", daemon=True).start()
    return MetricsServer(f"{scheme}://{address}:{server.server_port}/metrics", server)


def own_address(listens_on: str, advertise: str | None, *, tls: bool) -> str:
    """Scheme and host under which other processes reach this one, without a port; ValueError if ``advertise`` is bad.

    ``listens_on`` is the address that a server is bound to: on all addresses, this host's name stands for it.
    """
    if advertise is None:
        host = socket.gethostname() if listens_on in EVERYWHERE else listens_on
        return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}"
    url = urlsplit(advertise)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"advertise={advertise!r}: expected a URL like http://10.0.0.5:9464")
    return f"{url.scheme}://{f'[{url.hostname}]' if ':' in url.hostname else url.hostname}"


def metrics_app(registry: CollectorRegistry) -> WsgiApp:
    """A WSGI app that answers any path with the registry's metrics, for mounting in a server of your own."""
    source = CollectorRegistry()
    shared = workers.folder()
    source.register(_WithoutCreated(registry) if shared is None else _WorkersTogether(shared, registry))
    return metrics_wsgi(source)


def _beside(app: WsgiApp, control: WsgiApp) -> WsgiApp:
    def either(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        chosen = control if environ.get("PATH_INFO", "").startswith("/control/") else app
        return chosen(environ, start_response)

    return either


def _require_password(app: WsgiApp, password: str) -> WsgiApp:
    expected = "Basic " + base64.b64encode(f"{SCRAPE_USER}:{password}".encode()).decode()

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), expected.encode()):
            return app(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="metrics"')])
        return [b"password required\n"]

    return guarded
