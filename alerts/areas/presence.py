"""Presence: is the agent there, does it stay there, and does it come back with its answers?"""

from __future__ import annotations

from alerts import links
from alerts.model import Alert

SETTLED_SECONDS = 540
"""A process that has lived so long, nine minutes, was not started by a crash loop: the alert ends."""

ALERTS = (
    Alert(
        name="AgentGone",
        area="presence",
        summary="An agent that was scraped is not there any more.",
        fires_when="an agent that was scraped in the last <window> is not any more, while the rest of its job is",
        # The gap of two minutes holds two scrapes of the longest interval that is supported. An instance that is a
        # target and does not answer is AgentExporterDown's, a job without any target AgentExporterAbsent's.
        expr="""
max by (agent) (last_over_time(<build_info>[<window>]) and on (job) last_over_time(up[2m]))
unless on (agent)
last_over_time(<build_info>[2m])
unless on (agent)
(last_over_time(<build_info>[<window>]) and on (job, instance) up == 0)
""",
        description=(
            "{{ $labels.agent }}: Prometheus scraped it within the last <window> and finds it no more, though other "
            "targets of its job answer."
        ),
        labels=("agent",),
        panel=links.REPLICAS,
    ),
    Alert(
        name="AgentCrashLooping",
        area="presence",
        summary="A replica of the agent is started again and again.",
        fires_when="a replica is started more than <threshold> times, and has not lived for nine minutes since",
        # Each newer process than all before it is a start. Behind an address that leads to several replicas in turn,
        # the start that is shown changes with each scrape and is no newer.
        expr=f"""
max by (agent, instance) (
  changes(max_over_time(<process_start>[<window>])[<window>:30s])
) > <threshold>
and on (agent, instance)
time() - max by (agent, instance) (max_over_time(<process_start>[<window>])) < {SETTLED_SECONDS}
""",
        description=(
            '{{ $labels.agent }}: {{ $labels.instance }} was started {{ $value | printf "%.0f" }} times in the last '
            "<window>; more than <threshold> is a crash loop."
        ),
        labels=("agent", "instance"),
        panel=links.STARTS,
    ),
    Alert(
        name="AgentHung",
        area="presence",
        summary="A turn does not end: somebody waits for an answer that does not come.",
        fires_when="the oldest turn in flight is older than <threshold>",
        expr="""
max by (agent) (<oldest_turn>) > <threshold>
""",
        description=(
            '{{ $labels.agent }}: the oldest turn has been going on for {{ $value | printf "%.0f" }} s; more than '
            "<threshold> is a turn that hangs."
        ),
        labels=("agent",),
        panel=links.OLDEST_TURN,
        inhibits=("AgentLatencySpike",),
    ),
)
