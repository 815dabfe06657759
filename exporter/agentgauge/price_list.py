"""Finds a model on the list of ``genai-prices``, by what its client calls it and by who serves it.

The list's own search keeps every name that it was ever asked for; names come from models and users, so this one keeps
none, and refuses what is too long to be a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

LONGEST_NAME = 256
"""Characters of a model's name; the ARN of an inference profile is the longest that there is."""

BEDROCK = "aws"
"""The list's name for the provider whose prices depend on the region, which only the name that was asked for says."""

_BEDROCK_NAME = re.compile(
    r"arn:aws[\w-]*:bedrock:|(?:^|[./])(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\.[a-z]"
)
"""``us.anthropic.claude-…``: nobody but Bedrock writes the vendor and a dot before a model."""

_WITH_REGIONS = ("azure", BEDROCK, "google")
"""Where LiteLLM puts a region between the provider and the name: ``azure/eu/gpt-4o``."""

_PROXIES = ("litellm", "litellm_proxy", "custom_openai")
"""Names of a provider that say nothing of who serves the model."""

_OTHER_SPELLINGS = (("azure", "azure"), ("fireworks", "fireworks"), ("x_ai", "x-ai"), ("together", "together"))
"""How frameworks begin the name of a provider that the list does not know by it → the list's name."""


FIRST_YEAR = 2025
"""The price list is not older; files that say so were given the time of an epoch."""


class Listed(NamedTuple):
    """A model on the list: the list's name of its provider, and what the list says of the model.

    ``has_terms``: whether its prices for batches, tiers and speeds hold here. They do not where the provider sells
    another's model at that one's standard price.
    """

    provider: str
    model: ModelInfo
    has_terms: bool


class PriceList:
    """The models of all providers. Loading the list takes about 0.1 s.

    ``as_of`` is the day of the newest change of a price that the list knows; None if it knows none. The list carries
    no date of its own: it is at least as new as that.
    """

    def __init__(self) -> None:
        from genai_prices.data_snapshot import get_snapshot

        self._providers: list[Provider] = get_snapshot().providers
        self.as_of = newest_change(self._providers, before=_installed_on())
        self._provider = lru_cache(maxsize=256)(self._find_provider)
        self._provider_at = lru_cache(maxsize=64)(self._find_provider_at)
        # Bounded: a model that hallucinates model names must not grow the process.
        self.find = lru_cache(maxsize=256)(self._find)

    def provider_at(self, url: str) -> str | None:
        """The provider whose API has this address, without its query; None if no provider has it."""
        return self._provider_at(url)

    def provider_in(self, model: str) -> str | None:
        """The provider that a name carries, as in ``groq/llama-3.3-70b``; None if it carries none."""
        before, slash, _ = model.lower().partition("/")
        provider = self._provider(before) if slash else None
        return provider.id if provider else None

    def _find(self, model: str, provider: str | None = None) -> Listed | None:
        """The model at this provider, or at the one that the name shows; None if there is no price for it.

        ``provider`` may be in any framework's spelling: ``bedrock``, ``vertex_ai``, ``azure_openai``, ``groq``. A name
        that was not asked for lately takes 0.1 ms, or some milliseconds at a provider of hundreds of models.
        """
        if len(model) > LONGEST_NAME:
            return None
        name = model.lower()
        before, slash, rest = name.partition("/")
        if slash and before in _PROXIES:
            return self._find(rest, provider)
        prefix = self._provider(before) if slash else None
        if provider is None or provider.lower() in _PROXIES:
            served_by = prefix or self._provider_of_model(name)
        else:
            served_by = self._provider(provider)
        if served_by is None:
            return None
        spellings = [rest, name] if prefix is served_by else [name]
        if served_by.id in _WITH_REGIONS:
            spellings.append(name.rpartition("/")[2])
        return _first_listed(served_by, spellings, self._providers)

    def _provider_of_model(self, name: str) -> Provider | None:
        if _BEDROCK_NAME.search(name):
            return self._provider(BEDROCK)
        return next((one for one in self._providers if one.model_match and one.model_match.is_match(name)), None)

    def _find_provider_at(self, url: str) -> str | None:
        return next((one.id for one in self._providers if re.match(one.api_pattern, url)), None)

    def _find_provider(self, name: str) -> Provider | None:
        from genai_prices.data_snapshot import find_provider_by_id

        spelled = name.lower()
        for beginning, listed in _OTHER_SPELLINGS:
            if spelled.startswith(beginning):
                spelled = listed
        return find_provider_by_id(self._providers, spelled)


def _first_listed(provider: Provider, spellings: Iterable[str], providers: list[Provider]) -> Listed | None:
    for name in spellings:
        model = provider.find_model(name, all_providers=providers)
        if model is not None:
            return Listed(provider.id, model, any(model is its_own for its_own in provider.models))
    return None


def newest_change(providers: Iterable[Provider], before: date) -> date | None:
    """The newest day on which a price began; one that was still to come when the list was installed is not news."""
    from genai_prices.types import StartDateConstraint

    began = (
        price.constraint.start_date
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list)
        for price in model.prices
        if isinstance(price.constraint, StartDateConstraint)
    )
    return max((day for day in began if day <= before), default=None)


def _installed_on() -> date:
    """The day on which the price list was installed; today if that cannot be told, as of a reproducible image."""
    from genai_prices import data_snapshot

    today = datetime.now(UTC).date()
    try:
        written = datetime.fromtimestamp(Path(data_snapshot.__file__).stat().st_mtime, UTC).date()
    except OSError:  # imported from an archive
        return today
    return written if written.year >= FIRST_YEAR else today
