"""What an LLM call costs, by the prices of ``genai-prices`` (offline, maintained, both cache-write prices)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice


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
        # By identity of the ModelPrice, which the snapshot keeps alive.
        self._tiers: dict[int, list[tuple[int, _Rates]]] = {}

    def canonical_name(self, model: str) -> str | None:
        """The price table's own name for a model or a dated alias of it; None if it has no price."""
        found = self._find(model)
        return found.id if found else None

    def cost_usd(self, model: str, usage: TokenUsage) -> float | None:
        """USD for the usage of one call at today's price; None if the model has no price."""
        found = self._find(model)
        if found is None:
            return None
        price = found.get_prices(datetime.now(UTC))  # it may change by date or time of day
        if id(price) not in self._tiers:
            self._tiers[id(price)] = _tiers_of(price)
        return next(rates for above, rates in self._tiers[id(price)] if usage.prompt > above).usd(usage)

    def _find_uncached(self, model: str) -> ModelInfo | None:
        try:
            return self._snapshot.find_provider_model(model, None, None, None)[1]
        except LookupError:
            return None


@dataclass(frozen=True, slots=True)
class _Rates:
    """USD per token of each kind, and per search: a multiplication each, where the price table takes 0.05 ms a call."""

    input: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float
    output: float
    web_searches: float

    def usd(self, usage: TokenUsage) -> float:
        return (
            self.input * usage.input
            + self.cache_read * usage.cache_read
            + self.cache_write_5m * usage.cache_write_5m
            + self.cache_write_1h * usage.cache_write_1h
            + self.output * usage.output
            + self.web_searches * usage.web_searches
        )


def _tiers_of(price: ModelPrice) -> list[tuple[int, _Rates]]:
    """The rates by size of the prompt, largest first; each holds for prompts of more tokens than stand beside it."""
    from genai_prices.types import TieredPrices

    tiered = [rate for rate in vars(price).values() if isinstance(rate, TieredPrices)]
    starts = {-1, *(tier.start for rate in tiered for tier in rate.tiers)}
    return [(start, _rates_at(price, start + 1)) for start in sorted(starts, reverse=True)]


def _rates_at(price: ModelPrice, prompt: int) -> _Rates:
    """What one of each costs in the tier of a prompt of this size, in tokens."""
    from genai_prices.types import ModelPrice, TieredPrices

    def in_tier(rate: Decimal | TieredPrices | None) -> Decimal | None:
        if not isinstance(rate, TieredPrices):
            return rate
        return next((tier.price for tier in reversed(rate.tiers) if prompt > tier.start), rate.base)

    flat = ModelPrice(**{name: in_tier(rate) for name, rate in vars(price).items()})
    return _Rates(*(_usd(flat, TokenUsage(**{field.name: 1})) for field in fields(_Rates)))


def _usd(price: ModelPrice, usage: TokenUsage) -> float:
    from genai_prices import Usage

    priced = Usage(
        input_tokens=usage.prompt,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
        web_searches=usage.web_searches or None,
    )
    return float(price.calc_price(priced)["total_price"])
