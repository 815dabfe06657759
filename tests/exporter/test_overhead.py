"""Instrumentation stays cheap, and the short cuts that make it so change no number."""

from __future__ import annotations

from datetime import UTC, datetime

import genai_prices
import pytest

from agentgauge import TokenUsage
from agentgauge.pricing import PriceTable
from tests.bench import tool_calls


@pytest.mark.parametrize("measure", [tool_calls.sync_overheads, tool_calls.async_overheads], ids=["sync", "async"])
def test_a_tool_call_costs_less_than_labels_at_each_call(measure: tool_calls.Measure) -> None:
    """It counts for a session, too, and is cheaper all the same: a ratio within one run, no absolute time."""
    ratios = []
    for _ in range(3):
        added = measure(rounds=10)
        ratios.append(added[tool_calls.AGENTGAUGE] / added[tool_calls.LABELS])
        if ratios[-1] < 1:
            return
    pytest.fail(f"an instrumented call took {ratios} times what labels() at each call takes")


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-6", "gpt-5.5", "gemini-2.5-pro"]
)
@pytest.mark.parametrize(
    "usage",
    [
        TokenUsage(input=1000, output=200),
        TokenUsage(input=3, cache_read=50_000, cache_write_5m=700, output=1),
        TokenUsage(input=10, cache_write_5m=2000, cache_write_1h=9000, output=60, web_searches=4),
        TokenUsage(input=100_000, cache_read=100_000, output=8000),
        TokenUsage(input=100_000, cache_read=100_001, output=8000),
        TokenUsage(output=12),
    ],
    ids=["plain", "cache", "searches", "at a tier", "beyond a tier", "no prompt"],
)
def test_a_cost_is_what_the_price_table_says(model: str, usage: TokenUsage) -> None:
    """Flat and tiered prices, changed and unchanged ones: multiplying kept rates gives the table's own answer."""
    asked = genai_prices.Usage(
        input_tokens=usage.prompt,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
        web_searches=usage.web_searches,
    )
    expected = genai_prices.calc_price(asked, model, genai_request_timestamp=datetime.now(UTC)).total_price
    assert PriceTable().cost_usd(model, usage) == pytest.approx(float(expected))
