"""Spans of OpenTelemetry in: what they say of model calls, tools and agents becomes the same metrics and sessions.

``SpanProcessor`` is for a Python agent, the command ``agentgauge gateway`` for one in any language.
``docs/opentelemetry.md`` says which spans are understood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.otel.processor import SpanProcessor

__all__ = ["SpanProcessor"]

__getattr__ = on_demand(__name__, "otel", {"processor": __all__})
