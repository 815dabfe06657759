"""The agent loop on the real SDK against the fake API: answers, declines, fails, loops, and says so in metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic, AuthenticationError, Timeout
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentgauge import AgentGauge, metrics
from agentgauge.transcripts import Transcripts
from alerts import thresholds
from sample_agent import faults as fault_file
from sample_agent.app import app
from sample_agent.assembly import build_client, build_companion
from sample_agent.errors import CrmUnavailable
from sample_agent.fake_api.app import create_app
from sample_agent.faults import Fault
from sample_agent.sales.companion import KEY_REFUSED, PROVIDER_DOWN, Conversation, SalesCompanion
from sample_agent.sales.model_calls import check_access
from sample_agent.sales.requests import Answer
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.serving import serving
from tests.switching import switch


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """The Sales Companion's instrumentation, its ledger in the state folder."""
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with closing(AgentGauge("a", tools=[tool.name for tool in SALES_TOOLS], registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
async def companion(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> AsyncIterator[SalesCompanion]:
    """The agent, without retries."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, max_retries=0, middleware=[gauge.anthropic()])
    async with client:
        yield build_companion(gauge, client, tmp_path)


def tasks(gauge: AgentGauge) -> dict[str, float]:
    """Tasks by outcome, zeros left out."""
    return {
        sample.labels["outcome"]: sample.value
        for metric in gauge.registry.collect()
        for sample in metric.samples
        if sample.name == "agent_tasks_total" and sample.value
    }


async def test_an_account_is_looked_up_and_told(companion: SalesCompanion, gauge: AgentGauge) -> None:
    """The first scenario of the spec."""
    conversation = Conversation(gauge.session("rep-1"))
    answer = await companion.answer(conversation, "Tell me about the Globex account")
    assert set(answer.tools) == {"search_crm_contacts", "get_deal_history"}
    assert all(word in answer.text for word in ("Globex", "ARR", "renewal"))
    assert tasks(gauge) == {"completed": 1}
    assert conversation.session.tool_calls == 2
    assert 0 < conversation.session.cost_usd < 0.10


async def approved(companion: SalesCompanion, conversation: Conversation, answer: Answer, by: str = "rep-1") -> Answer:
    """The answer after the user, or whoever is named, approved all that the one before waits for."""
    for action_id in answer.waiting:
        companion.supervisor.autonomy.approvals.approve(action_id, by)
    resumed = await companion.resume(conversation)
    assert resumed is not None
    return resumed


async def test_an_e_mail_is_drafted_with_the_users_approval_and_sent_with_a_colleagues(
    companion: SalesCompanion, gauge: AgentGauge
) -> None:
    """The second scenario of the spec; sending it takes another word of the user, and somebody else's approval."""
    conversation = Conversation(gauge.session("rep-1"))
    asked = await companion.answer(conversation, "Draft a renewal proposal email to Jane at Globex")
    assert "approval" in asked.text
    assert tasks(gauge) == {}
    drafted = await approved(companion, conversation, asked)
    assert set(drafted.tools) == {"search_crm_contacts", "get_deal_history", "draft_email"}
    assert "approval" in drafted.text
    assert "send" in drafted.text
    sent = await approved(companion, conversation, await companion.answer(conversation, "send it"), "ann")
    assert sent.tools == ("send_email",)
    assert sent.text.startswith("Sent to jane.cooper@globex")
    assert conversation.session.turns == 2
    assert tasks(gauge) == {"completed": 2}


async def test_what_is_out_of_scope_is_a_fallback_without_a_planning_call(
    companion: SalesCompanion, gauge: AgentGauge
) -> None:
    """Routing on the small model saves the large one."""
    conversation = Conversation(gauge.session())
    answer = await companion.answer(conversation, "What will the weather be tomorrow?")
    assert answer.text.startswith("I can't help with that")
    assert tasks(gauge) == {"fallback": 1}
    planned = {"agent": "a", "model": "claude-opus-5-5", "outcome": "success"}
    assert not gauge.registry.get_sample_value("agent_llm_calls_total", planned)


async def test_a_declining_model_is_a_fallback(companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path) -> None:
    """However the model comes to it."""
    fault_file.inject(tmp_path, Fault("declining"))
    await companion.answer(Conversation(gauge.session()), "Tell me about the Globex account")
    assert tasks(gauge) == {"fallback": 1}


async def test_an_outage_of_the_tools_fails_the_task_and_says_so(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """An apology is not a completed task."""
    fault_file.inject(tmp_path, Fault("crm-outage"))
    answer = await companion.answer(Conversation(gauge.session()), "Tell me about the Globex account")
    assert "couldn't reach" in answer.text
    assert tasks(gauge) == {"failed": 1}
    labels = {"agent": "a", "tool": "search_crm_contacts", "error_type": "CrmUnavailable"}
    assert gauge.registry.get_sample_value("agent_tool_errors_total", labels)


async def test_a_looping_model_is_stopped_and_seen(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """It passes the limit of tool calls, then gives up instead of going on for ever."""
    fault_file.inject(tmp_path, Fault("looping"))
    conversation = Conversation(gauge.session())
    answer = await companion.answer(conversation, "Tell me about the Globex account")
    assert "in circles" in answer.text
    assert tasks(gauge) == {"failed": 1}
    labels = {"agent": "a", "limit": "tool_calls"}
    assert gauge.registry.get_sample_value("agent_sessions_over_limit_total", labels) == 1


async def test_a_provider_that_is_down_is_said_plainly(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """The user gets a sentence, the metrics a failed task, and the conversation can go on."""
    conversation = Conversation(gauge.session())
    fault_file.inject(tmp_path, Fault("provider-error"))
    assert (await companion.answer(conversation, "Tell me about the Globex account")).text == PROVIDER_DOWN
    fault_file.clear(tmp_path)
    assert "Globex" in (await companion.answer(conversation, "Tell me about the Globex account")).text
    assert tasks(gauge) == {"failed": 1, "completed": 1}


def breaking_streams(app: ASGIApp) -> Starlette:
    """An app whose streams break after their first piece, as when its process is killed."""

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_one_piece(message: Message) -> None:
            await send(message)
            if message.get("more_body"):
                raise ConnectionResetError

        await app(scope, receive, send_one_piece)

    return Starlette(routes=[Mount("/", breaks)])


async def test_a_stream_that_breaks_is_said_plainly(gauge: AgentGauge, tmp_path: Path) -> None:
    """Whether the provider's process was killed or fell silent: it is the provider that failed, not the agent."""
    with serving(breaking_streams(create_app(fault_file.FaultFile(tmp_path), latency=0))) as url:
        async with AsyncAnthropic(api_key="fake-key", base_url=url, max_retries=0) as client:
            companion = build_companion(gauge, client, tmp_path)
            answer = await companion.answer(Conversation(gauge.session()), "Tell me about the Globex account")
    assert answer.text == PROVIDER_DOWN
    assert tasks(gauge) == {"failed": 1}


async def test_a_silent_provider_is_given_up_before_somebody_is_paged_for_it(gauge: AgentGauge) -> None:
    """All attempts of a call together take less than the turn that AgentHung takes for hanging."""
    limit = thresholds.load().alerts["AgentHung"].threshold
    assert limit is not None
    async with build_client(gauge) as client:
        assert isinstance(client.timeout, Timeout)
        assert client.timeout.read is not None
        assert client.timeout.read * (client.max_retries + 1) < limit.value


async def test_a_tool_that_is_switched_off_is_not_called(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """The runbook's way to take a broken tool out, while the agent runs; and to take all of them out."""
    switch(gauge, lambda now: now.without("get_deal_history"))
    answer = await companion.answer(Conversation(gauge.session()), "Tell me about the Globex account")
    assert "get_deal_history" not in answer.tools
    for tool in SALES_TOOLS:
        switch(gauge, lambda now, name=tool.name: now.without(name))  # type: ignore[misc]  # a lambda's default
    session = gauge.session()
    await companion.answer(Conversation(session), "Tell me about the Globex account")
    assert session.tool_calls == 0


async def test_another_model_plans_from_the_next_call_on(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """The runbook of the latency spike switches to a faster one."""
    switch(gauge, lambda now: now.with_model("claude-sonnet-5-5"))
    await companion.answer(Conversation(gauge.session()), "Tell me about the Globex account")
    labels = {"agent": "a", "model": "claude-sonnet-5-5", "outcome": "success"}
    assert gauge.registry.get_sample_value("agent_llm_calls_total", labels)


async def test_a_cancelled_answer_is_abandoned_and_leaves_the_conversation_usable(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """A half-finished exchange must not stay in the history: the API would refuse it."""
    conversation = Conversation(gauge.session())
    fault_file.inject(tmp_path, Fault("slow-tool"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(companion.answer(conversation, "Tell me about the Globex account"), timeout=1)
    assert conversation.messages == []
    assert tasks(gauge) == {"abandoned": 1}
    fault_file.clear(tmp_path)
    assert "Globex" in (await companion.answer(conversation, "Tell me about the Globex account")).text


async def test_a_refused_key_is_said_at_start_and_in_an_answer(
    gauge: AgentGauge, fake_api: str, tmp_path: Path
) -> None:
    """`serve` stops with it; an agent that loses its key later says so to its users without details."""
    with pytest.raises(AuthenticationError):
        await check_access(AsyncAnthropic(api_key="broken", base_url=fake_api), "claude-haiku-5-5")
    async with AsyncAnthropic(api_key="broken", base_url=fake_api, middleware=[gauge.anthropic()]) as client:
        companion = build_companion(gauge, client, tmp_path)
        answer = await companion.answer(Conversation(gauge.session()), "Tell me about the Globex account")
    assert answer.text == KEY_REFUSED


async def test_a_session_that_loops_leaves_a_transcript(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """It says what was asked and what was called, up to the latest step."""
    assert gauge.ledger is not None
    kept = Transcripts(gauge.ledger, gauge.agent)
    conversation = Conversation(gauge.session("rep-1"))
    await companion.answer(conversation, "Tell me about the Hooli account")
    gauge.refresh_from_ledger()
    assert kept.newest() == []
    fault_file.inject(tmp_path, Fault("looping"))
    await companion.answer(conversation, "Tell me about the Globex account")
    gauge.refresh_from_ledger()
    transcript = kept.get(conversation.session.id)
    # On a busy machine so many calls can be slow as well.
    assert [cause for cause in transcript.causes if cause != "slow"] == ["looping", "failed"]
    assert transcript.tool_calls == conversation.session.tool_calls > 15
    blocks = [block for message in transcript.messages or () for block in message["content"]]
    assert sum(block["type"] == "tool_use" for block in blocks) == transcript.tool_calls
    assert {"type": "text", "text": "Tell me about the Globex account"} in blocks


async def test_a_rejected_draft_leaves_the_conversation_that_led_to_it_and_the_reviewers_words(
    companion: SalesCompanion, gauge: AgentGauge
) -> None:
    """Whichever process goes on with the request."""
    assert gauge.ledger is not None
    conversation = Conversation(gauge.session("rep-1"))
    asked = await companion.answer(conversation, "Draft a renewal proposal email to Jane at Globex")
    companion.supervisor.autonomy.approvals.reject(asked.waiting[0], "ann", "too casual for jane@globex.example")
    await companion.resume(conversation)
    gauge.refresh_from_ledger()
    transcript = Transcripts(gauge.ledger, gauge.agent).get(conversation.session.id)
    (occasion,) = transcript.occasions
    assert (occasion.cause, occasion.detail) == ("rejected", "draft_email: too casual for [e-mail]")
    assert occasion.question == "Draft a renewal proposal email to Jane at Globex"


async def test_on_fallback_look_ups_work_through_an_outage_and_say_so(
    companion: SalesCompanion, gauge: AgentGauge, tmp_path: Path
) -> None:
    """The answer is that of the copy, with its day; what writes fails on."""
    fault_file.inject(tmp_path, Fault("crm-outage"))
    switch(gauge, lambda now: now.with_fallback("search_crm_contacts", "get_deal_history", "update_crm"))
    answer = await companion.answer(Conversation(gauge.session("rep-1")), "Tell me about the Globex account")
    assert "$264,000" in answer.text
    assert f"from the copy of {date.today()}" in answer.text
    with pytest.raises(CrmUnavailable):
        await companion._toolbox.call("update_crm", {"account": "Globex", "kind": "note", "text": "hello"})
    switch(gauge, lambda now: now.without_fallback("search_crm_contacts", "get_deal_history"))
    with pytest.raises(CrmUnavailable):
        await companion._toolbox.call("search_crm_contacts", {"accounts": ["Globex"]})


def test_the_agent_starts_with_few_series(registry: CollectorRegistry, tmp_path: Path) -> None:
    """A tool has the risks that its calls can have, and decisions are counted where some call can wait."""
    models = [tier.model for tier in app().tier_policy().tiers.values()]
    tools = [tool.name for tool in SALES_TOOLS]
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with closing(AgentGauge("a", tools=tools, models=models, registry=registry, ledger=ledger)) as gauge:
        build_companion(gauge, AsyncAnthropic(api_key="not asked"), tmp_path)
        gauge.refresh_from_ledger()
        samples = [sample for metric in registry.collect() for sample in metric.samples]
    assert len(samples) <= 800
    risks = {(one.labels["tool"], one.labels["risk"]) for one in samples if one.name == str(metrics.ACTIONS)}
    assert {name for name, _ in risks} == set(tools)
    assert [risk for name, risk in sorted(risks) if name == "search_crm_contacts"] == ["low"]
    assert [risk for name, risk in sorted(risks) if name == "draft_email"] == ["high", "medium"]
    decided = {one.labels["tool"] for one in samples if one.name == str(metrics.APPROVALS)}
    assert decided == {"draft_email", "send_email", "update_crm"}
    assert all(one.value == 0 for one in samples if one.name in (str(metrics.APPROVALS), str(metrics.ACTIONS)))
