"""What a provider reports of one call, and what it bills for it, worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.frameworks.figures import shown, total

SOL = "gpt-6-sol"  # $2 in, $10 out, cache: $0.20 read, $2.50 written; dearer beyond 272 000 tokens
CHAT_USAGE: dict[str, Any] = {
    "prompt_tokens": 10_000,
    "completion_tokens": 400,
    "total_tokens": 10_400,
    "prompt_tokens_details": {"cached_tokens": 6_000, "cache_write_tokens": 1_000, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 300, "audio_tokens": 0},
}
RESPONSE_USAGE: dict[str, Any] = {
    "input_tokens": 10_000,
    "output_tokens": 400,
    "total_tokens": 10_400,
    "input_tokens_details": {"cached_tokens": 6_000, "cache_write_tokens": 1_000},
    "output_tokens_details": {"reasoning_tokens": 300},
}
SOL_KINDS: dict[tuple[str, ...], float] = {
    (SOL, "input"): 3_000,  # what is cached is part of the prompt there, and is not counted twice
    (SOL, "cache_read"): 6_000,
    (SOL, "cache_write_5m"): 1_000,
    (SOL, "output"): 400,
}
SOL_USD = 0.006 + 0.0012 + 0.0025 + 0.004  # 3 000 at $2, 6 000 at $0.20, 1 000 at $2.50, 400 at $10 a million

OPUS = "claude-opus-5-5"  # $4 in, $20 out, cache: $0.20 read, $5 and $8 written
OPUS_USAGE: dict[str, Any] = {
    "input_tokens": 3_000,
    "cache_read_input_tokens": 6_000,
    "cache_creation_input_tokens": 1_500,
    "cache_creation": {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 500},
    "output_tokens": 400,
}
OPUS_KINDS: dict[tuple[str, ...], float] = {
    (OPUS, "input"): 3_000,
    (OPUS, "cache_read"): 6_000,
    (OPUS, "cache_write_5m"): 1_000,
    (OPUS, "cache_write_1h"): 500,
    (OPUS, "output"): 400,
}
OPUS_USD = 0.012 + 0.0012 + 0.005 + 0.004 + 0.008  # 3 000 at $4, 6 000 at $0.20, 1 000 at $5, 500 at $8, 400 at $20


def check(registry: CollectorRegistry, kinds: Mapping[tuple[str, ...], float], usd: float, calls: int = 1) -> None:
    """So many calls that succeeded, nothing else, each of so many tokens and so much cost."""
    (model,) = {model for model, _ in kinds}
    assert shown(registry, "agent_llm_calls_total") == {(model, "success"): calls}
    assert shown(registry, "agent_llm_tokens_total") == {kind: count * calls for kind, count in kinds.items()}
    assert total(registry, "agent_llm_cost_usd_total") == pytest.approx(usd * calls)
    assert total(registry, "agent_llm_usage_unknown_total") == 0
    assert total(registry, "agent_exporter_errors_total") == 0
