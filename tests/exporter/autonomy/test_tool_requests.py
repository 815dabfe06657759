"""Requests of a foreign agent that wait in one process, are decided in a second and go on in a third."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from agentgauge import AgentApp, AgentGauge, Task, Tool
from agentgauge.autonomy.action import LEASE_SECONDS, AlreadyDecidedError
from agentgauge.autonomy.supervisor import Call, describe_interruption
from agentgauge.autonomy.tool_requests import Resumed, Settled, ToolRequests, Waiting
from agentgauge.ledger import Ledger

AGENT = """
import asyncio, json, os, signal, sys
from pathlib import Path
from agentgauge import AgentApp, AgentGauge, Tool
from agentgauge.autonomy.supervisor import Call, describe_interruption
from agentgauge.autonomy.tool_requests import ToolRequests, Waiting

folder, what = Path(sys.argv[1]), sys.argv[2]

def run_tool(tool, arguments):
    if tool == "look_up_order":
        return {"order": arguments["order"], "paid": 42}
    with (folder / "refunds").open("a") as refunds:
        refunds.write(f"{arguments['order']}\\n")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"refunded": arguments["order"]}

ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
app = AgentApp(
    "shop", ledger=f"sqlite:///{folder / 'ledger.sqlite'}", run_tool=run_tool,
    tools=[Tool("look_up_order", ORDER, "low", side_effect=False), Tool("refund", ORDER, "high")],
)
gauge = AgentGauge(app.name, tools=app.tool_names, ledger=app.ledger)
requests = ToolRequests(app.supervisor(gauge))

def model(messages):
    results = [one["content"] for one in messages if one["role"] == "tool"]
    return [] if results else [Call("1", "refund", {"order": 7}), Call("2", "look_up_order", {"order": 7})]

def work(task, messages):
    while calls := model(messages):
        settled = asyncio.run(requests.call(task, calls, {"messages": messages}, messages=messages))
        if isinstance(settled, Waiting):
            return "waits for " + settled.actions[0].id
        messages += results(settled.outcomes)
    return " and ".join(one["content"] for one in messages if one["role"] == "tool")

def results(outcomes):
    return [{"role": "tool", "id": one.call_id, "content": one.content} for one in outcomes]

def go_on(resumed):
    if resumed.interrupted:
        return describe_interruption(resumed.outcomes)
    return work(resumed.task, resumed.state["messages"] + results(resumed.outcomes))

if what == "ask":
    with gauge.session("ann", session_id="s") as session, session.task() as task:
        print(work(task, [{"role": "user", "content": "I want my money back for order 7"}]))
else:
    print(asyncio.run(requests.resume_decided(go_on)))
gauge.close()
"""
"""A synchronous agent without a model provider: it looks an order up, and refunds it if a person agrees."""


def process(folder: Path, what: str) -> subprocess.Popen[str]:
    """A process of that agent: it asks, resumes, or resumes and dies while it acts."""
    command = [sys.executable, "-c", AGENT, str(folder), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder: Path, what: str) -> str:
    """What a process of that agent prints."""
    running = process(folder, what)
    said, problems = running.communicate(timeout=60)
    assert running.returncode == 0, problems
    return said.strip()


def refunds(folder: Path) -> list[str]:
    """The orders that were refunded."""
    path = folder / "refunds"
    return path.read_text().split() if path.exists() else []


ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
TOOLS = (Tool("look_up_order", ORDER, "low", side_effect=False), Tool("refund", ORDER, "high"))


def app_in(folder: Path, run_tool: Any = None) -> AgentApp:
    """The agent as this process knows it."""
    return AgentApp("shop", ledger=f"sqlite:///{folder / 'ledger.sqlite'}", tools=TOOLS, run_tool=run_tool)


def approve(folder: Path, waits: str) -> None:
    """A person approves from another process, as the command line does."""
    app = app_in(folder)
    with closing(app.open_ledger()) as ledger:
        app.autonomy(ledger).approvals.approve(waits.removeprefix("waits for "), "boss")


def answer_in(folder: Path) -> Any:
    """What the request of session ``s`` ended with."""
    app = app_in(folder)
    with closing(app.open_ledger()) as ledger:
        newest = app.autonomy(ledger).suspensions.of_session("s")
        assert newest is not None
        assert newest.ended
        return newest.answer


def test_a_request_waits_in_one_process_and_goes_on_in_another(tmp_path: Path) -> None:
    """The first one has ended by then; nothing happens before the approval, and each call has its outcome."""
    waits = finished(tmp_path, "ask")
    assert waits.startswith("waits for ")
    assert finished(tmp_path, "resume") == "0"
    assert refunds(tmp_path) == []
    approve(tmp_path, waits)
    assert finished(tmp_path, "resume") == "1"
    assert refunds(tmp_path) == ["7"]
    assert answer_in(tmp_path) == '{"refunded": 7} and {"order": 7, "paid": 42}'
    assert finished(tmp_path, "resume") == "0"


def test_two_processes_that_resume_at_once_act_once(tmp_path: Path) -> None:
    """One claims the request, the other goes without."""
    approve(tmp_path, finished(tmp_path, "ask"))
    racing = [process(tmp_path, "resume") for _ in "12"]
    said = sorted(one.communicate(timeout=60)[0].strip() for one in racing)
    assert said == ["0", "1"]
    assert refunds(tmp_path) == ["7"]


def test_a_process_that_dies_while_it_acts_is_reported_and_nothing_is_done_again(tmp_path: Path) -> None:
    """Killed after the refund and before its record: the next one says that nobody knows."""
    approve(tmp_path, finished(tmp_path, "ask"))
    dying = process(tmp_path, "die")
    dying.communicate(timeout=60)
    assert dying.returncode == -signal.SIGKILL
    assert refunds(tmp_path) == ["7"]
    assert finished(tmp_path, "resume") == "0"  # the dead one's claim has not run out
    later = Agent(tmp_path, later=timedelta(seconds=LEASE_SECONDS + 1))
    with closing(later.gauge):
        assert asyncio.run(later.requests.resume_decided(later.go_on)) == 1
    assert refunds(tmp_path) == ["7"]
    assert "I do not know whether this happened: refund." in answer_in(tmp_path)
    assert later.acted == []


class Agent:
    """The same agent in this process, on asyncio; it refunds one order after the other."""

    def __init__(self, folder: Path, later: timedelta = timedelta(), orders: int = 1) -> None:
        app = app_in(folder, self.run_tool)
        ledger = Ledger.open(app.ledger, now=lambda: datetime.now(UTC) + later)
        self.gauge = AgentGauge(app.name, tools=app.tool_names, registry=CollectorRegistry(), ledger=ledger)
        self.requests = ToolRequests(app.supervisor(self.gauge))
        self.autonomy = self.requests.supervisor.autonomy
        self.orders = orders
        self.acted: list[int] = []
        self.fails = False

    async def run_tool(self, tool: str, arguments: Any) -> Any:
        """Do it."""
        self.acted.append(arguments["order"])
        return {"refunded": arguments["order"]}

    async def work(self, task: Task, refunded: list[str]) -> str | Waiting:
        """Refund the orders that are left."""
        while len(refunded) < self.orders:
            calls = [Call(f"call {len(refunded)}", "refund", {"order": len(refunded)})]
            settled = await self.requests.call(task, calls, refunded)
            if isinstance(settled, Waiting):
                return settled
            refunded = refunded + [outcome.content for outcome in settled.outcomes]
        return f"refunded {len(refunded)}"

    async def go_on(self, resumed: Resumed) -> Any:
        """Go on."""
        if resumed.interrupted:
            return describe_interruption(resumed.outcomes)
        if self.fails:
            raise ConnectionError("the model provider is down")
        answer = await self.work(resumed.task, resumed.state + [outcome.content for outcome in resumed.outcomes])
        return None if isinstance(answer, Waiting) else answer

    def tasks(self, outcome: str) -> float:
        """How many requests ended so."""
        labels = {"agent": "shop", "outcome": outcome}
        return self.gauge.registry.get_sample_value("agent_tasks_total", labels) or 0.0

    def approve_all(self) -> None:
        """Approve all that waits."""
        for action in self.autonomy.approvals.waiting():
            self.autonomy.approvals.approve(action.id, "boss")
        self.requests.look_now()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Start the agent, as often as wanted, on one ledger."""
    agents: list[Agent] = []

    def starting(**how: Any) -> Agent:
        agents.append(Agent(tmp_path, **how))
        return agents[-1]

    yield starting
    for agent in agents:
        agent.gauge.close()


async def test_a_request_may_wait_as_often_as_it_needs_and_counts_as_one_task(start: Callable[..., Agent]) -> None:
    """Each approval leads to the next call; what was settled before is not done again."""
    agent = start(orders=3)
    async with agent.requests.resuming(agent.go_on):
        with agent.gauge.session("ann", session_id="s") as session:
            with session.task() as task:
                settled = await agent.work(task, [])
            for number in range(3):
                assert isinstance(settled, Waiting)
                assert agent.acted == list(range(number))
                known = tuple(action.id for action in agent.autonomy.approvals.waiting())
                agent.approve_all()
                newest = await agent.requests.news("s", 20, known=known)
                assert newest is not None
    assert newest is not None
    assert (newest.ended, newest.answer) == (True, "refunded 3")
    assert agent.acted == [0, 1, 2]
    assert agent.tasks("completed") == 1


async def test_what_nobody_has_to_approve_is_settled_at_once(start: Callable[..., Agent]) -> None:
    """A look-up runs; a call that does not fit its tool fails, and nobody is asked about it."""
    agent = start()
    with agent.gauge.session("ann") as session, session.task() as task:
        calls = [Call("b", "refund", {"order": "seven"}), Call("a", "look_up_order", {"order": 3})]
        settled = await agent.requests.call(task, calls, None)
    assert isinstance(settled, Settled)
    assert [(outcome.call_id, outcome.status) for outcome in settled.outcomes] == [("b", "failed"), ("a", "done")]
    assert agent.acted == [3]
    assert await agent.requests.newest(session.id) is None


async def test_the_process_with_the_conversation_goes_first(start: Callable[..., Agent]) -> None:
    """Another one leaves it alone for some seconds, and takes it after that."""
    one, other = start(), start()
    late = start(later=timedelta(seconds=6))
    with one.gauge.session("ann", session_id="s") as session, session.task() as task:
        await one.work(task, [])
    one.approve_all()
    async with other.requests.resuming(other.go_on):
        other.requests.look_now()
        assert await other.requests.news("s", 1.2) is None
    async with late.requests.resuming(late.go_on):
        late.requests.look_now()
        assert await one.requests.news("s", 20) is not None
    assert (one.acted, other.acted, late.acted) == ([], [], [0])


async def test_a_waiting_request_takes_no_further_calls(start: Callable[..., Agent]) -> None:
    """They would be lost: it goes on from the state that it was suspended with."""
    agent = start()
    with agent.gauge.session("ann") as session, session.task() as task:
        await agent.work(task, [])
        with pytest.raises(RuntimeError, match="waits for decisions"):
            await agent.requests.call(task, [Call("2", "look_up_order", {"order": 1})], None)


async def test_a_failure_to_go_on_is_not_the_end(start: Callable[..., Agent]) -> None:
    """What was done is not done again: whoever claims it next reports it."""
    agent = start()
    agent.fails = True
    with agent.gauge.session("ann", session_id="s") as session, session.task() as task:
        await agent.work(task, [])
    agent.approve_all()
    assert await agent.requests.resume_decided(agent.go_on) == 0
    assert agent.acted == [0]
    later = start(later=timedelta(seconds=LEASE_SECONDS + 1))
    assert await later.requests.resume_decided(later.go_on) == 1
    assert later.acted == []
    newest = await later.requests.newest("s")
    assert newest is not None
    assert "Done: refund." in newest.answer


async def test_an_answer_stays_until_it_is_forgotten(start: Callable[..., Agent]) -> None:
    """A request that waits cannot be forgotten; nothing waits afterwards, so nobody waits for news."""
    agent = start()
    with agent.gauge.session("ann", session_id="s") as session, session.task() as task:
        waiting = await agent.work(task, [])
    assert isinstance(waiting, Waiting)
    await agent.requests.forget(waiting.suspension_id)
    agent.approve_all()
    assert await agent.requests.resume(waiting.suspension_id, agent.go_on)
    assert not await agent.requests.resume(waiting.suspension_id, agent.go_on)
    for _ in "12":
        newest = await agent.requests.news("s")
        assert newest is not None
        assert newest.answer == "refunded 1"
    await agent.requests.forget(waiting.suspension_id)
    assert await agent.requests.news("s", 20) is None


async def test_an_unreachable_ledger_lets_nothing_wait_unrecorded(start: Callable[..., Agent]) -> None:
    """Before the request is durable, nobody is told that it waits."""
    agent = start()
    assert agent.gauge.ledger is not None
    with agent.gauge.ledger.writing() as connection:
        connection.exec_driver_sql("DROP TABLE agentgauge_suspension")
    with agent.gauge.session("ann") as session, pytest.raises(SQLAlchemyError), session.task() as task:
        await agent.work(task, [])
    assert agent.autonomy.approvals.waiting() == []


async def test_an_approval_that_comes_too_late_goes_on_as_expired(start: Callable[..., Agent]) -> None:
    """The agent hears that nobody decided; whoever resumes sees to that, if no other process did."""
    agent = start()
    with agent.gauge.session("ann", session_id="s") as session, session.task() as task:
        waiting = await agent.work(task, [])
    assert isinstance(waiting, Waiting)
    days_later = start(later=timedelta(days=2))
    (action,) = waiting.actions
    with pytest.raises(AlreadyDecidedError, match="has expired"):
        days_later.autonomy.approvals.approve(action.id, "boss")
    assert await days_later.requests.resume_decided(days_later.go_on) == 1
    assert days_later.acted == []
