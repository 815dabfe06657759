"""Messages of the three APIs come out in one shape, and never longer than they may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.transcripts import redact
from agentgauge.transcripts.messages import in_one_shape

CALL = {"type": "tool_use", "name": "get_deals", "input": {"account": "Globex"}}
EXPECTED = [
    {"role": "user", "content": [{"type": "text", "text": "Globex?"}]},
    {"role": "assistant", "content": [CALL]},
    {"role": "user", "content": [{"type": "tool_result", "content": "3 deals"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Three."}]},
]
ARGUMENTS = json.dumps({"account": "Globex"})


@pytest.mark.parametrize(
    "messages",
    [
        [
            {"role": "user", "content": "Globex?"},
            {"role": "assistant", "content": [{**CALL, "id": "call-1"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call-1", "content": "3 deals"}]},
            {"role": "assistant", "content": "Three."},
        ],
        [
            {"role": "system", "content": "You are…"},
            {"role": "user", "content": "Globex?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "get_deals", "arguments": ARGUMENTS}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "3 deals"},
            {"role": "assistant", "content": "Three."},
        ],
        [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Globex?"}]},
            {"type": "function_call", "name": "get_deals", "arguments": ARGUMENTS},
            {"type": "function_call_output", "output": "3 deals"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Three."}]},
        ],
    ],
    ids=["Messages API", "chat completions", "Responses"],
)
def test_each_api_comes_out_in_the_shape_of_the_messages_api(messages: list[Any]) -> None:
    """The prompt of the system is left out: it is the agent's own, and has its version."""
    assert in_one_shape(messages, str, 10_000) == EXPECTED


def test_every_text_is_redacted_wherever_it_stands() -> None:
    """In what was typed, in arguments at any depth, in their names, and in results."""
    address = "jane@globex.example"
    messages = [
        {"role": "user", "content": f"write to {address}"},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "send", "input": {address: [{"to": address}]}}]},
        {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": address}]}]},
    ]
    assert address not in json.dumps(in_one_shape(messages, redact, 10_000))


def test_an_address_at_the_place_of_the_cut_is_redacted_whole() -> None:
    """Cut first, half of it would have no form that a pattern finds."""
    for padding in range(7_960, 8_010):
        (message,) = in_one_shape(
            [{"role": "user", "content": "a " * (padding // 2) + "jane@globex.example " * 9}], redact, 99_999
        )
        assert "jane" not in message["content"][0]["text"]


def test_pictures_and_what_no_api_has_leave_a_word_or_nothing() -> None:
    """Whatever an agent hands over, the rest of the transcript is kept."""
    picture = {"type": "image", "source": {"type": "base64", "data": "iVBOR" * 1000}}
    messages = [{"role": "user", "content": [picture]}, None, 7, {"content": 7}, {"role": "user", "content": "hi"}]
    assert in_one_shape(messages, str, 10_000) == [
        {"role": "user", "content": [{"type": "image"}]},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ]


def test_a_long_conversation_keeps_its_beginning_and_its_end() -> None:
    """The question is first, what went wrong is last."""
    said = [{"role": "user", "content": f"number {number}"} for number in range(1000)]
    kept = in_one_shape(said, str, 1_000)
    texts = [message["content"][0]["text"] for message in kept]
    assert (texts[0], texts[-1]) == ("number 0", "number 999")
    assert texts[1] == f"[{1000 - len(kept) + 1} messages left out]"
    assert len(json.dumps(kept)) < 1_200


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "type", "content", "text", "name", "input", "tool_calls", "function", "arguments"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.lists(ANYTHING, max_size=5))
def test_nothing_raises_and_all_of_it_is_json(messages: list[Any]) -> None:
    """It runs on what providers and agents hand over."""
    json.dumps(in_one_shape(messages, redact, 2_000))
