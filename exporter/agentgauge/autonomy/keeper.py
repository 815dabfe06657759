"""What is done every few seconds: record policy changes, expire, promote, demote, and set the gauges."""

from __future__ import annotations

from itertools import product

from agentgauge import metrics
from agentgauge.autonomy.gate import mode_of
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.policy import Policy
from agentgauge.instruments import Instruments
from agentgauge.vocabulary import AUDIT_VERDICTS, DECISIONS, DIRECTIONS, DISPOSITIONS, MODES, SHADOW_MATCHES, STAGES


class Keeper:
    """Keeps one agent's autonomy in order; every replica may do so, each change is made once."""

    def __init__(self, autonomy: Autonomy, instruments: Instruments) -> None:
        self._autonomy = autonomy
        self._instruments = instruments
        self._unresolved: set[str] = set()
        self._show_what_can_be(autonomy.policy())

    def refresh(self) -> None:
        """Bring everything up to date, and set the gauges; raises SQLAlchemyError when the database cannot."""
        policy = self._autonomy.policy()
        self._show_what_can_be(policy)
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

    def _show_what_can_be(self, policy: Policy) -> None:
        """Have the counters of a tool at 0 for the risks that its calls can have, so that the first one is an increase.

        Decisions are counted only of tools that can wait, and audits and the like of those that change something.
        """
        counter = self._instruments.counter
        for name, tool in policy.tools.items():
            risks = tool.possible_risks()
            for risk, disposition in product(risks, DISPOSITIONS):
                counter(metrics.ACTIONS, name, risk, disposition)
            for risk, decision in product(risks if tool.can_wait() else (), DECISIONS):
                counter(metrics.APPROVALS, name, risk, decision)
            if tool.side_effect:
                for verdict in AUDIT_VERDICTS:
                    counter(metrics.AUDITS, name, verdict)
                for match in SHADOW_MATCHES:
                    counter(metrics.SHADOW_DECISIONS, name, match)
                for direction in DIRECTIONS:
                    counter(metrics.AUTONOMY_CHANGES, name, direction)
