"""PromQL for panels: ``alerts.promql`` templates with one more hole, ``series{<where>, …}``.

``<where>`` becomes what ``selector`` writes for the series: the matchers of the dashboard's variables, as far as the
series carries such a label. The functions below are the idioms that many panels share; each returns a template.
"""

from __future__ import annotations

import re

from agentgauge import metrics
from agentgauge.metrics import MetricSpec
from alerts import promql
from alerts.areas.cost import SPEND
from alerts.evidence import Judged
from alerts.promql import PromqlError

RATE = "$__rate_interval"
"""Grafana's shortest window in which a counter surely has two points."""

_SELECTED = re.compile(r"(?P<series><[a-z_.]+>|[a-zA-Z_][\w:]*)\{<where>")
_OF_TARGETS = re.compile(r"up|scrape_\w+|process_\w+")
_OF_RECORDS = re.compile(r"(?P<level>[a-z_]+):\w+:\w+")


def fill(template: str, variables: tuple[str, ...], **values: object) -> str:
    """Fill a panel's template for a dashboard with these variables; PromqlError as in ``alerts.promql.fill``."""

    def select(match: re.Match[str]) -> str:
        return f"{match['series']}{{{selector(match['series'], variables)}"

    return promql.fill(_SELECTED.sub(select, template), **values).replace("{, ", "{")


def selector(series: str, variables: tuple[str, ...]) -> str:
    """The matchers that narrow a series to what is chosen; every matcher of a variable is written here.

    ``series`` is a hole (``<tool_calls>``), a recording rule, or what Prometheus itself shows; PromqlError if none.
    """
    if series in ("ALERTS", "ALERTS_FOR_STATE"):
        return 'agent=~"$agent|"'  # an alert such as a target that is down is of no agent
    for job in ("prometheus", "alertmanager"):
        if series.startswith(f"{job}_"):
            return f'job="{job}"'
    labels = _labels(series)
    return ", ".join(f'{name}=~"${name}"' for name in variables if name in labels)


def _labels(series: str) -> frozenset[str]:
    if series.startswith("<"):
        constant = series.strip("<>").partition(".")[0].upper()
        spec = getattr(metrics, constant, None)
        if not isinstance(spec, MetricSpec):
            raise PromqlError(f"{series}: agentgauge.metrics has no {constant}")
        return promql.TARGET_LABELS | set(spec.label_names)
    if _OF_TARGETS.fullmatch(series):
        return promql.TARGET_LABELS
    if record := _OF_RECORDS.fullmatch(series):
        return frozenset(record["level"].split("_"))  # agent_tool:…: a rule is named after the labels it keeps
    raise PromqlError(f"{series}: which labels does it have? dashboards/queries.py does not know")


VARIABLES = {
    "job": fill("label_values(<build_info>, job)", ()),
    "instance": fill("label_values(<build_info>{<where>}, instance)", ("job",)),
    "agent": fill("label_values(<build_info>{<where>}, agent)", ("job", "instance")),
    "tool": fill("label_values(<tool_calls>{<where>}, tool)", ("job", "instance", "agent")),
    "model": fill("label_values(<llm_calls>{<where>}, model)", ("job", "instance", "agent")),
}
"""Every variable a dashboard can have, and the query for its choices."""


# Idioms. `> 0` below a fraction and `>= 0` around a quantile drop NaN: where nothing happened there is no value.


def increase(metric: str, over: str, by: str = "", having: str = "") -> str:
    """How much a counter grew over a window."""
    return f"sum{_by(by)}(increase(<{metric}>{{<where>{_and(having)}}}[{over}]))"


def counted(metric: str, over: str, by: str = "", having: str = "") -> str:
    """As ``increase``, in whole numbers: for events that are few."""
    return f"round({increase(metric, over, by, having)})"


def per_minute(metric: str, by: str = "", having: str = "") -> str:
    """The current rate of a counter."""
    return f"60 * sum{_by(by)}(rate(<{metric}>{{<where>{_and(having)}}}[{RATE}]))"


def per_hour(metric: str, by: str = "", having: str = "") -> str:
    """The current rate of a counter, of money above all."""
    return f"3600 * sum{_by(by)}(rate(<{metric}>{{<where>{_and(having)}}}[{RATE}]))"


def share(metric: str, part: str, by: str = "", of: str = "", over: str = "<window>") -> str:
    """The share of a counter's growth that the matcher ``part`` selects, of all or of what ``of`` selects."""
    return f"{increase(metric, over, by, part)}\n/\n({increase(metric, over, by, of)} > 0)"


def spend(over: str) -> str:
    """What LLM and tools cost over a window: what the alerts on spend add up, of all agents that are chosen."""
    of_each_agent = SPEND.spent.replace("<window>", over)
    narrowed = re.sub(r"(<[a-z_]+>)", r"\1{<where>}", of_each_agent)
    return f"sum({narrowed})"


def share_judged(judged: Judged) -> str:
    """The share that an alert judges, over its slow window, from the rule that records it."""
    return f"{judged.share_in('slow')}{{<where>}} >= 0"


def mean(histogram: str, by: str = "", over: str = "<window>") -> str:
    """The mean of what a histogram counted."""
    return f"{increase(f'{histogram}.sum', over, by)}\n/\n({increase(f'{histogram}.count', over, by)} > 0)"


def quantile(q: float, histogram: str, by: str = "", over: str = "<window>") -> str:
    """A quantile of what a histogram counted."""
    labels = f"{by}, le" if by else "le"
    buckets = f"sum by ({labels}) (rate(<{histogram}.bucket>{{<where>}}[{over}]))"
    return f"histogram_quantile({q:g}, {buckets}) >= 0"


def buckets(histogram: str) -> str:
    """How many observations a minute each bucket of a histogram gets, for a heatmap."""
    return per_minute(f"{histogram}.bucket", "le")


def newly_counted(metric: str, by: str, over: str) -> str:
    """How much counters grew that are born at their first event, not an increase: a new one counts as it is."""
    now = f"sum by ({by}) (<{metric}>{{<where>}})"
    return f"""
(
  {now}
  unless
  sum by ({by}) (<{metric}>{{<where>}} offset {over})
)
or
{increase(metric, over, by)} > 0
"""


def ledger_gauge(gauge: str, by: str = "", having: str = "") -> str:
    """A gauge of the ledger, which every replica shows alike."""
    return f"max{_by(by)}(<{gauge}>{{<where>{_and(having)}}})"


def position(gauge: str, by: str) -> str:
    """Which of a 0/1 gauge's closed values is the one, as its position among them: 0, 1, 2…"""
    label = getattr(metrics, gauge.upper()).labels[-1]
    having = [f'{label.name}="{value}"' for value in label.values]
    each = [
        f"  {index} * {ledger_gauge(gauge, f'{by}, {label.name}', matcher)}" for index, matcher in enumerate(having)
    ]
    return f"sum by ({by}) (\n" + "\n  or\n".join(each) + "\n)"


def highest(query: str) -> str:
    """The highest of a query's series."""
    return f"max(\n{query}\n)"


def lowest(query: str) -> str:
    """The lowest of a query's series."""
    return f"min(\n{query}\n)"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


def _and(matcher: str) -> str:
    return f", {matcher}" if matcher else ""
