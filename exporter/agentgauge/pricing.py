"""What an LLM call costs, by the prices of ``genai-prices`` (offline, maintained, both cache-write prices)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


@dataclass(frozen=True)
class TokenUsage:
    """Tokens of one LLM call in disjoint kinds, as they are billed; ``input`` is the uncached part of the prompt.

    ``web_searches`` are the provider-side searches of the call, billed apiece.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    web_searches: int = 0

    @property
    def prompt(self) -> int:
        """Tokens of the whole prompt: uncached, read from the cache and written to it."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return self.prompt + self.output


class PriceTable:
    """Prices of all providers' models; unknown models are None, never $0.

    Importing the price data takes about 0.1 s, so it happens here, when an agent starts, not at ``import agentgauge``.
    """

    def __init__(self) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self._snapshot = get_snapshot()
        # Bounded: a model that hallucinates model names must not grow the process.
        self._find = lru_cache(maxsize=256)(self._find_uncached)

    def canonical_name(self, model: str) -> str | None:
        """The price table's own name for a model or a dated alias of it; None if it has no price."""
        found = self._find(model)
        return found[1].id if found else None

    def cost_usd(self, model: str, usage: TokenUsage) -> float | None:
        """USD for the usage of one call at today's price; None if the model has no price."""
        from genai_prices import Usage

        found = self._find(model)
        if found is None:
            return None
        provider, info = found
        priced = Usage(
            input_tokens=usage.prompt,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
            cache_write_1h_tokens=usage.cache_write_1h,
            output_tokens=usage.output,
            web_searches=usage.web_searches or None,
        )
        return float(info.calc_price(priced, provider).total_price)

    def _find_uncached(self, model: str) -> tuple[Provider, ModelInfo] | None:
        try:
            return self._snapshot.find_provider_model(model, None, None, None)
        except LookupError:
            return None
