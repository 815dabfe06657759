"""Simulated reps: what they notice, and how they behave when a fault says so."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.autonomy.people import People
from sample_agent.assembly import build_companion, build_door
from sample_agent.fake_api.conversation import Conversation
from sample_agent.fake_api.intents import understand
from sample_agent.faults import Fault, FaultFile, inject
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.simulator.floor import FOLLOW_UPS, LOOK_UPS, Floor, Tally, questions
from sample_agent.simulator.memory import accounts, has_a_wrong_renewal
from tests.front_end import opened


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """The Sales Companion's instrumentation."""
    return AgentGauge("a", tools=[tool.name for tool in SALES_TOOLS], registry=registry)


@pytest.fixture
def service(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> Iterator[str]:
    """A running agent."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    with serving(Service(gauge, build_companion(gauge, client, tmp_path), build_door(tmp_path)).app()) as url:
        yield url


def floor(url: str, faults: FaultFile, state: Path) -> Floor:
    """Ten reps in a hurry."""
    token = People.of(state).owner()[1]
    return Floor(url, 10, 200.0, random.Random(1), Tally(), faults, token=token)  # noqa: S311 - a seed makes it repeatable


def ask(service: str, state: Path, text: str) -> str:
    """The answer to one question in a conversation of its own."""
    session = opened(service, state)
    answer = requests.post(f"{service}/sessions/{session}/messages", json={"text": text}, timeout=20).json()
    requests.delete(f"{service}/sessions/{session}", timeout=5)
    return str(answer["text"])


def test_reps_find_nothing_wrong_with_a_healthy_agent_and_notice_stale_data(service: str, tmp_path: Path) -> None:
    """They know their renewals by heart; nobody tells them that a fault is in force."""
    some = accounts()[:4]
    questions = [text.format(account=account, other="Hooli") for account in some for text in LOOK_UPS]
    assert not [text for text in questions if has_a_wrong_renewal(ask(service, tmp_path, text))]
    inject(tmp_path, Fault("stale-data"))
    for account in some:
        assert has_a_wrong_renewal(ask(service, tmp_path, f"When does {account} renew?"))


def test_reps_ask_about_every_account_of_the_crm_and_are_understood() -> None:
    """Four accounts out of forty would have made the cache of tool results look better than it is."""
    of_accounts = [text for text in (*LOOK_UPS, *FOLLOW_UPS) if "{account}" in text]
    asked: set[str] = set()
    for account, other in zip(accounts(), accounts()[1:] + accounts()[:1], strict=True):
        for text in of_accounts:
            wish = understand(Conversation(text.format(account=account, other=other)))
            assert wish.accounts == ((account, other) if "{other}" in text else (account,)), text
            assert wish.intent not in ("unclear", "out_of_scope", "small_talk"), text
    rng = random.Random(1)  # noqa: S311 - a seed makes it repeatable
    for _ in range(400):
        texts = " ".join(questions(rng))
        asked |= {account for account in accounts() if account in texts}
    assert asked == set(accounts())


async def test_impatient_reps_leave_without_a_word(
    service: str, gauge: AgentGauge, faults: FaultFile, tmp_path: Path
) -> None:
    """Conversations are opened and closed, none has a turn."""
    inject(tmp_path, Fault("impatient-reps"))
    await floor(service, faults, tmp_path).run(seconds=2)
    closed = gauge.registry.get_sample_value("agent_session_turns_count", {"agent": "a"})
    assert closed
    assert gauge.registry.get_sample_value("agent_session_turns_sum", {"agent": "a"}) == 0


async def test_unhappy_reps_rate_every_answer_mostly_down(service: str, faults: FaultFile, tmp_path: Path) -> None:
    """Enough thumbs for an alert within minutes."""
    inject(tmp_path, Fault("unhappy-reps"))
    busy = floor(service, faults, tmp_path)
    counts, runs = busy.tally.counts, 0
    while runs < 20 and counts["thumbs down"] < 10:  # a busy machine takes longer to answer at all
        await busy.run(seconds=3)
        runs += 1
    # Ten may be cut off at the end of each.
    assert counts["thumbs up"] + counts["thumbs down"] > 0.9 * counts["answers"] - 10 * runs
    assert counts["thumbs down"] > counts["thumbs up"]


def test_one_seed_is_one_floor_whoever_is_answered_sooner(faults: FaultFile) -> None:
    """What a rep asks next does not depend on how quickly a colleague was answered."""

    def asked(order: int) -> dict[str, list[list[str]]]:
        floor = Floor("", 5, 1.0, random.Random(1), Tally(), faults)  # noqa: S311 - a seed makes it repeatable
        return {user: [questions(rep.rng) for _ in range(3)] for user, rep in list(floor.by_rep().items())[::order]}

    assert asked(1) == asked(-1)
    assert len({str(texts) for texts in asked(1).values()}) == 5
