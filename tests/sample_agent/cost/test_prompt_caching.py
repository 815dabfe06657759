"""The prompt is marked for the provider's cache, so that a conversation pays for each of its tokens in full once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from agentgauge import AgentGauge
from sample_agent import assembly
from sample_agent.fake_api.app import create_app
from sample_agent.fake_api.schema import prompt_parts
from sample_agent.fake_api.usage import PromptCache
from sample_agent.faults import FaultFile
from sample_agent.sales.companion import Conversation
from sample_agent.sales.levers import Levers
from sample_agent.serving import serving
from tests.exporter.cost.conftest import counted
from tests.switching import switch

LARGE = "claude-opus-5-5"
QUESTIONS = ("Tell me about the Globex account", "Who is our contact there?", "What did they write to us last?")


@dataclass
class Requests:
    """What the agent sent to the fake API at ``url``, in order."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Keep a request, and pass it on."""
        self.bodies.append(await request.json())
        return await call_next(request)


@pytest.fixture
def requests(faults: FaultFile) -> Iterator[Requests]:
    """A fake API that is listened to."""
    requests = Requests()
    app = create_app(faults, latency=0)
    app.add_middleware(BaseHTTPMiddleware, dispatch=requests)
    with serving(app) as url:
        requests.url = url
        yield requests


@pytest.fixture
async def client(requests: Requests, gauge: AgentGauge) -> AsyncIterator[AsyncAnthropic]:
    """The SDK on that API."""
    async with AsyncAnthropic(api_key="fake-key", base_url=requests.url, middleware=[gauge.anthropic()]) as client:
        yield client


def tokens(gauge: AgentGauge, kind: str) -> float:
    """Tokens of the large model."""
    return counted(gauge, "agent_llm_tokens_total", model=LARGE, kind=kind)


async def converse(gauge: AgentGauge, client: AsyncAnthropic, state: Path, levers: Levers) -> float:
    """Ask all questions in one conversation; returns its cost in USD."""
    companion = assembly.build_companion(gauge, client, state, levers)
    conversation = Conversation(gauge.session("rep-1"))
    for question in QUESTIONS:
        await companion.answer(conversation, question)
    return conversation.session.cost_usd


async def test_tools_system_prompt_and_last_message_are_marked(
    client: AsyncAnthropic, gauge: AgentGauge, requests: Requests, tmp_path: Path
) -> None:
    """Three of the four breakpoints that the API allows; what changes during the day comes after the second."""
    switch(gauge, lambda now: now.without("send_email"))
    await converse(gauge, client, tmp_path, Levers())
    planned = [body for body in requests.bodies if body["model"] == LARGE]
    assert planned
    for body in planned:
        assert [tool["name"] for tool in body["tools"] if tool.get("cache_control")] == [body["tools"][-1]["name"]]
        assert [bool(block.get("cache_control")) for block in body["system"]] == [True, False]
        assert body["system"][1]["text"].startswith("Switched off")
        assert sum(bool(part.get("cache_control")) for part in prompt_parts(body)) == 3


async def test_each_call_reads_what_the_one_before_has_written(
    client: AsyncAnthropic, gauge: AgentGauge, requests: Requests, tmp_path: Path
) -> None:
    """No token is written twice: all that was written is just the last prompt, the rest are reads."""
    await converse(gauge, client, tmp_path, Levers())
    last_prompt = PromptCache().account(requests.bodies[-1]).written_5m
    assert tokens(gauge, "cache_write_5m") == last_prompt
    assert tokens(gauge, "input") == 0
    assert tokens(gauge, "cache_read") > 3 * last_prompt


async def test_another_users_conversation_reads_the_shared_part(
    client: AsyncAnthropic, gauge: AgentGauge, tmp_path: Path
) -> None:
    """Tools and system prompt are the same for all: the second conversation need not write them again."""
    first = await converse(gauge, client, tmp_path, Levers())
    written = tokens(gauge, "cache_write_5m")
    second = await converse(gauge, client, tmp_path, Levers())
    assert tokens(gauge, "cache_write_5m") - written < written / 2
    assert second < first


async def test_without_the_lever_nothing_is_marked_and_all_is_paid_for_in_full(
    client: AsyncAnthropic, gauge: AgentGauge, requests: Requests, tmp_path: Path
) -> None:
    """What prompt caching is compared with."""
    cached = await converse(gauge, client, tmp_path, Levers())
    requests.bodies.clear()
    read = tokens(gauge, "cache_read")
    full = await converse(gauge, client, tmp_path, Levers(prompt_caching=False))
    assert not [body for body in requests.bodies for part in prompt_parts(body) if part.get("cache_control")]
    assert tokens(gauge, "cache_read") == read
    assert cached < full / 2
