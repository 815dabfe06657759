"""The agents whose spans the gateway receives: a gauge each, on one registry, and never too many of them."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from agentgauge import metrics
from agentgauge.gauge import AgentGauge
from agentgauge.otel.payload import Received
from agentgauge.otel.reading import FinishedSpan, owner_of
from agentgauge.otel.recording import IDLE_SECONDS, Conversations, SpanRecorder
from agentgauge.vocabulary import REFUSALS, Refusal

log = logging.getLogger("agentgauge")

MOST_AGENTS = 20
"""Each has some hundred series from the start."""

MOST_CONVERSATIONS = 10_000
"""Of one agent."""

MOST_SEEN = 50_000
"""Spans that are remembered, so that one which is sent again counts once."""

_NAME = re.compile(r"[\w.:/@-]{1,64}")


class Agents:
    """Records the spans of many agents.

    ``names`` maps a ``service.name`` to the name of its agent; without an entry they are the same. A service that does
    not say its name is called by ``gen_ai.agent.name``. Once there are ``most`` agents, further ones are ``other``
    together, and so is whoever has no name. ``prices`` is a file of your own prices. Not for several threads at once.

    A span that comes a second time is not counted again: an exporter that had no answer sends it once more.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        names: Mapping[str, str] | None = None,
        prices: str | Path | None = None,
        most: int = MOST_AGENTS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._registry = registry
        self._names = dict(names or {})
        self._prices = prices
        self._most = most
        self._idle_seconds = idle_seconds
        self._recorders: dict[str, tuple[AgentGauge, Conversations, SpanRecorder]] = {}
        self._warned = False
        self._seen: OrderedDict[tuple[Hashable, Hashable], None] = OrderedDict()
        for name in (metrics.OTHER, *self._names.values()):
            self._add(name)
        self._other = self._recorders[metrics.OTHER][0]
        for reason in REFUSALS:
            self._other.instruments.counter(metrics.GATEWAY_REFUSED, reason)

    def record(self, received: Received) -> None:
        """Count one span."""
        with self._other.swallowing("llm"):
            if self._was_seen(received.span):
                return
            owner = owner_of(received.span.attributes)
            _gauge, _conversations, recorder = self._recorders[self._name(received.service, owner.agent)]
            recorder.record(received.span, owner)

    def count_refused(self, reason: Refusal) -> None:
        """Count a request that was not taken."""
        self._other.instruments.counter(metrics.GATEWAY_REFUSED, reason).inc()

    def close_idle(self) -> None:
        """Close the conversations of which nothing was heard for long."""
        for _gauge, conversations, _recorder in self._recorders.values():
            conversations.close_idle()

    def close(self) -> None:
        """Close all conversations."""
        for _gauge, conversations, _recorder in self._recorders.values():
            conversations.close()

    def _was_seen(self, span: FinishedSpan) -> bool:
        if span.id is None:
            return False
        key = span.trace, span.id
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        return False

    def _name(self, service: str | None, agent: str | None) -> str:
        """The name of the agent; a gauge of that name exists."""
        # An SDK that was not told a name says `unknown_service:node`.
        named = agent if service is None or service.startswith("unknown_service") else self._names.get(service, service)
        name = named if named is not None and _NAME.fullmatch(named) else metrics.OTHER
        if name not in self._recorders:
            if len(self._recorders) > self._most:  # `other` is none of them
                if not self._warned:
                    self._warned = True
                    log.warning("there are %d agents already; further ones count as %r", self._most, metrics.OTHER)
                return metrics.OTHER
            self._add(name)
        return name

    def _add(self, name: str) -> None:
        if name not in self._recorders:
            gauge = AgentGauge(name, registry=self._registry, prices=self._prices)
            conversations = Conversations(gauge, self._idle_seconds, MOST_CONVERSATIONS)
            self._recorders[name] = gauge, conversations, SpanRecorder(gauge, conversations)
