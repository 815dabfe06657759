"""Overview: is the agent well? Ten seconds for the first row, the reason in the rows below and one click away."""

from __future__ import annotations

from alerts import links
from alerts.areas.stack import WATCHDOG
from alerts.catalog import ALERTS
from dashboards import queries, shared
from dashboards.annotations import EVERYWHERE, GENERATED_VERSION
from dashboards.model import Dashboard, Limit, Query, Row, State
from dashboards.shapes import headline, lines, stat, table, timeline
from dashboards.style import AGO, AMBER, BLUE, COLOURS, COUNT, GREEN, RATIO, SECONDS

LABELS = tuple(sorted({label for alert in ALERTS for label in alert.labels}))
"""What tells an alert from another of its name."""
OF = ("agent", "tool", "error_type", "model", "suite", "server", "file", "instance")
"""The labels that say what an alert is of, in the order in which the table of firing alerts writes them."""
JUDGED = f'and count(ALERTS{{alertname="{WATCHDOG}", alertstate="firing"}})'
"""As long as rules are evaluated: where none is, that no alert fires means nothing."""
UNJUDGED = "No rule is evaluated"

HEALTH = Row(
    "Is it well?",
    (
        stat(
            100,
            "Critical alerts",
            COUNT,
            "Critical alerts firing now: each has paged somebody.",
            f'(count(ALERTS{{<where>, alertstate="firing", severity="critical"}}) or vector(0)) {JUDGED}',
            span=3,
            limit=Limit(1, "above"),
            empty=UNJUDGED,
        ),
        stat(
            101,
            "Warnings",
            COUNT,
            "Warnings firing now: work for today, nobody was paged.",
            f'(count(ALERTS{{<where>, alertstate="firing", severity="warning"}}) or vector(0)) {JUDGED}',
            span=3,
            limit=Limit(1, "above", AMBER),
            empty=UNJUDGED,
        ),
        stat(
            links.AGENTS_UP.panel_id,
            "Agents up",
            RATIO,
            "Share of the agents' metrics endpoints that answer Prometheus; 0 % also when there is none.",
            'avg(up{<where>, job="<job>"}) or vector(0)',
            span=3,
            limit=Limit(1, "below"),
            opens=links.STACK,
        ),
        shared.scenarios_passed(120, span=3, opens=links.EVALUATIONS),
        shared.stage(122, span=3, opens=links.AUTONOMY),
        shared.approvals_waiting(124, span=3, opens=links.AUTONOMY),
        shared.active_users(125, "Users today", "1d", "24 hours", span=3, opens=links.USERS),
        stat(
            105,
            "Sessions open",
            COUNT,
            "Conversations open now.",
            "sum(<sessions_active>{<where>})",
            span=3,
            opens=links.USERS,
        ),
        shared.tasks_completed(102, span=3, opens=links.AGENT),
        headline(
            104,
            "Tool success",
            RATIO,
            "Successful share of the tool calls, all tools together.",
            lambda over: queries.share("tool_calls", 'outcome="success"', over=over),
            span=3,
            limit=Limit("AgentToolSuccessRateLow", "below"),
            opens=links.TOOLS,
        ),
        shared.answer_p95(103, span=3, opens=links.AGENT),
        shared.thumbs_down(121, span=3, opens=links.USERS),
        shared.approved(123, span=3, opens=links.AUTONOMY),
        shared.spend(106, span=3, opens=links.COST),
        shared.spend_against_usual(126, span=3, opens=links.COST),
        stat(
            127,
            "Data in range",
            COUNT,
            "Whether the time range reaches into history that was generated for the demonstration; charts mark it in "
            "grey.",
            f"max(max_over_time(<build_info>{{<where>, {GENERATED_VERSION}}}[$__range])) or vector(0)",
            span=3,
            instant=True,
            states=(State("measured", GREEN), State("partly generated", AMBER)),
        ),
    ),
)

SEVERITIES = tuple(State(name, COLOURS[name]) for name in ("info", "warning", "critical"))

_SEVERITY = "\n  or\n".join(
    f'  {rank} * ALERTS{{<where>, alertstate="firing", severity="{state.text}"}}'
    for rank, state in enumerate(SEVERITIES)
)
_SINCE = f'''  ALERTS_FOR_STATE{{<where>, alertname!="{WATCHDOG}"}}
    and ignoring (alertstate) ALERTS{{<where>, alertstate="firing"}}'''


def _firing(alerts: str, times: int = 1) -> str:
    """What alerts say, by name and by what they are of: agent, tool, model or whatever else their labels name."""
    names = ", ".join(f'"{name}"' for name in OF)
    joined = f'label_join(\n{alerts},\n  "of", " ", {names})'
    return f"""
{times} * max by (alertname, of, {", ".join(LABELS)}) (
  label_replace({joined}, "of", "$1", "of", " *(.*?) *")
)
"""


ALERTS_AND_TASKS = Row(
    "What is wrong",
    (
        table(
            links.FIRING_ALERTS.panel_id,
            "Firing alerts",
            "Alerts firing now, critical first; the name opens its runbook, what to do follows it for you. "
            f"{WATCHDOG}, which always fires, is left out.",
            ("alertname", "of"),
            Query(_firing(_SEVERITY), "severity", COUNT, states=SEVERITIES),
            Query(
                _firing(_SINCE, times=1000),
                "since",
                AGO,
            ),
            Query(_firing(_SEVERITY, times=0), "next", COUNT, states=(State("what to do", BLUE),), to_incident=True),
            hidden=LABELS,
            span=12,
            most_first="severity",
            empty="No alert fires",
        ),
        lines(
            links.TASK_COMPLETION.panel_id,
            "Task completion",
            RATIO,
            "Completed share of all user requests, over the alert's window.",
            Query(queries.share("tasks", 'outcome="completed"', "agent"), "{{agent}}"),
            span=12,
            limits=(Limit("AgentTaskCompletionLow", "below"),),
        ),
        shared.time_to_answer(links.TURN_LATENCY.panel_id, span=12),
        lines(
            links.ALL_TOOL_SUCCESS.panel_id,
            "Tool success, all tools",
            RATIO,
            "Successful share of all tool calls, over the alert's window. At 0 % with five failures or more "
            "AgentAllToolCallsFailing fires.",
            Query(queries.share("tool_calls", 'outcome="success"', "agent"), "{{agent}}"),
            span=12,
        ),
    ),
)

USE = Row(
    "Use",
    (
        lines(
            107,
            "Sessions",
            COUNT,
            "Conversations open now, and conversations opened per minute.",
            Query("sum(<sessions_active>{<where>})", "open"),
            Query(queries.per_minute("sessions_opened"), "opened per minute"),
        ),
        shared.tasks_by_outcome(108, span=8),
        lines(
            109,
            "Thumbs down",
            RATIO,
            "Share of thumbs down among all ratings of the last hour.",
            Query(queries.share("feedback", 'rating="down"', "agent", over="1h"), "{{agent}}"),
            near_zero=True,
        ),
    ),
)

MODELS = Row(
    "Models",
    (
        lines(
            113,
            "LLM p95",
            SECONDS,
            "95 % of the LLM calls were faster than this, to their last byte, by model.",
            Query(queries.quantile(0.95, "llm_duration", "model", over=queries.RATE), "{{model}}"),
            span=12,
        ),
        lines(
            114,
            "LLM attempts failed",
            RATIO,
            "Failed share of the HTTP attempts by model, also those that a retry made good.",
            Query(queries.share("llm_calls", 'outcome="error"', "model", over=queries.RATE), "{{model}}"),
            near_zero=True,
            span=12,
        ),
    ),
)

WHO_AND_WHAT = Row(
    "Who uses it, and what runs",
    (
        lines(
            119,
            "Active users",
            COUNT,
            "Distinct users of the 24 hours, 7 days and 28 days up to each moment.",
            Query(queries.ledger_gauge("active_users", "agent, window"), "{{agent}} {{window}}"),
            height=6,
        ),
        timeline(
            128,
            "Deploys",
            "Which version of the agent · of its prompts ran when.",
            (State("not running", AMBER), State("running", BLUE)),
            "max by (version, prompt_version) (<build_info>{<where>})",
            "{{version}} · {{prompt_version}}",
            span=8,
            height=6,
        ),
        shared.running_versions(118, span=8, height=6),
    ),
)

OVERVIEW = Dashboard(
    uid=links.OVERVIEW,
    title="AgentGauge Overview",
    description="Is the agent well? The first row answers in ten seconds; a click on a number says why.",
    source="dashboards/overview.py",
    variables=("job", "instance", "agent"),
    annotations=EVERYWHERE,
    rows=(HEALTH, ALERTS_AND_TASKS, USE, MODELS, WHO_AND_WHAT),
)
