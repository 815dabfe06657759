"""Monitoring's own failures, under the names that the ecosystem knows.

After the mixins of Prometheus (documentation/prometheus-mixin) and Alertmanager (doc/alertmanager-mixin). Whoever has
those loaded already leaves this file out: rules of the same names page twice.
"""

from __future__ import annotations

from alerts import links
from alerts.model import Alert

ALERTS = (
    Alert(
        name="PrometheusRuleFailures",
        area="monitoring",
        summary="A rule cannot be evaluated: its alert cannot fire, and says nothing of it.",
        fires_when="the evaluation of a rule fails",
        expr="increase(prometheus_rule_evaluation_failures_total[<window>]) > 0",
        description=(
            '{{ $labels.job }}: in {{ $labels.instance }} {{ $value | printf "%.0f" }} evaluations of the group '
            "{{ $labels.rule_group }} failed in the last <window>."
        ),
        labels=("job", "instance", "rule_group"),
        panel=links.RULE_FAILURES,
    ),
    Alert(
        name="PrometheusNotConnectedToAlertmanagers",
        area="monitoring",
        summary="Prometheus reaches no Alertmanager: no page leaves, whatever fires.",
        fires_when="Prometheus knows no Alertmanager, or none takes its alerts",
        # The mixin asks for the first alone, and does not see an Alertmanager that is known and does not answer. Newer
        # Prometheus counts what it dropped for each of them: one that takes alerts is enough.
        expr="""
max_over_time(prometheus_notifications_alertmanagers_discovered[<window>]) < 1
or
min without (alertmanager) (increase(prometheus_notifications_dropped_total[<window>])) > 0
""",
        description=(
            "{{ $labels.job }}: {{ $labels.instance }} knows no Alertmanager, or none took its alerts in the last "
            "<window>: nobody is paged."
        ),
        labels=("job", "instance"),
        panel=links.ALERTMANAGERS,
    ),
    Alert(
        name="PrometheusBadConfig",
        area="monitoring",
        summary="Prometheus could not read its configuration again, and goes on with the one before.",
        fires_when="the last reload of Prometheus failed",
        # Over a window, so that a scrape that fails does not hide it.
        expr="max_over_time(prometheus_config_last_reload_successful[<window>]) == 0",
        description=(
            "{{ $labels.job }}: {{ $labels.instance }} could not read its configuration; it goes on with the one "
            "before, and would not start again."
        ),
        labels=("job", "instance"),
        panel=links.CONFIG_RELOADS,
    ),
    Alert(
        name="AlertmanagerFailedToSendAlerts",
        area="monitoring",
        summary="Alertmanager cannot deliver: pages do not arrive.",
        fires_when="failed / all notifications of a kind of receiver > <threshold>",
        expr="""
sum by (job, instance, integration) (increase(alertmanager_notifications_failed_total[<window>]))
/
sum by (job, instance, integration) (increase(alertmanager_notifications_total[<window>]))
> <threshold>
""",
        description=(
            "{{ $labels.job }}: {{ $value | humanizePercentage }} of what {{ $labels.instance }} sent "
            "by {{ $labels.integration }} in the last <window> did not arrive; more than <threshold> is not a "
            "passing fault."
        ),
        labels=("job", "instance", "integration"),
        panel=links.NOTIFICATIONS_FAILED,
    ),
    Alert(
        name="AlertmanagerFailedReload",
        area="monitoring",
        summary="Alertmanager could not read its configuration again, and goes on with the one before.",
        fires_when="the last reload of Alertmanager failed",
        expr="max_over_time(alertmanager_config_last_reload_successful[<window>]) == 0",
        description=(
            "{{ $labels.job }}: {{ $labels.instance }} could not read its configuration; it goes on with the one "
            "before, and would not start again."
        ),
        labels=("job", "instance"),
        panel=links.CONFIG_RELOADS,
    ),
)
