"""The HTTP service and the command line, as their users meet them."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.ops.operations import Operations
from sample_agent import faults as fault_file
from sample_agent.assembly import build_companion, build_door
from sample_agent.faults import Fault
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url
from tests.front_end import bearer, opened

pytestmark = pytest.mark.e2e


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The Sales Companion's instrumentation, registered in the ledger of the state folder."""
    tools = [tool.name for tool in SALES_TOOLS]
    with (
        closing(AgentGauge(AGENT, tools=tools, registry=registry, ledger=ledger_url(tmp_path))) as made,
        closing(made.serve(port=0)),
    ):
        yield made


@pytest.fixture
def service(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> Iterator[str]:
    """A running service."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    with serving(Service(gauge, build_companion(gauge, client, tmp_path), build_door(tmp_path)).app()) as url:
        yield url


def cli(*arguments: str, module: str = "sample_agent", **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m sample_agent …`."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False, timeout=60)


def ops(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `agentgauge ops …`."""
    return cli("ops", *arguments, module="agentgauge", **env)


def test_a_conversation_over_http(service: str, tmp_path: Path) -> None:
    """Open, ask, rate, close."""
    session = f"{service}/sessions/{opened(service, tmp_path)}"
    answer = requests.post(f"{session}/messages", json={"text": "Tell me about the Globex account"}, timeout=10).json()
    assert "Globex" in answer["text"]
    assert requests.post(f"{session}/feedback", json={"rating": "up"}, timeout=5).ok
    assert requests.delete(session, timeout=5).status_code == 204
    assert requests.delete(session, timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/sessions", {"user_id": ""}, 400, "user_id"),
        ("/sessions/{id}/messages", {"text": " "}, 400, "text: expected a message"),
        ("/sessions/{id}/messages", {"text": "x" * 20_001}, 400, "text: expected a message"),
        ("/sessions/{id}/feedback", {"rating": "so-so"}, 400, "rating: expected one of up, down"),
        ("/sessions/{id}/feedback", {"rating": "down", "reason": "?"}, 400, "reason: expected one of"),
        ("/sessions/nobody/messages", {"text": "hi"}, 404, "no such session"),
    ],
)
def test_bad_requests_are_answered_with_the_field(
    service: str, tmp_path: Path, path: str, body: dict[str, str], status: int, says: str
) -> None:
    """Clear errors, as JSON."""
    answer = requests.post(
        service + path.format(id=opened(service, tmp_path)), json=body, headers=bearer(tmp_path), timeout=5
    )
    assert (answer.status_code, says in answer.json()["error"]) == (status, True)


def test_a_form_of_another_site_is_refused(service: str, tmp_path: Path) -> None:
    """A browser can post forms across sites, but not this content type."""
    answer = requests.post(
        f"{service}/sessions",
        data='{"user_id": "x"}',
        headers=bearer(tmp_path) | {"content-type": "text/plain"},
        timeout=5,
    )
    assert answer.status_code == 415


def test_an_idle_session_is_closed(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> None:
    """A user who walks away must not stay an open session for ever."""
    companion = build_companion(gauge, AsyncAnthropic(api_key="fake-key", base_url=fake_api), tmp_path)
    with serving(Service(gauge, companion, build_door(tmp_path), idle_seconds=0.5).app()) as service:
        opened(service, tmp_path)
        closed = threading.Event()
        while not closed.wait(0.05):
            if not gauge.live.all():
                closed.set()
    assert gauge.registry.get_sample_value("agent_session_turns_bucket", {"agent": AGENT, "le": "0.0"}) == 1


def test_closing_a_session_stops_the_answer_in_the_making(service: str, gauge: AgentGauge, tmp_path: Path) -> None:
    """`ops end-session` on a looping session saves the calls that it would still make."""
    fault_file.inject(tmp_path, Fault("slow-tool"))
    session = f"{service}/sessions/{opened(service, tmp_path)}"
    answers: list[requests.Response] = []
    ask = {"text": "Tell me about the Globex account"}
    asking = threading.Thread(target=lambda: answers.append(requests.post(f"{session}/messages", json=ask, timeout=30)))
    asking.start()
    started = {"agent": AGENT, "model": "claude-opus-5-5", "outcome": "success"}
    while not gauge.registry.get_sample_value("agent_llm_calls_total", started):
        threading.Event().wait(0.02)
    assert requests.delete(session, timeout=5).status_code == 204
    asking.join(timeout=5)
    assert answers[0].status_code == 409
    assert gauge.registry.get_sample_value("agent_tasks_total", {"agent": AGENT, "outcome": "abandoned"}) == 1


def test_live_sessions_are_listed_with_what_the_on_call_needs(service: str, tmp_path: Path) -> None:
    """Id, turns, tool calls and cost; not who the user is, and no port or host has to be known."""
    env = {"AGENTGAUGE_STATE": str(tmp_path)}
    assert "no session of sales_companion is live right now" in ops("sessions", **env).stdout
    session = opened(service, tmp_path)
    requests.post(f"{service}/sessions/{session}/messages", json={"text": "Tell me about Globex"}, timeout=10)
    (row,) = json.loads(ops("sessions", "--json", **env).stdout)
    assert (row["id"], row["turns"], row["tool_calls"]) == (session, 1, 2)
    assert session in ops("sessions", **env).stdout
    assert "rep-1" not in str(row)


def test_a_session_that_people_end_stops_in_the_middle_of_its_answer(
    service: str, gauge: AgentGauge, tmp_path: Path
) -> None:
    """It saves the calls that it would still make; its user is asked to start a new one, then and later."""
    fault_file.inject(tmp_path, Fault("slow-tool"))
    session = opened(service, tmp_path)
    answers: list[requests.Response] = []
    ask = functools.partial(
        requests.post, f"{service}/sessions/{session}/messages", json={"text": "Tell me about Globex"}, timeout=30
    )
    asking = threading.Thread(target=lambda: answers.append(ask()))
    asking.start()
    started = {"agent": AGENT, "model": "claude-opus-5-5", "outcome": "success"}
    while not gauge.registry.get_sample_value("agent_llm_calls_total", started):
        threading.Event().wait(0.02)
    assert gauge.ledger is not None
    Operations(gauge.ledger, AGENT).add("end_session", {"session": session}, "ann", "it loops")
    gauge.refresh_from_ledger()
    asking.join(timeout=30)
    for answer, status in ((answers[0], 409), (ask(), 404)):
        assert (answer.status_code, "please start a new one" in answer.json()["error"]) == (status, True)
    assert gauge.registry.get_sample_value("agent_tasks_total", {"agent": AGENT, "outcome": "abandoned"}) == 1


def test_ending_a_session_is_in_the_log_with_who_and_why(service: str, gauge: AgentGauge, tmp_path: Path) -> None:
    """Once it is closed there is nothing to end."""
    session = opened(service, tmp_path)
    env = {"AGENTGAUGE_STATE": str(tmp_path)}
    said = ops("end-session", session, "--why", "it loops", "--by", "ann", **env).stdout
    assert said == f"session {session} is closed within 5 seconds\n"
    gauge.refresh_from_ledger()
    assert gauge.live.all() == []
    refused = ops("end-session", session, **env)
    assert (refused.returncode, "there is no live session" in refused.stderr) == (1, True)
    (entry,) = [one for one in json.loads(ops("log", "--json", **env).stdout) if one["by"] == "ann"]
    assert (entry["what"], entry["why"]) == (f"session {session} ended", "it loops")


def test_serve_with_a_refused_key_stops_with_one_line(fake_api: str, tmp_path: Path) -> None:
    """Not a traceback, and not a service that cannot answer anybody."""
    env = {"ANTHROPIC_API_KEY": "broken", "ANTHROPIC_BASE_URL": fake_api, "AGENTGAUGE_STATE": str(tmp_path)}
    result = cli("serve", "--port", "0", "--metrics-port", "0", **env)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: the model provider refused the API key (401)")
    assert "Traceback" not in result.stderr


def test_faults_are_put_in_listed_and_cleared(tmp_path: Path) -> None:
    """The demo's way to break things on purpose."""
    env = {"AGENTGAUGE_STATE": str(tmp_path)}
    assert "slow-tool (search_emails)" in cli("fault", "inject", "slow-tool", "--tool", "search_emails", **env).stdout
    assert "search_emails" in cli("fault", "list", **env).stdout
    assert "faults in force: none" in cli("fault", "clear", **env).stdout


@pytest.mark.parametrize(
    ("module", "arguments", "says"),
    [
        ("sample_agent", ["fault", "inject", "crm-outtage"], "unknown fault 'crm-outtage'; known faults: crm-outage"),
        (
            "sample_agent",
            ["fault", "inject", "slow-tool", "--tool", "search_mail"],
            "there is no tool 'search_mail'; the tools are search_crm",
        ),
        ("agentgauge", ["ops", "disable-tool", "search_mail"], "sales_companion has no tool 'search_mail'"),
        ("agentgauge", ["ops", "use-model"], "name a model, or say --default"),
    ],
)
def test_wrong_commands_are_one_clear_line(tmp_path: Path, module: str, arguments: list[str], says: str) -> None:
    """What was wrong, and what there is."""
    result = cli(*arguments, module=module, AGENTGAUGE_STATE=str(tmp_path))
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_switches_take_effect_and_are_shown(tmp_path: Path) -> None:
    """Off, on, another model, back; who did what and when can be read afterwards."""
    env = {"AGENTGAUGE_STATE": str(tmp_path)}
    assert "tools off: send_email" in ops("disable-tool", "send_email", "--reason", "it sends twice", **env).stdout
    assert "model: claude-haiku-5-5" in ops("use-model", "claude-haiku-5-5", **env).stdout
    on_again = ops("enable-tool", "send_email", **env).stdout
    assert "tools off: none" in on_again
    assert "model: claude-haiku-5-5" in on_again
    assert "on fallback: search_emails" in ops("use-fallback", "search_emails", **env).stdout
    assert "on fallback: none" in ops("use-fallback", "search_emails", "--off", **env).stdout
    assert "send_email has no fallback" in ops("use-fallback", "send_email", **env).stderr
    assert "model: the configured one" in ops("use-model", "--default", **env).stdout
    log = json.loads(ops("log", "--json", **env).stdout)
    assert [entry["why"] for entry in log] == ["it sends twice", "", "", "", "", ""]


def test_chat_starts_an_agent_of_its_own_when_none_runs(tmp_path: Path) -> None:
    """One command from a clone to a conversation."""
    command = [sys.executable, "-m", "sample_agent", "chat", "--agent", "http://127.0.0.1:9"]
    result = subprocess.run(
        command,
        env=os.environ | {"AGENTGAUGE_STATE": str(tmp_path)},
        input="Tell me about the Globex account\n\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Globex has an ARR of" in result.stdout


def test_the_simulator_works_the_floor(service: str, tmp_path: Path) -> None:
    """People come, ask and rate; the summary says how many."""
    result = cli(
        "simulate",
        "--reps",
        "20",
        "--pace",
        "60",
        "--seconds",
        "12",
        "--agent",
        service,
        AGENTGAUGE_STATE=str(tmp_path),
    )
    assert result.returncode == 0
    counts = dict(part.rsplit(" ", 1) for part in " ".join(result.stdout.split("\n")).strip().split("  "))
    assert int(counts["sessions"]) > 5
    assert int(counts["answers"]) > 5


def test_a_request_under_a_foreign_host_name_is_refused(service: str) -> None:
    """A website whose name leads to loopback reads nothing and approves nothing."""
    answer = requests.get(f"{service}/health", headers={"Host": "evil.example"}, timeout=5)
    assert answer.status_code == 400


def test_the_transcript_of_a_looping_session_can_be_read(service: str, tmp_path: Path) -> None:
    """Listed while the service runs, by an id that leads to what was said and called."""
    fault_file.inject(tmp_path, Fault("looping"))
    session = opened(service, tmp_path)
    requests.post(f"{service}/sessions/{session}/messages", json={"text": "Tell me about Globex"}, timeout=20)
    env = {"AGENTGAUGE_STATE": str(tmp_path), "COLUMNS": "160"}
    until = time.monotonic() + 20
    while not (read := cli("transcripts", "show", session, module="agentgauge", **env).stdout):
        assert time.monotonic() < until  # it is written within the second
    assert session in ops("looping", **env).stdout
    assert "user: Tell me about Globex" in read
    assert read.count("  call    ") > 15
    unknown = cli("transcripts", "show", "unknown", module="agentgauge", **env)
    assert "transcripts list" in unknown.stderr
