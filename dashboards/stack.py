"""Stack: does the chain itself work, from the scrape over the rules to the page."""

from __future__ import annotations

from alerts import links
from dashboards import queries
from dashboards.annotations import EVERYWHERE
from dashboards.model import Dashboard, Limit, Panel, Query, Row
from dashboards.shapes import headline, lines, stat
from dashboards.style import BYTES, CORES, COUNT, PER_MINUTE, RATIO, SECONDS

OF_TARGET = "{{job}} {{instance}}"


def _by_group(series: str) -> str:
    """Prometheus names a rule group by its file and its name: keep the name, which is unique."""
    return f'max by (group) (label_replace({series}, "group", "$1", "rule_group", ".*;(.*)"))'


def _lost(id: int, title: str, description: str, *counters: str) -> Panel:
    """A count of what should not happen."""

    def grown(over: str) -> str:
        each = "\n  +\n  ".join(f"sum(increase({counter}{{<where>}}[{over}]))" for counter in counters)
        return f"round(\n  {each}\n)"

    return headline(id, title, COUNT, description, grown, limit=Limit(1, "above"))


AT_A_GLANCE = Row(
    "At a glance",
    (
        stat(
            100,
            "Targets up",
            RATIO,
            "Share of all scrape targets that answer: agents, Prometheus and Alertmanager.",
            "avg(up{<where>})",
            limit=Limit(1, "below"),
        ),
        stat(
            101,
            "Series",
            COUNT,
            "Time series that Prometheus holds in memory.",
            "sum(prometheus_tsdb_head_series{<where>})",
        ),
        _lost(
            102,
            "Rule failures",
            "Evaluations of rules that failed or were skipped.",
            "prometheus_rule_evaluation_failures_total",
            "prometheus_rule_group_iterations_missed_total",
        ),
        _lost(
            103,
            "Notifications failed",
            "Alerts that did not reach Alertmanager, and pages that did not leave it.",
            "prometheus_notifications_dropped_total",
            "alertmanager_notifications_failed_total",
        ),
        _lost(
            104,
            "Telemetry errors",
            "Faults that the exporter swallowed; the agent never saw them.",
            "<exporter_errors>",
        ),
        _lost(105, "Label overflow", "Label values folded into `other`.", "<label_overflow>"),
    ),
)


def _by_cause(id: int, title: str, metric: str, labels: str, description: str) -> Panel:
    """Faults of the instrumentation: all of them, which is 0, and each cause that there is."""
    cause = " ".join(f"{{{{{label}}}}}" for label in labels.split(", "))
    return lines(
        id,
        title,
        COUNT,
        f"{description} Any at all fires the alert.",
        Query(queries.increase(metric, "<window>", "agent"), "{{agent}}, all"),
        Query(f"{queries.increase(metric, '<window>', labels)} > 0", cause),
        span=12,
    )


INSTRUMENTATION = Row(
    "Instrumentation",
    (
        _by_cause(
            links.TELEMETRY_ERRORS.panel_id,
            "Telemetry errors",
            "exporter_errors",
            "agent, site",
            "Faults that the exporter swallowed in the alert's window, by where; the agent never saw them.",
        ),
        _by_cause(
            links.LABEL_OVERFLOW.panel_id,
            "Label overflow",
            "label_overflow",
            "agent, metric, label",
            "Label values folded into `other` in the alert's window: something is not bounded as it should be.",
        ),
        lines(
            116,
            "Spans refused by the gateway",
            COUNT,
            "Requests with spans that `agentgauge gateway` did not take in an hour, by reason: what was in them is "
            "lost, unless the exporter sent it again, as it does when the gateway is busy. Without a gateway, nothing "
            "is shown.",
            Query(queries.increase("gateway_refused", "1h", "reason"), "{{reason}}"),
            span=12,
        ),
        lines(
            links.CONFIG_ERRORS.panel_id,
            "Files that cannot be used",
            COUNT,
            "1 while a replica cannot use the newest version of a file that it follows, and goes on with the last good "
            "one; 0 when it can. A file that nobody follows is not shown.",
            Query("max by (agent, instance, file) (<config_errors>{<where>})", "{{agent}} {{instance}} {{file}}"),
            span=12,
        ),
    ),
)

REPLICAS = Row(
    "Replicas",
    (
        lines(
            links.REPLICAS.panel_id,
            "Replicas seen",
            COUNT,
            "How many scrape targets show each agent. A line that ends is an agent that Prometheus no longer finds.",
            Query("count by (agent) (<build_info>{<where>})", "{{agent}}"),
            span=12,
        ),
        lines(
            links.STARTS.panel_id,
            "Starts",
            COUNT,
            "How often each replica was started in the alert's window.",
            Query("changes(max_over_time(<process_start>{<where>}[<window>])[<window>:30s])", "{{agent}} {{instance}}"),
            span=12,
            limits=(Limit("AgentCrashLooping", "above"),),
        ),
    ),
)

SCRAPES = Row(
    "Scrapes",
    (
        lines(
            106,
            "Scrape duration",
            SECONDS,
            "How long each target took to answer.",
            Query("max by (job, instance) (scrape_duration_seconds{<where>})", OF_TARGET),
        ),
        lines(
            107,
            "Samples per scrape",
            COUNT,
            "How many series each target shows; one that keeps growing has a label that is not bounded.",
            Query("max by (job, instance) (scrape_samples_scraped{<where>})", OF_TARGET),
        ),
        lines(
            108,
            "Series in memory",
            COUNT,
            "Time series that Prometheus holds: its memory follows from them.",
            Query("sum(prometheus_tsdb_head_series{<where>})", "series"),
            Query(
                f"60 * sum(rate(prometheus_tsdb_head_series_created_total{{<where>}}[{queries.RATE}]))",
                "created per minute",
            ),
        ),
    ),
)

ALERTING = Row(
    "Alerting itself",
    (
        lines(
            links.ALERTMANAGERS.panel_id,
            "Way to Alertmanager",
            COUNT,
            "How many Alertmanagers Prometheus knows, and the alerts of the window that none of them took. What cannot "
            "be sent pages nobody: the dead-man switch notices.",
            Query(
                "max by (instance) (prometheus_notifications_alertmanagers_discovered{<where>})", "{{instance}} knows"
            ),
            Query(
                "sum by (instance) (increase(prometheus_notifications_dropped_total{<where>}[<window>]))",
                "{{instance}} dropped",
            ),
            span=12,
        ),
        lines(
            links.NOTIFICATIONS_FAILED.panel_id,
            "Notifications failed",
            RATIO,
            "Share of Alertmanager's notifications that no receiver took, by its kind, over the alert's window.",
            Query(
                """
sum by (integration) (increase(alertmanager_notifications_failed_total{<where>}[<window>]))
/
(sum by (integration) (increase(alertmanager_notifications_total{<where>}[<window>])) > 0)
""",
                "{{integration}}",
            ),
            span=12,
            limits=(Limit("AlertmanagerFailedToSendAlerts", "above"),),
        ),
        lines(
            links.CONFIG_RELOADS.panel_id,
            "Configuration read",
            COUNT,
            "1 if the last reload of Prometheus or Alertmanager went well; at 0 it goes on with what it read before.",
            Query("max by (job, instance) (prometheus_config_last_reload_successful{<where>})", OF_TARGET),
            Query("max by (job, instance) (alertmanager_config_last_reload_successful{<where>})", OF_TARGET),
            span=24,
            height=6,
        ),
    ),
)

RULES = Row(
    "Rules",
    (
        lines(
            109,
            "Evaluation time",
            SECONDS,
            "How long Prometheus took to evaluate each group of rules; it has ten seconds for all of them.",
            Query(_by_group("prometheus_rule_group_last_duration_seconds{<where>}"), "{{group}}"),
            span=12,
        ),
        lines(
            links.RULE_FAILURES.panel_id,
            "Failed and skipped evaluations",
            COUNT,
            "In the last 15 minutes, by group: an alert that is not evaluated cannot fire.",
            Query(_by_group("increase(prometheus_rule_evaluation_failures_total{<where>}[15m])"), "{{group}} failed"),
            Query(
                _by_group("increase(prometheus_rule_group_iterations_missed_total{<where>}[15m]) > 0"),
                "{{group}} skipped",
            ),
            span=12,
        ),
    ),
)

NOTIFICATIONS = Row(
    "Notifications",
    (
        lines(
            111,
            "Prometheus to Alertmanager",
            PER_MINUTE,
            "Alerts per minute: sent, refused, and dropped because no Alertmanager took them.",
            Query("60 * sum(rate(prometheus_notifications_sent_total{<where>}[5m]))", "sent"),
            Query("60 * sum(rate(prometheus_notifications_errors_total{<where>}[5m]))", "failed"),
            Query("60 * sum(rate(prometheus_notifications_dropped_total{<where>}[5m]))", "dropped"),
        ),
        lines(
            112,
            "Alertmanager to receivers",
            COUNT,
            "Notifications of the last 15 minutes by the kind of receiver, and those that failed.",
            Query(
                "sum by (integration) (increase(alertmanager_notifications_total{<where>}[15m])) > 0",
                "{{integration}}",
            ),
            Query("sum(increase(alertmanager_notifications_failed_total{<where>}[15m]))", "failed"),
        ),
        lines(
            113,
            "Notification latency",
            SECONDS,
            "Mean time until Alertmanager took an alert from Prometheus, and until a receiver took it.",
            Query(
                """
sum(rate(prometheus_notifications_latency_seconds_sum{<where>}[5m]))
/
(sum(rate(prometheus_notifications_latency_seconds_count{<where>}[5m])) > 0)
""",
                "to Alertmanager",
            ),
            Query(
                """
sum by (integration) (rate(alertmanager_notification_latency_seconds_sum{<where>}[15m]))
/
(sum by (integration) (rate(alertmanager_notification_latency_seconds_count{<where>}[15m])) > 0)
""",
                "to {{integration}}",
            ),
        ),
    ),
)

PROCESSES = Row(
    "Processes",
    (
        lines(
            114,
            "Memory",
            BYTES,
            "Resident memory of each process that shows it: agents, Prometheus and Alertmanager.",
            Query("max by (job, instance) (process_resident_memory_bytes{<where>})", OF_TARGET),
            span=12,
        ),
        lines(
            115,
            "CPU",
            CORES,
            "Processor cores in use by each process that shows it.",
            Query(f"sum by (job, instance) (rate(process_cpu_seconds_total{{<where>}}[{queries.RATE}]))", OF_TARGET),
            span=12,
        ),
    ),
)

STACK = Dashboard(
    uid=links.STACK,
    title="AgentGauge Stack",
    description="Does the chain itself work, from the scrape over the rules to the page.",
    source="dashboards/stack.py",
    variables=("job", "instance", "agent"),
    annotations=EVERYWHERE,
    rows=(AT_A_GLANCE, INSTRUMENTATION, REPLICAS, SCRAPES, ALERTING, RULES, NOTIFICATIONS, PROCESSES),
)
