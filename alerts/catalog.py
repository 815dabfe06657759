"""Every alert: what it watches, in PromQL, and what its page says. Its numbers are in ``thresholds.yml``.

Holes in the templates: ``<window>``, ``<evidence>``, ``<threshold>`` (the number, in base units), ``<le>`` (the
threshold as a bucket boundary), and the metrics of ``agentgauge.metrics``. In descriptions ``<threshold>``,
``<evidence>`` and ``<window>`` are written for people (95 %, 5 s, 5m).
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from alerts import links
from alerts.links import PanelRef

SLOW_SHARE = 0.05
"""A p95 is above a limit exactly when more than 5 % of the calls are slower than it."""

SEEN_ERROR_TYPES = "agent_tool_error_type:agent_tool_errors:seen10m"


@dataclass(frozen=True)
class Record:
    """A recording rule: a query that two consumers share, or the short memory of a long window."""

    name: str
    expr: str
    area: str


@dataclass(frozen=True)
class Alert:
    """One alert. ``labels`` are those it carries besides ``severity``; ``panel`` shows the breach.

    ``fires_when`` is the condition in words, with the same holes as ``description``. ``boundary_of`` is the
    histogram whose bucket boundary the threshold must be. ``inhibits`` names the symptoms that this alert causes;
    they are muted while it fires, where ``inhibit_equal`` labels agree.
    """

    name: str
    area: str
    summary: str
    fires_when: str
    expr: str
    description: str
    labels: tuple[str, ...]
    panel: PanelRef
    boundary_of: MetricSpec | None = None
    inhibits: tuple[str, ...] = ()
    inhibit_equal: tuple[str, ...] = ("agent",)


RECORDS = (
    Record(
        SEEN_ERROR_TYPES,
        # An error type is born at 1, so its first error is no increase: a series that was not there counts as well.
        """
(sum by (agent, tool, error_type) (increase(<tool_errors>[10m])) > 0)
or
(
  sum by (agent, tool, error_type) (<tool_errors>) > 0
  unless
  sum by (agent, tool, error_type) (<tool_errors> offset 10m)
)
""",
        area="tools",
    ),
)

ALERTS = (
    Alert(
        name="AgentAllToolCallsFailing",
        area="tools",
        summary="No tool call of the agent succeeds.",
        fires_when="no tool call of the agent succeeds",
        expr="""
sum by (agent) (increase(<tool_calls>{outcome="error"}[<window>])) >= <evidence>
and
sum by (agent) (increase(<tool_calls>{outcome="success"}[<window>])) == 0
""",
        description='{{ $labels.agent }}: all {{ $value | printf "%.0f" }} tool calls of the last <window> failed.',
        labels=("agent",),
        panel=links.ALL_TOOL_SUCCESS,
        inhibits=(
            "AgentToolSuccessRateLow",
            "AgentToolLatencyHigh",
            "AgentToolNewErrorType",
            "AgentSessionLooping",
            "AgentLatencySpike",
            "AgentTaskCompletionLow",
        ),
    ),
    Alert(
        name="AgentToolSuccessRateLow",
        area="tools",
        summary="A tool fails too often.",
        fires_when="a tool's success rate < <threshold>",
        expr="""
(
  sum by (agent, tool) (increase(<tool_calls>{outcome="success"}[<window>]))
  /
  sum by (agent, tool) (increase(<tool_calls>[<window>]))
) < <threshold>
and
sum by (agent, tool) (increase(<tool_calls>{outcome="error"}[<window>])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the {{ $labels.tool }} calls of the last "
            "<window> succeeded; below <threshold> pages."
        ),
        labels=("agent", "tool"),
        panel=links.TOOL_SUCCESS,
        inhibits=("AgentToolNewErrorType",),
        inhibit_equal=("agent", "tool"),
    ),
    Alert(
        name="AgentToolLatencyHigh",
        area="tools",
        summary="A tool is slow: its p95 is above the limit.",
        fires_when="a tool's p95 > <threshold>",
        expr=f"""
(
  1
  -
  sum by (agent, tool) (increase(<tool_duration.bucket>{{le="<le>"}}[<window>]))
  /
  sum by (agent, tool) (increase(<tool_duration.count>[<window>]))
) > {SLOW_SHARE}
and
(
  sum by (agent, tool) (increase(<tool_duration.count>[<window>]))
  -
  sum by (agent, tool) (increase(<tool_duration.bucket>{{le="<le>"}}[<window>]))
) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the {{ $labels.tool }} calls of the last "
            "<window> took longer than <threshold>; above 5 % the p95 is over <threshold>."
        ),
        labels=("agent", "tool"),
        panel=links.TOOL_LATENCY,
        boundary_of=metrics.TOOL_DURATION,
    ),
    Alert(
        name="AgentToolNewErrorType",
        area="tools",
        summary="A tool fails in a way not seen in the last 7 days.",
        fires_when="an error type not seen for that tool in the 7 days before; silent in the agent's first 24 h",
        expr=f"""
(
  {SEEN_ERROR_TYPES}
  unless on (agent, tool, error_type)
  count_over_time({SEEN_ERROR_TYPES}[7d:10m] offset <window>)
)
and on (agent)
max by (agent) (count_over_time(<build_info>[7d:1h] offset 1d))
""",
        description=(
            "{{ $labels.agent }}: {{ $labels.tool }} failed with {{ $labels.error_type }}, not seen for this tool in "
            "the 7 days before the last <window>."
        ),
        labels=("agent", "tool", "error_type"),
        panel=links.TOOL_ERRORS,
    ),
    Alert(
        name="AgentSessionLooping",
        area="sessions",
        summary="A session makes too many tool calls: the agent is looping.",
        fires_when="a session passes <threshold> tool calls",
        expr="""
sum by (agent) (increase(<sessions_over_limit>{limit="tool_calls"}[<window>])) > 0
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} session(s) passed <threshold> tool calls in the last '
            "<window>."
        ),
        labels=("agent",),
        panel=links.SESSION_TOOL_CALLS,
        boundary_of=metrics.SESSION_TOOL_CALLS,
    ),
    Alert(
        name="AgentLatencySpike",
        area="sessions",
        summary="Answers are slow: the p95 of turns is above the limit.",
        fires_when="p95 of turns > <threshold>",
        expr=f"""
(
  1
  -
  sum by (agent) (increase(<turn_duration.bucket>{{le="<le>"}}[<window>]))
  /
  sum by (agent) (increase(<turn_duration.count>[<window>]))
) > {SLOW_SHARE}
and
(
  sum by (agent) (increase(<turn_duration.count>[<window>]))
  -
  sum by (agent) (increase(<turn_duration.bucket>{{le="<le>"}}[<window>]))
) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the answers of the last <window> took longer "
            "than <threshold>; above 5 % the p95 is over <threshold>."
        ),
        labels=("agent",),
        panel=links.TURN_LATENCY,
        boundary_of=metrics.TURN_DURATION,
    ),
    Alert(
        name="AgentTaskCompletionLow",
        area="tasks",
        summary="Too few user requests are completed.",
        fires_when="completed / all tasks < <threshold>",
        expr="""
(
  sum by (agent) (increase(<tasks>{outcome="completed"}[<window>]))
  /
  sum by (agent) (increase(<tasks>[<window>]))
) < <threshold>
and
sum by (agent) (increase(<tasks>[<window>])) >= <evidence>
""",
        description=(
            "{{ $labels.agent }}: {{ $value | humanizePercentage }} of the tasks of the last <window> were completed; "
            "below <threshold> pages."
        ),
        labels=("agent",),
        panel=links.TASK_COMPLETION,
    ),
    Alert(
        name="AgentExporterDown",
        area="stack",
        summary="An agent's metrics endpoint does not answer: it is down, or we are blind.",
        fires_when="a scrape target is down",
        expr='up{job="<job>"} == 0',
        description="{{ $labels.job }}: {{ $labels.instance }} has not answered Prometheus for the last <for>.",
        labels=("job", "instance"),
        panel=links.AGENTS_UP,
        inhibits=("AgentExporterAbsent",),
        inhibit_equal=("job",),
    ),
    Alert(
        name="AgentExporterAbsent",
        area="stack",
        summary="Prometheus has no agent to scrape at all.",
        fires_when="no scrape target at all",
        expr='absent(up{job="<job>"})',
        description="{{ $labels.job }}: Prometheus has had no target in this job for the last <for>.",
        labels=("job",),
        panel=links.AGENTS_UP,
    ),
    Alert(
        name="AgentGaugeWatchdog",
        area="stack",
        summary="Always fires: when it stops, Prometheus or Alertmanager is not working.",
        fires_when="always (dead-man switch)",
        expr="vector(1)",
        description="The alerting chain works. A dead-man service should expect this alert and page when it stops.",
        labels=(),
        panel=links.FIRING_ALERTS,
    ),
)


def by_name(name: str) -> Alert:
    """The alert of that name; KeyError if there is none."""
    for alert in ALERTS:
        if alert.name == name:
            return alert
    raise KeyError(name)
