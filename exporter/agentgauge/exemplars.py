"""The trace that a measurement belongs to: an exemplar, so that a dot on a panel leads from the number to its trace.

OpenTelemetry is asked if the agent uses it, and never imported for this. https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import sys


def current_trace() -> dict[str, str] | None:
    """The ids of the span that is active here, as an exemplar holds them; None without one that is kept."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
