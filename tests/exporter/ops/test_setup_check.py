"""`agentgauge check`: every gap between the agent's calls and the page is found on what really runs, and said."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner, Result

from agentgauge import AgentGauge
from agentgauge.cli.root import app
from agentgauge.endpoint import MetricsServer
from agentgauge.pricing import TokenUsage
from sample_agent.serving import serving
from sample_agent.simulator import recording
from stack import config
from stack.layout import Layout, Ports
from tests.alerts import alertmanager

Verdicts = dict[str, str]


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """An agent that has everything."""
    made = AgentGauge(
        "bot", tools=["search"], registry=registry, version="1.2", ledger=f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    )
    yield made
    made.close()


@pytest.fixture
def server(gauge: AgentGauge) -> Iterator[MetricsServer]:
    """Its endpoint."""
    serving = gauge.serve(port=0)
    yield serving
    serving.close()


def check(*arguments: str) -> Result:
    """Runs the command."""
    return CliRunner().invoke(app, ["check", *arguments])


def verdicts(*arguments: str) -> Verdicts:
    """What it found, by what it looked at."""
    return {one["about"]: one["verdict"] for one in json.loads(check(*arguments, "--json").stdout)}


def work(gauge: AgentGauge, *, user: str | None = "rep-1", model: str = "claude-opus-5", tool: str = "search") -> None:
    """One request of a user, with a call of a model and of a tool."""
    with gauge.session(user) as session, session.task() as task, task.turn():
        gauge.llm_call(model).finish(TokenUsage(input=10, output=3))
        with gauge.tool_call(tool):
            pass
    gauge.refresh_from_ledger()


def test_an_agent_that_has_everything_passes(gauge: AgentGauge, server: MetricsServer) -> None:
    """Status 0, and a mark at every line."""
    work(gauge)
    done = check(server.url)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("Prometheus and")]
    assert len(lines) > 5
    assert all(line.startswith("✓ ") for line in lines), done.stdout


def test_before_the_first_request_nothing_is_called_missing(server: MetricsServer) -> None:
    """It cannot be known yet, and the line says what to do."""
    done = check(server.url)
    assert done.exit_code == 0
    assert "… model calls are counted: send the agent a request" in done.stdout


def test_each_gap_is_named(gauge: AgentGauge, server: MetricsServer) -> None:
    """No user id, a model without a price, a tool that is not registered, a call that does not say what it used."""
    work(gauge, user=None, model="some-model", tool="typo")
    gauge.llm_call("claude-opus-5").finish(None)
    found = verdicts(server.url)
    assert {about for about, verdict in found.items() if verdict == "missing"} == {
        "users are told apart",
        "every model has a price",
        "every label value is known",
        "every call says what it used",
    }
    assert check(server.url).exit_code == 1


def test_calls_outside_of_sessions_and_tasks_are_named(registry: CollectorRegistry) -> None:
    """And an agent that has neither ledger nor version."""
    gauge = AgentGauge("bot", registry=registry)
    server = gauge.serve(port=0)
    gauge.llm_call("claude-opus-5").finish(TokenUsage(input=1))
    found = verdicts(server.url)
    server.close()
    assert {about for about, verdict in found.items() if verdict == "missing"} == {
        "calls belong to sessions",
        "requests of users have an end",
        "users are told apart",
        "the version is known",
    }


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere", "does not answer; start the agent, which calls gauge.serve()"),
        ("not-an-address", "is not a valid address"),
        ("password", "wants a password, or another one; give it with --password-file"),
    ],
)
def test_an_endpoint_that_cannot_be_read_is_said_without_its_password(gauge: AgentGauge, url: str, said: str) -> None:
    """One line, status 2."""
    server = gauge.serve(port=0, password="s3cret")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/metrics"
    asked = {
        "nowhere": nowhere,
        "not-an-address": "localhost:9464",
        "password": server.url.replace("http://", "http://x:wr0ng@"),
    }
    done = check(asked[url])
    assert done.exit_code == 2
    assert said in done.stderr
    assert "wr0ng" not in done.stderr
    assert check(server.url.replace("http://", "http://prometheus:s3cret@")).exit_code == 0
    server.close()


def test_a_password_is_read_from_a_file(gauge: AgentGauge, tmp_path: Path) -> None:
    """In the list of processes, every user of the machine could read it; a file that is missing or empty is said."""
    file = tmp_path / "password"
    file.write_text("s3:cr@t\n", encoding="utf-8")
    server = gauge.serve(port=0, password="s3:cr@t")
    assert check(server.url, "--password-file", str(file)).exit_code == 0
    file.write_text("", encoding="utf-8")
    for path, said in ((file, "is empty"), (tmp_path / "none", "cannot be read: No such file")):
        done = check(server.url, "--password-file", str(path))
        assert (done.exit_code, said in done.stderr) == (2, True)
    server.close()


def test_a_prometheus_that_knows_nothing_of_the_agent_is_told_everything(
    server: MetricsServer, programs: dict[str, Path], tmp_path: Path
) -> None:
    """No target, no rules, no Alertmanager: each with what to do."""
    with recording.serving(programs["prometheus"], tmp_path, []) as prometheus:
        found = verdicts(server.url, "--prometheus", prometheus.url)
        done = check(server.url, "--prometheus", prometheus.url)
    assert {about for about, verdict in found.items() if verdict == "missing"} == {
        "Prometheus scrapes the agent",
        "every alert is loaded",
        "Prometheus has an Alertmanager",
    }
    assert "AgentSessionLooping" in done.stdout
    assert "agentgauge bundle DIR" in done.stdout


def test_servers_that_do_not_answer_are_a_line_each(server: MetricsServer) -> None:
    """The others are looked at all the same."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    found = verdicts(server.url, "--prometheus", nowhere, "--alertmanager", nowhere)
    assert found["Prometheus answers"] == found["Alertmanager answers"] == "missing"
    assert found["the version is known"] == "ok"


APP = """
from agentgauge import AgentApp, Tool

app = AgentApp("bot", ledger="sqlite://", tools=[Tool("search"), Tool("refund", {"type": "object"})])
"""


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of an agent called bot, in which the command is run."""
    (tmp_path / "declared_bot.py").write_text(APP, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.agentgauge]\napp = "declared_bot:app"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTGAUGE_APP", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "declared_bot", raising=False)


@pytest.mark.usefixtures("declared")
def test_a_tool_without_a_schema_and_one_that_is_not_declared_are_named(
    gauge: AgentGauge, server: MetricsServer
) -> None:
    """What the agent says of itself is held against what it does."""
    gauge.register_tools(["charge"])
    work(gauge, tool="charge")
    done = check(server.url)
    assert done.exit_code == 1
    assert "✗ every tool has a schema: search: say what the arguments are" in done.stdout
    assert "✗ every tool that is called is declared: charge: add them to AgentApp" in done.stdout


@pytest.mark.usefixtures("declared")
def test_an_app_that_cannot_be_loaded_is_a_line(server: MetricsServer, tmp_path: Path) -> None:
    """The rest is looked at all the same."""
    (tmp_path / "pyproject.toml").write_text('[tool.agentgauge]\napp = "nowhere:app"\n', encoding="utf-8")
    found = verdicts(server.url)
    assert found["the agent's app can be loaded"] == "missing"
    assert found["the version is known"] == "ok"


@pytest.mark.usefixtures("declared")
def test_a_port_that_another_agent_has_is_said(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the usual address, the agent of this folder is expected; whoever gives a URL may mean another one."""
    with closing(AgentGauge("other", registry=registry).serve(port=0)) as server:
        assert "the endpoint is the agent's own" not in verdicts(server.url)
        monkeypatch.setattr("agentgauge.cli.check.METRICS", server.url)
        done = check(server.url)
    assert done.exit_code == 1
    assert "it is that of other, and bot cannot have the port: stop the other one" in done.stdout


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><body>Hello {</body></html>", "answers 200 and no metrics, so another program has the port"),
        (b"up 1\n", "shows no agent of AgentGauge: if another program has the port, give the agent a free one"),
    ],
)
def test_a_port_that_another_program_has_is_said(body: bytes, said: str) -> None:
    """A web server, or an exporter of something else."""
    other = Starlette(routes=[Route("/metrics", lambda _request: Response(body))])
    with serving(other) as url:
        done = check(f"{url}/metrics")
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_receiver_that_is_not_reached_is_named(
    server: MetricsServer, tmp_path: Path, programs: dict[str, Path]
) -> None:
    """The real Alertmanager on the bundle's configuration, whose pager is not there."""
    layout = Layout(Ports.free(), tmp_path)
    config.write(layout)
    with alertmanager.running(layout, programs) as url:
        alertmanager.post(url, [alertmanager.alert(alertmanager.RENDERED["AgentToolSuccessRateLow"])])
        until = time.monotonic() + 60
        while (verdict := verdicts(server.url, "--alertmanager", url)["pages reach their receivers"]) == "not_yet":
            assert time.monotonic() < until, "Alertmanager tried nothing within a minute"
            time.sleep(0.2)  # it tells nobody when it tries
        done = check(server.url, "--alertmanager", url)
    assert verdict == "missing"
    assert "✗ pages reach their receivers: webhook failed: the log of Alertmanager says why" in done.stdout
