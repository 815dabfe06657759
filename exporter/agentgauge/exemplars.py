"""The trace that a measurement belongs to: an exemplar, so that a dot on a panel leads from the number to its trace.

OpenTelemetry is asked if the agent uses it, and never imported for this. https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Exemplar = dict[str, str]

_of_span: ContextVar[Exemplar | None] = ContextVar("agentgauge_exemplar", default=None)


@contextmanager
def of_span(exemplar: Exemplar | None) -> Iterator[None]:
    """What is measured inside belongs to this span, which has ended: by its ``trace_id`` and ``span_id`` in hex."""
    token = _of_span.set(exemplar)
    try:
        yield
    finally:
        _of_span.reset(token)


def current_trace() -> Exemplar | None:
    """The ids of the span that is active here, as an exemplar holds them; None without one that is kept."""
    ended = _of_span.get()
    if ended is not None:
        return ended
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span()
    # Beside the SDK of Anthropic, OpenTelemetry is always loaded and mostly not set up: this is what each call meets.
    return None if span is trace.INVALID_SPAN else exemplar_of(span.get_span_context())


def exemplar_of(context: Any) -> Exemplar | None:
    """The ids of a span, by its context in OpenTelemetry; None if it is not kept."""
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
