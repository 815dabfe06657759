"""The series of one model's calls, each looked up once: a finished call writes to a dozen of them."""

from __future__ import annotations

from functools import cached_property

from agentgauge import metrics
from agentgauge.instruments import Instruments
from agentgauge.series import Counter, Histogram
from agentgauge.vocabulary import StepLabel, TokenKind


class ModelSeries:
    """What the calls of one model write to, by its ``label``; each series exists from its first use on.

    They are billed as ``billed_as`` by ``provider``, as the price table knows these two.
    """

    def __init__(self, instruments: Instruments, label: str, billed_as: str, provider: str | None) -> None:
        self.label = label
        self.billed_as = billed_as
        self.provider = provider
        self._instruments = instruments
        self._tokens: dict[TokenKind, Counter] = {}
        self._cost: dict[StepLabel, Counter] = {}

    @cached_property
    def successes(self) -> Counter:
        """Calls that were answered."""
        return self._instruments.counter(metrics.LLM_CALLS, self.label, "success")

    @cached_property
    def usage_unknown(self) -> Counter:
        """Calls whose tokens nobody could read."""
        return self._instruments.counter(metrics.LLM_USAGE_UNKNOWN, self.label)

    @cached_property
    def duration(self) -> Histogram:
        """Seconds to the last byte."""
        return self._instruments.histogram(metrics.LLM_DURATION, self.label)

    @cached_property
    def first_token(self) -> Histogram:
        """Seconds to the first token."""
        return self._instruments.histogram(metrics.LLM_TIME_TO_FIRST_TOKEN, self.label)

    @cached_property
    def input_tokens(self) -> Histogram:
        """Tokens of a prompt."""
        return self._instruments.histogram(metrics.LLM_INPUT_TOKENS, self.label)

    @cached_property
    def output_tokens(self) -> Histogram:
        """Tokens of an answer."""
        return self._instruments.histogram(metrics.LLM_OUTPUT_TOKENS, self.label)

    @cached_property
    def cost_without_cache(self) -> Counter:
        """USD that the calls would have cost without the prompt cache."""
        return self._instruments.counter(metrics.LLM_COST_WITHOUT_CACHE, self.label)

    def tokens(self, kind: TokenKind) -> Counter:
        """Tokens of a kind."""
        known = self._tokens.get(kind)
        if known is None:
            known = self._tokens[kind] = self._instruments.counter(metrics.LLM_TOKENS, self.label, kind)
        return known

    def cost(self, step: StepLabel) -> Counter:
        """USD at a step of the agent."""
        known = self._cost.get(step)
        if known is None:
            known = self._cost[step] = self._instruments.counter(metrics.LLM_COST, self.label, step)
        return known
