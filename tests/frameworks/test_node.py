"""An agent in TypeScript on Node, measured by the gateway, shows what the same agent in Python does.

It is on the AI SDK of Vercel, with that SDK's own telemetry and OpenTelemetry's own exporters: tests/frameworks/node.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from tests.frameworks.bills import OPUS, OPUS_USAGE
from tests.frameworks.figures import shown
from tests.frameworks.provider import Provider
from tests.imports import ROOT
from tests.otel.series import counted
from tests.otel.test_gateway import TOKEN, running

SOURCE = Path(__file__).parent / "node"
INSTALLED = ROOT / ".stack" / "node"
OF_THE_SPAN = ("agent_llm_errors_total", "agent_task_turns")
"""What spans of the AI SDK do not tell: the provider's code of an error, and which calls belong to a task."""

USAGE = OPUS_USAGE | {"cache_creation": {"ephemeral_5m_input_tokens": 1_500, "ephemeral_1h_input_tokens": 0}}
"""Nor how long what is written to the cache lasts."""


class RangeError(Exception):
    """Named as the one of JavaScript is."""


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder with the agent and what it needs, installed once."""
    if shutil.which("npm") is None:
        pytest.skip("Node is not installed: `npm` is not on the PATH")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock = INSTALLED / "package-lock.json"
    if not lock.exists() or lock.read_bytes() != (SOURCE / lock.name).read_bytes():
        shutil.copy(SOURCE / "package.json", INSTALLED)
        shutil.copy(SOURCE / lock.name, lock)
        try:
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=INSTALLED, check=True, timeout=300)
        except BaseException:
            lock.unlink()
            raise
    shutil.copy(SOURCE / "agent.ts", INSTALLED)
    return INSTALLED


def agent_in_python(gauge: AgentGauge, url: str) -> None:
    """The same questions, the same tool, instrumented by hand."""

    @gauge.tool()
    def when_renews(account: str) -> str:
        if account == "down":
            raise RangeError
        return "March"

    said: list[Any] = [{"role": "user", "content": "When does Globex renew?"}]
    again: list[Any] = [{"role": "user", "content": "And now?"}]
    with (
        Anthropic(api_key="k", base_url=url, max_retries=0, middleware=[gauge.anthropic()]) as client,
        gauge.session() as session,
    ):
        with session.task() as task, task.turn():
            while True:
                answer = client.messages.create(model=OPUS, max_tokens=100, messages=said)
                asked_for = [block for block in answer.content if block.type == "tool_use"]
                if not asked_for:
                    break
                for block in asked_for:
                    try:
                        when_renews(str(block.input["account"]))
                    except RangeError:
                        continue
        with (
            session.task() as task,
            task.turn(),
            client.messages.stream(model=OPUS, max_tokens=100, messages=said) as stream,
        ):
            stream.until_done()
        with pytest.raises(anthropic.RateLimitError), session.task() as task, task.turn():
            client.messages.create(model=OPUS, max_tokens=100, messages=again)


def script(provider: Provider) -> None:
    """Two tools, of which the second fails, an answer, a stream, and a refusal."""
    provider.usage = USAGE
    provider.tools = [("when_renews", {"account": "Globex"}), ("when_renews", {"account": "down"})]
    provider.refused = "And now?"


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_an_agent_in_typescript_shows_what_one_in_python_does(
    node: Path, provider: Provider, url: str, protocol: str, compression: str
) -> None:
    """Series by series: calls, tokens of each kind, cost, tools and their errors, sessions, tasks and turns."""
    script(provider)
    direct = AgentGauge("seller", registry=CollectorRegistry())
    agent_in_python(direct, url)
    in_python = len(provider.asked)
    script(provider)
    with running(TOKEN) as door:
        result = subprocess.run(
            ["node", "--import", "tsx", "agent.ts"],
            cwd=node,
            env=os.environ
            | {
                "MODEL": OPUS,
                "PROVIDER_URL": url,
                "OTEL_SERVICE_NAME": "seller",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": str(door.client.base_url.join("/v1/traces")),
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
                "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {TOKEN}",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        door.settle()
        page = door.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
        registry = door.registry
    assert len(provider.asked) == 2 * in_python == 10
    assert "secret" not in page
    assert shown(registry, "agent_gateway_refused_total") == {}
    assert of_the_agent(registry) == of_the_agent(direct.registry)
    assert shown(registry, "agent_tool_errors_total") == {("when_renews", "RangeError"): 1}
    assert shown(registry, "agent_llm_errors_total") == {(OPUS, "AI_APICallError"): 1}


def of_the_agent(registry: CollectorRegistry) -> dict[Any, float]:
    """Every series of the agent but those that spans cannot tell; the gateway has one more, `other`."""
    return {
        (name, labels): value
        for (name, labels), value in counted(registry).items()
        if ("agent", "seller") in labels and not name.startswith(OF_THE_SPAN)
    }
