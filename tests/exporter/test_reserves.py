"""Budgets are reserved before a call of the model and settled after it, by all processes together."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from agentgauge import AgentGauge
from agentgauge.cost import reserving
from agentgauge.cost.accounts import LEASE, Accounts
from agentgauge.cost.budgets import Budget, BudgetPolicy, BudgetReachedError, Budgets
from agentgauge.cost.reserving import tokens_at_most
from agentgauge.cost.throttles import Throttles
from agentgauge.ledger import Ledger, Usage, databases
from agentgauge.ledger.schema import BUDGET_HOLDS
from agentgauge.pricing import TokenUsage
from tests.clock import Clock
from tests.exporter import spender
from tests.exporter.spender import MODEL, STOP, USER

POLICY = BudgetPolicy(
    session=Budget(stop=1), user_day=Budget(stop=2), seconds_between_requests=60, contact="Ann", unpriced_call_usd=0.3
)
WHOLE = 10**6
"""Tokens whose reserve is more than any budget here."""

Process = subprocess.Popen[str]


@pytest.fixture
def start(url: str) -> Iterator[Callable[[str], Process]]:
    """Starts a spender on the ledger; each is killed at the end."""
    Ledger.open(url).close()
    with ExitStack() as stack:

        def started(what: str) -> Process:
            command = [sys.executable, "-W", "error", spender.__file__, url, what]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


def line(process: Process) -> str:
    """What it says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: Process) -> None:
    """Let it begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def gauge(registry: CollectorRegistry, ledger: Ledger) -> Iterator[AgentGauge]:
    """An agent on the ledger."""
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
def budgets(gauge: AgentGauge) -> Budgets:
    """The budgets of POLICY."""
    return Budgets(POLICY, gauge)


def call(gauge: AgentGauge, budgets: Budgets, output: int, most: int | None = None, model: str = MODEL) -> float:
    """Call the model for so many tokens of answer, at most ``most``; returns what was reserved."""
    with budgets.reserve(model, max_tokens=most or output, input_tokens=0) as reserve:
        gauge.llm_call(model).finish(TokenUsage(input=1, output=output))
    return reserve.usd


def fail(gauge: AgentGauge, budgets: Budgets) -> None:
    """Call the model, which fails before it answers."""
    with budgets.reserve(MODEL, max_tokens=WHOLE, input_tokens=0):
        gauge.llm_call(MODEL).fail("overloaded_error")
        raise ConnectionError


def tokens_for(gauge: AgentGauge, usd: float) -> int:
    """How many tokens of answer cost so much."""
    of_a_million = gauge.prices.cost_usd(MODEL, TokenUsage(output=10**6))
    assert of_a_million is not None
    return round(usd / of_a_million * 10**6)


def test_thirty_sessions_in_two_processes_stop_at_the_stop(start: Callable[[str], Process], url: str) -> None:
    """They exceed it by less than one call's reserve; each is stopped because the day is spent."""
    processes = [start("15"), start("15")]
    assert [line(process) for process in processes] == ["ready", "ready"]
    for process in processes:
        go(process)
    spent = sum(float(line(process)) for process in processes)
    with closing(AgentGauge("a", registry=CollectorRegistry())) as gauge:
        reserve = Budgets(spender.POLICY, gauge).reserve(MODEL, max_tokens=spender.MAX_TOKENS, input_tokens=1000).usd
    assert STOP <= spent < STOP + reserve
    with closing(Ledger.open(url)) as ledger:
        assert sum(ledger.spend_today("a").values()) == pytest.approx(spent)


def test_what_a_killed_process_reserved_comes_back(
    start: Callable[[str], Process], gauge: AgentGauge, budgets: Budgets, clock: Clock
) -> None:
    """When its lease runs out; until then the session has to wait."""
    process = start("hold")
    assert line(process) == "held"
    process.kill()
    process.wait()
    clock.at = datetime.now(UTC)
    with gauge.session(session_id="s"):
        with pytest.raises(BudgetReachedError, match="may use up what is left of the budget of this conversation"):
            call(gauge, budgets, 1)
        clock.at += LEASE
        call(gauge, budgets, 1)


def test_a_subagent_draws_on_the_budget_of_its_parent(gauge: AgentGauge, budgets: Budgets) -> None:
    """Its share is the most that it gets, and what it spends is gone for the parent."""
    with gauge.session() as session:
        with gauge.subagent("researcher"), budgets.share(0.4):
            call(gauge, budgets, tokens_for(gauge, 0.41))
            with pytest.raises(BudgetReachedError, match=r"this part of the work has reached its budget of \$0\.40"):
                call(gauge, budgets, 1)
        call(gauge, budgets, tokens_for(gauge, 0.6))
        with pytest.raises(BudgetReachedError, match=r"conversation has reached its budget of \$1\.00"):
            call(gauge, budgets, 1)
        with budgets.share(0.4), pytest.raises(BudgetReachedError, match="this conversation"):
            call(gauge, budgets, 1)
    assert session.cost_usd == pytest.approx(1.01, abs=0.001)


def test_the_share_of_a_subagent_is_reserved_too(gauge: AgentGauge, budgets: Budgets) -> None:
    """Two calls at once cannot both have the rest of it, and a share in a share is bounded by both."""
    with gauge.session(), budgets.share(0.4), budgets.share(5):
        with budgets.reserve(MODEL, max_tokens=WHOLE, input_tokens=0):
            with pytest.raises(BudgetReachedError, match=r"\$0\.40"):
                call(gauge, budgets, 1)
            raised = pytest.raises(ValueError, match="expected more than 0")
            with raised, budgets.share(0):
                pass
        # Nothing was billed, and nothing failed: the call counts with its reserve.
        with pytest.raises(BudgetReachedError):
            call(gauge, budgets, 1)


def test_a_session_in_another_process_draws_on_the_same_budget(
    gauge: AgentGauge, budgets: Budgets, ledger: Ledger
) -> None:
    """Of the same id, as of a subagent that runs elsewhere: what it spends and what it has reserved counts."""
    with closing(AgentGauge("a", registry=CollectorRegistry(), ledger=ledger)) as other:
        elsewhere = Budgets(POLICY, other)
        with other.session(session_id="s"):
            call(other, elsewhere, tokens_for(other, 0.99))
            with elsewhere.reserve(MODEL, max_tokens=WHOLE, input_tokens=0) as running:
                with gauge.session(session_id="s"), pytest.raises(BudgetReachedError, match="elsewhere may use up"):
                    call(gauge, budgets, 1)
                running.bill(0.0)
        with gauge.session(session_id="s"):
            call(gauge, budgets, tokens_for(gauge, 0.02))
            with pytest.raises(BudgetReachedError, match=r"reached its budget of \$1\.00"):
                call(gauge, budgets, 1)


def test_a_call_is_settled_by_its_bill(gauge: AgentGauge, budgets: Budgets) -> None:
    """However much was reserved, the next call has what is left."""
    with gauge.session(USER) as session:
        for _ in range(3):
            assert call(gauge, budgets, tokens_for(gauge, 0.3), most=WHOLE) > POLICY.session.stop  # type: ignore[operator]  # it has one
        assert session.cost_usd == pytest.approx(0.9, abs=0.001)


def test_a_call_that_fails_gives_all_back(gauge: AgentGauge, budgets: Budgets) -> None:
    """What it had used by then is billed."""
    with gauge.session(USER):
        for _ in range(3):
            with pytest.raises(ConnectionError):
                fail(gauge, budgets)
        call(gauge, budgets, 1)


def test_a_model_without_a_price_counts_with_the_default(gauge: AgentGauge, budgets: Budgets) -> None:
    """Of the policy: else it could spend without end."""
    with gauge.session(USER):
        for _ in range(4):
            assert call(gauge, budgets, 1, model="our-own-model") == POLICY.unpriced_call_usd
        with pytest.raises(BudgetReachedError, match=r"reached its budget of \$1\.00"):
            call(gauge, budgets, 1, model="our-own-model")


def test_what_is_spent_without_a_reserve_counts(
    gauge: AgentGauge, budgets: Budgets, ledger: Ledger, clock: Clock
) -> None:
    """Tools, and replicas that reserve nothing, as soon as they are written."""
    ledger.add_usage("a", {(clock().date(), USER): Usage(cost_usd=1.5)})
    with gauge.session(USER) as session:
        call(gauge, budgets, 1)
        session.add_cost(0.9)
        call(gauge, budgets, tokens_for(gauge, 0.05))
        gauge.refresh_from_ledger()
        with pytest.raises(BudgetReachedError, match="budget for today"):
            call(gauge, budgets, 1)


def test_whom_people_let_go_calls_may_be_reserved(
    gauge: AgentGauge, budgets: Budgets, ledger: Ledger, clock: Clock
) -> None:
    """Their word counts more than the file's."""
    ledger.add_usage("a", {(clock().date(), USER): Usage(cost_usd=3)})
    budgets.refresh()
    Throttles(ledger, "a").lift(USER, "bob")
    budgets.refresh()
    with gauge.session(USER):
        call(gauge, budgets, 1)


def test_a_ledger_that_fails_leaves_each_process_its_own_sum(
    gauge: AgentGauge, budgets: Budgets, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a conversation: said once; the agent goes on, and within this process the stop holds."""

    def down(*_arguments: object) -> str:
        raise OperationalError("", None, ConnectionError())

    monkeypatch.setattr(Accounts, "take", down)
    with gauge.session():
        for _ in range(2):
            call(gauge, budgets, tokens_for(gauge, 0.3))
        with budgets.reserve(MODEL, max_tokens=WHOLE, input_tokens=0) as running:
            with pytest.raises(BudgetReachedError, match="elsewhere may use up"):
                call(gauge, budgets, 1)
            running.bill(0.5)
    assert caplog.text.count("budgets are not shared with other replicas") == 1


def test_a_ledger_that_fails_is_waited_for_by_one_call_and_asked_again_after_a_rest(
    gauge: AgentGauge, budgets: Budgets, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time-out is seconds, in which a user waits. What was reserved before is given back once it answers."""
    asked: list[str] = []
    take, settle, now = Accounts.take, Accounts.settle, [0.0]
    is_down = False

    def counted(*arguments: Any) -> Any:
        asked.append("take")
        if is_down:
            raise OperationalError("", None, ConnectionError())
        return take(*arguments)

    def settled(*arguments: Any) -> None:
        if is_down:
            raise OperationalError("", None, ConnectionError())
        settle(*arguments)

    monkeypatch.setattr(Accounts, "take", counted)
    monkeypatch.setattr(Accounts, "settle", settled)
    monkeypatch.setattr(reserving, "monotonic", lambda: now[0])
    with gauge.session():
        with budgets.reserve(MODEL, max_tokens=1, input_tokens=0):
            is_down = True
            for _ in range(3):
                call(gauge, budgets, 1)
        assert asked == ["take"] * 2
        is_down, now[0] = False, reserving.REST_SECONDS
        call(gauge, budgets, 1)
        assert asked == ["take"] * 3
    with ledger.reading() as connection:
        assert connection.execute(select(BUDGET_HOLDS.c.id)).all() == []


def spend_until(gauge: AgentGauge, budgets: Budgets, usd: float, refusal: str) -> float:
    """Make calls of so much in one conversation until that, or the stop, is the answer; returns what was spent."""
    with gauge.session(USER) as session:
        while True:
            try:
                call(gauge, budgets, tokens_for(gauge, usd))
            except BudgetReachedError as reached:
                if refusal in str(reached) or "budget for today" in str(reached):
                    return session.cost_usd


def test_processes_that_cannot_reach_the_ledger_exceed_a_stop_by_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of them, while somebody holds SQLite's lock for longer than they wait.

    Each spends ``alone`` of the day's stop and one reserve, whatever the number of conversations, then refuses. When
    the lock is gone, all of it counts.
    """
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    Ledger.open(url).close()
    monkeypatch.setattr(databases, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(reserving, "REST_SECONDS", 0.05)
    usd, stop = 0.5, 10
    policy = POLICY.model_copy(update={"user_day": Budget(stop=stop), "session": Budget(stop=stop)})
    most = 3 * (policy.alone * stop + usd)
    with ExitStack() as stack:
        gauges = [AgentGauge("a", registry=CollectorRegistry(), ledger=url) for _ in range(3)]
        processes = [(gauge, Budgets(policy, stack.enter_context(closing(gauge)))) for gauge in gauges]
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None, timeout=60)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            alone = sum(spend_until(*process, usd, "cannot look up") for process in processes for _ in range(3))
            holder.execute("ROLLBACK")
        assert 3 * policy.alone * stop <= alone < most
        together = sum(spend_until(*process, usd, "budget for today") for process in processes)
    assert stop <= alone + together < stop + most


def test_without_a_ledger_a_process_reserves_for_itself() -> None:
    """Calls at once cannot spend the same dollar twice there either."""
    with closing(AgentGauge("a", registry=CollectorRegistry())) as gauge:
        budgets = Budgets(POLICY, gauge)
        with gauge.session(USER), budgets.reserve(MODEL, max_tokens=WHOLE, input_tokens=0) as running:
            with pytest.raises(BudgetReachedError):
                call(gauge, budgets, 1)
            running.bill(0.0)
        with gauge.session(USER):
            call(gauge, budgets, 1)


async def test_an_asynchronous_call_that_is_cancelled_gives_its_reserve_back(
    gauge: AgentGauge, budgets: Budgets
) -> None:
    """As when the user goes away in the middle of an answer."""
    reserved = asyncio.Event()

    async def ask() -> None:
        async with budgets.reserve(MODEL, max_tokens=WHOLE, input_tokens=0):
            reserved.set()
            await asyncio.Event().wait()

    with gauge.session(USER):
        asking = asyncio.create_task(ask())
        await reserved.wait()
        with pytest.raises(BudgetReachedError):
            call(gauge, budgets, 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        call(gauge, budgets, 1)


def test_the_bound_is_no_less_than_what_the_prompt_costs(gauge: AgentGauge, budgets: Budgets) -> None:
    """Whatever of it is written to the prompt cache; and a text has no more tokens than it is taken to have."""
    reserved = budgets.reserve(MODEL, max_tokens=50, input_tokens=1000).usd
    for usage in (TokenUsage(input=1000, output=50), TokenUsage(cache_write_1h=1000, output=50)):
        assert reserved >= (gauge.prices.cost_usd(MODEL, usage) or 0)
    assert tokens_at_most("the quick brown fox jumps over the lazy dog") >= 9
    assert tokens_at_most("敏捷的棕色狐狸") >= 7


def test_code_that_runs_for_no_session_is_not_limited(gauge: AgentGauge, budgets: Budgets) -> None:
    """A check at start-up, say."""
    call(gauge, budgets, tokens_for(gauge, 5))
    call(gauge, budgets, 1)
