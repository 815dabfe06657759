"""AgentGauge: metrics, alerts and runbooks for LLM agents in production."""

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
