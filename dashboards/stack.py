"""Stack: does the chain itself work, from the scrape over the rules to the page."""

from __future__ import annotations

from alerts import links
from dashboards.model import (
    BYTES,
    CORES,
    COUNT,
    PER_MINUTE,
    RATIO,
    SECONDS,
    Dashboard,
    Limit,
    Panel,
    Query,
    Row,
)

# What Prometheus and Alertmanager say about themselves, in the jobs that alerts/prometheus.yml scrapes them in.
PROMETHEUS = 'job="prometheus"'
ALERTMANAGER = 'job="alertmanager"'

TARGETS = 'job=~"$job", instance=~"$instance"'
"""Every target with All chosen; the agents' own where one of them is."""


def _by_group(series: str) -> str:
    """Prometheus names a rule group by its file and its name: keep the name, which is unique."""
    return f'max by (group) (label_replace({series}, "group", "$1", "rule_group", ".*;(.*)"))'


AT_A_GLANCE = Row(
    "At a glance",
    (
        Panel(
            id=100,
            title="Targets up",
            description="Share of all scrape targets that answer: agents, Prometheus and Alertmanager.",
            kind="stat",
            unit=RATIO,
            span=4,
            height=4,
            limits=(Limit(1, "below"),),
            queries=(Query(f"avg(up{{{TARGETS}}})"),),
        ),
        Panel(
            id=101,
            title="Series",
            description="Time series that Prometheus holds in memory.",
            kind="stat",
            unit=COUNT,
            span=4,
            height=4,
            queries=(Query(f"sum(prometheus_tsdb_head_series{{{PROMETHEUS}}})"),),
        ),
        Panel(
            id=102,
            title="Rule failures",
            description="Evaluations of rules that failed or were skipped in the last hour.",
            kind="stat",
            unit=COUNT,
            span=4,
            height=4,
            limits=(Limit(1, "above"),),
            queries=(
                Query(f"""
round(
  sum(increase(prometheus_rule_evaluation_failures_total{{{PROMETHEUS}}}[1h]))
  +
  sum(increase(prometheus_rule_group_iterations_missed_total{{{PROMETHEUS}}}[1h]))
)
"""),
            ),
        ),
        Panel(
            id=103,
            title="Notifications failed",
            description="Alerts that did not reach Alertmanager, and pages that did not leave it, in the last hour.",
            kind="stat",
            unit=COUNT,
            span=4,
            height=4,
            limits=(Limit(1, "above"),),
            queries=(
                Query(f"""
round(
  sum(increase(prometheus_notifications_dropped_total{{{PROMETHEUS}}}[1h]))
  +
  sum(increase(alertmanager_notifications_failed_total{{{ALERTMANAGER}}}[1h]))
)
"""),
            ),
        ),
        Panel(
            id=104,
            title="Telemetry errors",
            description="Faults that the exporter swallowed in the last 15 minutes; the agent never saw them.",
            kind="stat",
            unit=COUNT,
            span=4,
            height=4,
            limits=(Limit(1, "above"),),
            queries=(Query("round(sum(increase(<exporter_errors>{<where>}[15m])))"),),
        ),
        Panel(
            id=105,
            title="Label overflow",
            description="Label values folded into `other` in the last hour.",
            kind="stat",
            unit=COUNT,
            span=4,
            height=4,
            limits=(Limit(1, "above"),),
            queries=(Query("round(sum(increase(<label_overflow>{<where>}[1h])))"),),
        ),
    ),
)

INSTRUMENTATION = Row(
    "Instrumentation",
    (
        Panel(
            id=links.TELEMETRY_ERRORS.panel_id,
            title="Telemetry errors",
            description=(
                "Faults that the exporter swallowed in the alert's window, by where; the agent never saw them. Any at "
                "all fires the alert."
            ),
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(
                Query("sum by (agent) (increase(<exporter_errors>{<where>}[<window>]))", legend="{{agent}}, all"),
                Query(
                    "sum by (agent, site) (increase(<exporter_errors>{<where>}[<window>])) > 0",
                    legend="{{agent}} {{site}}",
                ),
            ),
        ),
        Panel(
            id=links.LABEL_OVERFLOW.panel_id,
            title="Label overflow",
            description=(
                "Label values folded into `other` in the alert's window: something is not bounded as it should be. Any "
                "at all fires the alert."
            ),
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(
                Query("sum by (agent) (increase(<label_overflow>{<where>}[<window>]))", legend="{{agent}}, all"),
                Query(
                    "sum by (agent, metric, label) (increase(<label_overflow>{<where>}[<window>])) > 0",
                    legend="{{agent}} {{metric}} {{label}}",
                ),
            ),
        ),
    ),
)

SCRAPES = Row(
    "Scrapes",
    (
        Panel(
            id=106,
            title="Scrape duration",
            description="How long each target took to answer.",
            kind="timeseries",
            unit=SECONDS,
            span=8,
            queries=(
                Query(f"max by (job, instance) (scrape_duration_seconds{{{TARGETS}}})", legend="{{job}} {{instance}}"),
            ),
        ),
        Panel(
            id=107,
            title="Samples per scrape",
            description="How many series each target shows; one that keeps growing has a label that is not bounded.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            queries=(
                Query(f"max by (job, instance) (scrape_samples_scraped{{{TARGETS}}})", legend="{{job}} {{instance}}"),
            ),
        ),
        Panel(
            id=108,
            title="Series in memory",
            description="Time series that Prometheus holds: its memory follows from them.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            queries=(
                Query(f"sum(prometheus_tsdb_head_series{{{PROMETHEUS}}})", legend="series"),
                Query(
                    f"60 * sum(rate(prometheus_tsdb_head_series_created_total{{{PROMETHEUS}}}[$__rate_interval]))",
                    legend="created per minute",
                ),
            ),
        ),
    ),
)

RULES = Row(
    "Rules",
    (
        Panel(
            id=109,
            title="Evaluation time",
            description="How long Prometheus took to evaluate each group of rules; it has ten seconds for all of them.",
            kind="timeseries",
            unit=SECONDS,
            span=12,
            queries=(
                Query(
                    _by_group(f"prometheus_rule_group_last_duration_seconds{{{PROMETHEUS}}}"),
                    legend="{{group}}",
                ),
            ),
        ),
        Panel(
            id=110,
            title="Failed and skipped evaluations",
            description="In the last 15 minutes, by group: an alert that is not evaluated cannot fire.",
            kind="timeseries",
            unit=COUNT,
            span=12,
            queries=(
                Query(
                    _by_group(f"increase(prometheus_rule_evaluation_failures_total{{{PROMETHEUS}}}[15m])"),
                    legend="{{group}} failed",
                ),
                Query(
                    _by_group(f"increase(prometheus_rule_group_iterations_missed_total{{{PROMETHEUS}}}[15m]) > 0"),
                    legend="{{group}} skipped",
                ),
            ),
        ),
    ),
)

NOTIFICATIONS = Row(
    "Notifications",
    (
        Panel(
            id=111,
            title="Prometheus to Alertmanager",
            description="Alerts per minute: sent, refused, and dropped because no Alertmanager took them.",
            kind="timeseries",
            unit=PER_MINUTE,
            span=8,
            queries=(
                Query(
                    f"60 * sum(rate(prometheus_notifications_sent_total{{{PROMETHEUS}}}[5m]))",
                    legend="sent",
                ),
                Query(
                    f"60 * sum(rate(prometheus_notifications_errors_total{{{PROMETHEUS}}}[5m]))",
                    legend="failed",
                ),
                Query(
                    f"60 * sum(rate(prometheus_notifications_dropped_total{{{PROMETHEUS}}}[5m]))",
                    legend="dropped",
                ),
            ),
        ),
        Panel(
            id=112,
            title="Alertmanager to receivers",
            description="Notifications of the last 15 minutes by the kind of receiver, and those that failed.",
            kind="timeseries",
            unit=COUNT,
            span=8,
            queries=(
                Query(
                    f"sum by (integration) (increase(alertmanager_notifications_total{{{ALERTMANAGER}}}[15m])) > 0",
                    legend="{{integration}}",
                ),
                Query(
                    f"sum(increase(alertmanager_notifications_failed_total{{{ALERTMANAGER}}}[15m]))",
                    legend="failed",
                ),
            ),
        ),
        Panel(
            id=113,
            title="Notification latency",
            description="Mean time until Alertmanager took an alert from Prometheus, and until a receiver took it.",
            kind="timeseries",
            unit=SECONDS,
            span=8,
            queries=(
                Query(
                    f"""
sum(rate(prometheus_notifications_latency_seconds_sum{{{PROMETHEUS}}}[5m]))
/
(sum(rate(prometheus_notifications_latency_seconds_count{{{PROMETHEUS}}}[5m])) > 0)
""",
                    legend="to Alertmanager",
                ),
                Query(
                    f"""
sum by (integration) (rate(alertmanager_notification_latency_seconds_sum{{{ALERTMANAGER}}}[15m]))
/
(sum by (integration) (rate(alertmanager_notification_latency_seconds_count{{{ALERTMANAGER}}}[15m])) > 0)
""",
                    legend="to {{integration}}",
                ),
            ),
        ),
    ),
)

PROCESSES = Row(
    "Processes",
    (
        Panel(
            id=114,
            title="Memory",
            description="Resident memory of each process that shows it: agents, Prometheus and Alertmanager.",
            kind="timeseries",
            unit=BYTES,
            span=12,
            queries=(
                Query(
                    f"max by (job, instance) (process_resident_memory_bytes{{{TARGETS}}})",
                    legend="{{job}} {{instance}}",
                ),
            ),
        ),
        Panel(
            id=115,
            title="CPU",
            description="Processor cores in use by each process that shows it.",
            kind="timeseries",
            unit=CORES,
            span=12,
            queries=(
                Query(
                    f"sum by (job, instance) (rate(process_cpu_seconds_total{{{TARGETS}}}[$__rate_interval]))",
                    legend="{{job}} {{instance}}",
                ),
            ),
        ),
    ),
)

STACK = Dashboard(
    uid=links.STACK,
    title="AgentGauge Stack",
    description="Does the chain itself work, from the scrape over the rules to the page.",
    source="dashboards/stack.py",
    variables=("job", "instance", "agent"),
    rows=(AT_A_GLANCE, INSTRUMENTATION, SCRAPES, RULES, NOTIFICATIONS, PROCESSES),
)
