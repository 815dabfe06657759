"""A conversation with the Sales Companion in a terminal, with decisions on what it wants to do."""

from __future__ import annotations

from typing import Any

import httpx2
from rich.text import Text

from agentgauge.autonomy.edits import FieldError, text_of
from agentgauge.autonomy.showing import visible
from agentgauge.cli.common import out
from agentgauge.cli.editing import edit_in_editor
from sample_agent.sales.tools import TOOLS_BY_NAME

WAITS = 409
NO_NEWS = 204
NOT_SHOWN = 412
LOOK_SECONDS = 30
CHOICES = r"\[a]pprove  \[e]dit  \[r]eject  \[l]ater: "

Reply = dict[str, Any]


class Talk:
    """One conversation; ``_left`` says that the user left a decision for later, or to somebody else."""

    def __init__(self, client: httpx2.Client, session: str) -> None:
        self._client = client
        self._session = session
        self._left = False

    def say(self, text: str) -> None:
        """Say something, and decide until there is an answer or a decision is left for later."""
        if self._left and (news := self._next_answer(seconds=0)):
            self._left = False
            self._go_on(news)
        with out.status("thinking"):
            answered = self._client.post(f"{self._session}/messages", json={"text": text})
        reply = answered.json()
        if answered.status_code == WAITS:
            waiting = self._client.get(f"{self._session}/approvals")
            reply["approvals"] = waiting.json() if waiting.is_success else []
        self._go_on(reply)

    def _go_on(self, reply: Reply | None) -> None:
        while reply is not None:
            _show(reply)
            waiting = reply.get("approvals") or []
            self._left = not all(self._decide(action) for action in waiting)
            if not waiting or self._left:
                return
            with out.status("going on"):
                reply = self._next_answer(LOOK_SECONDS)
                while reply is None:
                    reply = self._next_answer(LOOK_SECONDS)

    def _next_answer(self, seconds: int) -> Reply | None:
        answered = self._client.get(f"{self._session}/answer", params={"wait": seconds})
        return None if answered.status_code == NO_NEWS else dict(answered.json())

    def _decide(self, action: Reply) -> bool:
        """Let the user decide on an action; False if it is left for later."""
        out.print(Text(f"\n{action['tool']}, {action['risk']} risk: {action['why']}", "bold"))
        _show_fields(action["effect"] or action["arguments"])
        while True:
            match out.input(CHOICES).strip().lower()[:1]:
                case "a":
                    problem = self._send(action, {"decision": "approve", "seen": action["seal"]})
                case "r":
                    problem = self._send(action, {"decision": "reject", "reason": out.input("why? ").strip()})
                case "e":
                    if not self._edit(action):
                        continue
                    problem = None
                case "l":
                    return False
                case _:
                    continue
            if problem is None:
                return True
            out.print(Text(problem, "red"))

    def _edit(self, action: Reply) -> bool:
        def decide(arguments: dict[str, Any]) -> None:
            if problem := self._send(action, {"decision": "edit", "arguments": arguments}):
                raise FieldError(action["tool"], problem)

        schema = TOOLS_BY_NAME[action["tool"]].input_schema
        return edit_in_editor(action["tool"], action["arguments"], schema, decide)

    def _send(self, action: Reply, decision: Reply) -> str | None:
        """Send a decision; returns what is wrong with it, or None if there is nothing left to decide."""
        answered = self._client.post(f"{self._session}/approvals/{action['id']}", json=decision)
        if answered.status_code == WAITS:
            out.print(Text(answered.json()["error"], "yellow"))  # somebody else decided: the conversation goes on
            return None
        if answered.status_code == NOT_SHOWN:
            unseen = answered.json()
            out.print(Text(unseen["error"], "yellow"))
            _show_fields(unseen["effect"])
            if out.input("approve that? [y/n] ").strip().lower()[:1] == "y":
                return self._send(action, {**decision, "seen": unseen["seal"]})
            return "nothing was decided"
        return None if answered.is_success else str(answered.json()["error"])


def _show_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        out.print(Text.assemble((f"{name}: ", "dim"), visible(text_of(value))), soft_wrap=True)


def _show(reply: Reply) -> None:
    if "error" in reply:
        out.print(Text(reply["error"], "red"))
        return
    used = f"  ({', '.join(reply['tools'])})" if reply["tools"] else ""
    out.print(Text.assemble(("companion ", "bold green"), reply["text"], (used, "dim")))
