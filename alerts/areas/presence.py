"""Presence: is the agent there, does it stay there, and does it come back with its answers?"""

from __future__ import annotations

from textwrap import indent

from alerts import links
from alerts.model import Alert, Record
from alerts.usual import of_each_week

SETTLED_SECONDS = 540
"""A process that has lived so long, nine minutes, was not started by a crash loop: the alert ends."""

LATELY = "agent:agent_sessions_opened:lately"
USUAL = "agent:agent_sessions_opened:usual"
USUAL_AHEAD = "agent:agent_sessions_opened:usual_ahead"


def _usual(mean_over: str, hours_ahead: int) -> str:
    """What is usual at this time, or so many hours later: the median of past weeks; before there are any, yesterday.

    A week that was a holiday is not what the others are measured by.
    """
    lately = f"avg_over_time({LATELY}[{mean_over}] offset <offset>)"
    return f"""
quantile by (agent) (
  0.5,
{indent(of_each_week(lately, hours_ahead), "  ")}
)
or
{lately.replace("<offset>", f"{24 - hours_ahead}h")}
"""


RECORDS = (
    Record(LATELY, "sum by (agent) (increase(<sessions_opened>[<window>]))", "presence", "AgentNoTraffic"),
    # Over two hours: what one window holds is a matter of chance.
    Record(USUAL, _usual("90m", 0), "presence", "AgentNoTraffic"),
    Record(USUAL_AHEAD, _usual("30m", 1), "presence", "AgentNoTraffic"),
)

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
        # the start that is shown changes with each scrape and is not newer. Not changes(): on VictoriaMetrics it takes
        # a replica that is seen for the first time for a change.
        expr=f"""
max by (agent, instance) (
  count_over_time(
    (
      max_over_time(<process_start>[<window>])
      >
      max_over_time(<process_start>[<window>] offset 30s)
    )[<window>:30s]
  )
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
        inhibits=("AgentLatencySpike", "AgentNoTraffic"),
    ),
    Alert(
        name="AgentNoTraffic",
        area="presence",
        summary="Nobody opens a conversation any more, at a time when people usually do.",
        fires_when="sessions opened fall below <threshold> what is usual at the same time of past weeks, rounded down",
        # A tenth is rounded down: where twelve are usual, chance leaves one session a dozen times as often as none.
        # It begins where it fell: not on a day that began without traffic, as a holiday does, nor in the evening,
        # when the hour ahead is usually quieter; nor after a stop of the scrapes, which is AgentGone's. A night does
        # not end it.
        expr=f"""
{LATELY}
and
(
  (
    {LATELY} < clamp_min(floor(<threshold> * {USUAL}), 1)
    and {USUAL} >= <evidence>
    and {USUAL_AHEAD} > 0.75 * {USUAL}
    and
    (
      avg_over_time({LATELY}[30m] offset <window>) > 2 / 3 * {USUAL}
      or
      avg_over_time({LATELY}[90m] offset <window>) > 2 / 3 * {USUAL}
    )
    and on (agent) <sessions_opened> offset 10m
    and on (agent) <sessions_opened> offset 20m
    and on (agent) <sessions_opened> offset <window>
  )
  or
  ({LATELY} < 1 or {LATELY} < <threshold> * {USUAL})
  and on (agent) ALERTS{{alertname="AgentNoTraffic", alertstate="firing"}}
)
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} sessions were opened in the last <window>; at this time '
            f"it is usually {{{{ with printf `{USUAL}{{agent=%q}}` $labels.agent | query }}}}"
            '{{ . | first | value | printf "%.0f" }}{{ else }}more{{ end }}, and below <threshold> that is none.'
        ),
        labels=("agent",),
        panel=links.SESSIONS_OPENED,
        baseline="the median of the same time in the last four weeks; in the first week, yesterday's",
    ),
)
