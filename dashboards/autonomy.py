"""Autonomy: what the agent may do by itself, and whether it deserves more or less of it."""

from __future__ import annotations

from alerts import links
from alerts.areas.approvals import DECIDED, FOUND_WRONG
from dashboards import queries, shared
from dashboards.annotations import AUTONOMY_CHANGES, EVERYWHERE
from dashboards.model import Dashboard, Limit, Query, Row
from dashboards.shapes import WINDOWS_OF_THE_RARE, headline, heatmap, lines, stack, table, timeline
from dashboards.style import AMBER, COUNT, PER_HOUR, RATIO, SECONDS

DECIDED_IN_RANGE = f"{queries.counted('approvals', '$__range', 'tool, risk', DECIDED)} > 0"

AT_A_GLANCE = Row(
    "At a glance",
    (
        shared.stage(100),
        shared.approved(101),
        shared.approvals_waiting(102),
        headline(
            103,
            "Shadow agrees",
            RATIO,
            "Share of the shadow suggestions that people did as well; of the worst agent.",
            lambda over: queries.lowest(queries.share("shadow_decisions", 'match="aligned"', "agent", over=over)),
        ),
        headline(
            104,
            "Acted by itself",
            RATIO,
            "Share of the proposed actions that ran without being asked for.",
            lambda over: queries.share("actions", 'disposition="auto"', over=over),
        ),
        headline(
            105,
            "Audits with a problem",
            RATIO,
            "Share of the audited actions that were wrong; of the worst agent.",
            lambda over: queries.highest(queries.share("audits", 'verdict="problem"', "agent", over=over)),
            windows=WINDOWS_OF_THE_RARE,
            limit=Limit("AgentAuditProblems", "above"),
        ),
    ),
)

MAY_DO = Row(
    "What it may do",
    (
        timeline(
            106,
            "Stage",
            "Shadow: suggests and acts on nothing. Approval required: medium risk and above waits for a person. Semi- "
            "autonomous: promoted tools run. Autonomous: most runs, a sample is audited.",
            shared.STAGES,
            queries.position("autonomy_stage", "agent"),
            "{{agent}}",
            span=8,
            height=6,
        ),
        timeline(
            107,
            "Mode per tool",
            "What each tool may do: suggest only, act once a person has approved, or act by itself.",
            shared.MODES,
            queries.position("tool_autonomy", "tool"),
            "{{tool}}",
            span=16,
            height=6,
        ),
    ),
)

APPROVALS = Row(
    "Approvals",
    (
        shared.approval_rate(links.APPROVAL_RATE.panel_id, span=12),
        stack(
            108,
            "Decisions",
            PER_HOUR,
            "Decisions per hour: approved, edited before approval, rejected, or expired because nobody came.",
            Query(queries.per_hour("approvals", "decision"), "{{decision}}"),
            span=12,
        ),
        lines(
            links.APPROVAL_QUEUE.panel_id,
            "Queue",
            COUNT,
            "Actions that wait for a decision. Bars, right axis: decisions taken in the alert's window up to each "
            "moment.",
            Query(queries.ledger_gauge("approvals_pending", "agent"), "{{agent}} waiting"),
            Query(queries.counted("approvals", "<window>", having=DECIDED), "decided", bars=True),
        ),
        lines(
            119,
            "Oldest request",
            SECONDS,
            "How long the oldest action that waits for a decision has waited.",
            Query(queries.ledger_gauge("oldest_approval", "agent"), "{{agent}}"),
        ),
        lines(
            links.ACTIONS_UNRESOLVED.panel_id,
            "Begun, without a known end",
            COUNT,
            "Actions that were begun and whose process is not heard of any more: nobody knows whether they happened, "
            "until a person settles them.",
            Query(queries.ledger_gauge("actions_unresolved", "agent, tool"), "{{agent}} {{tool}}"),
        ),
        shared.waiting_time(109, span=12),
        heatmap(
            110,
            "Distribution of the waiting time",
            SECONDS,
            "How many decisions took how long; darker is more.",
            "approval_wait",
            span=12,
        ),
    ),
)

POLICY = Row(
    "What the policy decided",
    (
        stack(
            111,
            "Actions by disposition",
            PER_HOUR,
            "Proposed actions per hour: suggested only, run at once, put before a person, or denied.",
            Query(queries.per_hour("actions", "disposition"), "{{disposition}}"),
        ),
        lines(
            112,
            "Shadow alignment",
            RATIO,
            "Share of the shadow suggestions of the last hour that people did as well, by tool.",
            Query(queries.share("shadow_decisions", 'match="aligned"', "tool", over="1h"), "{{tool}}"),
        ),
        table(
            113,
            "Record per tool",
            "Decisions on each tool's actions in the range, and what a promotion asks for: many decisions, "
            "nearly all approved, none rejected.",
            ("tool", "risk"),
            Query(DECIDED_IN_RANGE, "decisions", COUNT),
            Query(
                queries.share("approvals", 'decision="approved"', "tool, risk", of=DECIDED, over="$__range"),
                "approved",
                RATIO,
            ),
            Query(
                queries.counted("approvals", "$__range", "tool, risk", 'decision="rejected"')
                + f"\nand {DECIDED_IN_RANGE}",
                "rejected",
                COUNT,
                limit=Limit(1, "above", AMBER),
            ),
            most_first="decisions",
        ),
    ),
)

TRUST = Row(
    "Trust, earned and lost",
    (
        lines(
            links.AUDIT_PROBLEMS.panel_id,
            "Audits with a problem",
            RATIO,
            "Wrong share of the audited actions, over the alert's window.",
            Query(queries.share_judged(FOUND_WRONG), "{{agent}}"),
            limits=(Limit("AgentAuditProblems", "above"),),
        ),
        stack(
            114,
            "Promotions and demotions",
            COUNT,
            "Tools promoted and demoted in the 24 hours up to each moment.",
            Query(queries.counted("autonomy_changes", "24h", "direction"), "{{direction}}"),
            drawn="bars",
        ),
        stack(
            115,
            "Flywheel",
            PER_HOUR,
            "What people gave back per hour: decisions on proposals, thumbs, shadow pairs and audits. Each is a "
            "chance to improve a prompt, a tool or a guardrail.",
            Query(queries.per_hour("approvals", having=DECIDED), "decisions"),
            Query(queries.per_hour("feedback"), "thumbs"),
            Query(queries.per_hour("shadow_decisions"), "shadow pairs"),
            Query(queries.per_hour("audits"), "audits"),
        ),
    ),
)

AUTONOMY = Dashboard(
    uid=links.AUTONOMY,
    title="AgentGauge Autonomy",
    description="What the agent may do by itself, and whether it deserves more or less of it.",
    source="dashboards/autonomy.py",
    variables=("job", "instance", "agent", "tool"),
    annotations=(*EVERYWHERE, AUTONOMY_CHANGES),
    rows=(AT_A_GLANCE, MAY_DO, APPROVALS, POLICY, TRUST),
    since="now-24h",
)
