"""AgentGauge: metrics, alerts and runbooks for LLM agents in production."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentgauge.agent_app import AgentApp
    from agentgauge.calls import LLMCall, ToolCall
    from agentgauge.endpoint import MetricsServer, metrics_app, serve_metrics
    from agentgauge.gauge import AgentGauge
    from agentgauge.pricing import TokenUsage
    from agentgauge.session import Session, SessionLimits, Task, carry_session, llm_step
    from agentgauge.tool import Tool

__all__ = [
    "AgentApp",
    "AgentGauge",
    "LLMCall",
    "MetricsServer",
    "Session",
    "SessionLimits",
    "Task",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "carry_session",
    "llm_step",
    "metrics_app",
    "serve_metrics",
]

_MODULES = {
    "agent_app": ("AgentApp",),
    "calls": ("LLMCall", "ToolCall"),
    "endpoint": ("MetricsServer", "metrics_app", "serve_metrics"),
    "gauge": ("AgentGauge",),
    "pricing": ("TokenUsage",),
    "session": ("Session", "SessionLimits", "Task", "carry_session", "llm_step"),
    "tool": ("Tool",),
}


# Loaded at first use: a command that reads the ledger need not wait for Prometheus's client.
def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
