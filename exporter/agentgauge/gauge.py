"""AgentGauge: the object an engineer holds to instrument an agent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from prometheus_client import REGISTRY, CollectorRegistry

from agentgauge import metrics, workers
from agentgauge.boundary import LONGEST_LABEL, amount, label_text
from agentgauge.calls import LLMCall, ToolCall
from agentgauge.endpoint import MetricsServer, own_address, serve_metrics
from agentgauge.mcp_operation import MCPOperation
from agentgauge.ops.control import Control
from agentgauge.own_metrics import OwnCounter, declare_counter
from agentgauge.session import Session, SessionLimits, current_scope, subagent_at_work
from agentgauge.telemetry import Telemetry
from agentgauge.tool_decorator import instrumented
from agentgauge.vocabulary import CacheResult
from agentgauge.web_config import read as read_web_config

if TYPE_CHECKING:
    from anthropic import Middleware
    from anthropic.types.messages import MessageBatchIndividualResponse

    from agentgauge.ledger import Ledger
    from agentgauge.ledger.recorder import Recorder
    from agentgauge.ledger.user_gauges import UserGauges
    from agentgauge.ops.follower import Listener
    from agentgauge.ops.operated import Operated
    from agentgauge.ops.operations import Kind
    from agentgauge.pushing import Pushing
    from agentgauge.transcripts.keeper import TranscriptKeeper
    from agentgauge.transcripts.policy import TranscriptPolicy

F = TypeVar("F", bound=Callable[..., Any])


class AgentGauge(Telemetry):
    """Metrics of one agent.

    ``agent`` is the label on every series; ``tools`` and ``models`` are those known from the start, whose series
    exist at 0 before the first call; ``mcp_servers`` are the MCP servers it asks, by names of yours; ``version`` and
    ``prompt_version`` go on ``agent_build_info``. ``ledger`` is where usage by user and feedback are kept, a URL
    (``sqlite:///ledger.sqlite``, ``postgresql+psycopg://…``) or a Ledger of yours; without one, there are no user
    gauges. ``prices`` is a YAML file of your own prices, see ``own_prices``. ``time_zone`` is where most users are, as
    ``Europe/Berlin``: whole days of use begin at its midnight. ``transcripts`` says what is kept in the ledger of
    conversations that went wrong; by default, what was said, redacted, for two weeks. Bad arguments, a ledger that
    cannot be opened and a price file that cannot be used raise here, at start-up; after that nothing in the library
    raises into the agent.
    """

    def __init__(
        self,
        agent: str,
        *,
        tools: Iterable[str] = (),
        models: Iterable[str] = (),
        mcp_servers: Iterable[str] = (),
        version: str = "unknown",
        prompt_version: str = "unknown",
        limits: SessionLimits | None = None,
        registry: CollectorRegistry = REGISTRY,
        ledger: str | Ledger | None = None,
        prices: str | Path | None = None,
        time_zone: str = "UTC",
        transcripts: TranscriptPolicy | None = None,
    ) -> None:
        if not agent or not agent.strip():
            raise ValueError("AgentGauge needs the agent's name: AgentGauge('sales_companion')")
        if label_text(agent) != agent:
            raise ValueError(f"the agent's name is not valid Unicode or longer than {LONGEST_LABEL} characters")
        if isinstance(tools, str) or isinstance(models, str) or isinstance(mcp_servers, str):
            raise TypeError("tools, models and mcp_servers are lists of names, not one string: tools=['send_email']")
        super().__init__(agent, registry, tools=tools, models=models, mcp_servers=mcp_servers, prices=prices)
        self.limits = limits or SessionLimits()
        for limit, most in self.limits.by_name.items():
            self.instruments.gauge(metrics.SESSION_LIMIT, limit).set(most)
        self.instruments.gauge(metrics.USER_DAILY_COST_LIMIT).set(self.limits.of_a_user_day)
        self.set_build_info(version, prompt_version)
        zone = _zone(time_zone)
        self.ledger = None if ledger is None else _opened(ledger)
        self._user_gauges = None if self.ledger is None else _user_gauges(self, self.ledger, zone)
        self.recorder = None if self._user_gauges is None else _recorder(self, self._user_gauges)
        self.transcripts = _transcripts(self, transcripts)
        self.control = Control(self.live)
        self._operated = _operated(self, version)
        self._pushing: Pushing | None = None

    def session(self, user_id: str | None = None, *, session_id: str | None = None) -> Session:
        """Open a conversation: ``with gauge.session(user_id="rep-7") as session:``. Ids never become labels."""
        return Session(self, self.limits, user_id, session_id)

    def current_session(self) -> Session | None:
        """The session that the code running here works for; None outside of this agent's sessions."""
        session = current_scope().session
        return session if session is not None and session.belongs_to(self) else None

    def subagent(self, name: str) -> AbstractContextManager[None]:
        """What runs inside is done by this subagent: ``with gauge.subagent("researcher"):``, also around ``await``.

        LLM calls inside count in ``agent_subagent_…`` for it, besides in the totals of the agent. They may be nested,
        and run at once in tasks and threads: a call counts for the innermost subagent alone, so what all of them and
        the agent itself have done adds up to the totals. The first 20 names have series of their own; later ones are
        ``other``.
        """
        return subagent_at_work(self, name)

    def tool(self, name: str | None = None, *, cost_usd: float = 0.0) -> Callable[[F], F]:
        """Instrument and register a tool: sync or async function or generator; ``name`` defaults to the function's.

        ``cost_usd`` is what the external API charges per call. Above ``@beta_tool`` or ``@beta_async_tool`` of the
        Anthropic SDK it counts calls whose arguments the SDK refuses, too; below, only those that reach the function.
        """

        def decorate(function: F) -> F:
            return cast(F, instrumented(self, name, cost_usd, function))

        return decorate

    def tool_call(self, name: str, *, cost_usd: float = 0.0) -> ToolCall:
        """Instrument one call where a decorator does not fit: ``with gauge.tool_call("send_email") as call:``."""
        return ToolCall(self, name, cost_usd)

    def mcp_operation(self, server: str, method: str) -> MCPOperation:
        """Watch one request to an MCP server: ``with gauge.mcp_operation("orders", "tools/call") as operation:``.

        ``server`` is one of ``mcp_servers=[…]``; others are ``other``. ``method`` is MCP's name for what is asked,
        ``initialize`` for connecting. See ``agentgauge.adapters.mcp`` for the client of the SDK.
        """
        return MCPOperation(self, server, method)

    def counter(
        self, name: str, labels: Mapping[str, Iterable[str]] | None = None, *, help: str = "Declared by the agent."
    ) -> OwnCounter:
        """A counter of your own: ``sent = gauge.counter("emails_sent", labels={"kind": ("renewal", "intro")})``.

        ``sent.inc(kind="renewal")`` then counts in ``emails_sent_total{agent="…", kind="renewal"}``. Every series is
        there at 0 from now on. Values that are not declared count as ``other``, and as ``own`` in
        ``agent_exporter_label_overflow_total``. Call it once, at start-up: raises ValueError for a name or label that
        cannot be used, for more than 200 series, and if the registry has another metric of that name.
        """
        return declare_counter(self, name, labels or {}, help)

    def cache_lookup(self, tool: str, result: CacheResult, age_seconds: float | None = None) -> None:
        """Count one look-up in your cache of tool results; ``age_seconds`` is how old the result was that a hit served.

        It does not count as a tool call: those are executions. A session's tool calls are what its model asked for,
        so that a loop is seen even if the cache answers it: for a call that was not executed, call
        ``session.add_tool_call()``.
        """
        with self.swallowing("tool"):
            self.instruments.counter(metrics.CACHE_REQUESTS, tool, result).inc()
            if age_seconds is not None:
                age = amount(age_seconds)
                self.instruments.histogram(metrics.CACHE_AGE, tool).observe(age)
                session = self.current_session()
                if session is not None and session.notes is not None:
                    session.notes.looked_up(label_text(tool), age)

    def llm_call(self, model: str, *, provider: str | None = None) -> LLMCall:
        """Start one LLM call; see LLMCall.

        ``provider`` is who serves the model, since the same model has several prices: ``bedrock``, ``vertex_ai``,
        ``azure``, ``groq``. Without it, the model's name shows who does, as ``groq/llama-3.3-70b-versatile`` and
        ``us.anthropic.claude-opus-5-5`` do. A provider that is not on the price list has no prices.
        """
        return LLMCall(self, model, provider)

    def anthropic(self) -> Middleware:
        """The middleware for ``Anthropic(middleware=[…])`` and ``AsyncAnthropic(middleware=[…])``."""
        from agentgauge.anthropic_middleware import GaugeMiddleware

        return GaugeMiddleware(self)

    def count_batch_result(self, result: MessageBatchIndividualResponse) -> None:
        """Count one result of a message batch of the Anthropic API, at the price of batches; once, as you fetch them.

        ``for result in client.messages.batches.results(id): gauge.count_batch_result(result)``. What was canceled or
        expired is not billed, and not counted. The model of one that failed is not reported.
        """
        from agentgauge.anthropic_middleware import count_batch_result

        count_batch_result(self, result)

    def serve(
        self,
        port: int = 9464,
        address: str = "127.0.0.1",
        *,
        password: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        web_config: str | Path | None = None,
        advertise: str | None = None,
    ) -> MetricsServer:
        """Serve ``/metrics`` from a thread of this process; see ``serve_metrics``.

        With a ledger, the control endpoint is served beside it and this process is registered in the ledger, so that
        ``agentgauge ops`` finds it. ``advertise`` is the URL under which other hosts reach it; the default is made of
        ``address`` and port, with this host's name if it listens on all addresses. Each process of an agent calls
        this, with port 0 if it need not be scraped; a child that is forked afterwards serves on a free port by itself.
        Workers that share PROMETHEUS_MULTIPROC_DIR listen on the port together, and each answers for all; the control
        endpoint, which is each one's own, has a free port of each then, on the host of ``advertise``. Raises ValueError
        if ``advertise`` is not an HTTP URL, and OSError if somebody else listens on the port.
        """
        config = None if web_config is None else read_web_config(Path(web_config))
        shown_certificate = certificate if config is None else config.certificate
        reached_at = own_address(address, advertise, tls=shown_certificate is not None)
        serve = functools.partial(
            serve_metrics,
            address=address,
            registry=self.registry,
            password=password,
            certificate=certificate,
            key=key,
            web_config=config,
            hosts=[host for host in (urlsplit(reached_at).hostname,) if host],
            control=None if self.ledger is None else self.control.wsgi,
        )
        shared = workers.folder_for(port)
        if self.recorder is not None:
            self.recorder.wait_for_first_refresh()
        server = serve(port, shared=shared)
        if self._operated is not None:
            own = server if shared is None else serve(0)
            self._operated.register(
                advertise if advertise and shared is None else f"{reached_at}:{own.port}",
                shown_certificate,
                lambda: f"{reached_at}:{serve(0).port}",
            )
            server.when_closed(self._operated.unregister)
            if shared is not None:
                server.when_closed(own.close)
        return server

    def push(self, url: str, *, job: str, timeout: float = 10) -> bool:
        """For a short job: add what it counted to what earlier runs left at the Pushgateway at ``url``; whether it did.

        The job calls this as its last step, and may do so at its start as well, so that all its series exist before
        they grow. Two runs of one job that overlap need two names. ``timeout`` is in seconds, for each of two requests.
        Never raises: why it failed is logged.
        """
        if self._pushing is None:
            from agentgauge.pushing import Pushing

            self._pushing = Pushing(self.registry)
        return self._pushing.push(url, job, timeout)

    def mount_control(self, advertise: str) -> Control:
        """The control endpoint for a server of yours: mount its ``wsgi`` or ``asgi``, and this process is registered.

        ``advertise`` is the URL under which this one process answers; ``/control/…`` is asked below it. Raises
        ValueError if that is not an HTTP URL, or if the agent has no ledger.
        """
        if self._operated is None:
            raise ValueError("the control endpoint needs a ledger: AgentGauge(…, ledger='sqlite:///ledger.sqlite')")
        own_address("", advertise, tls=False)
        self._operated.register(advertise.rstrip("/"))
        return self.control

    def on_operation(self, kind: Kind, listener: Listener) -> None:
        """Call ``listener`` for each operation of this kind that people commit from now on, on the ledger's thread.

        Without a ledger there are none.
        """
        if self._operated is not None:
            self._operated.on_operation(kind, listener)

    def on_session_ended(self, listener: Callable[[Session], object]) -> None:
        """Call ``listener`` with each session that people end, closed already, on the ledger's thread."""
        if self._operated is not None:
            self._operated.on_session_ended(listener)

    def refresh_from_ledger(self) -> None:
        """Write what waits for the ledger and show what it holds, now; a thread does so all the time."""
        if self.recorder is not None:
            self.recorder.flush()
            self.recorder.follow()
            self.recorder.refresh()
            if self._user_gauges is not None:
                self.recorder.call(self._user_gauges.refresh_now)

    def close(self) -> None:
        """Write what waits for the ledger and end its thread; happens by itself when the interpreter exits."""
        if self._operated is not None:
            self._operated.unregister()
        if self.recorder is not None:
            self.recorder.close()


def _opened(ledger: str | Ledger) -> Ledger:
    try:
        from agentgauge.ledger import Ledger
    except ModuleNotFoundError as error:
        raise ImportError(
            f'a ledger needs {error.name}, which is not installed: pip install "agentgauge[ledger]"'
        ) from None
    return Ledger.open(ledger) if isinstance(ledger, str) else ledger


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # whatever is on disk under that name
        raise ValueError(
            f"time_zone={name!r} is not a known time zone; write it as Europe/Berlin or America/New_York "
            "(where the system has no list of time zones, pip install tzdata brings one)"
        ) from None


def _user_gauges(gauge: AgentGauge, ledger: Ledger, zone: tzinfo) -> UserGauges:
    from agentgauge.ledger.user_gauges import UserGauges

    return UserGauges(ledger, gauge.agent, gauge.instruments, gauge.limits.of_a_user_day, zone)


def _recorder(gauge: AgentGauge, user_gauges: UserGauges) -> Recorder | None:
    if gauge.ledger is None:
        return None
    from agentgauge.evals.gauges import EvalGauges
    from agentgauge.ledger.outbox import OutboxCounts
    from agentgauge.ledger.recorder import Recorder

    evals = EvalGauges(gauge.ledger, gauge.agent, gauge.instruments)
    outbox = OutboxCounts(gauge.ledger, gauge.agent, gauge.instruments)
    on_fault = functools.partial(gauge.swallow, "ledger")
    refreshers = (user_gauges.refresh, evals.refresh, outbox.refresh)
    return Recorder(gauge.ledger, gauge.agent, refreshers, on_fault)


def _transcripts(gauge: AgentGauge, policy: TranscriptPolicy | None) -> TranscriptKeeper | None:
    if gauge.ledger is None or gauge.recorder is None:
        return None
    from agentgauge.transcripts.keeper import TranscriptKeeper
    from agentgauge.transcripts.policy import TranscriptPolicy

    on_fault = functools.partial(gauge.swallow, "transcript")
    keeper = TranscriptKeeper(gauge.ledger, gauge.agent, policy or TranscriptPolicy(), lambda: gauge.build, on_fault)
    gauge.recorder.add_writer(keeper.write)
    return keeper


def _operated(gauge: AgentGauge, version: str) -> Operated | None:
    if gauge.ledger is None or gauge.recorder is None:
        return None
    from agentgauge.ops.operated import Operated

    return Operated(gauge, gauge.ledger, gauge.recorder, gauge.control, version)
