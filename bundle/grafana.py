"""The alerts for those who let Grafana judge: rules, contact points and policies as files that Grafana provisions.

The rules are those of Prometheus, and so are the recording rules below them, which stay in Prometheus. Grafana asks
whether a number is zero, where Prometheus asks whether there is one; so each rule asks, as Grafana's own import of
Prometheus' rules does, whether what came back is a number.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import alerting, dashboard, expr, prometheus

from alerts.deployment import Deployment
from alerts.rules import RenderedAlert, render, rule_files
from alerts.thresholds import Thresholds
from bundle.configuration import INTERVAL, alertmanager_yml, parsed_matcher
from bundle.files import dashboard_files
from bundle.manifest import to_yaml

DATASOURCE = "prometheus"
"""The uid of the data source, as dashboards/provisioning has it."""
FOLDER = "AgentGauge"
WRITTEN_BY = "# Written by `agentgauge bundle --format grafana`; write it again rather than edit it.\n"
LONGEST_UID = 40
QUERY, IS_THERE, CONDITION = "A", "B", "C"
NEVER = "agentgauge-never"
"""The times at which nobody is told of what has no receiver; Grafana has no contact point that tells nobody."""
LOOKS_BACK_SECONDS = 600
"""What Grafana wants to know of each query; a query for one moment does not use it."""
STATES_RULE = {"record": "ALERTS", "expr": "GRAFANA_ALERTS"}
"""Rules and panels ask which alerts fire; Grafana writes that down under a name of its own."""


def grafana_files(deployment: Deployment, thresholds: Thresholds) -> dict[str, str]:
    """Path below the bundle's folder → text: ``alerting/`` for Grafana, ``rules/`` for Prometheus, dashboards."""
    rendered = render(thresholds, deployment)
    alertmanager = yaml.safe_load(alertmanager_yml(deployment))
    alerting_files: dict[str, dict[str, Any]] = {
        "rules": {"groups": _groups(rendered)},
        "contact-points": {"contactPoints": [_contact_point(one) for one in _reachable(alertmanager)]},
        "policies": {"policies": [{"orgId": 1} | _plain(_policy(alertmanager["route"], _reachable(alertmanager)))]},
        "mute-timings": {"muteTimes": [{"orgId": 1} | one for one in _times(alertmanager)]},
    }
    texts = {name: WRITTEN_BY + to_yaml({"apiVersion": 1} | content) for name, content in alerting_files.items()}
    return {
        **{f"alerting/{name}.yaml": text for name, text in texts.items()},
        "rules/records.yml": WRITTEN_BY + to_yaml({"groups": _records(rendered, deployment)}),
        **{f"dashboards/{name}": text for name, text in dashboard_files(deployment, thresholds).items()},
    }


def _groups(rendered: list[RenderedAlert]) -> list[dict[str, Any]]:
    """One group an area, and one more for each agent with numbers of its own: in a folder, a title is there once."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in rendered:
        folder = f"{FOLDER} {item.only_agent}".rstrip()
        groups.setdefault((folder, f"agentgauge-{item.alert.area}"), []).append(_rule(item))
    return [
        {"orgId": 1, "name": name, "folder": folder, "interval": INTERVAL, "rules": rules}
        for (folder, name), rules in groups.items()
    ]


def _rule(item: RenderedAlert) -> dict[str, Any]:
    rule = alerting.Rule(
        uid=_uid(item.alert.name, item.only_agent),
        title=item.alert.name,
        condition=CONDITION,
        data=_queries(item.expr),
        for_val=str(item.numbers.for_ or "0s"),
        labels={"severity": item.numbers.severity} | ({"agent": item.only_agent} if item.only_agent else {}),
        annotations={name: _annotation(text) for name, text in item.annotations.items()},
        no_data_state="OK",  # as in Prometheus: no series, nothing to say
        # What cannot be judged is told to people; but the heartbeat has to stop then.
        exec_err_state="OK" if item.numbers.severity == "none" else "Error",
    )
    plain = {name: value for name, value in _plain(rule).items() if name not in ("orgID", "folderUID", "ruleGroup")}
    if item.numbers.keep_firing_for is not None:  # newer than the SDK
        plain["keepFiringFor"] = str(item.numbers.keep_firing_for)
    plain["missing_series_evals_to_resolve"] = 1  # as in Prometheus: a series that is gone is over
    return plain | {"dashboardUid": item.alert.panel.dashboard, "panelId": item.alert.panel.panel_id}


def _queries(query: str) -> list[alerting.Query]:
    """The query for one moment, whether each series of it is a number, and that this is what the alert is about."""
    own = dashboard.DataSourceRef(type_val="__expr__", uid="__expr__")
    value = f"${QUERY}"
    above_zero = expr.ExprTypeThresholdConditionsEvaluator(type_val="gt", params=[0])
    return [
        alerting.Query(
            ref_id=QUERY,
            datasource_uid=DATASOURCE,
            relative_time_range=alerting.RelativeTimeRange(from_val=LOOKS_BACK_SECONDS, to=0),
            model=prometheus.Dataquery(
                expr=query,
                instant=True,
                range_val=False,
                ref_id=QUERY,
                datasource=dashboard.DataSourceRef(type_val="prometheus", uid=DATASOURCE),
            ),
        ),
        alerting.Query(
            ref_id=IS_THERE,
            datasource_uid="__expr__",
            model=expr.TypeMath(
                expression=f"is_number({value}) || is_nan({value}) || is_inf({value})",
                ref_id=IS_THERE,
                datasource=own,
            ),
        ),
        alerting.Query(
            ref_id=CONDITION,
            datasource_uid="__expr__",
            model=expr.TypeThreshold(
                expression=IS_THERE,
                conditions=[expr.ExprTypeThresholdConditions(evaluator=above_zero)],
                ref_id=CONDITION,
                datasource=own,
            ),
        ),
    ]


def _annotation(text: str) -> str:
    """The text in Grafana's words, where ``$value`` is a sentence about all queries."""
    return re.sub(r"\$value\b", f"$values.{QUERY}.Value", text)


def _uid(alert: str, agent: str) -> str:
    """The same in every rendering; what is cut off, and the agent, are in the hash."""
    if not agent and len(alert) <= LONGEST_UID:
        return alert
    digest = hashlib.sha256(f"{alert}/{agent}".encode()).hexdigest()[:8]
    return f"{alert[: LONGEST_UID - 9]}-{digest}"


def _reachable(alertmanager: dict[str, Any]) -> list[dict[str, Any]]:
    """The receivers with a webhook: the others are there to be filled in, and none is used until then."""
    return [one for one in alertmanager["receivers"] if one.get("webhook_configs")]


def _contact_point(receiver: dict[str, Any]) -> dict[str, Any]:
    points = [
        alerting.ContactPoint(
            uid=f"agentgauge-{receiver['name']}",
            type_val="webhook",
            settings={"url": hook["url"], "httpMethod": "POST"},
            disable_resolve_message=not hook["send_resolved"],
        )
        for hook in receiver["webhook_configs"]
    ]
    return {"orgId": 1, "name": receiver["name"], "receivers": [_plain(one) for one in points]}


def _policy(route: dict[str, Any], reachable: list[dict[str, Any]]) -> alerting.NotificationPolicy:
    tells = route["receiver"] in {one["name"] for one in reachable}
    return alerting.NotificationPolicy(
        receiver=route["receiver"] if tells else reachable[0]["name"],
        mute_time_intervals=None if tells else [NEVER],
        object_matchers=[list(parsed_matcher(text)) for text in route["matchers"]] if "matchers" in route else None,
        group_by=route.get("group_by"),
        group_wait=route.get("group_wait"),
        group_interval=route.get("group_interval"),
        repeat_interval=route.get("repeat_interval"),
        active_time_intervals=route.get("active_time_intervals"),
        routes=[_policy(one, reachable) for one in route["routes"]] if "routes" in route else None,
    )


def _times(alertmanager: dict[str, Any]) -> list[dict[str, Any]]:
    always = {"name": NEVER, "time_intervals": [{"weekdays": ["sunday:saturday"]}]}
    return [*alertmanager["time_intervals"], always]


def _records(rendered: list[RenderedAlert], deployment: Deployment) -> list[dict[str, Any]]:
    """The groups of the rule files without their alerts."""
    groups = [group for text in rule_files(rendered, deployment).values() for group in yaml.safe_load(text)["groups"]]
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if "record" in rule]
    return [*(group for group in groups if group["rules"]), {"name": "agentgauge-grafana", "rules": [STATES_RULE]}]


def _plain(built: object) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(JSONEncoder(sort_keys=False).encode(built))
    return plain
