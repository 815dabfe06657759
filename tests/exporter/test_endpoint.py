"""``/metrics`` over real HTTP: text and OpenMetrics, password, TLS, a port in use, many processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from agentgauge import AgentGauge, endpoint
from agentgauge.endpoint import MOST_CONNECTIONS

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent with one registered tool."""
    return AgentGauge("a", tools=["t"], registry=registry)


def test_metrics_are_served_as_text_and_as_openmetrics(gauge: AgentGauge) -> None:
    """Prometheus chooses by the Accept header."""
    server = gauge.serve(port=0)
    text = requests.get(server.url, timeout=5)
    openmetrics = requests.get(server.url, headers=OPENMETRICS, timeout=5)
    server.close()
    assert text.headers["content-type"].startswith("text/plain")
    assert 'agent_sessions_opened_total{agent="a"} 0.0' in text.text
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


def test_a_scrape_may_ask_for_some_series_by_name(gauge: AgentGauge) -> None:
    """``?name[]=…``, once or more often; a name that nothing has shows nothing."""
    with closing(gauge.serve(port=0)) as server:
        for names in ({"agent_tool_calls_total", "agent_tool_duration_seconds_sum"}, {"unheard_of"}):
            text = requests.get(server.url, params={"name[]": sorted(names)}, timeout=60).text
            shown = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
            assert shown == names - {"unheard_of"}


def test_no_created_series_double_the_count(gauge: AgentGauge) -> None:
    """prometheus_client adds a ``…_created`` to each counter; nobody queries them."""
    server = gauge.serve(port=0)
    families = list(text_string_to_metric_families(requests.get(server.url, timeout=5).text))
    server.close()
    assert families
    assert not [s.name for family in families for s in family.samples if s.name.endswith("_created")]


def test_it_listens_on_loopback_unless_told_otherwise(gauge: AgentGauge) -> None:
    """Safe by default."""
    server = gauge.serve(port=0)
    assert server.url.startswith("http://127.0.0.1:")
    server.close()


def test_with_a_password_a_scrape_without_it_is_refused(gauge: AgentGauge) -> None:
    """Basic auth as Prometheus sends it."""
    server = gauge.serve(port=0, password="s3cret")
    assert requests.get(server.url, timeout=5).status_code == 401
    assert requests.get(server.url, auth=("prometheus", "wrong"), timeout=5).status_code == 401
    assert requests.get(server.url, auth=("prometheus", "s3cret"), timeout=5).status_code == 200
    server.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, with its key beside it."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate


def test_with_a_certificate_it_is_https(gauge: AgentGauge, certificate: Path) -> None:
    """Scraped with verification against that certificate."""
    server = gauge.serve(port=0, certificate=str(certificate), key=str(certificate.with_name("key.pem")))
    assert server.url.startswith("https://")
    assert requests.get(server.url, verify=str(certificate), timeout=5).status_code == 200
    server.close()


def test_a_client_that_never_speaks_keeps_nobody_out(gauge: AgentGauge, certificate: Path) -> None:
    """Nor does one that does not speak TLS."""
    server = gauge.serve(port=0, certificate=str(certificate), key=str(certificate.with_name("key.pem")))
    with (
        socket.create_connection(("127.0.0.1", server.port)),
        socket.create_connection(("127.0.0.1", server.port)) as it,
    ):
        it.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert requests.get(server.url, verify=str(certificate), timeout=5).status_code == 200
    server.close()


@pytest.mark.parametrize("trickling", [False, True])
def test_silent_clients_keep_no_scrape_out(gauge: AgentGauge, certificate: Path, trickling: bool) -> None:
    """Three hundred take a bounded number of threads, with TLS and without, and whoever asks for metrics gets them."""
    key = str(certificate.with_name("key.pem"))
    tls = {} if trickling else {"certificate": str(certificate), "key": key}
    with closing(gauge.serve(port=0, **tls)) as server:
        before = threading.active_count()
        with ExitStack() as open_ones:
            for _ in range(300):
                client = open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                if trickling:
                    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
            assert requests.get(server.url, verify=str(certificate), timeout=20).status_code == 200
            assert threading.active_count() <= before + MOST_CONNECTIONS


def test_who_asks_too_slowly_or_for_too_long_is_disconnected(
    gauge: AgentGauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However evenly it sends."""
    with closing(gauge.serve(port=0)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            with suppress(OSError):
                client.sendall(b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 1_000_000)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
        monkeypatch.setattr(endpoint, "SECONDS_FOR_A_REQUEST", 0.3)
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client, suppress(OSError):
            while time.monotonic() < begun + 20:
                client.sendall(b"x")
                client.settimeout(0.05)
                with suppress(TimeoutError):
                    assert client.recv(1) == b""
                    break
        assert time.monotonic() < begun + 10


def test_a_website_cannot_read_it_by_a_name_of_its_own(gauge: AgentGauge) -> None:
    """On loopback it answers to the names of loopback, and to the one that it is reached at."""
    with closing(gauge.serve(port=0, advertise="http://agent.example:9464")) as server:
        for host, status in [("evil.example", 421), ("agent.example:9464", 200), ("localhost:1", 200)]:
            assert requests.get(server.url, headers={"host": host}, timeout=5).status_code == status


def test_a_port_in_use_is_said_with_its_number(gauge: AgentGauge) -> None:
    """The one start-up error that everybody meets."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} for /metrics is in use"):
            gauge.serve(port=port)


WORKER = """
import sys
from agentgauge import AgentGauge
gauge = AgentGauge("a", tools=["t"])
for _ in range(int(sys.argv[1])):
    with gauge.session(), gauge.tool_call("t"):
        pass
"""


def test_worker_processes_are_summed(tmp_path: Path) -> None:
    """With PROMETHEUS_MULTIPROC_DIR, calls of all workers add up in one scrape."""
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for calls in ("3", "4"):
        subprocess.run([sys.executable, "-c", WORKER, calls], env=env, check=True)
    scrape = (
        "from agentgauge import AgentGauge\nimport urllib.request\n"
        "url = AgentGauge('a', tools=['t']).serve(port=0).url\n"
        "print(urllib.request.urlopen(url).read().decode())"
    )
    result = subprocess.run([sys.executable, "-c", scrape], env=env, check=True, capture_output=True, text=True)
    assert 'agent_tool_calls_total{agent="a",outcome="success",tool="t"} 7.0' in result.stdout
    assert 'agent_sessions_active{agent="a"} 0.0' in result.stdout
