"""From catalog and thresholds to Prometheus rule files."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import yaml

from agentgauge.metrics import MetricSpec
from alerts import links, promql
from alerts.catalog import ALERTS, RECORDS
from alerts.deployment import DEMO, Deployment
from alerts.model import Alert, Record
from alerts.promql import Duration, fill
from alerts.thresholds import LOOKS, Numbers, Threshold, ThresholdError, Thresholds

HEADER = "# Generated from alerts/areas and alerts/thresholds.yml by `make generate`; do not edit.\n"

_NUMBERS = re.compile(
    rf"<(threshold|le|evidence|scatter|z|hour|day|window|window\.seconds|(?:{'|'.join(LOOKS)})\.(?:window|z))>"
)
"""The holes that thresholds.yml fills."""
_DURATION_LITERAL = re.compile(r"(?<![\w.])(\d+[smhdw])(?=[\]:\s)]|$)")


@dataclass(frozen=True)
class RenderedAlert:
    """An alert with its numbers in: ready to be written as a rule, a fact box or a row of a table.

    ``only_agent`` is the agent that the rule is for alone, where that agent has its own numbers.
    """

    alert: Alert
    numbers: Numbers
    expr: str
    fires_when: str
    description: str
    runbook_url: str
    dashboard_url: str
    incident_url: str
    only_agent: str = ""

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations every alert carries; ``incident_url`` only where the bundle's own pager is in use."""
        follow = {"incident_url": self.incident_url} if self.incident_url else {}
        return {
            "summary": self.alert.summary,
            "description": self.description,
            "runbook_url": self.runbook_url,
            "dashboard_url": self.dashboard_url,
            **follow,
        }


def render(thresholds: Thresholds, deployment: Deployment = DEMO) -> list[RenderedAlert]:
    """All alerts with their numbers in, with the job, the links and the speed of a deployment.

    ThresholdError when file and catalog do not fit: an alert without numbers, numbers without an alert, a number the
    alert needs but does not get, or a threshold that is not a bucket boundary of its histogram.
    """
    known = {alert.name for alert in ALERTS}
    for name, numbers in thresholds.alerts.items():
        if name not in known:
            raise _error(numbers, f"{name} is not an alert of alerts/catalog.py")
    rendered = []
    for alert in ALERTS:
        if alert.name not in thresholds.alerts:
            raise ThresholdError(f"{thresholds.path.name}: {alert.name} has no numbers; give it at least a severity")
        own = {agent: alerts[alert.name] for agent, alerts in thresholds.agents.items() if alert.name in alerts}
        common = _render(alert, thresholds.alerts[alert.name], deployment)
        rendered.append(_without(common, list(own)))
        rendered += [_only(_render(alert, numbers, deployment), agent) for agent, numbers in own.items()]
    return rendered


def _without(common: RenderedAlert, agents: list[str]) -> RenderedAlert:
    """The rule for all agents but those that have one for themselves."""
    if not agents:
        return common
    return replace(common, expr=promql.narrowed(common.expr, _none_of(agents)))


def _none_of(agents: list[str]) -> str:
    names = "|".join(agent.replace(".", "[.]") for agent in agents)
    return f'agent!~"{names}"'


def _only(item: RenderedAlert, agent: str) -> RenderedAlert:
    """The rule for one agent that has other numbers."""
    alert = item.alert
    if "agent" not in alert.labels:
        raise _error(item.numbers, f"{alert.name} is not about one agent, so its numbers cannot differ for {agent}")
    return replace(item, expr=promql.narrowed(item.expr, f'agent="{agent}"'), only_agent=agent)


def rule_files(rendered: list[RenderedAlert], deployment: Deployment = DEMO) -> dict[str, str]:
    """File name → YAML text, one file an area."""
    areas = dict.fromkeys([*(record.area for record in RECORDS), *(item.alert.area for item in rendered)])
    return {f"{area}.yml": HEADER + _to_yaml(_group(area, rendered, deployment.speed)) for area in areas}


def faster(query: str, speed: float) -> str:
    """A query with every duration in it divided by ``speed``."""
    if speed == 1:
        return query
    return _DURATION_LITERAL.sub(lambda match: str(Duration.parse(match[1]).faster(speed)), query)


def _record(record: Record, items: list[RenderedAlert], speed: float) -> list[dict[str, Any]]:
    """A recording rule with the windows of its alert; where agents have other ones, one for each of them as well."""
    template = faster(record.expr, speed)
    queries = [_filled(template, holes(item.alert, item.numbers)) for item in items] or [fill(template)]
    if len(set(queries)) == 1:
        return [{"record": record.name, "expr": _Literal(queries[0])}]
    own = [item.only_agent for item in items if item.only_agent]
    rules: list[dict[str, Any]] = []
    for item, query in zip(items, queries, strict=True):
        if item.only_agent:  # as in _rule, the label tells the rules of one name apart
            narrowed = promql.narrowed(query, f'agent="{item.only_agent}"')
            labels = {"labels": {"agent": item.only_agent}}
        else:
            narrowed, labels = promql.narrowed(query, _none_of(own)), {}
        rules.append({"record": record.name, "expr": _Literal(narrowed), **labels})
    return rules


def holes(alert: Alert, numbers: Numbers) -> dict[str, object]:
    """What the numbers of an alert put into the holes of its query."""
    values: dict[str, object] = {}
    if numbers.threshold is not None:
        values["threshold"] = f"{numbers.threshold.value:g}"
        if alert.boundary_of is not None:
            values["le"] = _boundary(numbers, numbers.threshold, alert.boundary_of)
    others = {
        "evidence": numbers.evidence,
        "scatter": numbers.scatter,
        "z": numbers.z,
        "hour": numbers.hour,
        "day": numbers.day,
    }
    for name, number in others.items():
        if number is not None:
            values[name] = f"{number.value:g}"
    if numbers.window is not None:
        values["window"] = numbers.window
        values["window.seconds"] = f"{numbers.window.seconds:g}"
    for name, look in numbers.looks.items():
        values[f"{name}.window"] = look.window
        values[f"{name}.hours"] = f"{look.window.seconds / 3600:g}"
        if look.z is not None:
            values[f"{name}.z"] = f"{look.z:g}"
    return values


def _filled(template: str, values: dict[str, object]) -> str:
    return fill(template, **{name: value for name, value in values.items() if f"<{name}>" in template})


def _group(area: str, rendered: list[RenderedAlert], speed: float) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    for record in RECORDS:
        if record.area == area:
            rules += _record(record, [item for item in rendered if item.alert.name == record.of], speed)
    rules += [_rule(item) for item in rendered if item.alert.area == area]
    return {"groups": [{"name": f"agentgauge-{area}", "rules": rules}]}


def _rule(item: RenderedAlert) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": item.alert.name, "expr": _Literal(item.expr)}
    if item.numbers.for_ is not None:
        rule["for"] = str(item.numbers.for_)
    if item.numbers.keep_firing_for is not None:
        rule["keep_firing_for"] = str(item.numbers.keep_firing_for)
    labels: dict[str, str] = {"severity": item.numbers.severity}
    if item.only_agent:  # its series have this label anyway; promtool tells the rules of one alert apart by it
        labels["agent"] = item.only_agent
    return rule | {"labels": labels, "annotations": item.annotations}


def _render(alert: Alert, numbers: Numbers, deployment: Deployment) -> RenderedAlert:
    scaled = _faster_numbers(numbers, deployment.speed)
    values = {"job": deployment.job, **holes(alert, numbers)}
    if scaled.window is not None:
        values["window.seconds"] = f"{scaled.window.seconds:g}"  # no duration, which is made faster below
    _check_fit(alert, values, numbers)
    return RenderedAlert(
        alert=alert,
        numbers=scaled,
        expr=faster(_filled(alert.expr, values), deployment.speed),
        fires_when=_in_words(alert.fires_when, scaled),
        description=_in_words(alert.description, scaled) + _by_chance(scaled),
        runbook_url=links.runbook_url(deployment.runbooks, alert.name, alert.labels),
        dashboard_url=links.dashboard_url(deployment.grafana, alert.panel, alert.labels),
        incident_url=_incident_url(alert, deployment.incidents),
    )


def _incident_url(alert: Alert, base: str) -> str:
    values = {label: f"{{{{ $labels.{label} | urlquery }}}}" for label in alert.labels}
    return links.incident_url(base, alert.name, values) if base else ""


def _boundary(numbers: Numbers, threshold: Threshold, histogram: MetricSpec) -> str:
    try:
        return histogram.le(threshold.value)
    except ValueError as error:
        raise _error(numbers, f"threshold.value: {error}") from None


def _check_fit(alert: Alert, values: dict[str, object], numbers: Numbers) -> None:
    """Raise unless thresholds.yml gives what the alert's queries have holes for, and nothing that they do not use."""
    queries = alert.expr + "".join(record.expr for record in RECORDS if record.of == alert.name)
    asked = set(_NUMBERS.findall(queries))
    for hole in sorted(asked - values.keys()):
        name = "threshold" if hole == "le" else hole.partition(".")[0]
        raise _error(numbers, f"{name} is missing, the alert's expression needs it")
    used = {"threshold" if hole == "le" else hole.partition(".")[0] for hole in asked}
    if numbers.looks:
        used.add("window")  # that of the promise, for panels and pages
        if numbers.window not in [look.window for look in numbers.looks.values()]:
            raise _error(numbers, "window is what the panel shows: it has to be the window of one of the looks")
    given = {hole.partition(".")[0] for hole in values} - {"job", "le"}
    for name in sorted(given - used):
        counted_by_agent = ("<sessions_over_limit>", "<users_over_daily_cost>")
        of_agent = name == "threshold" and any(metric in alert.expr for metric in counted_by_agent)
        where = "; that limit is the agent's own: SessionLimits(…)" if of_agent else ""
        raise _error(numbers, f"{name} is given, but the alert's expression does not use it{where}")


def _in_words(template: str, numbers: Numbers) -> str:
    words: dict[str, object] = {
        "threshold": numbers.threshold,
        "evidence": numbers.evidence,
        "hour": numbers.hour,
        "day": numbers.day,
        "window": numbers.window,
        "for": numbers.for_,
        **{f"{name}.window": look.window for name, look in numbers.looks.items()},
    }
    for hole, value in words.items():
        if f"<{hole}>" in template:
            if value is None:
                raise _error(numbers, f"{hole} is missing, the alert's description names it")
            template = template.replace(f"<{hole}>", str(value))
    return template


def _by_chance(numbers: Numbers) -> str:
    """How seldom an agent that keeps its promise is seen as bad as that where least is asked for, for a share.

    That of a mean rests on how much single values scatter, which is a bound and not known.
    """
    z = min((look.z for look in numbers.looks.values() if look.z), default=numbers.z.value if numbers.z else None)
    if z is None or numbers.scatter:
        return ""
    once_in = 2 / math.erfc(z / math.sqrt(2))
    return f" Chance alone does that less than once in {_rounded_down(once_in)} looks."


def _rounded_down(number: float) -> int:
    size = 10 ** math.floor(math.log10(number))
    return int(number // size * size)


def _faster_numbers(numbers: Numbers, speed: float) -> Numbers:
    def scaled(duration: Duration | None) -> Duration | None:
        return duration.faster(speed) if duration else None

    return replace(
        numbers,
        window=scaled(numbers.window),
        for_=scaled(numbers.for_),
        keep_firing_for=scaled(numbers.keep_firing_for),
        looks={name: replace(look, window=look.window.faster(speed)) for name, look in numbers.looks.items()},
    )


def _error(numbers: Numbers, problem: str) -> ThresholdError:
    return ThresholdError(f"{numbers.file}:{numbers.line}: {problem}")


class _Literal(str):
    """A multi-line query, written as a YAML block so that it can be read and pasted."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """SafeDumper that indents list items and writes queries as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(
    _Literal,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", str(text), style="|" if "\n" in text else None
    ),
)


def _to_yaml(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
