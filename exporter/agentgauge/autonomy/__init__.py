"""Staged autonomy: what an agent may do alone, what waits for a person, and how it earns more; for any agent.

``ToolRequests`` is where to begin: it runs an agent's tool calls under its policy, and goes on with what waited for an
approval, in whatever process is alive. ``Autonomy`` is what people and their tools decide with. The names below load
what they need at first use, so importing this package is light; the approvals page is ``agentgauge.autonomy.web``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.autonomy.action import Action, AlreadyDecidedError, UnknownActionError
    from agentgauge.autonomy.approvals import (
        Approvals,
        InvalidEditError,
        NotPermittedError,
        NotShownError,
        Person,
        RiskRaisedError,
    )
    from agentgauge.autonomy.effects import Simulated, SimulatedStep
    from agentgauge.autonomy.parts import Autonomy
    from agentgauge.autonomy.policy import Policy
    from agentgauge.autonomy.real_actions import RealAction
    from agentgauge.autonomy.supervisor import Call, CallOutcome, Supervisor, describe_interruption
    from agentgauge.autonomy.suspensions import Suspension
    from agentgauge.autonomy.tool_requests import Resumed, Settled, ToolRequests, Waiting

__all__ = [
    "Action",
    "AlreadyDecidedError",
    "Approvals",
    "Autonomy",
    "Call",
    "CallOutcome",
    "InvalidEditError",
    "NotPermittedError",
    "NotShownError",
    "Person",
    "Policy",
    "RealAction",
    "Resumed",
    "RiskRaisedError",
    "Settled",
    "Simulated",
    "SimulatedStep",
    "Supervisor",
    "Suspension",
    "ToolRequests",
    "UnknownActionError",
    "Waiting",
    "describe_interruption",
]

__getattr__ = on_demand(
    __name__,
    "autonomy",
    {
        "action": ["Action", "AlreadyDecidedError", "UnknownActionError"],
        "approvals": [
            "Approvals",
            "InvalidEditError",
            "NotPermittedError",
            "NotShownError",
            "Person",
            "RiskRaisedError",
        ],
        "effects": ["Simulated", "SimulatedStep"],
        "parts": ["Autonomy"],
        "policy": ["Policy"],
        "real_actions": ["RealAction"],
        "supervisor": ["Call", "CallOutcome", "Supervisor", "describe_interruption"],
        "suspensions": ["Suspension"],
        "tool_requests": ["Resumed", "Settled", "ToolRequests", "Waiting"],
    },
)
