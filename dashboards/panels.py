"""What dashboards look like in Grafana, and the only module that imports Grafana's SDK.

House style, set here once: colours mean the same everywhere (green good, red bad, amber in between), the dashed red
line is an alert's threshold from ``thresholds.yml``, a gap means no data, legends sit below and show the last value,
and a panel that an alert watches links to the alert's runbook.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from alerts import links
from alerts.catalog import ALERTS
from alerts.links import PanelRef
from alerts.model import Alert
from alerts.promql import SCRAPE_JOB, metrics_named
from alerts.thresholds import Threshold, Thresholds
from dashboards import queries
from dashboards.model import (
    ANNOTATIONS,
    BLUE,
    COLOURS,
    GREEN,
    RATIO,
    RED,
    UNIT_OF_THRESHOLD,
    VARIABLES,
    Annotation,
    Dashboard,
    Limit,
    Panel,
    PanelError,
    Query,
    Row,
)

GRID_WIDTH = 24
FIRST_ROW_ID = 1000
REFRESH = "10s"
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


def to_json(dashboard: Dashboard, thresholds: Thresholds) -> dict[str, Any]:
    """The dashboard as Grafana's classic JSON model; PanelError if a panel is not right."""
    _check_ids(dashboard)
    builder = (
        dashboard_builder.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(f"{dashboard.description} Generated from {dashboard.source} by `make generate`; do not edit.")
        .tags(["agentgauge"])
        .readonly()
        .refresh(REFRESH)
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
    for annotation in ANNOTATIONS:
        builder = builder.annotation(_annotation(annotation, dashboard.variables))
    y = 0
    for index, row in enumerate(dashboard.rows):
        builder = builder.with_row(
            dashboard_builder.Row(row.title).id(FIRST_ROW_ID + index).grid_pos(_at(0, y, GRID_WIDTH, 1))
        )
        y += 1
        for line in _lines(dashboard, row):
            x = 0
            for panel in line:
                place = _at(x, y, panel.span, panel.height)
                builder = builder.with_panel(_panel(dashboard, panel, thresholds).grid_pos(place))
                x += panel.span
            y += line[0].height
    plain = _plain(builder.build())
    for annotation, mark in zip(ANNOTATIONS, plain["annotations"]["list"], strict=True):
        mark["titleFormat"] = annotation.title  # the SDK's model has no field for it
    return plain


def _at(x: int, y: int, width: int, height: int) -> models.GridPos:
    return models.GridPos(x=x, y=y, w=width, h=height)


def _threshold(alert: str, thresholds: Thresholds) -> Threshold:
    threshold = thresholds.alerts[alert].threshold
    assert threshold is not None, alert  # noqa: S101 - _check_limits came first
    return threshold


def _value(limit: Limit, thresholds: Thresholds) -> float:
    return _threshold(limit.at, thresholds).value if isinstance(limit.at, str) else limit.at


def _check_ids(dashboard: Dashboard) -> None:
    seen: dict[int, str] = {}
    for panel in dashboard.panels:
        if panel.id in seen:
            raise PanelError(f"{dashboard.uid}: {seen[panel.id]!r} and {panel.title!r} both have the id {panel.id}")
        seen[panel.id] = panel.title


def _lines(dashboard: Dashboard, row: Row) -> Iterator[list[Panel]]:
    """The row's panels in lines of exactly 24 columns and one height."""
    line: list[Panel] = []
    for panel in row.panels:
        line.append(panel)
        width = sum(panel.span for panel in line)
        if width == GRID_WIDTH and len({panel.height for panel in line}) == 1:
            yield line
            line = []
        elif width >= GRID_WIDTH:
            names = ", ".join(f"{panel.title!r} {panel.span}×{panel.height}" for panel in line)
            raise PanelError(f"{dashboard.uid}: {row.title!r}: not 24 columns of one height: {names}")
    if line:
        raise PanelError(f"{dashboard.uid}: {row.title!r}: the last line is not 24 columns wide")


def _watchers(dashboard: Dashboard, panel: Panel) -> list[Alert]:
    return [alert for alert in ALERTS if alert.panel == PanelRef(dashboard.uid, panel.id)]


def _expr(dashboard: Dashboard, panel: Panel, query: Query, thresholds: Thresholds) -> str:
    values: dict[str, object] = {
        "window": _window(dashboard, panel, thresholds),
        "threshold": _factor(dashboard, panel, thresholds),
        "job": SCRAPE_JOB,
    }
    asked_for = {name: value for name, value in values.items() if f"<{name}>" in query.expr}
    if asked_for.get("window", "") is None:
        raise PanelError(f"{dashboard.uid}: {panel.title!r}: <window> needs an alert (or several that share a window)")
    if asked_for.get("threshold", "") is None:
        raise PanelError(f"{dashboard.uid}: {panel.title!r}: <threshold> needs an alert whose threshold is a factor")
    return queries.fill(query.expr, dashboard.variables, **asked_for)


def _window(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> str | None:
    names = {alert.name for alert in _watchers(dashboard, panel)}
    names |= {limit.at for limit in _all_limits(panel) if isinstance(limit.at, str)}
    windows = {str(numbers.window) for name, numbers in thresholds.alerts.items() if name in names and numbers.window}
    return windows.pop() if len(windows) == 1 else None


def _factors(watchers: list[Alert], thresholds: Thresholds) -> dict[str, Threshold]:
    """The thresholds that multiply a baseline, by the alert that has them."""
    found = {alert.name: thresholds.alerts[alert.name].threshold for alert in watchers}
    return {name: threshold for name, threshold in found.items() if threshold and threshold.unit == "factor"}


def _factor(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> str | None:
    factors = _factors(_watchers(dashboard, panel), thresholds).values()
    return f"{next(iter(factors)).value:g}" if len(factors) == 1 else None


def _check_limits(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> None:
    limits = [(limit, panel.unit) for limit in panel.limits]
    limits += [(query.limit, query.unit) for query in panel.queries if query.limit]
    for limit, unit in limits:
        if isinstance(limit.at, str):
            where = f"{dashboard.uid}: {panel.title!r}: {limit.at}"
            numbers = thresholds.alerts.get(limit.at)
            if numbers is None or numbers.threshold is None:
                raise PanelError(f"{where} has no threshold in {thresholds.path.name}, so it cannot be a limit")
            if UNIT_OF_THRESHOLD[numbers.threshold.unit] != unit:
                raise PanelError(f"{where}'s threshold is in {numbers.threshold.unit}, the panel's unit is {unit!r}")


def _all_limits(panel: Panel) -> tuple[Limit, ...]:
    return (*panel.limits, *(query.limit for query in panel.queries if query.limit))


AnyPanel = stat.Panel | timeseries.Panel | table.Panel | heatmap.Panel


def _panel(dashboard: Dashboard, panel: Panel, thresholds: Thresholds) -> AnyPanel:
    _check_limits(dashboard, panel, thresholds)
    watchers = _watchers(dashboard, panel)
    exprs = [_expr(dashboard, panel, query, thresholds) for query in panel.queries]
    targets = [
        _target(panel, query, expr, _ref_id(index))
        for index, (query, expr) in enumerate(zip(panel.queries, exprs, strict=True))
    ]
    return (
        _styled(panel, exprs, thresholds)
        .id(panel.id)
        .title(panel.title)
        .description(" ".join([panel.description, *_in_words(panel, watchers, thresholds)]))
        .datasource(DATASOURCE)
        .unit(panel.unit)
        .no_value("no data")
        .targets(cast(list[Any], targets))  # the SDK types them by a base class that its builders do not share
        .links([_runbook_link(alert, thresholds) for alert in watchers])
    )


def _styled(panel: Panel, exprs: list[str], thresholds: Thresholds) -> AnyPanel:
    if panel.kind == "stat":
        return _stat(panel, thresholds)
    if panel.kind == "timeseries":
        return _timeseries(panel, exprs, thresholds)
    if panel.kind == "table":
        return _table(panel, thresholds)
    return _heatmap(panel)


def _stat(panel: Panel, thresholds: Thresholds) -> stat.Panel:
    sparkline = common.BigValueGraphMode.NONE if panel.queries[0].instant else common.BigValueGraphMode.AREA
    built = (
        stat.Panel()
        .thresholds(_steps(panel.limits, thresholds))
        .color_scheme(dashboard_builder.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(sparkline)
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return built.data_links([_data_link(panel.opens)]) if panel.opens else built


def _timeseries(panel: Panel, exprs: list[str], thresholds: Thresholds) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .color_scheme(dashboard_builder.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .line_width(2)
        .fill_opacity(40 if panel.stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            common_builder.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(
            common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        built = built.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.unit == RATIO and not _is_share_of_trouble(panel):
        built = built.max(1)
    if panel.limits:
        low, high = _in_sight(panel, thresholds)
        built = built.axis_soft_min(low).axis_soft_max(high)
        built = built.thresholds(_line_steps(panel, thresholds)).thresholds_style(
            common_builder.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    else:
        built = built.min(0)
    for index, (query, expr) in enumerate(zip(panel.queries, exprs, strict=True)):
        if query.is_limit:
            built = built.override_by_query(
                _ref_id(index),
                [
                    models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": RED}),
                    models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
                    models.DynamicConfigValue("custom.lineWidth", 1),
                    models.DynamicConfigValue("custom.fillOpacity", 0),
                ],
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
                    models.DynamicConfigValue("custom.fillOpacity", 40),
                    models.DynamicConfigValue("custom.axisPlacement", "right"),
                ],
            )
    return built


def _table(panel: Panel, thresholds: Thresholds) -> table.Panel:
    """Label columns first, then one column a query; Grafana names the latter ``Value`` or ``Value #A``, ``#B``…"""
    built = table.Panel().show_header(True).filterable(False)
    hidden = {"Time": True}
    order = {name: index for index, name in enumerate(panel.columns)}
    for index, query in enumerate(panel.queries):
        field = "Value" if len(panel.queries) == 1 else f"Value #{_ref_id(index)}"
        if not query.legend:
            hidden[field] = True
            continue
        order[field] = len(order)
        built = built.override_by_name(field, _column(query, thresholds))
    if "severity" in panel.columns:
        built = built.override_by_name("severity", _severity_column())
    if "alertname" in panel.columns:
        built = built.override_by_name("alertname", _alertname_column(thresholds))
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
        models.DynamicConfigValue("unit", query.unit),
    ]
    if query.limit:
        properties += [
            models.DynamicConfigValue("thresholds", _plain(_steps((query.limit,), thresholds).build())),
            models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    return properties


def _severity_column() -> list[models.DynamicConfigValue]:
    options = {name: {"color": COLOURS[name]} for name in ("critical", "warning", "info", "none")}
    return [
        models.DynamicConfigValue("mappings", [{"type": "value", "options": options}]),
        models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
    ]


def _alertname_column(thresholds: Thresholds) -> list[models.DynamicConfigValue]:
    url = links.runbook_url(thresholds.links.runbooks, "${__value.text}")
    return [models.DynamicConfigValue("links", [{"title": "Runbook", "url": url, "targetBlank": True}])]


def _heatmap(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64))
        .cell_gap(1)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def _ref_id(index: int) -> str:
    return chr(ord("A") + index)


def _target(panel: Panel, query: Query, expr: str, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(ref_id).expr(expr).datasource(DATASOURCE)
    if panel.kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    if panel.kind == "heatmap":
        return target.range().format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    target = target.instant() if query.instant else target.range()
    return target.format(PromQueryFormat.TIME_SERIES).legend_format(query.legend)


def _fixed_names(legend: str, expr: str) -> list[str]:
    """The names of a query's series whose colour has a meaning: its own, or the values of its closed label."""
    names = [legend]
    for spec in metrics_named(expr):
        for label in spec.labels:
            if legend == f"{{{{{label.name}}}}}":
                names += label.values
    return [name for name in dict.fromkeys(names) if name in COLOURS]


def _steps(limits: tuple[Limit, ...], thresholds: Thresholds) -> dashboard_builder.ThresholdsConfig:
    """Colours by value: good between the limits, the limit's colour beyond them, neutral where there is no limit."""
    ordered = sorted(limits, key=lambda limit: _value(limit, thresholds))
    lowest = ordered[0] if ordered else None
    base = BLUE if lowest is None else lowest.colour if lowest.bad == "below" else GREEN
    steps = [models.Threshold(value=None, color=base)]
    for limit in ordered:
        colour = limit.colour if limit.bad == "above" else GREEN
        steps.append(models.Threshold(value=_value(limit, thresholds), color=colour))
    return dashboard_builder.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _line_steps(panel: Panel, thresholds: Thresholds) -> dashboard_builder.ThresholdsConfig:
    """The limits as lines: Grafana draws each in the colour of its step, so also a lower limit's step is red."""
    steps = [models.Threshold(value=None, color="transparent")]
    for limit in sorted(panel.limits, key=lambda limit: _value(limit, thresholds)):
        steps.append(models.Threshold(value=_value(limit, thresholds), color=limit.colour))
    return dashboard_builder.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _in_sight(panel: Panel, thresholds: Thresholds) -> tuple[float, float]:
    """The stretch of the axis that is always in sight: the limits, with room to see how far away they are."""
    values = [_value(limit, thresholds) for limit in panel.limits]
    if _is_share_of_trouble(panel):
        return 0, min(1.0, 2 * max(values))
    if panel.unit == RATIO:
        return max(0.0, round(1 - 5 * (1 - min(values)), 3)), 1
    return 0, 1.2 * max(values)


def _is_share_of_trouble(panel: Panel) -> bool:
    """Whether the panel shows a ratio that should be near 0, which a full axis would flatten."""
    return panel.unit == RATIO and any(limit.bad == "above" for limit in panel.limits)


def _in_words(panel: Panel, watchers: list[Alert], thresholds: Thresholds) -> Iterator[str]:
    mark = "Dashed line" if panel.kind == "timeseries" else "Red"
    for limit in _all_limits(panel):
        if isinstance(limit.at, str):
            yield f"{mark}: {limit.bad} {_threshold(limit.at, thresholds)}, the threshold of {limit.at}."
    if any(query.is_limit for query in panel.queries):
        for name, factor in _factors(watchers, thresholds).items():
            yield f"Dashed line: {factor} the baseline, the threshold of {name}."


def _runbook_link(alert: Alert, thresholds: Thresholds) -> dashboard_builder.DashboardLink:
    return (
        dashboard_builder.DashboardLink(f"Runbook: {alert.name}")
        .type(models.DashboardLinkType.LINK)
        .url(links.runbook_url(thresholds.links.runbooks, alert.name))
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
        .query(VARIABLES[name])
        .datasource(DATASOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
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


def _plain(built: object) -> dict[str, Any]:
    """SDK objects as plain JSON values."""
    plain: dict[str, Any] = json.loads(JSONEncoder().encode(built))
    return plain
