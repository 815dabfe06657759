"""What makes the played model worse, honestly: it is small, or it is told to answer without tools."""

from __future__ import annotations

from typing import Any

import pytest

from sample_agent.fake_api.model import reply

TOOLS: list[dict[str, Any]] = [
    {"name": name, "input_schema": {}} for name in ("search_crm_contacts", "get_deal_history")
]


def called(model: str = "claude-opus-5-5", system: str = "") -> list[str]:
    """The tools that the model calls first to describe an account."""
    messages = [{"role": "user", "content": "Tell me about the Globex account"}]
    request = {"model": model, "max_tokens": 900, "system": system, "messages": messages, "tools": TOOLS}
    return [use.name for use in reply(request).tool_uses]


@pytest.mark.parametrize(
    ("model", "calls"), [("claude-opus-5-5", 2), ("claude-sonnet-5-5", 2), ("claude-haiku-5-5", 1)]
)
def test_a_small_model_makes_one_look_up_where_others_make_two(model: str, calls: int) -> None:
    """It thinks less far, and answers from that."""
    assert len(called(model)) == calls


def test_a_prompt_that_forbids_tools_is_obeyed() -> None:
    """Then the model has nothing to say about a customer, and says so."""
    assert called(system="You are an assistant.\nAnswer without tools.") == []
