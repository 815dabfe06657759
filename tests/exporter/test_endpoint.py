"""``/metrics`` over real HTTP: text and OpenMetrics, password, TLS, a port in use, many processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from agentgauge import AgentGauge

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


def test_with_a_certificate_it_is_https(gauge: AgentGauge, tmp_path: Path) -> None:
    """Scraped with verification against that certificate."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    server = gauge.serve(port=0, certificate=str(certificate), key=str(key))
    assert server.url.startswith("https://")
    assert requests.get(server.url, verify=str(certificate), timeout=5).status_code == 200
    server.close()


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
