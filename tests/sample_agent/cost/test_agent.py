"""The levers in the Sales Companion: fewer executions, the same answers, and a loop is still seen."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from agentgauge import AgentGauge
from agentgauge.cost.batching import Batcher
from agentgauge.ops.switches import Switches
from sample_agent import assembly
from sample_agent import faults as fault_file
from sample_agent.errors import CrmUnavailable, SchemaMismatch, ToolInputError
from sample_agent.faults import Fault, FaultFile
from sample_agent.sales.companion import Conversation
from sample_agent.sales.crm import Crm
from sample_agent.sales.levers import Levers
from sample_agent.sales.toolbox import Toolbox
from sample_agent.sales.tools import run_tool
from tests.exporter.cost.conftest import counted

CONTACTS, DEALS = "search_crm_contacts", "get_deal_history"
FIVE = ["Globex", "Initech", "Umbrella", "Hooli", "Nowhere Corp"]


@pytest.fixture
async def client(fake_api: str, gauge: AgentGauge) -> AsyncIterator[AsyncAnthropic]:
    """The SDK on the fake API, without retries."""
    async with AsyncAnthropic(
        api_key="fake-key", base_url=fake_api, max_retries=0, middleware=[gauge.anthropic()]
    ) as client:
        yield client


@pytest.fixture
def toolbox(gauge: AgentGauge, sales_crm: Crm, faults: FaultFile, tmp_path: Path) -> Toolbox:
    """The tools with their shipped cache and batching."""
    return Toolbox(gauge, sales_crm, faults, Switches, assembly.build_cache(gauge))


@pytest.fixture
def plain(gauge: AgentGauge, sales_crm: Crm, faults: FaultFile, tmp_path: Path) -> Toolbox:
    """The tools with neither."""
    return Toolbox(gauge, sales_crm, faults, Switches, None, Batcher(0, most=1))


def executions(gauge: AgentGauge, tool: str, outcome: str = "success") -> float:
    """How often a tool was executed."""
    return counted(gauge, "agent_tool_calls_total", tool=tool, outcome=outcome)


async def test_an_answer_from_the_cache_is_the_same_and_executes_nothing(
    client: AsyncAnthropic, gauge: AgentGauge, tmp_path: Path
) -> None:
    """For another user too; the calls of the model count for the session all the same."""
    companion = assembly.build_companion(gauge, client, tmp_path)
    answers = []
    for user in ("rep-1", "rep-2"):
        session = gauge.session(user)
        answers.append((await companion.answer(Conversation(session), "Tell me about the Globex account")).text)
        assert session.tool_calls == 2
    assert answers[0] == answers[1]
    assert (executions(gauge, CONTACTS), executions(gauge, DEALS)) == (1, 1)
    assert counted(gauge, "agent_cache_requests_total", tool=DEALS, result="hit") == 1


async def test_a_model_that_loops_on_cached_results_is_still_seen(toolbox: Toolbox, gauge: AgentGauge) -> None:
    """AgentSessionLooping counts what the model asks for, not what it costs."""
    with gauge.session("rep-1") as session:
        for _ in range(16):
            await toolbox.call(CONTACTS, {"accounts": ["Globex"]})
    assert session.tool_calls == 16
    assert executions(gauge, CONTACTS) == 1
    assert counted(gauge, "agent_sessions_over_limit_total", limit="tool_calls") == 1
    assert session.cost_usd == pytest.approx(0.001)


async def test_five_parallel_calls_are_one_execution_and_each_gets_its_own_part(
    toolbox: Toolbox, plain: Toolbox, gauge: AgentGauge
) -> None:
    """As if each had been made alone; five calls of the session, one that the CRM's API charges."""
    with gauge.session("rep-1") as session:
        answers = await asyncio.gather(*(toolbox.call(CONTACTS, {"accounts": [name]}) for name in FIVE))
    assert executions(gauge, CONTACTS) == 1
    assert counted(gauge, "agent_tool_batch_size_sum", tool=CONTACTS) == 5
    assert counted(gauge, "agent_tool_cost_usd_total", tool=CONTACTS) == pytest.approx(0.001)
    assert session.tool_calls == 5
    assert answers == [await plain.call(CONTACTS, {"accounts": [name]}) for name in FIVE]
    assert executions(gauge, CONTACTS) == 6


@pytest.mark.parametrize("tool", [CONTACTS, DEALS])
async def test_of_five_accounts_only_the_missing_ones_are_asked_for(
    toolbox: Toolbox, plain: Toolbox, gauge: AgentGauge, tool: str
) -> None:
    """Three are cached: one query for the other two, and the whole is what one query for five would give."""
    await toolbox.call(tool, {"accounts": FIVE[1:4]})
    whole = await toolbox.call(tool, {"accounts": FIVE})
    assert executions(gauge, tool) == 2
    assert counted(gauge, "agent_tool_batch_size_sum", tool=tool) == 3 + 2
    assert whole == await plain.call(tool, {"accounts": FIVE})
    assert [account["name"] for account in whole["accounts"]] == ["Globex", "Hooli", "Initech", "Umbrella"]
    assert whole["not_found"] == ["Nowhere Corp"]


@pytest.mark.parametrize(("tool", "queries"), [(CONTACTS, 2), (DEALS, 3)])
async def test_five_accounts_take_no_more_queries_than_one(
    sales_crm: Crm, faults: FaultFile, tool: str, queries: int
) -> None:
    """The database is asked once for all of them, and once for each kind of thing they have."""
    for accounts in (FIVE[:1], FIVE):
        asked: list[str] = []
        sales_crm._connection.set_trace_callback(asked.append)
        await run_tool(tool, {"accounts": accounts}, sales_crm, faults)
        assert len(asked) == queries


async def test_without_the_lever_five_accounts_are_five_executions(plain: Toolbox, gauge: AgentGauge) -> None:
    """What batching is compared with."""
    await plain.call(CONTACTS, {"accounts": FIVE})
    assert executions(gauge, CONTACTS) == 5


async def test_one_account_with_odd_data_fails_alone_and_is_named(
    toolbox: Toolbox, gauge: AgentGauge, sales_crm: Crm, tmp_path: Path
) -> None:
    """The others are returned, and kept; the failure is counted, and not kept."""
    with closing(sqlite3.connect(tmp_path / "crm.sqlite", isolation_level=None)) as crm:
        initech = "(SELECT id FROM accounts WHERE name = 'Initech')"
        crm.execute(f"UPDATE deals SET arr_usd = 'n/a', stage = 'closed_won' WHERE account_id = {initech}")  # noqa: S608
    result = await toolbox.call(DEALS, {"accounts": ["Globex", "Initech"]})
    assert [account["name"] for account in result["accounts"]] == ["Globex"]
    assert result["failed"]["Initech"].startswith("SchemaMismatch: the CRM's data on Initech cannot be read")
    assert counted(gauge, "agent_tool_errors_total", tool=DEALS, error_type="SchemaMismatch") == 1
    with pytest.raises(SchemaMismatch):
        await toolbox.call(DEALS, {"accounts": ["Initech"]})
    await toolbox.call(DEALS, {"accounts": ["Globex"]})
    assert counted(gauge, "agent_cache_requests_total", tool=DEALS, result="hit") == 1


async def test_what_was_written_is_read_back_at_once(toolbox: Toolbox, gauge: AgentGauge) -> None:
    """`update_crm` drops what is kept of that account, under whatever name it was asked for, and of no other."""
    for name in ("globex inc", "Initech"):
        await toolbox.call(DEALS, {"accounts": [name]})
    await toolbox.call("update_crm", {"account": "Globex", "kind": "risk", "text": "New sponsor"})
    (globex,) = (await toolbox.call(DEALS, {"accounts": ["globex inc"]}))["accounts"]
    assert [note["text"] for note in globex["notes"]] == ["New sponsor"]
    await toolbox.call(DEALS, {"accounts": ["Initech"]})
    assert executions(gauge, DEALS) == 3


async def test_a_write_that_was_refused_drops_nothing(toolbox: Toolbox, gauge: AgentGauge) -> None:
    """A model that misspells an account does not empty the cache for everybody."""
    await toolbox.call(DEALS, {"accounts": ["Globex"]})
    with pytest.raises(ToolInputError):
        await toolbox.call("update_crm", {"account": "Nowhere Corp", "text": "x"})
    await toolbox.call(DEALS, {"accounts": ["Globex"]})
    assert executions(gauge, DEALS) == 1


async def test_a_fault_is_seen_at_once_though_the_result_is_cached(
    toolbox: Toolbox, gauge: AgentGauge, tmp_path: Path
) -> None:
    """What was put in to be shown must not hide for minutes; nothing of it is kept."""
    await toolbox.call(DEALS, {"accounts": ["Globex"]})
    fault_file.inject(tmp_path, Fault("crm-outage"))
    with pytest.raises(CrmUnavailable):
        await toolbox.call(DEALS, {"accounts": ["Globex"]})
    fault_file.clear(tmp_path)
    await toolbox.call(DEALS, {"accounts": ["Globex"]})
    results = ("miss", "bypass", "hit")
    assert [counted(gauge, "agent_cache_requests_total", tool=DEALS, result=one) for one in results] == [1, 1, 1]


@pytest.mark.parametrize(
    ("tool", "arguments", "error_type"),
    [(CONTACTS, {"accounts": []}, "ToolInputError"), ("look_up_everything", {}, "UnknownToolError")],
)
async def test_a_call_that_does_not_fit_is_a_failed_execution(
    toolbox: Toolbox, gauge: AgentGauge, tool: str, arguments: dict[str, Any], error_type: str
) -> None:
    """As it was without a cache: counted once, for the session too."""
    label = tool if tool == CONTACTS else "other"
    with gauge.session("rep-1") as session, pytest.raises((ToolInputError, LookupError)):
        await toolbox.call(tool, arguments)
    assert session.tool_calls == 1
    assert counted(gauge, "agent_tool_errors_total", tool=label, error_type=error_type) == 1


async def test_no_lever_changes_the_answer(client: AsyncAnthropic, gauge: AgentGauge, tmp_path: Path) -> None:
    """They save money, not words."""
    questions = ("Tell me about the Globex account", "Compare Globex, Initech, Umbrella, Hooli and Nowhere Corp")
    said = []
    for levers in (Levers(), Levers(tiers=False, cache=False, batching=False, prompt_caching=False)):
        companion = assembly.build_companion(gauge, client, tmp_path, levers)
        conversation = Conversation(gauge.session("rep-1"))
        said.append([(await companion.answer(conversation, question)).text for question in questions])
    assert said[0] == said[1]
    assert companion.cache is None


async def test_a_surcharge_of_the_api_behind_a_tool_is_in_its_cost(
    gauge: AgentGauge, sales_crm: Crm, faults: FaultFile, tmp_path: Path
) -> None:
    """What was really charged, not what the list says."""
    fault_file.inject(tmp_path, Fault("pricey-tool"))
    with gauge.session() as session:
        await Toolbox(gauge, sales_crm, faults, Switches).call(DEALS, {"accounts": ["Globex"]})
    assert session.cost_usd == 1.0
