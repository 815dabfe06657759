"""An agent that says nothing of its conversation: the middleware of the Anthropic SDK sees it pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, llm_step
from agentgauge.transcripts import Transcripts

ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "hello there"}],
}


@pytest.fixture
def gauge(registry: CollectorRegistry, tmp_path: Path) -> Iterator[AgentGauge]:
    """An agent with a ledger."""
    with closing(AgentGauge("a", registry=registry, ledger=f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as made:
        yield made


@pytest.fixture
def client(gauge: AgentGauge, fake_api: str) -> Iterator[Anthropic]:
    """The real SDK with the middleware."""
    with Anthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()]) as made:
        yield made


def plain(client: Anthropic) -> str:
    """One answer."""
    return "".join(block.text for block in client.messages.create(**ASK).content if block.type == "text")


def streamed(client: Anthropic) -> str:
    """The same, piece by piece."""
    with client.messages.stream(**ASK) as stream:
        return stream.get_final_text()


def taken_as_bytes(client: Anthropic) -> str:
    """As a proxy takes it."""
    with client.messages.with_streaming_response.create(**ASK) as response:
        return str(response.json()["content"][0]["text"])


@pytest.mark.parametrize("ask", [plain, streamed, taken_as_bytes])
def test_what_was_sent_and_what_was_answered_is_the_transcript(
    gauge: AgentGauge, client: Anthropic, ask: Callable[[Anthropic], str]
) -> None:
    """Also of an answer that is streamed; what the model was asked besides is no part of the conversation."""
    assert gauge.ledger is not None
    with gauge.session(session_id="s-1") as session:
        with llm_step("classification"):
            client.messages.create(**ASK | {"messages": [{"role": "user", "content": "a label, please"}]})
        answer = ask(client)
        with gauge.subagent("researcher"):
            client.messages.create(**ASK | {"messages": [{"role": "user", "content": "look it up"}]})
        session.feedback("down", "tone")
    gauge.refresh_from_ledger()
    (occasion,) = Transcripts(gauge.ledger, "a").get("s-1").occasions
    assert (occasion.question, occasion.answer) == ("hello there", answer)


def test_what_the_agent_says_itself_comes_first(gauge: AgentGauge, client: Anthropic) -> None:
    """It knows more than its calls show: what a tool was asked to keep from the model, say."""
    assert gauge.ledger is not None
    with gauge.session(session_id="s-1") as session:
        session.record_messages([{"role": "user", "content": "as it was typed"}])
        plain(client)
        session.feedback("down", "tone")
    gauge.refresh_from_ledger()
    (occasion,) = Transcripts(gauge.ledger, "a").get("s-1").occasions
    assert occasion.question == "as it was typed"
