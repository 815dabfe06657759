"""Every alert and recording rule, in the order of triage: the table of contents of ``alerts/areas``.

What an alert watches and what its page says is in its area; its numbers are in ``thresholds.yml``.
"""

from __future__ import annotations

from collections.abc import Mapping

from alerts.areas import (
    approvals,
    cost,
    evals,
    mcp,
    monitoring,
    presence,
    prompt_cache,
    provider,
    sessions,
    stack,
    tasks,
    tools,
    users,
)
from alerts.model import Alert, Record

RECORDS: tuple[Record, ...] = (
    *tools.RECORDS,
    *mcp.RECORDS,
    *presence.RECORDS,
    *sessions.RECORDS,
    *provider.RECORDS,
    *tasks.RECORDS,
    *approvals.RECORDS,
    *evals.RECORDS,
    *cost.RECORDS,
    *prompt_cache.RECORDS,
    *users.RECORDS,
)

ALERTS: tuple[Alert, ...] = (
    *tools.ALERTS,
    *mcp.ALERTS,
    *presence.ALERTS,
    *sessions.ALERTS,
    *provider.ALERTS,
    *tasks.ALERTS,
    *approvals.ALERTS,
    *evals.ALERTS,
    *cost.ALERTS,
    *prompt_cache.ALERTS,
    *users.ALERTS,
    *stack.ALERTS,
    *monitoring.ALERTS,
)

_PEOPLE = "people judge the answers, or stay away, for reasons that no other alert is about"
_APPROVERS = "it is about the people who decide, whatever the agent's state"
_FIGURES = "it says that figures cannot be trusted, also while something else is wrong"
_MONITORING = "it is about Prometheus or Alertmanager: it mutes no agent's alert, and none explains it"
ALONE: Mapping[str, str] = {
    "AgentGone": "an agent that is gone has no other alerts, and the alerts on its targets exclude it",
    "AgentCrashLooping": "what a crash breaks is different each time: no symptom follows for certain",
    "AgentSessionsAbandoned": _PEOPLE,
    "AgentTurnsIncreasing": "the tasks are completed all the same, and take longer for many reasons",
    "AgentAuditProblems": "audits find what nothing else saw",
    "AgentApprovalRateLow": _APPROVERS,
    "AgentApprovalRateHigh": _APPROVERS,
    "AgentApprovalQueueStalled": _APPROVERS,
    "AgentActionUnresolved": "somebody has to look into the system that was acted on, whatever else is wrong",
    "AgentEvalRegression": "what it announces has not reached users: as a cause it would mute what does",
    "AgentEvalStale": "that nobody looks any more is not explained by what there is to see",
    "AgentPromptCacheRegression": "it is a ticket, and must not mute the pages about the spend that follows",
    "AgentUnpricedModel": _FIGURES,
    "AgentUsageUnknown": _FIGURES,
    "AgentPricesStale": _FIGURES,
    "AgentTelemetryErrors": _FIGURES,
    "AgentLabelOverflow": _FIGURES,
    "AgentConfigError": "a file that cannot be used leaves the last good version in force: nothing breaks by it",
    "AgentWrongAnswersReported": _PEOPLE,
    "AgentNegativeFeedbackHigh": _PEOPLE,
    "AgentFeedbackSilent": _PEOPLE,
    "AgentActiveUsersDeclining": _PEOPLE,
    "AgentRetentionLow": _PEOPLE,
    "AgentGaugeWatchdog": "it always fires",
    "PrometheusRuleFailures": _MONITORING,
    "PrometheusNotConnectedToAlertmanagers": _MONITORING,
    "PrometheusBadConfig": _MONITORING,
    "AlertmanagerFailedToSendAlerts": _MONITORING,
    "AlertmanagerFailedReload": _MONITORING,
}
"""Alerts that mute no other and are muted by none, and why: a new alert inhibits, is inhibited, or stands here."""


def by_name(name: str) -> Alert:
    """The alert of that name; KeyError if there is none."""
    for alert in ALERTS:
        if alert.name == name:
            return alert
    raise KeyError(name)
