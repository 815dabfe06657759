"""The conversation before an action, in the shapes of two providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.actions import Actions
from agentgauge.feedback.conversation import messages_before, tools_called, user_texts
from agentgauge.ledger import Ledger

ANTHROPIC = [
    {"role": "user", "content": "Refund order 7"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "look_up", "input": {"order": 7}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "paid"}]},
    {"role": "user", "content": [{"type": "text", "text": "Please hurry"}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "2", "name": "refund", "input": {"order": 7}}]},
]
OPENAI = [
    {"role": "system", "content": "You refund orders."},
    {"role": "user", "content": "Refund order 7"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "look_up"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "paid"},
    {"role": "user", "content": [{"type": "text", "text": "Please hurry"}]},
    {"role": "assistant", "tool_calls": [{"id": "2", "function": {"name": "refund"}}]},
]


def action(ledger: Ledger, messages: Sequence[Mapping[str, Any]]) -> Action:
    """An action that these messages led to."""
    return Actions(ledger, "a").propose(Proposal("refund", "high", "approval", {"order": 7}, {"messages": messages}))


@pytest.mark.parametrize("messages", [ANTHROPIC, OPENAI], ids=["anthropic", "openai"])
def test_what_the_user_wrote_and_the_agent_called_is_read(ledger: Ledger, messages: list[Any]) -> None:
    """Feedback learns from any agent's conversations."""
    proposed = action(ledger, messages)
    assert user_texts(proposed) == ["Refund order 7", "Please hurry"]
    assert tools_called(proposed) == ["look_up", "refund"]
    assert messages_before(proposed) == messages[:-1]


def test_an_action_without_its_conversation_has_its_tool(ledger: Ledger) -> None:
    """An agent need not hand its messages over."""
    proposed = action(ledger, [])
    assert (user_texts(proposed), tools_called(proposed), messages_before(proposed)) == ([], ["refund"], [])
