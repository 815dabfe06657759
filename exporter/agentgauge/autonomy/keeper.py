"""What is done every few seconds: record policy changes, expire, promote, demote, and set the gauges."""

from __future__ import annotations

from agentgauge import metrics
from agentgauge.autonomy.gate import mode_of
from agentgauge.autonomy.parts import Autonomy
from agentgauge.instruments import Instruments
from agentgauge.vocabulary import MODES, STAGES


class Keeper:
    """Keeps one agent's autonomy in order; every replica may do so, each change is made once."""

    def __init__(self, autonomy: Autonomy, instruments: Instruments) -> None:
        self._autonomy = autonomy
        self._instruments = instruments
        self._unresolved: set[str] = set()

    def refresh(self) -> None:
        """Bring everything up to date, and set the gauges; raises SQLAlchemyError when the database cannot."""
        policy = self._autonomy.policy()
        standings = self._autonomy.standings
        standings.note_policy(policy)
        self._autonomy.actions.expire_due()
        standings.demote_where_due(policy)
        standings.promote_where_earned(policy)
        standing = standings.now(policy)
        for stage in STAGES:
            self._instruments.gauge(metrics.AUTONOMY_STAGE, stage).set(stage == standing.stage)
        for tool in policy.tools:
            mode_now = mode_of(policy, standing, tool)
            for mode in MODES:
                self._instruments.gauge(metrics.TOOL_AUTONOMY, tool, mode).set(mode == mode_now)
        queue = self._autonomy.actions.queue()
        self._instruments.gauge(metrics.APPROVALS_PENDING).set(queue.length)
        self._instruments.gauge(metrics.OLDEST_APPROVAL).set(queue.oldest_seconds)
        unresolved = self._autonomy.actions.unresolved_by_tool()
        self._unresolved |= unresolved.keys()  # a tool may have left the policy since
        for tool in policy.tools.keys() | self._unresolved:
            self._instruments.gauge(metrics.ACTIONS_UNRESOLVED, tool).set(unresolved.get(tool, 0))
