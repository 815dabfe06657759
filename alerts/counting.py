"""What was counted within the window, also where that is not an increase: a series is born with its first event.

Such a series is taken at its value, but only if that can be of the window: its process began within it, or was watched
already when the series was not there. When scrapes come back after hours, or a new Prometheus meets an old process,
whatever that has counted in its life would be claimed otherwise.
"""

from __future__ import annotations

from textwrap import indent

OLD_STRANGER = """
unless on (job, instance, agent)
(
  time() - <process_start> >= <window.seconds>
  unless
  last_over_time(<process_start>[1h] offset <window>)
)
"""
"""After what a process has counted: not if it is older than the window and was not watched before it."""


def while_scraped(expr: str) -> str:
    """The same, of agents that were scraped in the last minutes: what one that is gone has counted is over with it.

    AgentGone says that it is gone. For what looks back further than a quarter of an hour.
    """
    return f"""
(
{indent(expr.strip(), "  ")}
)
and on (agent)
last_over_time(<build_info>[10m])
"""


def grown(counter: str) -> str:
    """How much each series of a counter, a hole with its matchers, grew within ``<window>``; no row where it did not.

    VictoriaMetrics takes a small first value for an increase, though nothing moved within the window.
    """
    return f"""
increase({counter}[<window>]) > 0
unless
max_over_time({counter}[<window>]) == min_over_time({counter}[<window>])
""".strip()


def counted(counter: str) -> str:
    """What each series counted from the first to the last scrape within ``<window>``: for windows of few scrapes.

    An increase is drawn out to the edges of the window: of two scrapes a minute apart, in two minutes, it makes three
    events six. A series that restarted within the window is counted by its increase all the same.
    """
    return f"""
max_over_time({counter}[<window>]) - min_over_time({counter}[<window>])
unless
resets({counter}[<window>]) > 0
or
increase({counter}[<window>])
""".strip()


def newly_counted(counter: str) -> str:
    """The same, and what a series that was born within the window has counted.

    A few minutes without scrapes make nothing new: a value of up to an hour before the window is the one to go on from.
    """
    before = f"last_over_time({counter}[1h] offset <window>)"
    return f"""
{grown(counter)}
or
{counter} - {before} > 0
or
{counter} > 0
unless
{before} <= {counter}
{OLD_STRANGER.strip()}
"""


def newly_over_limit(limit: str) -> str:
    """How many sessions of an agent passed this limit within ``<window>``; no row if none did."""
    counter = f'<sessions_over_limit>{{limit="{limit}"}}'
    return f"""
sum by (agent) (
{indent(grown(counter), "  ")}
)
"""


QUESTIONS_OF_A_LOOP = 4
"""A session in circles asks one or two before it has passed its limit, and about as many until it is given up."""

LOOPS_EXPLAIN_IT = f"""
(
  {QUESTIONS_OF_A_LOOP} * sum by (agent) (increase(<sessions_over_limit>{{limit="tool_calls"}}[<slow.window>]))
  >= <part>
)
""".strip()
"""Sessions that looped are enough for all of the ``<part>``: their turns are slow, their tasks fail.

Of the long window: a turn that loops is counted as slow when it ends, which may be long after it passed the limit.
"""

HANGING_EXPLAINS_IT = """
(
  2 * count by (agent) (
    last_over_time(<process_start>[<window>])
    and on (job, instance) max_over_time(ALERTS{alertname="AgentExporterDown", alertstate="firing"}[<window>])
  )
  >= count by (agent) (last_over_time(<process_start>[<window>]))
)
""".strip()
"""At least half of the replicas were paged as down in ``<window>``: calls that waited in one that hung end slowly.

With fewer it does not apply: what waited in one replica of many is too little to make an alert fire.
"""
