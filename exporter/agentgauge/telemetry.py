"""What sessions, calls and middlewares write to: one agent's instruments, its prices, and a net under every fault."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from agentgauge import metrics
from agentgauge.boundary import label_text
from agentgauge.forks import in_forked_children
from agentgauge.in_flight import TurnsInFlight
from agentgauge.instruments import Instruments, LabelBounds
from agentgauge.live_set import LiveSet
from agentgauge.model_series import ModelSeries
from agentgauge.pricing import PriceTable, TokenUsage
from agentgauge.vocabulary import FaultSite

if TYPE_CHECKING:
    from agentgauge.ledger.recorder import Recorder
    from agentgauge.transcripts.keeper import TranscriptKeeper

log = logging.getLogger("agentgauge")

MOST_MODEL_NAMES = 256
"""How many names of models are remembered with their series."""


class Telemetry:
    """The metrics of one agent on one registry, with label values kept in bounds.

    ``recorder`` writes usage by user and feedback to a ledger, and ``transcripts`` the conversations that went wrong;
    None when the agent has no ledger. ``build`` are the versions of the agent and of its prompts. ``live`` are the open
    sessions, ``turns`` those that users wait for. ``on_llm_call`` is called with each LLMCall when it begins,
    ``on_llm_call_end`` when it ends, with its usage, its seconds and whether it failed, and ``on_tool_call`` when the
    call of a tool ends, with its name and the same: by these, spans learn what is counted already. They never raise.
    A bad price file raises here, at start-up; nothing raises later.
    """

    def __init__(
        self,
        agent: str,
        registry: CollectorRegistry,
        *,
        tools: Iterable[str],
        models: Iterable[str],
        mcp_servers: Iterable[str],
        prices: str | Path | None,
    ) -> None:
        self.agent = agent
        self.registry = registry
        self.prices = PriceTable(prices)
        self.recorder: Recorder | None = None
        self.transcripts: TranscriptKeeper | None = None
        self.build = ("unknown", "unknown")
        self.live: LiveSet[Any] = LiveSet()  # of Session, which imports this module
        self.on_llm_call: Callable[[Any], None] | None = None
        self.on_llm_call_end: Callable[[Any, TokenUsage | None, float, bool], None] | None = None
        self.on_tool_call: Callable[[str, float, bool], None] | None = None
        self._bounds = LabelBounds(self.prices.canonical_name, models)
        self._bounds.tools.update(map(label_text, tools))
        self._bounds.servers.update(map(label_text, mcp_servers))
        self._model_series: dict[tuple[str, str | None, str | None], ModelSeries] = {}
        self._models_at_zero: set[str] = set()
        self._logged_faults: set[FaultSite] = set()
        self.instruments = Instruments(registry, agent, self._bounds)
        self.instruments.create_at_zero()
        self.turns = TurnsInFlight(self.instruments.gauge(metrics.OLDEST_TURN))
        self._started_at = time.time()
        self._show_start()
        in_forked_children(self._start_anew)

    def show_start(self) -> None:
        """Say when this process began, if a forked child has not said so yet."""
        if not self._start_is_shown:
            self._show_start()

    def _show_start(self) -> None:
        self._start_is_shown = True
        self.instruments.gauge(metrics.PROCESS_START).set(self._started_at)
        if self.prices.as_of is not None:
            day = datetime.combine(self.prices.as_of, datetime.min.time(), UTC)
            self.instruments.gauge(metrics.LLM_PRICES_TIMESTAMP).set(day.timestamp())

    def _start_anew(self) -> None:
        # Not shown at once: a child that serves nobody is not a start of the agent, and need not open its metrics.
        self._started_at = time.time()
        self._start_is_shown = False

    def register_tools(self, names: Iterable[str]) -> None:
        """Add tools to the registered ones and create their series at 0."""
        new = set(map(label_text, names)) - self._bounds.tools
        if new:
            self._bounds.tools.update(new)
            self.instruments.create_at_zero()

    def set_build_info(self, version: str, prompt_version: str) -> None:
        """Say which version of the agent and of its prompts is running from now on."""
        self.build = (version, prompt_version)
        with self.swallowing("other"):
            self.instruments.clear(metrics.BUILD_INFO)
            self.instruments.gauge(metrics.BUILD_INFO, version, prompt_version).set(1)

    def show_config(self, file: str, *, usable: bool) -> None:
        """Say whether the newest version of a file that the agent follows can be used: ``agent_config_errors``."""
        with self.swallowing("other"):
            self.instruments.gauge(metrics.CONFIG_ERRORS, file).set(not usable)

    def model_label(self, asked: str, answered: str | None = None, provider: str | None = None) -> str:
        """The bounded label for a model: the price table's own name, a configured name, or ``other``.

        ``answered`` is the name in the response, ``provider`` is who served it, if they are known.
        """
        return self.model_series(asked, answered, provider).label

    def model_series(self, asked: str, answered: str | None = None, provider: str | None = None) -> ModelSeries:
        """What a call of this model writes to, under its ``model_label``."""
        key = (asked, answered, provider)
        known = self._model_series.get(key)
        if known is not None:
            return known
        label = self._model_label(asked, answered, provider)
        series = ModelSeries(self.instruments, label, *self.prices.billed_as(asked, answered, provider))
        if label != metrics.OTHER:
            if len(self._model_series) >= MOST_MODEL_NAMES:  # endless aliases of one model have a price
                self._model_series.clear()
            self._model_series[key] = series
        if label not in self._models_at_zero:
            self._models_at_zero.add(label)
            self.instruments.create_model_at_zero(label)
        return series

    def _model_label(self, asked: str, answered: str | None, provider: str | None) -> str:
        if self._bounds.is_configured(asked) and self.prices.canonical_name(asked, provider) is None:
            return asked  # a deployment's name, which an error has, too
        name, provider = self.prices.billed_as(asked, answered, provider)
        if self._bounds.is_configured(name):
            return name
        listed = self.prices.canonical_name(name, provider)
        if listed is None:
            return self._bounds.overflow(metrics.LLM_CALLS, metrics.MODEL, name)
        self._bounds.listed_models.add(listed)
        return listed

    def swallow(self, site: FaultSite, fault: Exception) -> None:
        """Count a telemetry fault and log it once a site, without its message: that could quote the user."""
        try:
            self.instruments.counter(metrics.EXPORTER_ERRORS, site).inc()
            if site not in self._logged_faults:
                self._logged_faults.add(site)
                log.warning("telemetry fault in %s: %s (counted, not raised)", site, type(fault).__name__)
        except Exception:  # noqa: S110 - the last line of defence: nothing may reach the agent
            pass

    @contextmanager
    def swallowing(self, site: FaultSite) -> Iterator[None]:
        """Telemetry goes inside: a fault in it is counted and never reaches the agent."""
        try:
            yield
        except Exception as fault:
            self.swallow(site, fault)
