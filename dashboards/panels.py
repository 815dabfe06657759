"""Panels and dashboards as Grafana reads them, and the only module here that imports Grafana's SDK.

What they contain is in ``model.py``, how they look in ``style.py``, where they stand in ``layout.py`` and what alerts
have to do with them in ``limits.py``; this translates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from agentgauge.incident.conversations import OF_ALERTS
from alerts import links
from alerts.deployment import DEMO, Deployment
from alerts.model import Alert
from alerts.promql import metrics_named
from alerts.thresholds import Thresholds
from dashboards import limits, queries, silence, style
from dashboards.layout import Place, arrange
from dashboards.model import Annotation, Assumption, Dashboard, Panel, Query, Row, State
from dashboards.style import AGO, COLOURS, RATIO, RED

FIRST_ROW_ID = 1000
NOTHING_IN_CELL = models.DynamicConfigValue("noValue", "–")
"""An empty cell would say what an empty table says."""
IN_LINKS_ALONE = {"viz": True, "legend": True, "tooltip": True}
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


def to_json(dashboard: Dashboard, thresholds: Thresholds, deployment: Deployment = DEMO) -> dict[str, Any]:
    """The dashboard as Grafana's classic JSON model; PanelError if a panel is not right."""
    builder = (
        dashboard_builder.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(f"{dashboard.description} Generated from {dashboard.source} by `make generate`; do not edit.")
        .tags(["agentgauge"])
        .readonly()
        .refresh(style.REFRESH[dashboard.since])
        .time(dashboard.since, "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard_builder.DashboardLink("AgentGauge")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["agentgauge"])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard_builder.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name in dashboard.variables:
        builder = builder.with_variable(_variable(name))
    for assumption in dashboard.assumptions:
        builder = builder.with_variable(_assumption(assumption))
    for annotation in dashboard.annotations:
        builder = builder.annotation(_annotation(annotation, dashboard.variables))
    row_id = FIRST_ROW_ID
    for item, place in arrange(dashboard):
        if isinstance(item, Row):
            builder = builder.with_row(dashboard_builder.Row(item.title).id(row_id).grid_pos(_at(place)))
            row_id += 1
        else:
            builder = builder.with_panel(_panel(dashboard, item, thresholds, deployment).grid_pos(_at(place)))
    plain = _without_surplus(_plain(builder.build()))
    for annotation, mark in zip(dashboard.annotations, plain["annotations"].get("list", []), strict=True):
        mark["titleFormat"] = annotation.title  # the SDK's model has no field for it
    return plain


def _at(place: Place) -> models.GridPos:
    return models.GridPos(x=place.x, y=place.y, w=place.width, h=place.height)


AnyPanel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel | statetimeline.Panel


def _panel(dashboard: Dashboard, panel: Panel, thresholds: Thresholds, deployment: Deployment) -> AnyPanel:
    shown = tuple(query for query in panel.queries if deployment.incidents or not query.to_incident)
    panel = replace(panel, queries=shown)
    limits.check(dashboard, panel, thresholds)
    exprs = [limits.expr(dashboard, panel, query, thresholds, deployment.job) for query in panel.queries]
    targets = [
        _target(panel, query, expr, _ref_id(index))
        for index, (query, expr) in enumerate(zip(panel.queries, exprs, strict=True))
    ]
    return (
        _styled(panel, exprs, thresholds, deployment)
        .id(panel.id)
        .title(panel.title)
        .description(" ".join([panel.description, *limits.in_words(dashboard, panel, thresholds)]))
        .datasource(DATASOURCE)
        .unit(panel.unit)
        .no_value(panel.empty or silence.words_for(exprs[0]))
        .targets(cast(list[Any], targets))  # the SDK types them by a base class that its builders do not share
        .links(list(_panel_links(limits.watchers(dashboard, panel), deployment)))
    )


def _styled(panel: Panel, exprs: list[str], thresholds: Thresholds, deployment: Deployment) -> AnyPanel:
    match panel.kind:
        case "stat":
            return _stat(panel, thresholds)
        case "timeseries":
            return _timeseries(panel, exprs, thresholds)
        case "table":
            return _table(panel, thresholds, deployment)
        case "heatmap":
            return _heatmap(panel)
        case "state-timeline":
            return _timeline(panel)


def _stat(panel: Panel, thresholds: Thresholds) -> stat.Panel:
    plain = panel.queries[0].instant or panel.states
    one = len(panel.queries) == 1
    built = (
        stat.Panel()
        .thresholds(_steps(limits.colours(panel.limits, thresholds)))
        .color_scheme(dashboard_builder.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE if plain else common.BigValueGraphMode.AREA)
        .text_mode(common.BigValueTextMode.VALUE if one else common.BigValueTextMode.VALUE_AND_NAME)
        .orientation(common.VizOrientation.AUTO if one else common.VizOrientation.HORIZONTAL)
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if panel.states:
        built = built.mappings(_mappings(panel.states))
    if not one and panel.limits:
        built = _coloured_by_the_worst(built, panel, thresholds)
    return built.data_links([_data_link(panel.opens)]) if panel.opens else built


def _coloured_by_the_worst(built: stat.Panel, panel: Panel, thresholds: Thresholds) -> stat.Panel:
    """One field with a row for each query, so that an override can look at all of them: one that is bad colours all."""
    built = built.transformations([models.DataTransformerConfig("reduce", options={"reducers": ["lastNotNull"]})])
    built = built.reduce_options(common_builder.ReduceDataOptions().values(True).calcs(["lastNotNull"]))
    for limit in panel.limits:
        worst = {"above": {"reducer": "max", "op": "gte"}, "below": {"reducer": "min", "op": "lt"}}[limit.bad]
        matcher = models.MatcherConfig("byValue", {**worst, "value": limits.value(limit, thresholds)})
        colour = models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": limit.colour})
        built = built.with_override(matcher, [colour])
    return built


def _timeseries(panel: Panel, exprs: list[str], thresholds: Thresholds) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        # By their order: the first four are not red. By their names, Grafana makes many of them red in its light theme.
        .color_scheme(dashboard_builder.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .line_width(style.LINE_WIDTH if panel.drawn == "lines" else 0)
        .fill_opacity(style.FAINT_FILL if panel.drawn == "lines" else style.STACKED_FILL)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(_legend().calcs(["lastNotNull"]))
        .tooltip(
            common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    if panel.drawn == "bars":
        built = built.draw_style(common.GraphDrawStyle.BARS)
    if panel.drawn != "lines":
        built = built.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.unit == RATIO and not limits.is_share_of_trouble(panel):
        built = built.max(1)
    if in_sight := limits.in_sight(panel, thresholds):
        built = built.axis_soft_min(in_sight[0]).axis_soft_max(in_sight[1])
    else:
        built = built.min(0)
    if panel.limits:
        built = built.thresholds(_steps(limits.lines(panel, thresholds))).thresholds_style(
            common_builder.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    for index, (query, expr) in enumerate(zip(panel.queries, exprs, strict=True)):
        if query.is_limit:
            built = built.override_by_query(
                _ref_id(index),
                [
                    models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": RED}),
                    models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": style.LIMIT_DASH}),
                    models.DynamicConfigValue("custom.lineWidth", style.LIMIT_WIDTH),
                    models.DynamicConfigValue("custom.fillOpacity", 0),
                ],
            )
        if colour := _colour_beside_a_limit(panel, index):
            built = built.override_by_query(
                _ref_id(index), [models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
            )
        for name in _fixed_names(query.legend, expr):
            built = built.override_by_name(
                name, [models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": COLOURS[name]})]
            )
        if query.bars:
            built = built.override_by_name(
                query.legend,
                [
                    models.DynamicConfigValue("unit", query.unit or panel.unit),
                    models.DynamicConfigValue("custom.drawStyle", "bars"),
                    models.DynamicConfigValue("custom.fillOpacity", style.BAR_FILL),
                    models.DynamicConfigValue("custom.axisPlacement", "right"),
                ],
            )
    return built


def _colour_beside_a_limit(panel: Panel, index: int) -> str:
    """The colour of a query's series where it has to be none of the palette's reds: beside a red limit; none: any.

    Series of one query then differ by agent alone. Where they are many, such as tools, they need the whole palette.
    """
    query = panel.queries[index]
    limited = bool(panel.limits) or any(one.is_limit for one in panel.queries)
    named_by = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
    if not limited or query.is_limit or query.bars or not named_by <= {"agent"}:
        return ""
    return style.BESIDE_A_LIMIT[index % len(style.BESIDE_A_LIMIT)]


def _table(panel: Panel, thresholds: Thresholds, deployment: Deployment) -> table.Panel:
    """States, label columns, then one column a query; Grafana names a query's ``Value``, or ``Value #A``, ``#B``…"""
    built = table.Panel().show_header(True).filterable(False)
    hidden = {"Time": True}
    states = [
        f"Value #{_ref_id(index)}"
        for index, query in enumerate(panel.queries)
        if query.states and not query.to_incident
    ]
    order = {name: index for index, name in enumerate([*states, *panel.columns])}
    for index, query in enumerate(panel.queries):
        field = "Value" if len(panel.queries) == 1 else f"Value #{_ref_id(index)}"
        if not query.legend:
            hidden[field] = True
            continue
        order.setdefault(field, len(order))
        properties = _column(query, thresholds)
        if query.to_incident:
            properties.append(_link_to_incident(panel, deployment))
        built = built.override_by_name(field, properties)
    for name in panel.columns:
        built = built.override_by_name(name, [NOTHING_IN_CELL])
    for name in panel.hidden:  # not excluded: links could not read them then
        built = built.override_by_name(name, [models.DynamicConfigValue("custom.hideFrom", IN_LINKS_ALONE)])
    if "alertname" in panel.columns:
        built = built.override_by_name("alertname", _alertname_column(deployment))
    if panel.most_first:
        built = built.sort_by([common_builder.TableSortByFieldState().display_name(panel.most_first).desc(True)])
    return built.transformations(
        [
            models.DataTransformerConfig("merge", options={}),
            models.DataTransformerConfig("organize", options={"excludeByName": hidden, "indexByName": order}),
        ]
    )


def _column(query: Query, thresholds: Thresholds) -> list[models.DynamicConfigValue]:
    properties = [
        models.DynamicConfigValue("displayName", query.legend),
        NOTHING_IN_CELL,
        models.DynamicConfigValue("unit", query.unit),
    ]
    if query.states:
        properties += [
            models.DynamicConfigValue("mappings", [_plain(mapping) for mapping in _mappings(query.states)]),
            models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
            models.DynamicConfigValue("custom.width", 80),
        ]
    if query.unit == AGO:
        properties.append(models.DynamicConfigValue("custom.width", 120))  # or what comes after it is cut off
    if query.limit:
        steps = _steps(limits.colours((query.limit,), thresholds))
        properties += [
            models.DynamicConfigValue("thresholds", _plain(steps.build())),
            models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    return properties


def _alertname_column(deployment: Deployment) -> list[models.DynamicConfigValue]:
    url = links.runbook_url(deployment.runbooks, "${__value.text}")
    return [
        models.DynamicConfigValue("displayName", "alert"),
        models.DynamicConfigValue("custom.minWidth", 170),
        models.DynamicConfigValue("links", [{"title": "Runbook", "url": url, "targetBlank": True}]),
    ]


def _link_to_incident(panel: Panel, deployment: Deployment) -> models.DynamicConfigValue:
    """The page of the alert in the row, by its labels; a label that it does not have is empty there."""
    values = {name: f"${{__data.fields.{name}:percentencode}}" for name in panel.hidden}
    url = links.incident_url(deployment.incidents, "${__data.fields.alertname}", values)
    return models.DynamicConfigValue("links", [{"title": "Incident", "url": url, "targetBlank": True}])


def _heatmap(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme(style.HEATMAP_SCHEME).steps(64))
        .cell_gap(1)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def _timeline(panel: Panel) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .mappings(_mappings(panel.states))
        .color_scheme(dashboard_builder.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(85)
        .legend(_legend())
    )


def _legend() -> common_builder.VizLegendOptions:
    return (
        common_builder.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _mappings(states: tuple[State, ...]) -> list[models.ValueMapping]:
    options = {
        str(value): models.ValueMappingResult(text=state.text, color=state.colour, index=value)
        for value, state in enumerate(states)
    }
    return [models.ValueMap(options=options)]


def _ref_id(index: int) -> str:
    return chr(ord("A") + index)


def _target(panel: Panel, query: Query, expr: str, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(ref_id).expr(expr).datasource(DATASOURCE)
    if queries.RATE in expr:
        target = target.interval(style.RATE_STEP)
    if panel.kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    if panel.kind == "heatmap":
        return target.range().format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    target = target.instant() if query.instant else target.range()
    if "_bucket" in expr and not query.instant:
        target = target.exemplar(True)  # a dot for a measurement whose trace is known
    return target.format(PromQueryFormat.TIME_SERIES).legend_format(query.legend)


def _fixed_names(legend: str, expr: str) -> list[str]:
    """The names of a query's series whose colour has a meaning: its own, or the values of its closed label."""
    names = [legend]
    for spec in metrics_named(expr):
        for label in spec.labels:
            if legend == f"{{{{{label.name}}}}}":
                names += label.values
    return [name for name in dict.fromkeys(names) if name in COLOURS]


def _steps(steps: limits.Steps) -> dashboard_builder.ThresholdsConfig:
    built = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard_builder.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(built)


def _panel_links(watchers: list[Alert], deployment: Deployment) -> Iterator[dashboard_builder.DashboardLink]:
    """To the runbook of each alert that the panel shows, and to the conversations behind what it shows."""
    for alert in watchers:
        yield _runbook_link(alert, deployment)
    causes: set[str] = set()
    for alert in watchers if deployment.incidents else []:
        cause = OF_ALERTS[alert.name].cause if alert.name in OF_ALERTS else ""
        if cause and cause not in causes:
            causes.add(cause)
            yield _conversations_link(alert, cause, deployment)


def _conversations_link(alert: Alert, cause: str, deployment: Deployment) -> dashboard_builder.DashboardLink:
    """No dashboard holds what was said, nor whose session it was: the page names the command that prints it."""
    return (
        dashboard_builder.DashboardLink(f"Conversations: {cause.replace('_', ' ')}")
        .type(models.DashboardLinkType.LINK)
        .url(links.incident_url(deployment.incidents, alert.name, {}) + links.CONVERSATIONS)
        .target_blank(True)
    )


def _runbook_link(alert: Alert, deployment: Deployment) -> dashboard_builder.DashboardLink:
    return (
        dashboard_builder.DashboardLink(f"Runbook: {alert.name}")
        .type(models.DashboardLinkType.LINK)
        .url(links.runbook_url(deployment.runbooks, alert.name))
        .target_blank(True)
    )


def _data_link(uid: str) -> dashboard_builder.DashboardLink:
    name = uid.removeprefix("agentgauge-").capitalize()
    return dashboard_builder.DashboardLink(f"Open {name}").url(f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}")


def _variable(name: str) -> dashboard_builder.QueryVariable:
    """All is ``.*`` rather than the listed choices: it also matches what is not there yet, or no longer."""
    return (
        dashboard_builder.QueryVariable(name)
        .label(name.capitalize())
        .query(queries.VARIABLES[name])
        .datasource(DATASOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _assumption(assumption: Assumption) -> dashboard_builder.CustomVariable:
    chosen = str(assumption.value)
    return (
        dashboard_builder.CustomVariable(assumption.name)
        .label(assumption.label)
        .values(",".join(map(str, assumption.choices)))
        .current(models.VariableOption(selected=True, text=chosen, value=chosen))
        .allow_custom_value(True)
    )


def _annotation(annotation: Annotation, variables: tuple[str, ...]) -> dashboard_builder.AnnotationQuery:
    return (
        dashboard_builder.AnnotationQuery()
        .name(annotation.name)
        .datasource(DATASOURCE)
        .icon_color(annotation.colour)
        .enable(True)
        .expr(queries.fill(annotation.expr, variables))
    )


def _without_surplus(plain: dict[str, Any]) -> dict[str, Any]:
    """The dashboard less what the SDK always writes and Grafana's published types do not have."""
    for variable in plain.get("templating", {}).get("list", []):
        for name in ("auto", "auto_min", "auto_count"):  # of variables that are intervals
            variable.pop(name, None)
    for panel in plain["panels"]:
        if panel["type"] == "table":
            panel["options"].pop("footer")  # each field's own setting since Grafana 12
    return plain


def _plain(built: object) -> dict[str, Any]:
    """SDK objects as plain JSON values."""
    plain: dict[str, Any] = json.loads(JSONEncoder().encode(built))
    return plain
