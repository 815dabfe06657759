"""The chain itself: is there anything to see, and does alerting work?"""

from __future__ import annotations

from textwrap import indent

from alerts import links
from alerts.counting import newly_counted, while_scraped
from alerts.model import Alert

WATCHDOG = "AgentGaugeWatchdog"
"""It always fires, so that its silence is heard."""

ALERTS = (
    Alert(
        name="AgentExporterDown",
        area="stack",
        summary="An agent's metrics endpoint does not answer: it is down, or we are blind.",
        fires_when="a scrape target is down",
        expr='up{job="<job>"} == 0',
        description=("{{ $labels.job }}: {{ $labels.instance }} has not answered Prometheus for the last <for>."),
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
        name=WATCHDOG,
        area="stack",
        summary="Always fires: when it stops, Prometheus or Alertmanager is not working.",
        fires_when="always (dead-man switch)",
        expr="vector(1)",
        description=("The alerting chain works. A dead-man service should expect this alert and page when it stops."),
        labels=(),
        panel=links.ALERTMANAGERS,
    ),
    Alert(
        name="AgentTelemetryErrors",
        area="stack",
        summary="The instrumentation swallowed faults: some figures are too low.",
        fires_when="the exporter swallowed faults",
        # A fault before the first scrape is not an increase, but a change: start-up is when most of them happen.
        expr=f"""
sum by (agent) (
{indent(newly_counted("<exporter_errors>").strip(), "  ")}
)
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} telemetry fault(s) in the last <window>; the '
            "agent went on, its figures are incomplete."
        ),
        labels=("agent",),
        panel=links.TELEMETRY_ERRORS,
    ),
    Alert(
        name="AgentLabelOverflow",
        area="stack",
        summary="Label values are folded into other: detail is lost.",
        fires_when="label values folded into `other`",
        # As above: values folded before the first scrape count as well. A model that is folded has no price either:
        # AgentUnpricedModel says so when it answers, AgentModelGone when the provider does not know it.
        expr=while_scraped(f"""
sum by (agent) (
{indent(newly_counted('<label_overflow>{label!="model"}').strip(), "  ")}
)
"""),
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} value(s) of the last <window> were counted as other.'
        ),
        labels=("agent",),
        panel=links.LABEL_OVERFLOW,
    ),
    Alert(
        name="AgentConfigError",
        area="stack",
        summary="A file that the agent follows cannot be used: what was changed in it is not in force.",
        fires_when="a watched file cannot be used",
        expr="max by (agent, file) (<config_errors>) == 1",
        description=(
            "{{ $labels.agent }}: {{ $labels.file }} has not been usable for the last <for>, so that its last good "
            "version is in force; the agent's log says what is wrong with it."
        ),
        labels=("agent", "file"),
        panel=links.CONFIG_ERRORS,
    ),
)
