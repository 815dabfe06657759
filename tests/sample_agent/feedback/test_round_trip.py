"""The flywheel once around: rejections, a report that says why, a new version of the prompts, a better record."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentgauge import AgentGauge
from agentgauge.cli.root import app as agentgauge
from agentgauge.feedback.conversation import messages_before, tools_called, user_texts
from agentgauge.ledger import Ledger
from agentgauge.prompts.activations import PromptActivations
from sample_agent import settings
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.settings import AGENT, VERSION
from sample_agent.simulator.reviewers import review

ACCOUNTS = ("Globex", "Initech", "Umbrella", "Hooli")
REQUESTS = (
    "Draft a renewal proposal email to our contact at {account}",
    "Log a note in the CRM for {account}: call back next week",
)


def run(*arguments: str) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(agentgauge, arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def work(companion: SalesCompanion, gauge: AgentGauge) -> None:
    """Reps ask for e-mails and notes; reviewers read what comes of it, and decide."""
    for account in ACCOUNTS:
        for request in REQUESTS:
            with gauge.session("rep-1") as session:
                conversation = Conversation(session)
                await companion.answer(conversation, request.format(account=account))
                review(companion.supervisor.autonomy.approvals, "ann")
                await companion.resume(conversation)


def improvements(report: str) -> list[str]:
    """The last lines of the report."""
    return [line for line in report.splitlines() if line.startswith("* ")]


async def test_a_reason_for_rejections_becomes_a_version_that_is_rejected_less(
    companion: SalesCompanion, gauge: AgentGauge, ledger: Ledger
) -> None:
    """The reviewers read the e-mails and nothing else; the model obeys the prompts and nothing else."""
    run("prompts", "activate", "v1")
    gauge.refresh_from_ledger()
    await work(companion, gauge)
    (improvement,) = improvements(run("feedback", "report"))
    assert improvement.startswith("* draft_email was rejected as 'too formal' 4 times of 4: ask for a warmer tone")

    assert "+Tone: warm" in run("prompts", "diff", "v1", "v2")
    run("prompts", "activate", "v2", "--reason", improvement)
    gauge.refresh_from_ledger()
    await work(companion, gauge)
    assert improvements(run("feedback", "report")) == ["* nothing yet."]

    records = PromptActivations(ledger, AGENT).track_records(ledger.now() - timedelta(hours=1))
    rates = {version: record.approved / record.decisions for version, record in records.items()}
    assert rates == {"v1": 0.5, "v2": 1.0}


async def test_edits_become_a_draft_that_needs_them_no_more(
    companion: SalesCompanion, gauge: AgentGauge, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag that reps put into four notes; with one trial of one scenario of its own, nothing is activated."""
    own = state / "scenarios"
    own.mkdir()
    (own / "thanks.yml").write_text("{name: thanks, input: Thanks!, match: strict}\n", encoding="utf-8")
    monkeypatch.setattr(settings, "SCENARIOS", own)
    for account in ACCOUNTS:
        answer = await companion.answer(Conversation(gauge.session("rep-1")), REQUESTS[1].format(account=account))
        approvals = companion.supervisor.autonomy.approvals
        proposed = approvals.get(answer.waiting[0]).proposal.arguments
        approvals.edit(answer.waiting[0], {**proposed, "text": f"{proposed['text']} #renewal"}, "ann", "tag it")
    command = ["feedback", "improve", "--allow-played", "--yes", "--trials", "1", "--parallel", "1"]
    result = await asyncio.to_thread(CliRunner().invoke, agentgauge, command)
    assert result.exit_code == 3, result.output
    assert "update_crm: “#renewal” added to text in 4 of 4 edits" in result.stdout
    assert "4 scenarios made of it fail on v2, as they must" in result.stdout
    assert "in the CRM. Add the tag #renewal to text." in result.stdout
    assert "on what people objected to: better" in result.stdout
    assert "played: no model was asked" in result.stdout
    assert "on the agent's own scenarios, not enough evidence" in result.stderr
    assert "#renewal" in (state / "drafts" / "v3" / "tools.yml").read_text(encoding="utf-8")


async def test_every_outcome_is_kept_with_its_context(companion: SalesCompanion, gauge: AgentGauge) -> None:
    """What it takes to learn from it: versions, model, conversation, arguments before and after, and the reason."""
    approvals = companion.supervisor.autonomy.approvals
    answer = await companion.answer(Conversation(gauge.session("rep-1")), REQUESTS[0].format(account="Globex"))
    proposed = approvals.get(answer.waiting[0]).proposal.arguments
    warmer = {**proposed, "body": "Hi Jane,\n\nshall we talk?"}
    approvals.edit(answer.waiting[0], warmer, "ann", "shorter")
    (kept,) = companion.supervisor.autonomy.actions.decided_since(approvals.get(answer.waiting[0]).at)
    origin = kept.proposal
    assert (origin.version, origin.prompt_version, origin.model) == (VERSION, "v2", "claude-opus-5-5")
    assert user_texts(kept) == ["Draft a renewal proposal email to our contact at Globex"]
    assert tools_called(kept) == ["search_crm_contacts", "get_deal_history", "draft_email"]
    assert [message["role"] for message in messages_before(kept)] == ["user", "assistant", "user"]
    assert (origin.arguments, kept.decided_arguments, kept.reason) == (proposed, warmer, "shorter")
