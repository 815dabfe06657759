"""What a finished span says: that it was a model call, a tool or a run of an agent, and whose."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentgauge.exemplars import Exemplar
from agentgauge.otel import spellings
from agentgauge.otel.spellings import Names, Spelling
from agentgauge.pricing import TokenUsage

_NAME = re.compile(r"[\w.:/@ -]{1,100}")
"""What a tool or a kind of error may be called: anything else could be a text, and does not become a label."""


@dataclass(frozen=True)
class FinishedSpan:
    """A span that has ended; times in nanoseconds since 1970.

    ``attributes`` need to hold no others than ``spellings.ATTRIBUTES``, and ``events`` (name → time) no others than
    ``spellings.EVENTS``. ``scope`` is the name of the instrumentation, ``failed`` whether the status is an error,
    ``exception`` the type of an exception that an event tells of, ``enclosed`` whether another span of that
    instrumentation is around it, None if that is not known. ``exemplar`` leads from a dot on a panel to it. Ids may be
    of any type; ``parent`` is None at a root.
    """

    attributes: Mapping[str, Any]
    started: int
    ended: int
    trace: Hashable
    id: Hashable
    parent: Hashable | None = None
    failed: bool = False
    exception: str | None = None
    enclosed: bool | None = None
    scope: str = ""
    events: Mapping[str, int] | None = None
    exemplar: Exemplar | None = None

    @property
    def seconds(self) -> float:
        """How long it took; 0 where its begin is not told, or the clocks disagree."""
        return max(0, self.ended - self.started) / 1e9 if self.started else 0.0


@dataclass(frozen=True)
class ModelCall:
    """A call of a model. ``usage`` is None if the span does not tell it, ``error_type`` None for a success.

    ``also_used`` are tokens that the call had inferred besides its answer, ``response`` is the provider's id of that.
    """

    asked: str
    answered: str | None
    provider: str | None
    usage: TokenUsage | None
    also_used: TokenUsage | None
    first_token_seconds: float | None
    error_type: str | None
    response: str | None = None


@dataclass(frozen=True)
class ToolRun:
    """An execution of a tool; ``error_type`` is None for a success."""

    tool: str
    error_type: str | None


@dataclass(frozen=True)
class AgentRun:
    """What an agent did to answer once: the outermost of its steps, as far as that is known."""

    failed: bool


@dataclass(frozen=True)
class Owner:
    """Whose span it is, as far as it says so."""

    conversation: str | None = None
    user: str | None = None
    agent: str | None = None


def read(span: FinishedSpan) -> ModelCall | ToolRun | AgentRun | None:
    """What the span stands for; None if it is nothing that is counted, as an embedding or a request for a page."""
    spelling, kind = _spelling_of(span.attributes)
    if spelling is None:
        return None
    if kind in spelling.model_calls:
        return _model_call(span, spelling)
    if kind in spelling.tools:
        name = _first(span.attributes, spelling.tool)
        if name in spellings.NO_TOOLS:
            return None
        return ToolRun(_name_or(name, "unknown"), _error_type(span))
    outermost = span.parent is None if span.enclosed is None else not span.enclosed
    if outermost or (kind in spelling.agents and span.enclosed is None):
        return AgentRun(span.failed)
    return None


def owner_of(attributes: Mapping[str, Any]) -> Owner:
    """Whose span it is; spans that are nothing that is counted may say it, too."""
    spelling, _kind = _spelling_of(attributes)
    known = [spelling] if spelling is not None else spellings.SPELLINGS
    return Owner(
        _text(attributes, [name for one in known for name in one.conversation]),
        _text(attributes, [name for one in known for name in one.user]),
        _text(attributes, [name for one in known for name in one.agent]),
    )


def agent_of(attributes: Mapping[str, Any]) -> str | None:
    """The name of the agent whose run the span is; None if it is something else, or nameless."""
    spelling, kind = _spelling_of(attributes)
    return _text(attributes, spelling.agent) if spelling is not None and kind in spelling.agents else None


def _spelling_of(attributes: Mapping[str, Any]) -> tuple[Spelling | None, str]:
    named = False
    for spelling in spellings.SPELLINGS:
        kind = attributes.get(spelling.kind)
        # The one of Claude Code is so common a word that a span may have it for other reasons.
        named = named or (kind is not None and spelling is not spellings.CLAUDE_CODE)
        if kind in (*spelling.model_calls, *spelling.tools, *spelling.agents, *spelling.chains):
            return spelling, str(kind)
    if not named and all(name in attributes for name in spellings.OLDEST):
        return spellings.OPENTELEMETRY, spellings.OPENTELEMETRY.model_calls[0]
    return None, ""


def _model_call(span: FinishedSpan, spelling: Spelling) -> ModelCall:
    attributes = span.attributes
    asked, answered = _text(attributes, spelling.asked), _text(attributes, spelling.answered)
    besides = TokenUsage(
        input=_count(attributes, spelling.also_prompt) or 0, output=_count(attributes, spelling.also_output) or 0
    )
    return ModelCall(
        asked=asked or answered or "unknown",
        answered=answered,
        provider=_provider(_text(attributes, spelling.provider)),
        usage=_usage(span, spelling),
        also_used=besides if besides.total else None,
        first_token_seconds=_first_token(span, spelling),
        error_type=_error_type(span),
        response=_text(attributes, spelling.response),
    )


def _usage(span: FinishedSpan, spelling: Spelling) -> TokenUsage | None:
    """The token kinds, made disjoint; None if the span reports no tokens at all."""
    attributes = span.attributes
    prompt, output = _count(attributes, spelling.prompt), _count(attributes, spelling.output)
    if prompt is None and output is None:
        return None
    read, written = _count(attributes, spelling.read) or 0, _count(attributes, spelling.written) or 0
    uncached = _count(attributes, spelling.uncached)
    if uncached is None:
        uncached = prompt or 0
        if not _leaves_the_cache_out(span, spelling, uncached, read + written):
            uncached -= read + written
    written_1h = min(written, _count(attributes, spelling.written_1h) or 0)
    usage = TokenUsage(
        input=uncached,
        cache_read=read,
        cache_write_5m=written - written_1h,
        cache_write_1h=written_1h,
        output=output or 0,
        audio_input=min(uncached, _count(attributes, spelling.audio_prompt) or 0),
        audio_output=min(output or 0, _count(attributes, spelling.audio_output) or 0),
    )
    terms = spellings.TERMS.get(_text(attributes, spelling.tier) or "")
    return usage if terms is None else replace(usage, terms=terms)


def _leaves_the_cache_out(span: FinishedSpan, spelling: Spelling, prompt: int, cached: int) -> bool:
    """Whether the prompt does not count the cached tokens, against the convention; more of them than it has show it."""
    if cached > prompt or span.scope in spellings.UNCACHED_SCOPES:
        return True
    # Before version 6, the AI SDK handed Anthropic's own numbers on.
    provider = _text(span.attributes, spelling.provider) or ""
    return (
        spelling is spellings.AI_SDK
        and provider.startswith("anthropic")
        and span.attributes.get(spelling.kind) in spelling.model_calls[:2]
    )


def _first_token(span: FinishedSpan, spelling: Spelling) -> float | None:
    seconds = _number(span.attributes, spelling.first_token_seconds)
    if seconds is not None:
        return seconds
    milliseconds = _number(span.attributes, spelling.first_token_milliseconds)
    if milliseconds is not None:
        return milliseconds / 1000
    for name in spelling.first_token_event:
        at = (span.events or {}).get(name)
        if at is not None:
            return max(0, at - span.started) / 1e9
    return None


def _error_type(span: FinishedSpan) -> str | None:
    """What made it fail; None if it did not.

    The convention sets ``error.type`` on what failed alone, and some instrumentations set it without a status.
    """
    error = span.attributes.get(spellings.FAILURE)
    if error is None and not span.failed:
        return None
    kind = str(error or span.exception or "").rpartition(".")[2]  # "openai.RateLimitError"
    return f"http_{kind}" if kind.isdigit() else _name_or(kind, "error")


def _provider(named: str | None) -> str | None:
    """As the price list knows it: frameworks add which of its APIs it is."""
    if named is None:
        return None
    name = named.lower()
    for beginning, listed in spellings.PROVIDERS.items():
        if name.startswith(beginning):
            return listed
    # "groq.chat": the list knows some by the beginning of their names, and others only by the whole of it.
    return name.rpartition(".")[0] if name.endswith((".chat", ".responses", ".completion")) else name


def _name_or(name: Any, otherwise: str) -> str:
    return name if isinstance(name, str) and _NAME.fullmatch(name) else otherwise


def _first(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _text(attributes: Mapping[str, Any], names: Sequence[str]) -> str | None:
    value = _first(attributes, names)
    return value if isinstance(value, str) and value else None


def _number(attributes: Mapping[str, Any], names: Names) -> float | None:
    value = _first(attributes, names)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None


def _count(attributes: Mapping[str, Any], names: Names) -> int | None:
    value = _number(attributes, names)
    return None if value is None else int(value)
