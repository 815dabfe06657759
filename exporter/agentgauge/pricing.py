"""What an LLM call costs, by the prices of ``genai-prices`` (offline, maintained, both cache-write prices) or yours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

    from agentgauge.own_prices import OwnPrice

PERIOD_SECONDS = 900
"""Prices that change with the date or the time of day do so on the quarter of an hour, in every time zone."""

Terms = Literal["standard", "batch", "fast"]

_CONTEXTS: Mapping[Terms, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "fast": {"speed": "fast"},
}
_LIST_NAMES = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write_5m": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "web_searches": "web_searches_kcount",
}


@dataclass(frozen=True)
class TokenUsage:
    """Tokens of one LLM call in disjoint kinds, as they are billed; ``input`` is the uncached part of the prompt.

    Thinking is part of ``output``. ``web_searches`` are the provider-side searches of the call, billed apiece.
    ``terms`` are those on which it is billed: a batch costs less, the fast mode more; a priority tier is paid for by
    commitment, and its tokens are counted at the standard price.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    web_searches: int = 0
    terms: Terms = "standard"

    @property
    def prompt(self) -> int:
        """Tokens of the whole prompt: uncached, read from the cache and written to it."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return self.prompt + self.output


class PriceTable:
    """Prices of all providers' models, and your own from a file of ``own_prices``; unknown models are None, never $0.

    Importing the price data takes about 0.1 s, so it happens here, when an agent starts, not at ``import agentgauge``.
    Raises PriceError if the file cannot be used, and ImportError if PyYAML is not there to read it.
    """

    def __init__(self, own: str | Path | None = None) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self._snapshot = get_snapshot()
        # Bounded: a model that hallucinates model names must not grow the process.
        self._find = lru_cache(maxsize=256)(self._find_uncached)
        self._tiers = lru_cache(maxsize=256)(self._tiers_uncached)
        self._own: Mapping[str, OwnPrice] = {}
        if own is not None:
            from agentgauge.own_prices import read

            self._own = read(Path(own), self.canonical_name)

    def canonical_name(self, model: str) -> str | None:
        """The price table's own name for a model or a dated alias of it; None if it has no price."""
        listed = self._find(model)
        if listed is not None:
            return listed.id
        return model if model in self._own else None

    def cost_usd(self, model: str, usage: TokenUsage) -> float | None:
        """USD for the usage of one call at today's price; None if the model has no price."""
        tiers = self._tiers(model, usage.terms, int(time() / PERIOD_SECONDS))
        if tiers is None:
            return None
        return next(rates for above, rates in tiers if usage.prompt > above).usd(usage)

    def _find_uncached(self, model: str) -> ModelInfo | None:
        try:
            return self._snapshot.find_provider_model(model, None, None, None)[1]
        except LookupError:
            return None

    def _tiers_uncached(self, model: str, terms: Terms, period: int) -> list[tuple[int, _Rates]] | None:
        """The rates by size of the prompt, largest first; each holds for prompts of more tokens than stand beside it.

        Kept for a period: working them out takes milliseconds.
        """
        from genai_prices.types import ModelPrice

        listed = self._find(model)
        own = self._own.get(listed.id if listed else model)
        if listed is None and own is None:
            return None
        at = datetime.fromtimestamp(period * PERIOD_SECONDS, UTC)
        price = listed.get_prices(at, _CONTEXTS[terms]) if listed else ModelPrice()
        if own is not None:
            given = {_LIST_NAMES[kind]: usd for kind, usd in own.usd.items()}
            if listed and terms != "standard":
                given = {}
            price = ModelPrice(**{name: _times(rate, own.factor) for name, rate in vars(price).items()} | given)
        return _tiers_of(price)


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


def _times(rate: Decimal | TieredPrices | None, factor: Decimal) -> Decimal | TieredPrices | None:
    from genai_prices.types import Tier, TieredPrices

    if isinstance(rate, TieredPrices):
        return TieredPrices(rate.base * factor, [Tier(tier.start, tier.price * factor) for tier in rate.tiers])
    return None if rate is None else rate * factor


def _tiers_of(price: ModelPrice) -> list[tuple[int, _Rates]]:
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
    return _Rates(
        input=_usd(flat, TokenUsage(input=1)),
        cache_read=_usd(flat, TokenUsage(cache_read=1)),
        cache_write_5m=_usd(flat, TokenUsage(cache_write_5m=1)),
        cache_write_1h=_usd(flat, TokenUsage(cache_write_1h=1)),
        output=_usd(flat, TokenUsage(output=1)),
        web_searches=_usd(flat, TokenUsage(web_searches=1)),
    )


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
