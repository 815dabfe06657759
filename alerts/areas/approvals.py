"""People and the agent: do they approve, does anybody decide, and do audits find problems?"""

from __future__ import annotations

from alerts import links
from alerts.model import Alert, Record

PENDING = "agent:agent_approvals_pending:max"
DECISIONS = "agent_decision:agent_approvals:increase5m"
AUDITS = "agent_verdict:agent_audits:increase1h"

DECIDED = 'decision=~"approved|edited|rejected"'
"""What a person decided. What expired is no decision: nobody made it."""

RECORDS = (
    Record(PENDING, "max by (agent) (<approvals_pending>)", area="approvals"),
    Record(DECISIONS, "sum by (agent, decision) (increase(<approvals>[5m]))", area="approvals"),
    Record(AUDITS, "sum by (agent, verdict) (increase(<audits>[1h]))", area="approvals"),
)

ALERTS = (
    Alert(
        name="AgentAuditProblems",
        area="approvals",
        summary="Audits find that the agent acts wrongly where nobody is asked.",
        fires_when="audited actions found wrong > <threshold>",
        expr=f"""
(
  sum by (agent) (sum_over_time({AUDITS}{{verdict="problem"}}[<window>:1h]))
  /
  sum by (agent) (sum_over_time({AUDITS}[<window>:1h]))
) > <threshold>
and
sum by (agent) (sum_over_time({AUDITS}[<window>:1h])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the actions audited in the last <window> were "
            "wrong; above <threshold> pages."
        ),
        labels=("agent",),
        panel=links.AUDIT_PROBLEMS,
    ),
    Alert(
        name="AgentApprovalRateLow",
        area="approvals",
        summary="People reject or rewrite what the agent proposes.",
        fires_when="approved / (approved + edited + rejected) < <threshold>",
        expr=f"""
(
  sum by (agent) (increase(<approvals>{{decision="approved"}}[<window>]))
  /
  sum by (agent) (increase(<approvals>{{{DECIDED}}}[<window>]))
) < <threshold>
and
sum by (agent) (increase(<approvals>{{{DECIDED}}}[<window>])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the decisions of the last <window> were "
            "approvals; below <threshold> pages."
        ),
        labels=("agent",),
        panel=links.APPROVAL_RATE,
    ),
    Alert(
        name="AgentApprovalQueueStalled",
        area="approvals",
        summary="Actions wait for approval and nobody decides.",
        fires_when="approvals are pending and none was decided",
        # One that has just come is no stall: something waits all the time, or what came before it expired. The queue
        # must have been seen before the window, or a start would do. The first decision that a new replica counts is
        # no increase, but a change.
        expr=f"""
{PENDING} > 0
and
(
  min_over_time({PENDING}[<window>]) > 0 and last_over_time({PENDING}[1h] offset <window>)
  or
  sum by (agent) (increase(<approvals>{{decision="expired"}}[<window>])) > 0
)
unless
sum by (agent) (
  increase(<approvals>{{{DECIDED}}}[<window>]) > 0
  or
  <approvals>{{{DECIDED}}} > 0
  unless
  <approvals>{{{DECIDED}}} == last_over_time(<approvals>{{{DECIDED}}}[1h] offset <window>)
)
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} action(s) wait for approval, and nobody decided any '
            "in the last <window>."
        ),
        labels=("agent",),
        panel=links.APPROVAL_QUEUE,
    ),
    Alert(
        name="AgentApprovalRateHigh",
        area="approvals",
        summary="People approve everything: the agent has earned more freedom, or nobody reads any more.",
        fires_when="approved / (approved + edited + rejected) > <threshold>",
        expr=f"""
(
  sum by (agent) (sum_over_time({DECISIONS}{{decision="approved"}}[<window>:5m]))
  /
  sum by (agent) (sum_over_time({DECISIONS}{{{DECIDED}}}[<window>:5m]))
) > <threshold>
and
sum by (agent) (sum_over_time({DECISIONS}{{{DECIDED}}}[<window>:5m])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the decisions of the last <window> were "
            "approvals; above <threshold> approving is a habit, not a check."
        ),
        labels=("agent",),
        panel=links.APPROVAL_RATE,
    ),
)
