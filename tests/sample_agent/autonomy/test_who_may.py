"""Who may ask the Sales Companion something and decide on it: over HTTP, and from a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentGauge
from agentgauge.autonomy.access import MOST_GUESSES
from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import FILE_VARIABLE, TOKEN_VARIABLE, People
from agentgauge.cli.root import app as agentgauge
from sample_agent.assembly import build_companion, build_door
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url

NOTE = "Log a note in the CRM for Globex: call back next week"
SECONDS = 20


@dataclass(frozen=True)
class Api:
    """The agent's HTTP API, as somebody with a token meets it, or without."""

    url: str
    token: str | None = None

    def post(self, path: str, **body: Any) -> requests.Response:
        """Send JSON."""
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return requests.post(f"{self.url}/{path}", json=body, headers=headers, timeout=SECONDS)


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of its own."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    for name in ("AGENTGAUGE_LEDGER", "AGENTGAUGE_POLICY", FILE_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def people(tmp_path: Path) -> People:
    """Those of the state folder."""
    return People.of(tmp_path)


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The Sales Companion's instrumentation."""
    tools = [tool.name for tool in SALES_TOOLS]
    with closing(AgentGauge(AGENT, tools=tools, registry=registry, ledger=ledger_url(tmp_path))) as made:
        yield made


@pytest.fixture
def service(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> Iterator[tuple[str, Autonomy]]:
    """The address of a running agent, and what it may do."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    companion = build_companion(gauge, client, tmp_path)
    with serving(Service(gauge, companion, build_door(tmp_path)).app()) as url:
        yield url, companion.supervisor.autonomy


def asked_for_a_note(api: Api) -> tuple[str, str]:
    """Ask for something that waits; returns the path of the session, and of the decision."""
    session = f"sessions/{api.post('sessions').json()['session_id']}"
    (waiting,) = api.post(f"{session}/messages", text=NOTE).json()["approvals"]
    return session, f"{session}/approvals/{waiting['id']}"


def test_who_reaches_the_port_lists_no_session_and_decides_nothing(
    service: tuple[str, Autonomy], people: People
) -> None:
    """Not even with the session's id, which only its user is told."""
    url, autonomy = service
    _, approval = asked_for_a_note(Api(url, people.add("ann", ())))
    assert requests.get(f"{url}/sessions", timeout=SECONDS).status_code == 405
    for stranger in (Api(url), Api(url, "a-token-of-nobody-at-all")):
        for refused in (stranger.post(approval, decision="approve"), stranger.post("sessions", user_id="ann")):
            assert (refused.status_code, "say who you are" in refused.json()["error"]) == (401, True)
    assert len(autonomy.approvals.waiting()) == 1


def test_a_decision_is_recorded_under_the_name_that_the_token_has(
    service: tuple[str, Autonomy], people: People
) -> None:
    """And the user of a session is who opened it, whatever else they say."""
    url, autonomy = service
    ann, bob = Api(url, people.add("ann", ())), Api(url, people.add("bob", ()))
    refused = ann.post("sessions", user_id="bob")
    assert (refused.status_code, "ann asks in their own name" in refused.json()["error"]) == (403, True)
    _, approval = asked_for_a_note(ann)
    (waiting,) = autonomy.approvals.waiting()
    assert waiting.proposal.user_id == "ann"
    assert bob.post(approval, decision="approve", seen=waiting.seal).json() == {"decision": "approved"}
    assert autonomy.approvals.get(waiting.id).decided_by == "bob"


def test_nobody_approves_their_own_call_of_high_risk(service: tuple[str, Autonomy], people: People) -> None:
    """Nor through a front end, which decides in the name of the user whom it has logged in."""
    url, autonomy = service
    for user, token in (("ann", people.add("ann", ())), ("rep-1", people.owner()[1])):
        api = Api(url, token)
        session = api.post("sessions", user_id=user).json()["session_id"]
        sending = Proposal("send_email", "high", "approval", {"draft_id": 6}, {}, session, user)
        action = autonomy.actions.propose(sending)
        refused = api.post(f"sessions/{session}/approvals/{action.id}", decision="approve")
        assert (refused.status_code, "you asked for this yourself" in refused.json()["error"]) == (403, True)
        rejected = api.post(f"sessions/{session}/approvals/{action.id}", decision="reject", reason="not yet")
        assert rejected.json() == {"decision": "rejected"}


def test_the_email_behind_a_number_is_shown_and_approved_as_shown(
    service: tuple[str, Autonomy], people: People, gauge: AgentGauge
) -> None:
    """Over HTTP, at the terminal, and in the list; an approval that does not say what was shown is refused."""
    url, _ = service
    ann, bob = Api(url, people.add("ann", ())), Api(url, people.add("bob", ()))
    session = f"sessions/{ann.post('sessions').json()['session_id']}"
    draft = "Draft a renewal proposal email to Jane at Globex"
    (drafting,) = ann.post(f"{session}/messages", text=draft).json()["approvals"]
    assert ann.post(f"{session}/approvals/{drafting['id']}", decision="approve", seen=drafting["seal"]).ok
    requests.get(f"{url}/{session}/answer", params={"wait": SECONDS}, timeout=2 * SECONDS).raise_for_status()
    (sending,) = ann.post(f"{session}/messages", text="send it").json()["approvals"]
    assert sending["arguments"] == {"draft_id": 1}
    assert sending["effect"]["to"] == "jane.cooper@globex.example.com"
    assert sorted(sending["effect"]) == ["body", "subject", "to"]
    assert "jane.cooper@globex.example.com" in run("list")
    assert sending["effect"]["body"] in run("show", sending["id"])
    approval = f"{session}/approvals/{sending['id']}"
    assert bob.post(approval, decision="approve").status_code == 400
    assert bob.post(approval, decision="approve", seen="another seal").status_code == 412
    assert bob.post(approval, decision="approve", seen=sending["seal"]).json() == {"decision": "approved"}
    answer = requests.get(f"{url}/{session}/answer", params={"wait": SECONDS}, timeout=2 * SECONDS).json()
    assert "Sent to jane.cooper@globex.example.com" in answer["text"]


def test_guessing_tokens_is_slowed_down(service: tuple[str, Autonomy]) -> None:
    """As on the page."""
    guesser = Api(service[0], "a guess of some length")
    statuses = [guesser.post("sessions").status_code for _ in range(MOST_GUESSES + 1)]
    assert statuses == [401] * MOST_GUESSES + [429]


def run(*arguments: str, status: int = 0, **env: str) -> str:
    """What `agentgauge approvals …` prints."""
    result = CliRunner().invoke(agentgauge, ["approvals", *arguments], env={"USER": "olga"} | env)
    assert result.exit_code == status, result.output
    return result.output


def test_a_token_is_printed_once_and_decides_at_any_terminal(gauge: AgentGauge, people: People) -> None:
    """Under the name and with the roles that it was made for."""
    assert "nobody can log in" in run("people", "list")
    token = run("people", "add", "ann", "--role", "lead").strip()
    assert people.with_token(token) == people.all()["ann"]
    assert " ".join(run("people", "list").split()).endswith("ann lead")
    assert token not in run("people", "list", "--json")
    assert gauge.ledger is not None
    actions = Autonomy.on(gauge.ledger, AGENT, lambda: None, lambda *_: None).actions  # type: ignore[arg-type, return-value]
    proposal = Proposal("update_crm", "medium", "approval", {"account": "Globex", "text": "x"}, {})
    mine, anns = actions.propose(proposal).id, actions.propose(proposal).id
    assert "approved by olga" in run("approve", mine)
    assert "approved by ann" in run("approve", anns, AGENTGAUGE_TOKEN=token)
    assert "ann cannot log in any more" in run("people", "remove", "ann")
    assert "AGENTGAUGE_TOKEN is nobody's token" in run("approve", anns, AGENTGAUGE_TOKEN=token, status=2)


def test_the_log_of_decisions_is_checked_from_a_terminal(gauge: AgentGauge) -> None:
    """It prints what to keep elsewhere, and names what was changed."""
    assert gauge.ledger is not None
    actions = Autonomy.on(gauge.ledger, AGENT, lambda: None, lambda *_: None).actions  # type: ignore[arg-type, return-value]
    run("approve", actions.propose(Proposal("update_crm", "medium", "approval", {"text": "x"}, {})).id)
    said = run("verify")
    head = said.split()[-1]
    assert said.startswith("the log of decisions holds together; rows: 1\nkeep this elsewhere, for --head: 1:")
    assert "the log of decisions holds together; rows: 1" in run("verify", "--head", head)
    assert "decision 1 is another one" in run("verify", "--head", "1:0", status=1)
    assert "expected NUMBER:HASH" in run("verify", "--head", "x", status=2)


def test_a_link_is_for_somebody_who_can_log_in() -> None:
    """For others there is nothing behind it."""
    assert "ann cannot log in; `agentgauge approvals people add NAME`" in run("link", "--for", "ann", status=1)
    run("people", "add", "ann")
    assert "/approvals/login?code=" in run("link", "--for", "ann")
