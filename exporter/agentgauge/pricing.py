"""What an LLM call costs, by the prices of ``genai-prices`` (offline, maintained, both cache-write prices) or yours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from agentgauge.price_list import BEDROCK, Listed, PriceList

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

    from agentgauge.own_prices import OwnPrice

PERIOD_SECONDS = 900
"""Prices that change with the date or the time of day do so on the quarter of an hour, in every time zone."""

Terms = Literal["standard", "batch", "fast", "flex", "priority"]

IN_ONE_COUNTRY = 1.1
"""What Anthropic asks for computing in the United States alone, times the price of each token."""

_CONTEXTS: Mapping[Terms, dict[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "fast": {"speed": "fast"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
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
    ``terms`` are those on which it is billed: a batch and OpenAI's flex tier cost less, the fast mode and its priority
    tier more. Anthropic's priority tier is paid for by commitment, and its tokens are counted at the standard price.
    ``audio_input`` and ``audio_output`` are how many of the tokens of ``input`` and ``output`` are sound.
    ``in_one_country``: Anthropic was told where to compute, by ``inference_geo``, which costs a tenth more.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    web_searches: int = 0
    terms: Terms = "standard"
    in_one_country: bool = False
    audio_input: int = 0
    audio_output: int = 0

    @property
    def prompt(self) -> int:
        """Tokens of the whole prompt: uncached, read from the cache and written to it."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def uncached(self) -> TokenUsage:
        """The same call as it would have been without the prompt cache: itself if it did not use one."""
        if self.input == self.prompt:
            return self
        return replace(self, input=self.prompt, cache_read=0, cache_write_5m=0, cache_write_1h=0)

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return self.prompt + self.output


class Cost(NamedTuple):
    """What a call cost in USD, and what it would have without the prompt cache."""

    usd: float
    usd_without_cache: float


class PriceTable:
    """Prices of all providers' models, and your own from a file of ``own_prices``; unknown models are None, never $0.

    ``as_of`` is the day that the prices are of, the older one of list and file; None if neither says.

    Importing the price data takes about 0.1 s, so it happens here, when an agent starts, not at ``import agentgauge``.
    Raises PriceError if the file cannot be used, and ImportError if PyYAML is not there to read it.
    """

    def __init__(self, own: str | Path | None = None) -> None:
        self._list = PriceList()
        # By the list's names: there are endless aliases of one, and working its tiers out takes milliseconds.
        self._tiers: dict[tuple[str | None, str, Terms], tuple[int, list[tuple[int, _Rates]]]] = {}
        self._own: Mapping[str, OwnPrice] = {}
        self.as_of = self._list.as_of
        if own is not None:
            from agentgauge.own_prices import read

            file = read(Path(own), self._name_in_file)
            self._own = file.by_model
            self.as_of = min((day for day in (file.as_of, self.as_of) if day is not None), default=None)

    def provider_at(self, url: str) -> str | None:
        """The provider whose API has this address, without its query; None if the list knows none there."""
        return self._list.provider_at(url)

    def canonical_name(self, model: str, provider: str | None = None) -> str | None:
        """The price table's own name for a model or a dated alias of it; None if it has no price.

        ``provider`` is who serves it, in any framework's spelling; without it, the name itself shows who does.
        """
        listed = self._list.find(model, provider)
        if listed is not None:
            return listed.model.id
        return model if self._own_price(None, model, provider) is not None else None

    def billed_as(self, asked: str, answered: str | None, provider: str | None) -> tuple[str, str | None]:
        """The name of a model that a call is billed by, and its provider if that is known.

        It is the name that answered: the one asked for may be a deployment's own. On Bedrock it is the one asked for,
        since the answer does not say which region's price it has; and everywhere, if only that has a price.
        """
        provider = provider or self._list.provider_in(asked)
        at = self._list.find(asked, provider)
        if answered is None or (at is not None and at.provider == BEDROCK):
            return asked, provider
        return (asked, provider) if self.canonical_name(answered, provider) is None else (answered, provider)

    def cost_usd(self, model: str, usage: TokenUsage, provider: str | None = None) -> float | None:
        """USD for the usage of one call at today's price; None if the model has no price at this provider."""
        cost = self.cost(model, usage, provider)
        return None if cost is None else cost.usd

    def cost(self, model: str, usage: TokenUsage, provider: str | None = None) -> Cost | None:
        """The same, and what it would have been without the prompt cache."""
        listed = self._list.find(model, provider)
        own = self._own_price(listed, model, provider) if self._own else None
        if listed is None and own is None:
            return None
        kept_as = (listed.provider, listed.model.id, usage.terms) if listed else (None, model, usage.terms)
        period = int(time() / PERIOD_SECONDS)
        of_period, tiers = self._tiers.get(kept_as, (None, []))
        if of_period != period:
            tiers = _tiers_of(_price_at(period, usage.terms, listed, own))
            self._tiers[kept_as] = period, tiers
        prompt = usage.prompt
        rates = next(rates for above, rates in tiers if prompt > above)
        usd = rates.usd(usage)
        uncached = usd if usage.input == prompt else rates.usd_without_cache(usage) or usd
        if usage.in_one_country and listed is not None and listed.provider == "anthropic":
            return Cost(usd * IN_ONE_COUNTRY, uncached * IN_ONE_COUNTRY)
        return Cost(usd, uncached)

    def _name_in_file(self, model: str) -> str | None:
        """The key of one's own price: with the provider if the file names it, so that it holds there alone."""
        listed = self._list.find(model)
        if listed is None:
            return None
        return f"{listed.provider}/{listed.model.id}" if self._list.provider_in(model) else listed.model.id

    def _own_price(self, listed: Listed | None, model: str, provider: str | None) -> OwnPrice | None:
        if listed is not None:
            named, at = listed.model.id, listed.provider
        else:
            named, at = model, provider or ""
        return self._own.get(f"{at}/{named}") or self._own.get(named)


@dataclass(frozen=True, slots=True)
class _Rates:
    """USD per token of each kind, and per search: a multiplication each, where the price table takes 0.05 ms a call."""

    input: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float
    output: float
    web_searches: float
    audio_input: float
    audio_output: float

    def usd(self, usage: TokenUsage) -> float:
        return (
            self.input * (usage.input - usage.audio_input)
            + self.cache_read * usage.cache_read
            + self.cache_write_5m * usage.cache_write_5m
            + self.cache_write_1h * usage.cache_write_1h
            + self.output * (usage.output - usage.audio_output)
            + self.audio_input * usage.audio_input
            + self.audio_output * usage.audio_output
            + self.web_searches * usage.web_searches
        )

    def usd_without_cache(self, usage: TokenUsage) -> float:
        """With the whole prompt at the price of its uncached part."""
        return (
            self.input * (usage.prompt - usage.audio_input)
            + self.output * (usage.output - usage.audio_output)
            + self.audio_input * usage.audio_input
            + self.audio_output * usage.audio_output
            + self.web_searches * usage.web_searches
        )


def _price_at(period: int, terms: Terms, listed: Listed | None, own: OwnPrice | None) -> ModelPrice:
    """What the list says for this quarter of an hour, changed by one's own price."""
    from genai_prices.types import ModelPrice

    at = datetime.fromtimestamp(period * PERIOD_SECONDS, UTC)
    context = _CONTEXTS[terms] if listed and listed.has_terms else {}
    price = listed.model.get_prices(at, context) if listed else ModelPrice()
    if own is None:
        return price
    given = {_LIST_NAMES[kind]: usd for kind, usd in own.usd.items()}
    if listed and terms != "standard":
        given = {}
    return ModelPrice(**{name: _times(rate, own.factor) for name, rate in vars(price).items()} | given)


def _times(rate: Decimal | TieredPrices | None, factor: Decimal) -> Decimal | TieredPrices | None:
    from genai_prices.types import Tier, TieredPrices

    if isinstance(rate, TieredPrices):
        return TieredPrices(rate.base * factor, [Tier(tier.start, tier.price * factor) for tier in rate.tiers])
    return None if rate is None else rate * factor


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
    return _Rates(
        input=_usd(flat, TokenUsage(input=1)),
        cache_read=_usd(flat, TokenUsage(cache_read=1)),
        cache_write_5m=_usd(flat, TokenUsage(cache_write_5m=1)),
        cache_write_1h=_usd(flat, TokenUsage(cache_write_1h=1)),
        output=_usd(flat, TokenUsage(output=1)),
        web_searches=_usd(flat, TokenUsage(web_searches=1)),
        audio_input=_usd(flat, TokenUsage(input=1, audio_input=1)),
        audio_output=_usd(flat, TokenUsage(output=1, audio_output=1)),
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
        input_audio_tokens=usage.audio_input or None,
        output_audio_tokens=usage.audio_output or None,
    )
    return float(price.calc_price(priced)["total_price"])
