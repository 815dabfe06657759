"""The Sales Companion's ledger: what the on-call reads from it, and that a rating is safe before the user hears so."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry, generate_latest

from agentgauge import AgentGauge
from agentgauge.incident.runbook import read
from sample_agent.app import app
from sample_agent.assembly import build_companion, build_door
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url
from tests.front_end import opened
from tests.imports import ROOT

USER = "jane@globex.example"


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The Sales Companion's instrumentation, its ledger in the state folder."""
    tools = [tool.name for tool in SALES_TOOLS]
    with closing(AgentGauge(AGENT, tools=tools, registry=registry, ledger=ledger_url(tmp_path))) as made:
        yield made


@pytest.fixture
def service(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> Iterator[str]:
    """A running service."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    with serving(Service(gauge, build_companion(gauge, client, tmp_path), build_door(tmp_path)).app()) as url:
        yield url


@pytest.fixture
def session(service: str, tmp_path: Path) -> str:
    """The URL of a session of USER's."""
    return f"{service}/sessions/{opened(service, tmp_path, USER)}"


def ops(state: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `agentgauge ops …` on this state folder."""
    command = [sys.executable, "-m", "agentgauge", "ops", *arguments]
    settings = os.environ | {"AGENTGAUGE_STATE": str(state), "AGENTGAUGE_LEDGER": ""} | env
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=60)


def run(state: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a runbook page has it, `agentgauge …`, on this state folder."""
    program, *arguments = shlex.split(command)
    assert program == "agentgauge"
    settings = os.environ | {"AGENTGAUGE_STATE": str(state), "AGENTGAUGE_LEDGER": ""}
    words = [sys.executable, "-m", "agentgauge", *arguments]
    return subprocess.run(words, env=settings, capture_output=True, text=True, check=False, timeout=120)


def test_the_runbooks_rollback_has_something_to_roll_back_to_on_the_first_day(
    gauge: AgentGauge, tmp_path: Path
) -> None:
    """Each command of the page of AgentApprovalRateLow succeeds on a ledger that knows one start and nothing else."""
    page = (ROOT / "runbooks/AgentApprovalRateLow.md").read_text(encoding="utf-8")
    blocks = [block for one in read(page, "page").mitigations for block in one.blocks]
    (commands,) = [block for block in blocks if any("prompts rollback" in line for line in block)]
    in_force = app(tmp_path).prompts_in_force(gauge)
    newest = in_force().version
    gauge.refresh_from_ledger()
    results = [run(tmp_path, command) for command in commands]
    assert [(result.returncode, result.stderr) for result in results] == [(0, "") for _ in commands]
    assert newest not in results[-1].stdout
    assert re.match(r"prompts v\d+ are in force", results[-1].stdout)


def ask(session: str) -> None:
    """One question, answered."""
    requests.post(f"{session}/messages", json={"text": "Tell me about Globex"}, timeout=10).raise_for_status()


def test_the_pseudonym_on_a_page_leads_to_spend_and_user(session: str, gauge: AgentGauge, tmp_path: Path) -> None:
    """From the metric's label to `ops spend` to `ops who`, while the agent runs."""
    ask(session)
    gauge.refresh_from_ledger()
    exposed = [sample for metric in gauge.registry.collect() for sample in metric.samples]
    (page,) = [sample for sample in exposed if sample.name == "agent_user_cost_usd"]
    pseudonym = page.labels["user"]
    shown = ops(tmp_path, "spend").stdout
    assert f"{pseudonym} ${page.value:.4f}" in " ".join(shown.split())
    assert ops(tmp_path, "who", pseudonym).stdout == f"{USER}\n"


def test_no_raw_id_is_in_the_metrics_or_in_the_list_of_spenders(
    session: str, gauge: AgentGauge, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only `ops who` gives it."""
    ask(session)
    assert requests.post(f"{session}/feedback", json={"rating": "up"}, timeout=5).ok
    gauge.refresh_from_ledger()
    said = generate_latest(gauge.registry).decode() + caplog.text + ops(tmp_path, "spend").stdout
    assert "agent_user_cost_usd{" in said
    for secret in (USER, "jane", session.rpartition("/")[2]):
        assert secret not in said


def test_a_rating_is_stored_before_it_is_answered(session: str, tmp_path: Path) -> None:
    """Whoever hears ok is in the ledger."""
    assert requests.post(f"{session}/feedback", json={"rating": "down", "reason": "tone"}, timeout=5).ok
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        rows = database.execute("SELECT user_id, rating, reason FROM agentgauge_feedback").fetchall()
    assert rows == [(USER, "down", "tone")]


def test_a_rating_that_cannot_be_stored_is_answered_503(session: str, tmp_path: Path) -> None:
    """The user hears it and can try again."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.execute("DROP TABLE agentgauge_feedback")
    answer = requests.post(f"{session}/feedback", json={"rating": "up"}, timeout=5)
    assert answer.status_code == 503
    assert "could not be stored" in answer.json()["error"]


def test_usage_is_in_the_ledger_when_the_service_has_stopped(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> None:
    """SIGTERM does not run exit handlers, so the service closes the gauge itself."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    with serving(Service(gauge, build_companion(gauge, client, tmp_path), build_door(tmp_path)).app()) as url:
        opened(url, tmp_path, USER)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        assert database.execute("SELECT user_id, sessions FROM agentgauge_usage").fetchall() == [(USER, 1)]


@pytest.mark.parametrize(
    ("arguments", "ledger", "status", "says"),
    [
        (["who", "0123456789ab"], "", 1, "the ledger knows no user '0123456789ab'; `agentgauge ops spend` shows"),
        (["spend"], "mysql://me:hush@127.0.0.1/x", 2, "the ledger mysql://me:***@127.0.0.1/x is neither sqlite"),
    ],
)
def test_wrong_commands_are_one_clear_line(
    tmp_path: Path, arguments: list[str], ledger: str, status: int, says: str
) -> None:
    """What was wrong, and what to do."""
    result = ops(tmp_path, *arguments, AGENTGAUGE_LEDGER=ledger)
    assert result.returncode == status
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert "hush" not in result.stderr


def test_a_ledger_of_newer_code_keeps_the_service_from_starting(tmp_path: Path) -> None:
    """With one line that says what to upgrade."""
    ops(tmp_path, "spend")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database, database:
        database.execute("UPDATE agentgauge_meta SET value = '99' WHERE name IN ('schema_version', 'oldest_user')")
    command = [sys.executable, "-m", "sample_agent", "serve", "--port", "0", "--metrics-port", "0"]
    env = os.environ | {"AGENTGAUGE_STATE": str(tmp_path)}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("error: the ledger sqlite:///")
    assert "schema has version 99" in result.stderr
    assert "Traceback" not in result.stderr
