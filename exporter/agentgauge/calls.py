"""One tool call and one LLM call, from start to finish."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from types import TracebackType
from typing import Self

from agentgauge import metrics
from agentgauge.boundary import LONGEST_LABEL, NotAnAmountError, amount, elapsed
from agentgauge.exemplars import current_trace
from agentgauge.model_series import ModelSeries
from agentgauge.pricing import TokenUsage
from agentgauge.session import current_scope
from agentgauge.telemetry import Telemetry
from agentgauge.transcripts.notes import SessionNotes
from agentgauge.vocabulary import TOKEN_KINDS, Step

STEPS_THAT_ARE_NO_TURN: tuple[Step, ...] = ("tool_arguments", "classification")
"""LLM calls of these steps neither plan nor answer, so they do not count as model turns of the task."""


class ToolCall:
    """One execution of a tool: ``with gauge.tool_call("send_email") as call:``. Exceptions pass through unchanged."""

    __slots__ = ("_cost_usd", "_error_type", "_items", "_started", "_telemetry", "_tool")

    def __init__(self, telemetry: Telemetry, tool: str, cost_usd: float = 0.0) -> None:
        self._telemetry = telemetry
        self._tool = tool if isinstance(tool, str) else metrics.OTHER
        self._cost_usd = cost_usd
        self._items = 0
        self._error_type: str | None = None
        self._started = perf_counter()

    def __enter__(self) -> Self:
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = elapsed(self._started, perf_counter())
        error_type = tool_error_type(kind) or self._error_type
        record_tool_call(self._telemetry, self._tool, seconds, error_type, self._cost_usd, self._items)

    def fail(self, error_type: str) -> None:
        """Count the call as failed for a tool that reports errors without raising."""
        self._error_type = error_type

    def add_cost(self, usd: float) -> None:
        """Add what the external API charged for this call, in USD."""
        with self._telemetry.swallowing("tool"):
            self._cost_usd += amount(usd)

    def batch(self, items: int) -> None:
        """Say how many items this call handles at once."""
        with self._telemetry.swallowing("tool"):
            self._items = int(amount(items))


def tool_error_type(kind: type[BaseException] | None) -> str | None:
    """The ``error_type`` of a call that ended so; None is success, as of a generator closed early by its consumer."""
    return None if kind is None or kind is GeneratorExit else kind.__name__


def record_tool_call(
    telemetry: Telemetry, tool: str, seconds: float, error_type: str | None, cost_usd: float, items: int = 0
) -> None:
    """Count one finished tool call; never raises.

    ``error_type`` is None for a success, ``items`` is 0 for a call that was not a batch.
    """
    try:
        instruments = telemetry.instruments
        if error_type is None:
            instruments.tool_success(tool).add(seconds, current_trace())
        else:
            instruments.counter(metrics.TOOL_CALLS, tool, "error").inc()
            instruments.counter(metrics.TOOL_ERRORS, tool, error_type).inc()
            instruments.histogram(metrics.TOOL_DURATION, tool).observe(seconds, current_trace())
        if items:
            instruments.histogram(metrics.TOOL_BATCH_SIZE, tool).observe(items)
        if telemetry.on_tool_call is not None:
            telemetry.on_tool_call(tool, seconds, error_type is not None)
        session = current_scope().session
        if session is not None and session.belongs_to(telemetry):
            session.add_tool_call()
        else:
            session = None
        if cost_usd:
            instruments.counter(metrics.TOOL_COST, tool).inc(amount(cost_usd))
            if session is not None:
                session.add_cost(cost_usd)
    except Exception as fault:
        telemetry.swallow("tool", fault)


MOST_TOKENS = 10**12
"""In one call; more is a mistake."""


def _check(usage: TokenUsage) -> None:
    """Raise if the counts are none; what a provider sends is passed on as it came."""
    prompt = usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h
    counts = *prompt, usage.output, usage.web_searches, usage.audio_input, usage.audio_output
    # In this form because NaN is in no order: it makes a sum of NaN, which is not below the most.
    if not (min(counts) >= 0 and sum(counts) <= MOST_TOKENS):
        raise NotAnAmountError("tokens are counted from 0")


def _name(value: object) -> str | None:
    """The name of a model or a provider, short enough to be kept; None for anything but text."""
    return value[:LONGEST_LABEL] if isinstance(value, str) else None


_NO_USAGE = TokenUsage()


class LLMCall:
    """One HTTP attempt at an LLM; finished exactly once, by ``finish`` or ``fail``, whichever comes first.

    Where there is no adapter: ``call = gauge.llm_call("model", provider="groq")``, then ``call.finish(TokenUsage(…))``
    or ``call.fail("rate_limit_error")``.
    """

    __slots__ = (
        "__weakref__",
        "_finished",
        "_first_token_seconds",
        "_model",
        "_others",
        "_provider",
        "_said",
        "_scope",
        "_seconds",
        "_started",
        "_telemetry",
    )

    def __init__(self, telemetry: Telemetry, model: str, provider: str | None = None) -> None:
        self._telemetry = telemetry
        self._model = _name(model) or metrics.OTHER
        self._provider = _name(provider)
        self._others: Sequence[tuple[str | None, TokenUsage]] = ()
        self._scope = current_scope()
        self._finished = False
        self._seconds: float | None = None
        self._first_token_seconds: float | None = None
        self._said: list[str] = []
        self._started = perf_counter()
        if telemetry.on_llm_call is not None:
            telemetry.on_llm_call(self)

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return self._model

    @property
    def is_finished(self) -> bool:
        """Whether its end is counted."""
        return self._finished

    def first_token(self) -> None:
        """Note the arrival of the first token of a stream; later calls do nothing."""
        if self._first_token_seconds is None:
            self._first_token_seconds = elapsed(self._started, perf_counter())

    def asked(self, messages: object) -> None:
        """Note the messages that the model is sent, for the session's transcript; anything but a list is left out.

        Calls that classify or write arguments, and those of subagents, do not belong to the conversation.
        """
        notes = self._notes()
        if notes is not None and isinstance(messages, list):
            with self._telemetry.swallowing("transcript"):
                notes.asked(messages)

    @property
    def keeps_what_is_said(self) -> bool:
        """Whether the answer's text goes into a transcript."""
        return self._notes() is not None

    def said(self, text: object) -> None:
        """Note a piece of the answer's text; the call's end adds them up."""
        if isinstance(text, str) and text and self._notes() is not None:
            self._said.append(text)

    def served_by(self, provider: str) -> None:
        """Say who serves the call, where that shows only in the response: prices differ by it."""
        self._provider = _name(provider)

    def took(self, seconds: float, first_token_seconds: float | None = None) -> None:
        """Say how long the call took, where its end is told only afterwards."""
        with self._telemetry.swallowing("llm"):
            self._seconds = amount(seconds)
            self._first_token_seconds = None if first_token_seconds is None else amount(first_token_seconds)

    def also_used(self, others: Sequence[tuple[str | None, TokenUsage]]) -> None:
        """Say what else was inferred to answer this call: model and tokens; None is the model of the call itself.

        Each is priced by its own size, and counted with the call when that ends. Replaces what was said before.
        """
        if not others:
            self._others = ()
            return
        with self._telemetry.swallowing("llm"):
            for _model, used in others:
                _check(used)
            self._others = others

    def finish(self, usage: TokenUsage | None, model: str | None = None) -> None:
        """Count a successful call; ``model`` is the one that answered, if it differs from the one asked for.

        ``usage`` is None if it could not be read, as of a stream that was left early: it is then missing from every
        figure, and ``agent_llm_usage_unknown_total`` says so. No call takes no tokens, so none at all are unknown, too.
        """
        self._end(usage, model, error_type=None)

    def fail(self, error_type: str, usage: TokenUsage | None = None) -> None:
        """Count a failed call by provider error code or exception class; tokens seen before the failure still cost."""
        # A failure that reports no usage is not billed.
        self._end(_NO_USAGE if usage is None else usage, None, error_type or metrics.OTHER)

    def _end(self, usage: TokenUsage | None, model: str | None, error_type: str | None) -> None:
        if self._finished:
            return
        self._finished = True
        notes = self._notes() if self._said else None
        if notes is not None:
            notes.answered({"role": "assistant", "content": "".join(self._said)})
        try:
            if usage is not None:
                _check(usage)
        except Exception as fault:
            self._telemetry.swallow("llm", fault)
            usage = None  # what it used is unknown then, and counted so
        try:
            self._record(_name(model), usage, error_type)
        except Exception as fault:
            self._telemetry.swallow("llm", fault)

    def _record(self, answered: str | None, usage: TokenUsage | None, error_type: str | None) -> None:
        telemetry = self._telemetry
        series = telemetry.model_series(self._model, answered, self._provider)
        if error_type:
            telemetry.instruments.counter(metrics.LLM_CALLS, series.label, "error").inc()
            telemetry.instruments.counter(metrics.LLM_ERRORS, series.label, error_type).inc()
        else:
            series.successes.inc()
            self._count_model_turn()
        self._count_for_subagent(metrics.SUBAGENT_CALLS, 1)
        total = 0 if usage is None else usage.total
        if usage is None or not (total or error_type):
            series.usage_unknown.inc()
            usage = _NO_USAGE
        seconds = elapsed(self._started, perf_counter()) if self._seconds is None else self._seconds
        if telemetry.on_llm_call_end is not None:
            known = usage if total else None
            telemetry.on_llm_call_end(self, known, seconds, error_type is not None)
        if usage.terms != "batch":  # read when it is all there: nobody saw how long the model took
            series.duration.observe(seconds, current_trace())
        if self._first_token_seconds is not None:
            series.first_token.observe(self._first_token_seconds)
        if total:
            self._record_usage(series, usage)
        for model, used in self._others:
            inferred = (self._model, answered) if model is None else (model, None)
            self._record_usage(telemetry.model_series(*inferred, self._provider), used)

    def _record_usage(self, series: ModelSeries, usage: TokenUsage) -> None:
        for kind in TOKEN_KINDS:
            tokens = getattr(usage, kind)
            if tokens:
                series.tokens(kind).inc(tokens)
        series.input_tokens.observe(usage.prompt)
        series.output_tokens.observe(usage.output)
        self._count_for_subagent(metrics.SUBAGENT_TOKENS, usage.total)
        cost = self._telemetry.prices.cost(series.billed_as, usage, series.provider)
        if cost is None:
            self._telemetry.instruments.counter(metrics.LLM_UNPRICED_TOKENS, series.label).inc(usage.total)
            return
        series.cost(self._scope.step).inc(cost.usd)
        series.cost_without_cache.inc(cost.usd_without_cache)
        self._count_for_subagent(metrics.SUBAGENT_COST, cost.usd)
        session = self._scope.session
        if session is not None and session.belongs_to(self._telemetry):
            session.add_cost(cost.usd)
        if self._scope.billed is not None:
            self._scope.billed.bill(cost.usd)

    def _notes(self) -> SessionNotes | None:
        """Where to note what is said in this call; None if it belongs to no conversation, or nothing is kept."""
        session, telemetry = self._scope.session, self._telemetry
        if session is None or telemetry.transcripts is None or not telemetry.transcripts.policy.holds_text:
            return None
        is_turn = self._scope.subagent is None and self._scope.step not in STEPS_THAT_ARE_NO_TURN
        return session.notes if is_turn and session.belongs_to(telemetry) else None

    def _count_for_subagent(self, spec: metrics.MetricSpec, amount: float) -> None:
        subagent = self._scope.subagent
        if subagent is not None and subagent.telemetry is self._telemetry:
            self._telemetry.instruments.counter(spec, subagent.name).inc(amount)

    def _count_model_turn(self) -> None:
        if self._scope.task is not None and self._scope.step not in STEPS_THAT_ARE_NO_TURN:
            self._scope.task.model_turns += 1
