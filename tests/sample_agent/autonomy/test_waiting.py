"""Conversations that wait for people: over HTTP, over restarts and crashes, and with several replicas on one ledger."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.autonomy import shadow
from agentgauge.autonomy.action import LEASE_SECONDS
from agentgauge.autonomy.parts import Autonomy
from agentgauge.ledger import Ledger
from sample_agent.assembly import build_autonomy, build_companion, build_door
from sample_agent.sales.crm import Crm
from sample_agent.sales.requests import ONLY_WATCHES
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import ledger_url
from tests.front_end import bearer, opened

DRAFT = "Draft a renewal proposal email to Jane at Globex"
NOTE = "Log a note in the CRM for Globex: call back next week"
SECONDS = 20


class Agent:
    """A running agent, as one of its users meets it."""

    def __init__(self, url: str, gauge: AgentGauge, state: Path) -> None:
        self.url = url
        self.state = state
        self.gauge = gauge

    def open(self, user: str = "rep-1") -> str:
        """A new conversation's id."""
        return opened(self.url, self.state, user)

    def say(self, session: str, text: str) -> dict[str, Any]:
        """The answer to a message."""
        answered = self.post(session, "messages", text=text)
        assert answered.status_code == 200, answered.text
        return dict(answered.json())

    def post(self, session: str, path: str, **body: Any) -> requests.Response:
        """Post something to a conversation."""
        return requests.post(
            f"{self.url}/sessions/{session}/{path}", json=body, headers=bearer(self.state), timeout=SECONDS
        )

    def get(self, session: str, path: str, **query: Any) -> requests.Response:
        """Get something of a conversation."""
        return requests.get(f"{self.url}/sessions/{session}/{path}", params=query, timeout=SECONDS)

    def next_answer(self, session: str) -> dict[str, Any]:
        """What the conversation comes to by itself."""
        answered = self.get(session, "answer", wait=SECONDS)
        assert answered.status_code == 200, answered.text
        return dict(answered.json())

    def value(self, name: str, **labels: str) -> float:
        """A sample of its metrics, 0 if there is none."""
        return self.gauge.registry.get_sample_value(name, {"agent": self.gauge.agent, **labels}) or 0.0


@pytest.fixture
def start(fake_api: str, tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Agent]]:
    """Start an agent on the state folder; several are replicas, one after the other is a restart."""

    @contextlib.contextmanager
    def starting(later: timedelta = timedelta()) -> Iterator[Agent]:
        ledger = Ledger.open(ledger_url(tmp_path), now=lambda: datetime.now(UTC) + later)
        tools = [tool.name for tool in SALES_TOOLS]
        gauge = AgentGauge("sales_companion", tools=tools, registry=CollectorRegistry(), ledger=ledger)
        client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
        with serving(Service(gauge, build_companion(gauge, client, tmp_path), build_door(tmp_path)).app()) as url:
            yield Agent(url, gauge, tmp_path)

    return starting


@pytest.fixture
def agent(start: Callable[..., contextlib.AbstractContextManager[Agent]]) -> Iterator[Agent]:
    """A running agent."""
    with start() as running:
        yield running


@pytest.fixture
def autonomy(tmp_path: Path) -> Iterator[Autonomy]:
    """The same approvals from another process: the command line's, or the page's."""
    with contextlib.closing(Ledger.open(ledger_url(tmp_path))) as ledger:
        yield build_autonomy(ledger, state=tmp_path)


def drafts(state: Path) -> list[str]:
    """The subjects of the e-mails that were drafted."""
    with contextlib.closing(sqlite3.connect(state / "crm.sqlite")) as crm:
        return [subject for (subject,) in crm.execute("SELECT subject FROM drafts ORDER BY id")]


def notes(state: Path) -> int:
    """How many notes were written."""
    with contextlib.closing(sqlite3.connect(state / "crm.sqlite")) as crm:
        return int(crm.execute("SELECT count(*) FROM notes").fetchone()[0])


def test_a_call_waits_is_approved_in_the_conversation_and_goes_on(agent: Agent, tmp_path: Path) -> None:
    """Question, look-ups, draft waits, approved, drafted: one task, though it was suspended."""
    session = agent.open()
    asked = agent.say(session, DRAFT)
    (waiting,) = asked["approvals"]
    assert (waiting["tool"], waiting["risk"]) == ("draft_email", "medium")
    assert waiting["arguments"]["to"].startswith("jane.cooper@globex")
    assert datetime.fromisoformat(waiting["expires_at"]) > datetime.now(UTC) + timedelta(hours=23)
    assert drafts(tmp_path) == []
    assert agent.get(session, "answer").status_code == 204
    assert agent.get(session, "approvals").json() == [waiting]
    assert agent.post(session, f"approvals/{waiting['id']}", decision="approve", seen=waiting["seal"]).ok
    answer = agent.next_answer(session)
    assert "Shall I send it?" in answer["text"]
    assert answer["tools"] == ["search_crm_contacts", "get_deal_history", "draft_email"]
    assert answer["approvals"] == []
    assert len(drafts(tmp_path)) == 1
    assert agent.value("agent_tasks_total", outcome="completed") == 1
    assert agent.value("agent_task_turns_sum") == 3
    assert agent.get(session, "approvals").json() == []
    assert "welcome" in agent.say(session, "Thanks!")["text"]


def test_an_edited_call_is_made_with_the_edited_arguments(agent: Agent, tmp_path: Path) -> None:
    """And the answer shows what was really drafted."""
    session = agent.open()
    (waiting,) = agent.say(session, DRAFT)["approvals"]
    edited = waiting["arguments"] | {"subject": "Your renewal in March"}
    assert agent.post(session, f"approvals/{waiting['id']}", decision="edit", arguments=edited).ok
    assert "Subject: Your renewal in March" in agent.next_answer(session)["text"]
    assert drafts(tmp_path) == ["Your renewal in March"]


def test_a_rejected_call_is_not_made_and_the_answer_says_so(agent: Agent, tmp_path: Path) -> None:
    """A person's no is not a failure of the agent."""
    session = agent.open()
    (waiting,) = agent.say(session, DRAFT)["approvals"]
    assert agent.post(session, f"approvals/{waiting['id']}", decision="reject", reason="too early").ok
    assert "not approved" in agent.next_answer(session)["text"]
    assert drafts(tmp_path) == []
    assert agent.value("agent_tasks_total", outcome="completed") == 1


def test_a_decision_of_another_process_is_seen(agent: Agent, autonomy: Autonomy, tmp_path: Path) -> None:
    """Made on the command line or on the page."""
    session = agent.open()
    (waiting,) = agent.say(session, DRAFT)["approvals"]
    autonomy.approvals.approve(waiting["id"], "jane")
    assert "Shall I send it?" in agent.next_answer(session)["text"]


def test_a_conversation_that_waits_takes_no_other_message(agent: Agent) -> None:
    """One thing after the other."""
    session = agent.open()
    agent.say(session, DRAFT)
    refused = agent.post(session, "messages", text="And what about Initech?")
    assert refused.status_code == 409
    assert "waits for a decision" in refused.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "decision: expected approve, edit or reject"),
        ({"decision": "edit"}, 400, "arguments: expected the edited ones"),
        ({"decision": "edit", "arguments": {"to": "x"}}, 400, "arguments: draft_email: subject: Field required"),
        ({"decision": "reject", "reason": 7}, 400, "reason: expected a text"),
    ],
)
def test_a_wrong_decision_is_answered_with_the_field(
    agent: Agent, body: dict[str, Any], status: int, says: str
) -> None:
    """And the call waits on."""
    session = agent.open()
    (waiting,) = agent.say(session, DRAFT)["approvals"]
    answered = agent.post(session, f"approvals/{waiting['id']}", **body)
    assert (answered.status_code, says in answered.json()["error"]) == (status, True)
    assert agent.get(session, "approvals").json() == [waiting]


def test_an_edit_that_raises_the_risk_is_refused(agent: Agent, tmp_path: Path) -> None:
    """A discount above 20 % takes a decision of its own."""
    session = agent.open()
    (waiting,) = agent.say(session, DRAFT)["approvals"]
    edited = waiting["arguments"] | {"body": "Dear Jane, 30 % off."}
    answered = agent.post(session, f"approvals/{waiting['id']}", decision="edit", arguments=edited)
    assert answered.status_code == 400
    assert "would be of high risk" in answered.json()["error"]
    assert drafts(tmp_path) == []


def test_one_decides_only_on_the_actions_of_ones_own_conversation_and_once(agent: Agent, autonomy: Autonomy) -> None:
    """An id from elsewhere is unknown here; who is late is told."""
    session, other = agent.open(), agent.open("rep-2")
    (waiting,) = agent.say(session, DRAFT)["approvals"]
    foreign = agent.post(other, f"approvals/{waiting['id']}", decision="approve")
    assert (foreign.status_code, foreign.json()["error"]) == (404, "this conversation has no such action")
    autonomy.approvals.reject(waiting["id"], "jane", "too early")
    late = agent.post(session, f"approvals/{waiting['id']}", decision="approve", seen=waiting["seal"])
    assert (late.status_code, "was rejected before, by jane" in late.json()["error"]) == (409, True)


def test_waiting_for_an_answer_has_its_limits(agent: Agent) -> None:
    """A conversation that waits for nobody has no news."""
    session = agent.open()
    assert agent.get(session, "answer", wait=SECONDS).status_code == 204
    for wait in ("-1", "61", "soon", "nan"):
        assert agent.get(session, "answer", wait=wait).status_code == 400


def test_nobody_decides_and_the_conversation_goes_on_without(agent: Agent, tmp_path: Path) -> None:
    """Expired is decided by the clock: the call is not made, and it is counted."""
    session = agent.open()
    agent.say(session, DRAFT)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE agentgauge_action SET expires_at = at - 1")
    assert "nobody approved it in time" in agent.next_answer(session)["text"]
    agent.gauge.refresh_from_ledger()
    assert agent.value("agent_approvals_total", tool="draft_email", risk="medium", decision="expired") == 1
    assert drafts(tmp_path) == []


def test_a_request_can_wait_more_than_once(agent: Agent, tmp_path: Path) -> None:
    """Rejected, it is proposed again when the user asks; each proposal has its own decision."""
    session = agent.open()
    for decision in ("reject", "approve"):
        (waiting,) = agent.say(session, NOTE)["approvals"]
        assert agent.post(session, f"approvals/{waiting['id']}", decision=decision, seen=waiting["seal"]).ok
        assert agent.next_answer(session)["approvals"] == []
    assert notes(tmp_path) == 1


def test_a_waiting_conversation_survives_a_restart(
    start: Callable[..., contextlib.AbstractContextManager[Agent]], autonomy: Autonomy, tmp_path: Path
) -> None:
    """The same session, the same call, and the messages from before: it resumes exactly there."""
    with start() as before:
        session = before.open()
        assert "ARR" in before.say(session, "Tell me about the Globex account")["text"]
        (waiting,) = before.say(session, DRAFT)["approvals"]
    autonomy.approvals.approve(waiting["id"], "jane")  # while no agent runs
    assert drafts(tmp_path) == []
    with start() as after:
        assert "Shall I send it?" in after.next_answer(session)["text"]
        assert drafts(tmp_path) == [waiting["arguments"]["subject"]]
        assert after.value("agent_tasks_total", outcome="completed") == 1
        (sending,) = after.say(session, "send it")["approvals"]
        assert sending["arguments"] == {"draft_id": 1}


def test_what_still_waits_after_a_restart_can_be_decided_in_the_conversation(
    start: Callable[..., contextlib.AbstractContextManager[Agent]], tmp_path: Path
) -> None:
    """Its user comes back with the session id, and is told what waits."""
    with start() as before:
        session = before.open()
        (waiting,) = before.say(session, DRAFT)["approvals"]
    with start() as after:
        assert after.post(session, "messages", text="hello?").status_code == 409
        assert after.next_answer(session)["approvals"] == [waiting]
        assert after.post(session, f"approvals/{waiting['id']}", decision="approve", seen=waiting["seal"]).ok
        assert "Shall I send it?" in after.next_answer(session)["text"]
    with start() as again:  # an answer that nobody fetched is not lost either
        assert "Shall I send it?" in again.next_answer(session)["text"]
        assert again.post("unknown", "messages", text="hello?").status_code == 404


def test_of_two_replicas_one_resumes_and_the_other_delivers_the_answer(
    start: Callable[..., contextlib.AbstractContextManager[Agent]], tmp_path: Path
) -> None:
    """Decided on one, open on the other; done once."""
    with start() as one, start() as other:
        sessions = [one.open() for _ in range(3)]
        for session in sessions:
            (waiting,) = one.say(session, NOTE)["approvals"]
            assert other.post(session, f"approvals/{waiting['id']}", decision="approve", seen=waiting["seal"]).ok
        for session in sessions:
            assert "Noted for Globex" in one.next_answer(session)["text"]
            assert "Noted for Globex" in other.next_answer(session)["text"]
        completed = [replica.value("agent_tasks_total", outcome="completed") for replica in (one, other)]
    assert notes(tmp_path) == 3
    assert sum(completed) == 3


def test_closing_a_conversation_leaves_its_call_to_be_decided(agent: Agent, autonomy: Autonomy, tmp_path: Path) -> None:
    """The user goes home, and a colleague approves; who comes back with the session id finds the answer."""
    session = agent.open()
    (waiting,) = agent.say(session, NOTE)["approvals"]
    assert requests.delete(f"{agent.url}/sessions/{session}", timeout=SECONDS).status_code == 204
    autonomy.approvals.approve(waiting["id"], "jane")
    assert "Noted for Globex" in agent.next_answer(session)["text"]
    assert notes(tmp_path) == 1


def test_a_suggestion_is_compared_with_what_the_user_did_in_the_crm(
    agent: Agent, autonomy: Autonomy, tmp_path: Path
) -> None:
    """In the stage shadow the user hears nothing of it, and does it by hand; a colleague's note is none of theirs."""
    autonomy.standings.set_stage(autonomy.policy(), "shadow", "jane", "a new model")
    answer = agent.say(agent.open(), NOTE)
    assert answer["text"] == ONLY_WATCHES
    assert answer["suggestions"] == 1
    with contextlib.closing(Crm(tmp_path / "crm.sqlite")) as crm:
        (globex,) = crm.accounts(["Globex"])
        crm.add_note(globex["id"], "note", "call back next week", by="rep-2")
        shadow.compare_with_records(autonomy)
        assert len(autonomy.actions.to_compare()) == 1
        crm.add_note(globex["id"], "next_step", "call back next week", by="rep-1")
    shadow.compare_with_records(autonomy)  # the agent may have been quicker
    assert autonomy.actions.to_compare() == []
    agent.gauge.refresh_from_ledger()
    assert agent.value("agent_shadow_decisions_total", tool="update_crm", match="misaligned") == 1


def test_a_draft_and_its_sending_are_both_shadowed(agent: Agent, autonomy: Autonomy, tmp_path: Path) -> None:
    """The second step is about a draft that was never written; the e-mail that the user sends is compared with both."""
    autonomy.standings.set_stage(autonomy.policy(), "shadow", "jane", "a new model")
    session = agent.open()
    assert agent.say(session, DRAFT)["text"] == ONLY_WATCHES
    assert agent.say(session, "Send it")["tools"] == ["send_email"]
    drafting, sending = autonomy.actions.to_compare()
    assert (drafting.proposal.tool, sending.proposal.tool) == ("draft_email", "send_email")
    assert sending.shown == drafting.shown
    assert drafts(tmp_path) == []
    with contextlib.closing(Crm(tmp_path / "crm.sqlite")) as crm:
        jane = crm.contact_with_email(sending.shown["to"])
        assert jane is not None
        crm.mark_sent(crm.add_draft(jane["id"], sending.shown["subject"], "Hi Jane, shall we talk?", by="rep-1"))
    assert shadow.compare_with_records(autonomy) == 2
    compared = {one.proposal.tool: one for one in map(autonomy.actions.get, (drafting.id, sending.id))}
    assert compared["draft_email"].shadow_match == "aligned"  # the policy compares the recipient
    assert (compared["send_email"].shadow_match, compared["send_email"].difference) == ("misaligned", "number")


def test_an_agent_killed_while_it_acts_does_not_act_again(
    start: Callable[..., contextlib.AbstractContextManager[Agent]], fake_api: str, tmp_path: Path
) -> None:
    """kill -9 between the note and its record: the next agent tells the user to check, and the conversation goes on."""
    command = [sys.executable, "-m", "stack.killed_agent", str(tmp_path), fake_api]
    killed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    session = killed.stdout.strip()
    assert notes(tmp_path) == 1
    with start(later=timedelta(seconds=LEASE_SECONDS + 1)) as after:
        told = after.next_answer(session)
        assert "I was interrupted" in told["text"]
        assert "I do not know whether this happened: update_crm." in told["text"]
        assert after.value("agent_tasks_total", outcome="failed") == 1
        assert "Globex has an ARR" in after.say(session, "Tell me about the Globex account")["text"]
        after.gauge.refresh_from_ledger()
        assert after.value("agent_actions_unresolved", tool="update_crm") == 1
    assert notes(tmp_path) == 1
