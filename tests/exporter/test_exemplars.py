"""From a number to its trace: durations and costs carry the id of the span in which they were measured."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agentgauge import AgentGauge
from agentgauge.ops.prometheus import Prometheus
from agentgauge.pricing import TokenUsage
from tests.ports import free_port

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
WITH_EXEMPLARS = {
    "agent_tool_duration_seconds",
    "agent_llm_duration_seconds",
    "agent_turn_duration_seconds",
    "agent_session_cost_usd",
}


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent with a tool."""
    return AgentGauge("a", tools=["t"], registry=registry)


@pytest.fixture
def url(gauge: AgentGauge) -> Iterator[str]:
    """Its endpoint."""
    server = gauge.serve(port=0)
    yield server.url
    server.close()


def work(gauge: AgentGauge) -> None:
    """A turn with a call of a tool and of a model."""
    with gauge.session() as session, session.task() as task, task.turn():
        with gauge.tool_call("t"):
            pass
        gauge.llm_call("claude-opus-5").finish(TokenUsage(input=1))


def work_in_a_span(gauge: AgentGauge, tracer: Tracer) -> str:
    """The same, traced; the trace's id."""
    with tracer.start_as_current_span("request") as span:
        work(gauge)
    return f"{span.get_span_context().trace_id:032x}"


def exemplars(url: str) -> dict[str, str]:
    """Metric → the trace that its exemplar names."""
    text = requests.get(url, headers=OPENMETRICS, timeout=5).text
    return {
        family.name: sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # prometheus_client's
        for sample in family.samples
        if sample.exemplar is not None
    }


def test_what_is_measured_in_a_span_names_its_trace(gauge: AgentGauge, url: str) -> None:
    """Each duration, and the cost of a session."""
    trace = work_in_a_span(gauge, TracerProvider().get_tracer("t"))
    assert exemplars(url) == dict.fromkeys(WITH_EXEMPLARS, trace)


def test_without_a_trace_that_is_kept_there_is_no_exemplar(gauge: AgentGauge, url: str) -> None:
    """A dot that leads nowhere is worse than none."""
    work(gauge)
    work_in_a_span(gauge, TracerProvider(sampler=ALWAYS_OFF).get_tracer("t"))
    assert exemplars(url) == {}


def test_prometheus_keeps_them(gauge: AgentGauge, url: str, programs: dict[str, Path], tmp_path: Path) -> None:
    """By the flag of the Compose file and of the native stack; the answer is what a panel's dots are made of."""
    trace = work_in_a_span(gauge, TracerProvider().get_tracer("t"))
    target = url.removeprefix("http://").removesuffix("/metrics")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "agents", "static_configs": [{"targets": [target]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(programs["prometheus"]),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    prometheus = Prometheus(f"http://{address}")
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            end = time.monotonic() + 60
            kept: list[dict[str, Any]] = []
            while not kept and time.monotonic() < end:
                time.sleep(0.2)
                if prometheus.is_ready():
                    now = time.time()
                    asked: dict[str, str | float] = {"query": "agent_turn_duration_seconds_bucket"}
                    asked |= {"start": now - 60, "end": now + 60}
                    kept = prometheus.get("query_exemplars", asked)
        finally:
            process.kill()
    (series,) = kept
    assert {one["labels"]["trace_id"] for one in series["exemplars"]} == {trace}
