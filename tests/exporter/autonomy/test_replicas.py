"""Replicas that go on with the same approved requests at once, as processes on the databases that they would share."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry

from agentgauge import AgentApp, AgentGauge, Tool
from agentgauge.autonomy.supervisor import Call
from agentgauge.autonomy.tool_requests import ToolRequests, Waiting

REPLICA = """
import asyncio, os, sys
from agentgauge import AgentApp, AgentGauge, Tool
from agentgauge.autonomy import ToolRequests

ledger, notes = sys.argv[1:]

def refund(tool, arguments):
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{arguments['order']}\\n".encode())
    os.close(file)
    return "refunded"

ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
app = AgentApp("shop", ledger, tools=[Tool("refund", ORDER, "high")], run_tool=refund)
gauge = AgentGauge(app.name, tools=app.tool_names, ledger=app.ledger)
requests = ToolRequests(app.supervisor(gauge))
print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(requests.resume_decided(lambda resumed: "interrupted" if resumed.interrupted else "done")))
gauge.close()
"""
"""Goes on with whatever is decided, once it is told to; its tool leaves a line for each refund that it makes."""

ORDER = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
REPLICAS, REQUESTS = 3, 12


def ask(requests: ToolRequests, gauge: AgentGauge, orders: Sequence[int]) -> str:
    """Let the agent ask for refunds in a session of their own; returns the session's id."""
    calls = [Call(str(order), "refund", {"order": order}) for order in orders]
    with gauge.session("ann") as session, session.task() as task:
        assert isinstance(asyncio.run(requests.call(task, calls, None)), Waiting)
        return session.id


def test_replicas_that_go_for_the_same_approved_actions_carry_out_each_once(url: str, tmp_path: Path) -> None:
    """All of them, whoever is faster; none is taken for one that was cut off."""
    app = AgentApp("shop", url, tools=[Tool("refund", ORDER, "high")], run_tool=lambda *_: "nobody asks this one")
    gauge = AgentGauge(app.name, tools=app.tool_names, ledger=url, registry=CollectorRegistry())
    with closing(gauge):
        requests = ToolRequests(app.supervisor(gauge))
        sessions = [ask(requests, gauge, (2 * number, 2 * number + 1)) for number in range(REQUESTS)]
        autonomy = requests.supervisor.autonomy
        for action in autonomy.approvals.waiting():
            autonomy.approvals.approve(action.id, "boss")
        went_on = raced(url, tmp_path / "refunds")
        answers = [autonomy.suspensions.of_session(session) for session in sessions]
    assert sum(went_on) == REQUESTS
    assert sorted(map(int, (tmp_path / "refunds").read_text().split())) == list(range(2 * REQUESTS))
    assert [one and one.answer for one in answers] == ["done"] * REQUESTS


def raced(url: str, notes: Path) -> list[int]:
    """Have the replicas begin at the same moment; returns how many requests each went on with."""
    command = [sys.executable, "-c", REPLICA, url, str(notes)]
    replicas = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(REPLICAS)
    ]
    for one in replicas:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in replicas:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=120)[0] for one in replicas]
    assert [one.returncode for one in replicas] == [0] * REPLICAS
    return [int(text) for text in said]
