"""``/metrics``: text and OpenMetrics over HTTP, on loopback by default, with TLS and password on request."""

from __future__ import annotations

import base64
import contextlib
import errno
import hmac
import io
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import ThreadingMixIn
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from agentgauge import workers
from agentgauge.exposition import WsgiApp, metrics_wsgi
from agentgauge.folder_cells import FolderFamilies, is_ours
from agentgauge.forks import in_forked_children
from agentgauge.http_guard import LOOPBACK, host_name
from agentgauge.in_flight import with_ages
from agentgauge.instruments import own_gauges
from agentgauge.series import Shown
from agentgauge.web_config import WebConfig
from agentgauge.web_config import read as read_web_config

SCRAPE_USER = "prometheus"
MOST_CONNECTIONS = 50
SECONDS_FOR_A_PLACE = 1
"""In which a connection that was cut off frees its thread."""
SECONDS_FOR_A_REQUEST = 10
"""In which a client has to finish its handshake and its request, and again to take the answer: each holds a thread."""
LARGEST_REQUEST = 32 * 1024
"""Bytes of a request; it is nothing but headers."""
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
    """A thread for each connection, and never more than MOST_CONNECTIONS.

    One more takes the place of the one that has waited longest without a whole request: clients that say nothing keep
    no scrape out. If there is none, all are scrapes, and it is closed.
    """

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._silent: dict[Any, None] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False) and not (
            self._disconnect_longest_silent() and self._free.acquire(timeout=SECONDS_FOR_A_PLACE)
        ):
            self.shutdown_request(request)
            return
        with self._lock:
            self._silent[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_spoken(request)
            self._free.release()

    def has_spoken(self, request: Any) -> None:
        """This connection has sent its request, or is over."""
        with self._lock:
            self._silent.pop(request, None)

    def _disconnect_longest_silent(self) -> bool:
        with self._lock:
            silent = next(iter(self._silent), None)
            if silent is None:
                return False
            del self._silent[silent]
            with contextlib.suppress(OSError):  # it has gone by itself
                # Not the method of a TLS socket, which would take its state away from the thread that reads.
                socket.socket.shutdown(silent, socket.SHUT_RDWR)
            return True

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


class _ShortReader(io.RawIOBase):
    """What a client sends, until it has sent too much or taken too long, however evenly it sends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end = monotonic() + SECONDS_FOR_A_REQUEST
        self._left = LARGEST_REQUEST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._end - monotonic()
        if seconds <= 0 or self._left <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(buffer)
        if count == 0:  # half a request is none
            raise ConnectionResetError
        self._left -= count
        return count


class _Answer(SimpleHandler):
    def log_exception(self, exc_info: Any) -> None:
        """Ours are printed; a client that did not wait for its answer fills no log of the agent's."""
        if not isinstance(exc_info[1], OSError):
            super().log_exception(exc_info)


class _QuietHandler(WSGIRequestHandler):
    timeout = SECONDS_FOR_A_REQUEST
    server: _ThreadingServer

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_ShortReader(self.connection))

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(LARGEST_REQUEST)
        if not self.parse_request():
            return
        self.server.has_spoken(self.connection)
        self.connection.settimeout(SECONDS_FOR_A_REQUEST)
        app = self.server.get_app()
        assert app is not None  # noqa: S101 - it is set before the server starts
        answer = _Answer(self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=True)  # type: ignore[arg-type]  # typeshed wants more of the streams than wsgiref does
        answer.run(app)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not logged."""


class _WorkersTogether(Collector):
    """What all processes wrote under PROMETHEUS_MULTIPROC_DIR, and what this one read from the ledger for all."""

    def __init__(self, shared: Path, registry: CollectorRegistry) -> None:
        self._shared = shared
        self._registry = registry
        self._counted = FolderFamilies(shared)

    def collect(self) -> Iterable[Metric]:
        workers.sweep(self._shared)
        yield from self._counted.collect()
        others = [str(file) for file in self._shared.glob("*.db") if not is_ours(file)]
        yield from with_ages(MultiProcessCollector.merge(others))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
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
    web_config: Path | WebConfig | None = None,
    hosts: Collection[str] = (),
    control: WsgiApp | None = None,
    shared: Path | None = None,
) -> MetricsServer:
    """Serve a registry from a daemon thread; port 0 takes a free one.

    With ``password``, scrapes need basic auth as user ``prometheus``. With ``certificate`` and ``key`` (PEM files),
    it is HTTPS. ``web_config`` says the same in the file that Prometheus's exporters take, with client certificates and
    hashed passwords, in place of these three; see ``agentgauge.web_config`` for what it raises. On loopback it answers
    to the names of loopback and to ``hosts``, so that no website can read it by a name of its own. With
    ``PROMETHEUS_MULTIPROC_DIR`` set, all worker processes are summed; those that give the same folder
    as ``shared`` listen on this port together. ``control`` answers what is asked under ``/control/``, which has its own
    token. Raises OSError, naming the port, when it is taken.
    """
    if web_config is not None and (password, certificate, key) != (None, None, None):
        raise ValueError("give either web_config or password, certificate and key")
    config = read_web_config(web_config) if isinstance(web_config, Path) else web_config
    app = metrics_app(registry)
    if password is not None:
        app = _require(_is_password(password), app)
    elif config is not None and config.users is not None:
        app = _require(config.users.admit, app)
    if address in LOOPBACK:
        app = _under_names(app, {*LOOPBACK, *hosts})
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
    context = None if config is None else config.tls
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    if context is not None:
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


def _under_names(app: WsgiApp, names: Collection[str]) -> WsgiApp:
    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST")
        if host is None or host_name(host) in names:  # a browser always says one
            return app(environ, start_response)
        start_response("421 Misdirected Request", [("Content-Type", "text/plain")])
        return [b"nothing is served here under that host name\n"]

    return guarded


def _is_password(password: str) -> Callable[[str], bool]:
    expected = "Basic " + base64.b64encode(f"{SCRAPE_USER}:{password}".encode()).decode()
    return lambda given: hmac.compare_digest(given.encode(), expected.encode())


def _require(admits: Callable[[str], bool], app: WsgiApp) -> WsgiApp:
    """Ask for basic auth; ``admits`` gets the header ``Authorization``, which may be empty."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if admits(environ.get("HTTP_AUTHORIZATION", "")):
            return app(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="metrics"')])
        return [b"password required\n"]

    return guarded
