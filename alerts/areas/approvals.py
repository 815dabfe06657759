"""People and the agent: do they approve, does anybody decide, and do audits find problems?"""

from __future__ import annotations

from alerts import links
from alerts.evidence import Judged, share_above
from alerts.model import Alert, Record

PENDING = "agent:agent_approvals_pending:max"
AUDITS = "agent_verdict:agent_audits:increase1h"

DECIDED = 'decision=~"approved|edited|rejected"'
"""What a person decided. What expired is no decision: nobody made it."""

REFUSED = Judged(
    alert="AgentApprovalRateLow",
    record="agent:agent_approvals_refused",
    by="agent",
    part='sum by (agent) (increase(<approvals>{decision=~"edited|rejected"}[<window>]))',
    whole=f"sum by (agent) (increase(<approvals>{{{DECIDED}}}[<window>]))",
    looks=("fast", "slow"),
)
WAVED_THROUGH = Judged(
    alert="AgentApprovalRateHigh",
    record="agent:agent_approvals_approved",
    by="agent",
    part='sum by (agent) (increase(<approvals>{decision="approved"}[<window>]))',
    whole=f"sum by (agent) (increase(<approvals>{{{DECIDED}}}[<window>]))",
    looks=("slow",),
    watched=False,
)
FOUND_WRONG = Judged(
    alert="AgentAuditProblems",
    record="agent:agent_audits_problem",
    by="agent",
    part='sum by (agent) (increase(<audits>{verdict="problem"}[<window>]))',
    whole="sum by (agent) (increase(<audits>[<window>]))",
    looks=("slow",),
    watched=False,
    long_part=f'sum by (agent) (sum_over_time({AUDITS}{{verdict="problem"}}[<window>:1h]))',
    long_whole=f"sum by (agent) (sum_over_time({AUDITS}[<window>:1h]))",
)

RECORDS = (
    Record(PENDING, "max by (agent) (<approvals_pending>)", area="approvals"),
    Record(AUDITS, "sum by (agent, verdict) (increase(<audits>[1h]))", area="approvals"),
    *REFUSED.records("approvals"),
    *WAVED_THROUGH.records("approvals"),
    *FOUND_WRONG.records("approvals"),
)

ALERTS = (
    Alert(
        name="AgentAuditProblems",
        area="approvals",
        summary="Audits find that the agent acts wrongly where nobody is asked.",
        fires_when="audited actions found wrong > <threshold>",
        expr=share_above(FOUND_WRONG, "<threshold>", "(1 - <threshold>)", of_all=True),
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the audited actions were wrong: "
            f"{FOUND_WRONG.counts('slow')} in the last <slow.window>; above <threshold> pages."
        ),
        labels=("agent",),
        panel=links.AUDIT_PROBLEMS,
    ),
    Alert(
        name="AgentApprovalRateLow",
        area="approvals",
        summary="People reject or rewrite what the agent proposes.",
        fires_when="approved / (approved + edited + rejected) < <threshold>",
        expr=share_above(REFUSED, "(1 - <threshold>)", "<threshold>", of_all=True),
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the proposals were edited or rejected: "
            f"{REFUSED.counts('slow')} in the last <slow.window>, {REFUSED.counts('fast')} in the last <fast.window>; "
            "<threshold> approval is promised."
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
        expr=share_above(WAVED_THROUGH, "<threshold>", "(1 - <threshold>)", of_all=True),
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the decisions were approvals: "
            f"{WAVED_THROUGH.counts('slow')} in the last <slow.window>; above <threshold> approving is a habit, not a "
            "check."
        ),
        labels=("agent",),
        panel=links.APPROVAL_RATE,
    ),
)
