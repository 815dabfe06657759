"""An agent that is killed between what it does and the record of it: ``python -m stack.killed_agent STATE API``.

It writes a note into the CRM of the state folder and dies of SIGKILL before it can say so. It prints the session's id.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import requests
from anthropic import AsyncAnthropic

from agentgauge import AgentGauge
from sample_agent.assembly import build_companion, build_door
from sample_agent.sales.crm import Crm
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url

SECONDS = 60.0
NOTE = "nobody knows of this note"
ASK = f"Log a note in the CRM for Globex: {NOTE}"


def main(state: Path, api: str) -> None:
    """Ask the agent for a note, approve it, and wait to be killed; returns only if that did not happen."""
    add_note = Crm.add_note

    def add_note_and_die(*arguments: Any, **named: Any) -> int:
        add_note(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nothing outlives SIGKILL")

    Crm.add_note = add_note_and_die  # type: ignore[method-assign]  # the moment between the effect and its record
    gauge = AgentGauge(AGENT, tools=[tool.name for tool in SALES_TOOLS], ledger=ledger_url(state))
    client = AsyncAnthropic(api_key="fake-key", base_url=api, middleware=[gauge.anthropic()])
    door = build_door(state)
    me = {"Authorization": f"Bearer {door.people.owner()[1]}"}
    with serving(Service(gauge, build_companion(gauge, client, state), door).app()) as url:
        opened = requests.post(f"{url}/sessions", json={"user_id": "rep-1"}, headers=me, timeout=SECONDS).json()
        session = f"{url}/sessions/{opened['session_id']}"
        sys.stdout.write(opened["session_id"])
        sys.stdout.flush()
        (waiting,) = requests.post(f"{session}/messages", json={"text": ASK}, timeout=SECONDS).json()["approvals"]
        approval = f"{session}/approvals/{waiting['id']}"
        decision = {"decision": "approve", "seen": waiting["seal"]}
        requests.post(approval, json=decision, headers=me, timeout=SECONDS).raise_for_status()
        requests.get(f"{session}/answer", params={"wait": SECONDS}, timeout=2 * SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
