"""The HTML around the figures: banner, variable bar and the grid of panels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

from stack.preview.query import assumptions

STATIC = Path(__file__).with_name("static")

RANGES = {
    "now-5m": "Last 5 minutes",
    "now-15m": "Last 15 minutes",
    "now-1h": "Last hour",
    "now-3h": "Last 3 hours",
    "now-6h": "Last 6 hours",
    "now-12h": "Last 12 hours",
    "now-24h": "Last 24 hours",
    "now-7d": "Last 7 days",
    "now-28d": "Last 28 days",
}


@dataclass(frozen=True)
class Variable:
    """A drop-down of the variable bar; nothing chosen means All."""

    name: str
    label: str
    options: tuple[str, ...]
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """What a page shows: a dashboard, or one panel of it, over a time range (``from_`` and ``to`` as in the URL).

    ``theme`` is light or dark; empty follows the reader's system, as in Grafana.
    """

    dashboard: dict[str, Any]
    panel: dict[str, Any] | None
    others: tuple[dict[str, Any], ...]
    variables: tuple[Variable, ...]
    from_: str
    to: str
    theme: str = ""
    problem: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)


def render(view: View) -> str:
    """The page of a view."""
    dashboard, panel = view.dashboard, view.panel
    panels = dashboard["panels"] if panel is None else [panel]
    return _template("page.html").substitute(
        title=escape(dashboard["title"] if panel is None else f"{panel['title']} · {dashboard['title']}"),
        description=escape(dashboard["description"]),
        heading=_heading(view),
        navigation=_navigation(view),
        variables="".join([*map(_variable, view.variables), *_assumptions(view)]),
        marks="".join(_mark(annotation) for annotation in dashboard["annotations"]["list"]),
        ranges=_ranges(view),
        kept=_kept(view),
        theme=escape(view.theme),
        problem=f'<p class="problem">{escape(view.problem)}</p>' if view.problem else "",
        mode="single" if panel else "grid",
        panels="".join(_panel(item, view) for item in panels),
        uid=escape(dashboard["uid"]),
        refresh=_refresh_seconds(dashboard),
    )


def not_found(text: str, dashboards: list[dict[str, Any]]) -> str:
    """The page for a dashboard or panel that does not exist."""
    links = "".join(f'<li><a href="/d/{escape(d["uid"])}">{escape(d["title"])}</a></li>' for d in dashboards)
    return _template("not_found.html").substitute(text=escape(text), links=links)


def _template(name: str) -> Template:
    return Template((STATIC / name).read_text(encoding="utf-8"))


def _query(view: View, **more: str) -> str:
    pairs = [(f"var-{variable.name}", value) for variable in view.variables for value in variable.chosen]
    pairs += [(f"var-{name}", value) for name, value in view.numbers.items()]
    theme = [("theme", view.theme)] if view.theme else []
    return escape(urlencode([*pairs, ("from", view.from_), ("to", view.to), *theme, *more.items()]))


def _kept(view: View) -> str:
    """What the bar does not show but must not lose."""
    kept = {"to": view.to, "theme": view.theme, "viewPanel": f"panel-{view.panel['id']}" if view.panel else ""}
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in kept.items() if value
    )


def _heading(view: View) -> str:
    title = escape(view.dashboard["title"])
    if view.panel is None:
        return title
    return f'<a href="/d/{escape(view.dashboard["uid"])}?{_query(view)}">{title}</a> / {escape(view.panel["title"])}'


def _navigation(view: View) -> str:
    links = []
    for other in view.others:
        here = ' class="here"' if other["uid"] == view.dashboard["uid"] else ""
        name = escape(other["title"].removeprefix("AgentGauge "))
        links.append(f'<a href="/d/{escape(other["uid"])}?{_query(view)}"{here}>{name}</a>')
    return "".join(links)


def _variable(variable: Variable) -> str:
    options = sorted({*variable.options, *variable.chosen})
    boxes = "".join(
        f'<label><input type="checkbox" name="var-{escape(variable.name)}" value="{escape(option)}"'
        f"{' checked' if option in variable.chosen else ''}> {escape(option)}</label>"
        for option in options
    )
    chosen = " + ".join(variable.chosen) or "All"
    return (
        f'<details class="variable"><summary><span>{escape(variable.label)}</span> {escape(chosen)}</summary>'
        f"<div>{boxes or 'nothing to choose'}</div></details>"
    )


def _assumptions(view: View) -> list[str]:
    """A box for each number that the reader sets."""
    return [
        f'<label class="assumption">{escape(variable["label"])} <input name="var-{escape(variable["name"])}" '
        f'type="number" min="0" step="any" value="{escape(view.numbers[variable["name"]])}"></label>'
        for variable in assumptions(view.dashboard)
    ]


def _mark(annotation: dict[str, Any]) -> str:
    """A box that shows or hides the marks of one annotation query."""
    name, colour = escape(annotation["name"]), escape(annotation["iconColor"])
    return (
        f'<label class="mark"><input type="checkbox" checked data-mark="{name}" style="accent-color:{colour}"> '
        f"{name}</label>"
    )


def _ranges(view: View) -> str:
    ranges = dict(RANGES) if view.from_ in RANGES else {view.from_: "Range of the link", **RANGES}
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == view.from_ else ""}>{escape(name)}</option>'
        for value, name in ranges.items()
    )


def _panel(panel: dict[str, Any], view: View) -> str:
    at = panel["gridPos"]
    place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
    if panel["type"] == "row":
        return f'<h2 style="{place}">{escape(panel["title"])}</h2>'
    links = "".join(_panel_link(link) for link in panel.get("links", []))
    alone = f"/d/{escape(view.dashboard['uid'])}?{_query(view, viewPanel='panel-' + str(panel['id']))}"
    return (
        f'<section class="panel {escape(panel["type"])}" style="{place}" data-panel="{panel["id"]}">'
        f'<header><a class="title" href="{alone}">{escape(panel["title"])}</a>'
        f'<span class="help" tabindex="0" title="{escape(panel["description"])}">i</span>'
        f'<a class="query" href="#" target="_blank" rel="noopener" title="The query in Prometheus" '
        f'aria-label="{escape(panel["title"])}: the query in Prometheus">≡</a>{links}</header>'
        '<div class="content"><p class="message">…</p></div></section>'
    )


def _panel_link(link: dict[str, Any]) -> str:
    url, title = escape(link["url"]), escape(link["title"])
    return f'<a class="runbook" href="{url}" title="{title}" target="_blank" rel="noopener"><span>{title}</span> ↗</a>'


def _refresh_seconds(dashboard: dict[str, Any]) -> int:
    match = re.fullmatch(r"(\d+)s", dashboard.get("refresh", ""))
    return int(match[1]) if match else 10
