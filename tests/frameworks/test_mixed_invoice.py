"""One agent on three providers: what was counted in hundreds of random calls against invoices worked out by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.adapters.openai import http_client
from tests.frameworks.bills import OPUS, SOL
from tests.frameworks.figures import shown, total
from tests.frameworks.provider import Json, Provider

LLAMA = "llama-3.3-70b-versatile"
MILLION = Decimal(1_000_000)
CALLS = 360
QUESTION: list[Any] = [{"role": "user", "content": "When does Globex renew?"}]


@dataclass(frozen=True)
class Rates:
    """USD per million tokens, in the columns of the providers' price lists."""

    input: Decimal
    cache_read: Decimal
    written: Decimal
    written_1h: Decimal
    output: Decimal


def rates(*columns: str) -> Rates:
    """A row of a price list."""
    return Rates(*map(Decimal, columns))


# Typed from the lists of Anthropic, OpenAI and Groq as of November 2026.
OPUS_RATES = rates("4", "0.20", "5", "8", "20")
SOL_RATES = rates("2", "0.20", "2.50", "2.50", "10")
SOL_LONG_RATES = rates("4", "0.40", "5", "5", "15")  # the whole call, if its prompt is longer than 272 000 tokens
SOL_FLEX = Decimal("0.5")
LLAMA_RATES = rates("0.59", "0.59", "0.59", "0.59", "0.79")  # a cache is not billed apart
PER_SEARCH = Decimal("0.01")


@dataclass(frozen=True)
class Call:
    """What one call uses, in disjoint kinds; ``thinking`` is part of the output, ``flex`` is OpenAI's slow tier."""

    fresh: int
    read: int
    written: int
    written_1h: int
    output: int
    thinking: int
    searches: int
    flex: bool
    stream: bool

    @property
    def prompt(self) -> int:
        """Tokens of the whole prompt."""
        return self.fresh + self.read + self.written + self.written_1h

    def usd(self, at: Rates) -> Decimal:
        """What its tokens cost."""
        return (
            self.fresh * at.input
            + self.read * at.cache_read
            + self.written * at.written
            + self.written_1h * at.written_1h
            + self.output * at.output
        ) / MILLION


def draw(rng: random.Random) -> Call:
    """Any call: short and long, cached and not."""
    output = rng.randrange(1, 4_000)
    return Call(
        fresh=rng.choice([1, rng.randrange(20_000), rng.randrange(400_000)]),
        read=rng.choice([0, rng.randrange(100_000)]),
        written=rng.choice([0, rng.randrange(20_000)]),
        written_1h=rng.choice([0, rng.randrange(20_000)]),
        output=output,
        thinking=rng.randrange(output),
        searches=rng.choice([0, 0, rng.randrange(5)]),
        flex=rng.random() < 0.2,
        stream=rng.random() < 0.5,
    )


class Books:
    """Makes calls with the real SDKs, and writes down what each provider bills for them."""

    def __init__(self, gauge: AgentGauge, provider: Provider, url: str) -> None:
        self.provider = provider
        self.anthropic = Anthropic(api_key="k", base_url=url, max_retries=0, middleware=[gauge.anthropic()])
        self.openai = OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=http_client(gauge))
        self.groq = OpenAI(
            api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=http_client(gauge, provider="groq")
        )
        self.usd: dict[str, Decimal] = {OPUS: Decimal(0), SOL: Decimal(0), LLAMA: Decimal(0)}
        self.tokens: Counter[tuple[str, str]] = Counter()

    def close(self) -> None:
        """Close the connections."""
        for client in (self.anthropic, self.openai, self.groq):
            client.close()

    def message(self, call: Call) -> None:
        """Anthropic: the kinds are apart, a web search is billed apiece."""
        self.provider.service_tier = None
        self.provider.usage = {
            "input_tokens": call.fresh,
            "cache_read_input_tokens": call.read,
            "cache_creation_input_tokens": call.written + call.written_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": call.written,
                "ephemeral_1h_input_tokens": call.written_1h,
            },
            "output_tokens": call.output,
            "output_tokens_details": {"thinking_tokens": call.thinking},
            "server_tool_use": {"web_search_requests": call.searches, "web_fetch_requests": 1},
            "service_tier": "standard",
        }
        ask: Json = {"model": OPUS, "max_tokens": 4_000, "messages": QUESTION}
        if call.stream:
            with self.anthropic.messages.stream(**ask) as stream:
                stream.until_done()
        else:
            self.anthropic.messages.create(**ask)
        self._write(OPUS, call, call.usd(OPUS_RATES) + call.searches * PER_SEARCH, written_1h="cache_write_1h")

    def completion(self, call: Call) -> None:
        """OpenAI's chat completions: what is cached is part of the prompt."""
        self._chat(self.openai, SOL, call)
        self._write(SOL, call, self._sol(call))

    def response(self, call: Call) -> None:
        """OpenAI's responses, which name the same otherwise."""
        self.provider.service_tier = "flex" if call.flex else "default"
        self.provider.usage = {
            "input_tokens": call.prompt,
            "input_tokens_details": {
                "cached_tokens": call.read,
                "cache_write_tokens": call.written + call.written_1h,
            },
            "output_tokens": call.output,
            "output_tokens_details": {"reasoning_tokens": call.thinking},
            "total_tokens": call.prompt + call.output,
        }
        if call.stream:
            for _event in self.openai.responses.create(model=SOL, input="When does Globex renew?", stream=True):
                pass
        else:
            self.openai.responses.create(model=SOL, input="When does Globex renew?")
        self._write(SOL, call, self._sol(call))

    def llama(self, call: Call) -> None:
        """Groq, on OpenAI's protocol."""
        self._chat(self.groq, LLAMA, call)
        self._write(LLAMA, call, call.usd(LLAMA_RATES))

    def _sol(self, call: Call) -> Decimal:
        usd = call.usd(SOL_LONG_RATES if call.prompt > 272_000 else SOL_RATES)
        return usd * SOL_FLEX if call.flex else usd

    def _chat(self, client: OpenAI, model: str, call: Call) -> None:
        self.provider.service_tier = "flex" if call.flex and model == SOL else "default"
        self.provider.usage = {
            "prompt_tokens": call.prompt,
            "prompt_tokens_details": {
                "cached_tokens": call.read,
                "cache_write_tokens": call.written + call.written_1h,
                "audio_tokens": 0,
            },
            "completion_tokens": call.output,
            "completion_tokens_details": {"reasoning_tokens": call.thinking, "audio_tokens": 0},
            "total_tokens": call.prompt + call.output,
        }
        if call.stream:
            for _chunk in client.chat.completions.create(
                model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
            ):
                pass
        else:
            client.chat.completions.create(model=model, messages=QUESTION)

    def _write(self, model: str, call: Call, usd: Decimal, written_1h: str = "cache_write_5m") -> None:
        self.usd[model] += usd
        kinds: Mapping[str, int] = {"input": call.fresh, "cache_read": call.read, "output": call.output}
        self.tokens.update({(model, kind): count for kind, count in kinds.items()})
        self.tokens[model, "cache_write_5m"] += call.written
        self.tokens[model, written_1h] += call.written_1h


@pytest.mark.parametrize("seed", [1, 20261129])
def test_three_invoices_agree_to_the_cent(
    gauge: AgentGauge, registry: CollectorRegistry, provider: Provider, url: str, seed: int
) -> None:
    """Tokens by model and kind exactly, and the money of each provider to a hundredth of a cent."""
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    books = Books(gauge, provider, url)
    ways: list[Callable[[Call], None]] = [books.message, books.completion, books.response, books.llama]
    for _ in range(CALLS):
        rng.choice(ways)(draw(rng))
    books.close()
    assert total(registry, "agent_llm_calls_total") == CALLS
    assert shown(registry, "agent_llm_tokens_total") == {key: count for key, count in books.tokens.items() if count}
    counted = {model: usd for (model, _step), usd in shown(registry, "agent_llm_cost_usd_total").items()}
    assert counted == {model: pytest.approx(float(usd), abs=1e-4) for model, usd in books.usd.items()}
    for name in ("agent_llm_unpriced_tokens_total", "agent_llm_usage_unknown_total", "agent_exporter_errors_total"):
        assert total(registry, name) == 0
