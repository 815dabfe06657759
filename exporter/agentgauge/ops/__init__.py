"""Operate a running agent: switches, and a log of who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.extras import on_demand

if TYPE_CHECKING:
    from agentgauge.ops.operations import Operation, Operations
    from agentgauge.ops.replicas import Replica, Replicas
    from agentgauge.ops.switches import FollowedSwitches, Switches

__all__ = [
    "FollowedSwitches",
    "Operation",
    "Operations",
    "Replica",
    "Replicas",
    "Switches",
]

__getattr__ = on_demand(
    __name__,
    "ledger",
    {
        "operations": ["Operation", "Operations"],
        "replicas": ["Replica", "Replicas"],
        "switches": ["FollowedSwitches", "Switches"],
    },
)
