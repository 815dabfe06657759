"""People and the agent: do they approve, does anybody decide, and do audits find problems?"""

from __future__ import annotations

from textwrap import indent

from alerts import links
from alerts.counting import newly_counted
from alerts.evidence import Judged, share_above
from alerts.model import Alert, Record

OLDEST = "agent:agent_approvals_oldest_pending_seconds:max"
AUDITS = "agent_verdict:agent_audits:increase1h"

DECIDED = 'decision=~"approved|edited|rejected"'
"""What a person decided. What expired is not a decision: nobody made it."""

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
    Record(OLDEST, "max by (agent) (<oldest_approval>)", area="approvals"),
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
            f"{{{{ $labels.agent }}}}: {REFUSED.worst_first('of the proposals were edited or rejected')}; <threshold> "
            "approval is promised."
        ),
        labels=("agent",),
        panel=links.APPROVAL_RATE,
    ),
    Alert(
        name="AgentActionUnresolved",
        area="approvals",
        summary="An action was begun, and nobody knows whether it happened.",
        fires_when="an action was begun, has no end, and its process is not heard of any more",
        expr="""
max by (agent, tool) (<actions_unresolved>) > 0
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} action(s) of {{ $labels.tool }} were begun, and nobody '
            "knows whether they happened: look into the system that it acts on, and settle them."
        ),
        labels=("agent", "tool"),
        panel=links.ACTIONS_UNRESOLVED,
    ),
    Alert(
        name="AgentApprovalQueueStalled",
        area="approvals",
        summary="Actions wait for approval and nobody decides.",
        fires_when="the oldest action that waits for a decision has waited for <window>, or it expires unseen",
        # Where requests expire sooner than that, the oldest that waits is never old.
        expr=f"""
{OLDEST}
and
(
  {OLDEST} > <window.seconds>
  or
  {OLDEST} > 0
  and
  sum by (agent) (increase(<approvals>{{decision="expired"}}[<window>])) > 0
  unless
  sum by (agent) (
{indent(newly_counted(f"<approvals>{{{DECIDED}}}").strip(), "    ")}
  )
)
""",
        description=(
            "{{ $labels.agent }}: the oldest action that waits for a decision has waited for "
            "{{ $value | humanizeDuration }}; after <window>, or before what waits expires, somebody should have come."
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
