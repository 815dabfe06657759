"""Simulated reps decide on what waits for them: in their usual shares, and as a fault says."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.autonomy import shadow
from agentgauge.autonomy.people import People
from agentgauge.vocabulary import Stage
from sample_agent.assembly import build_companion, build_door
from sample_agent.faults import Fault, FaultFile, inject
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import ledger_url
from sample_agent.simulator.by_hand import do_by_hand
from sample_agent.simulator.decisions import decision, shares
from sample_agent.simulator.floor import Floor, Tally

DRAFT: dict[str, Any] = {
    "id": "1",
    "tool": "draft_email",
    "arguments": {"to": "jane@globex.example", "subject": "Renewal", "body": "Hi Jane,\n\nshall we talk?"},
}
TIMES = 2000


def decided(folder: Path) -> Counter[str]:
    """What reps decide on one draft after the other, in percent."""
    rng, now = random.Random(1), shares(FaultFile(folder))  # noqa: S311 - a seed makes it repeatable
    decisions = [decision(DRAFT, rng, now) for _ in range(TIMES)]
    return Counter(
        {
            name: round(100 * count / TIMES)
            for name, count in Counter("leave" if one is None else one["decision"] for one in decisions).items()
        }
    )


def test_reps_approve_most_edit_and_reject_some(tmp_path: Path) -> None:
    """Neither alert on the approval rate is right to fire on them."""
    usual = decided(tmp_path)
    assert 84 <= usual["approve"] <= 92
    assert usual["edit"] >= 4
    assert usual["reject"] >= 2
    assert usual["leave"] >= 1


@pytest.mark.parametrize(
    ("fault", "decision", "least"),
    [("picky-reviewers", "reject", 70), ("rubber-stamping", "approve", 100), ("absent-reviewers", "leave", 100)],
)
def test_a_fault_changes_how_they_decide(tmp_path: Path, fault: str, decision: str, least: int) -> None:
    """Below 60 %, above 98 %, or nobody at all."""
    inject(tmp_path, Fault(fault))
    assert decided(tmp_path)[decision] >= least


def test_a_formal_letter_is_rejected_unless_nobody_reads(tmp_path: Path) -> None:
    """Prompt drift shows in the approval rate, and rubber-stamping hides it."""
    formal = {**DRAFT, "arguments": {"body": "Dear Ms Cooper,"}}
    rng = random.Random(1)  # noqa: S311 - a seed makes it repeatable
    usual = [decision(formal, rng, shares(FaultFile(tmp_path))) for _ in range(50)]
    assert {"decision": "reject", "reason": "too formal"} in usual
    assert not [one for one in usual if one and one["decision"] != "reject"]
    inject(tmp_path, Fault("rubber-stamping"))
    assert decision(formal, rng, shares(FaultFile(tmp_path))) == {"decision": "approve", "seen": None}


@pytest.mark.parametrize(
    ("stage", "fault", "counted", "sample", "labels"),
    [
        ("approval_required", "rubber-stamping", "decisions", "agent_approvals_total", {"decision": "approved"}),
        ("approval_required", "picky-reviewers", "decisions", "agent_approvals_total", {"decision": "rejected"}),
        ("approval_required", "absent-reviewers", "left waiting", "agent_approvals_pending", {}),
        ("shadow", "rubber-stamping", "answers", "agent_shadow_decisions_total", {"match": "aligned"}),
    ],
)
async def test_the_floor_decides_on_what_the_agent_wants_to_do(
    fake_api: str,
    faults: FaultFile,
    registry: CollectorRegistry,
    tmp_path: Path,
    stage: Stage,
    fault: str,
    counted: str,
    sample: str,
    labels: dict[str, str],
) -> None:
    """From a rep's question to the metric that an alert watches."""
    inject(tmp_path, Fault(fault))
    tools = [tool.name for tool in SALES_TOOLS]
    with closing(AgentGauge("a", tools=tools, registry=registry, ledger=ledger_url(tmp_path))) as gauge:
        client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
        companion = build_companion(gauge, client, tmp_path)
        autonomy = companion.supervisor.autonomy
        autonomy.standings.set_stage(autonomy.policy(), stage, "jane", "a test")
        with serving(Service(gauge, companion, build_door(tmp_path)).app()) as url:
            token = People.of(tmp_path).owner()[1]
            rng, tally = random.Random(1), Tally()  # noqa: S311 - a seed makes it repeatable
            by_hand = partial(do_by_hand, tmp_path / "crm.sqlite")
            floor = Floor(url, 10, 400.0, rng, tally, faults, do_by_hand=by_hand, token=token)
            working = asyncio.create_task(floor.run(None))

            def shown() -> float:
                shadow.compare_with_records(autonomy)
                gauge.refresh_from_ledger()
                samples = [one for metric in registry.collect() for one in metric.samples if one.name == sample]
                return sum(one.value for one in samples if labels.items() <= one.labels.items())

            def wait() -> None:
                while tally.counts[counted] < 3 or shown() < 1:
                    threading.Event().wait(0.05)

            await asyncio.to_thread(wait)
            working.cancel()
            await asyncio.wait({working})
