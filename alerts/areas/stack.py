"""The chain itself: is there anything to see, and does alerting work?"""

from __future__ import annotations

from alerts import links
from alerts.model import Alert

ALERTS = (
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
