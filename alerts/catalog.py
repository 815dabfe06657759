"""Every alert and recording rule, in the order of triage: the table of contents of ``alerts/areas``.

What an alert watches and what its page says is in its area; its numbers are in ``thresholds.yml``.
"""

from __future__ import annotations

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


def by_name(name: str) -> Alert:
    """The alert of that name; KeyError if there is none."""
    for alert in ALERTS:
        if alert.name == name:
            return alert
    raise KeyError(name)
