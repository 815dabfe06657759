"""Answers that others recorded of the real providers, through the SDKs: totals agree with a reader of the bare bytes.

``recorded.jsonl`` comes from the tests of OpenLLMetry, of the source packages 0.62.4 on PyPI of its instrumentations of
Anthropic and OpenAI, under the Apache License 2.0. Changed: of each exchange, the model that was asked for, the path
and the whole body of the answer were kept, and ``from`` names its cassette.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentgauge import AgentGauge
from agentgauge.adapters.openai import http_client
from sample_agent.serving import serving
from tests.frameworks.figures import shown, total

RECORDED: list[dict[str, Any]] = list(
    map(json.loads, Path(__file__).with_name("recorded.jsonl").read_text(encoding="utf-8").splitlines())
)
SAYS: list[Any] = [{"role": "user", "content": "When?"}]

USD = {
    "claude-3-5-sonnet": (3, 0.3, 3.75, 15),
    "claude-3-7-sonnet": (3, 0.3, 3.75, 15),
    "claude-3-5-haiku": (0.8, 0.08, 1, 4),
    "gpt-3.5-turbo": (0.5, 0.5, 0.5, 1.5),
    "gpt-4o": (2.5, 1.25, 2.5, 10),
    "gpt-4.1-nano": (0.1, 0.025, 0.1, 0.4),
    "gpt-5-nano": (0.05, 0.005, 0.05, 0.4),
    "gpt-5": (1.25, 0.125, 1.25, 10),
}
"""A million tokens: input, read from the cache, written to it, output. The priority tier costs twice as much."""


def usage(body: str) -> tuple[Counter[str], float]:
    """What the bare bytes of an answer say: the tokens by kind, and what they cost in USD."""
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")] or [json.loads(body)]
    said: dict[str, Any] = {}
    for event in events:
        answer = event.get("response") or event.get("message") or event
        said |= {key: answer[key] for key in ("model", "service_tier") if answer.get(key)}
        said |= {key: value for key, value in (answer.get("usage") or {}).items() if value is not None}
    details = said.get("prompt_tokens_details") or said.get("input_tokens_details") or {}
    read = said.get("cache_read_input_tokens", 0) + details.get("cached_tokens", 0)
    counts = (
        said.get("input_tokens", said.get("prompt_tokens")) - details.get("cached_tokens", 0),
        read,
        said.get("cache_creation_input_tokens", 0),
        said.get("output_tokens", said.get("completion_tokens")),
    )
    prices = USD[max((name for name in USD if said["model"].startswith(name)), key=len)]
    factor = 2 if said.get("service_tier") == "priority" else 1
    usd = sum(count * price for count, price in zip(counts, prices, strict=True)) * factor / 1e6
    return Counter(dict(zip(("input", "cache_read", "cache_write_5m", "output"), counts, strict=True))), usd


async def replayed(request: Request) -> Response:
    """The answer of the exchange that the client names."""
    exchange = RECORDED[int(request.headers["x-exchange"])]
    assert request.url.path == exchange["path"]
    return Response(exchange["body"], media_type=exchange["type"])


@pytest.fixture
def recording() -> Iterator[str]:
    """Where the recorded answers are given."""
    with serving(Starlette(routes=[Route("/{path:path}", replayed, methods=["POST"])])) as url:
        yield url


def ask(gauge: AgentGauge, url: str, number: int) -> None:
    """The question of one exchange, through the SDK that asked it, to the last event."""
    exchange = RECORDED[number]
    headers = {"x-exchange": str(number)}
    model, stream = exchange["model"], exchange["stream"]
    answer: Any
    if exchange["path"] == "/v1/messages":
        with Anthropic(api_key="k", base_url=url, default_headers=headers, middleware=[gauge.anthropic()]) as claude:
            answer = claude.messages.create(model=model, max_tokens=100, messages=SAYS, stream=stream)
            list(answer) if stream else None
        return
    path: str = exchange["path"]
    base = url + path.removesuffix("/chat/completions").removesuffix("/responses")
    with OpenAI(api_key="k", base_url=base, default_headers=headers, http_client=http_client(gauge)) as client:
        if path.endswith("/responses"):
            answer = client.responses.create(model=model, input="When?", stream=stream)
        else:
            answer = client.chat.completions.create(model=model, messages=SAYS, stream=stream)
        list(answer) if stream else None


def check(gauge: AgentGauge, numbers: range | list[int]) -> None:
    """The totals are those of the bytes, to the token and the last digit of the cost."""
    tokens: Counter[str] = Counter()
    usd = 0.0
    for number in numbers:
        kinds, cost = usage(RECORDED[number]["body"])
        tokens, usd = tokens + kinds, usd + cost
    counted: Counter[str] = Counter()
    for (_model, kind), count in shown(gauge.registry, "agent_llm_tokens_total").items():
        counted[kind] += int(count)
    assert counted == tokens
    assert total(gauge.registry, "agent_llm_cost_usd_total") == pytest.approx(usd, abs=1e-12)
    assert total(gauge.registry, "agent_llm_calls_total") == len(numbers)
    assert total(gauge.registry, "agent_llm_usage_unknown_total") == 0
    assert total(gauge.registry, "agent_exporter_errors_total") == 0


@pytest.mark.parametrize("number", range(len(RECORDED)), ids=[one["from"] for one in RECORDED])
def test_an_answer_is_what_its_bytes_say(gauge: AgentGauge, recording: str, number: int) -> None:
    """Caches, tools, thinking and tiers, plain and streamed, in three protocols."""
    ask(gauge, recording, number)
    check(gauge, [number])


def test_all_of_them_add_up(gauge: AgentGauge, recording: str) -> None:
    """In one session."""
    with gauge.session() as session:
        for number in range(len(RECORDED)):
            ask(gauge, recording, number)
    check(gauge, range(len(RECORDED)))
    assert session.cost_usd == pytest.approx(total(gauge.registry, "agent_llm_cost_usd_total"))
