"""The preview as an ASGI app, at Grafana's URLs, so that the links in pages work with either.

Endpoints are plain functions: Starlette runs them in threads, so panels load side by side.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # plotly ships no types
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agentgauge.http_guard import LOOPBACK, RequestGuard
from agentgauge.ops.fetching import shown
from agentgauge.ops.prometheus import Prometheus, PrometheusError
from stack.preview import page
from stack.preview.figures import figure, marks_of, message
from stack.preview.page import STATIC, Variable, View
from stack.preview.query import (
    Choices,
    TimeRange,
    annotation_step,
    link_to_prometheus,
    query_variables,
    run_annotation,
    run_panel,
    variable_options,
)

HOME = "agentgauge-overview"


class LibraryError(ValueError):
    """The folder of generated dashboards cannot be served; the message says why."""


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """uid → dashboard JSON of every file in the folder, the home page first.

    LibraryError if there is none or one cannot be read.
    """
    dashboards: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            dashboard = json.loads(path.read_text(encoding="utf-8"))
            dashboards[dashboard["uid"]] = dashboard
        except (ValueError, KeyError) as error:
            raise LibraryError(f"{path.name} is not a dashboard ({error}); run `make generate`") from None
    if not dashboards:
        raise LibraryError(f"no dashboard in {folder.name}/; run `make generate`")
    return dict(sorted(dashboards.items(), key=lambda item: item[0] != HOME))


def create_app(folder: Path, prometheus: Prometheus, hosts: Sequence[str] = LOOPBACK) -> Starlette:
    """The preview of the dashboards in a folder with the data of a Prometheus; LibraryError as in ``load``.

    ``hosts`` are the names that it answers to.
    """
    dashboards = load(folder)

    def home(request: Request) -> Response:
        return RedirectResponse(f"/d/{HOME}")

    def show(request: Request) -> Response:
        dashboard = dashboards.get(request.path_params["uid"])
        if dashboard is None:
            return _not_found(f"There is no dashboard {request.path_params['uid']}.")
        asked_for = request.query_params.get("viewPanel")
        panel = find_panel(dashboard, asked_for) if asked_for else None
        if asked_for and panel is None:
            return _not_found(f"{dashboard['title']} has no panel {asked_for}.")
        variables, problem = _variables(dashboard, request)
        from_, to = _asked_range(dashboard, request)
        theme = request.query_params.get("theme", "")
        view = View(
            dashboard,
            panel,
            tuple(dashboards.values()),
            variables,
            from_,
            to,
            theme,
            problem,
            _choices(dashboard, request).numbers,
        )
        return HTMLResponse(page.render(view))

    def draw(request: Request) -> Response:
        dashboard = dashboards.get(request.path_params["uid"])
        panel = find_panel(dashboard, request.path_params["id"]) if dashboard else None
        if dashboard is None or panel is None:
            return JSONResponse(message("This panel does not exist (any more)."), status_code=404)
        try:
            span, choices = _time_range(dashboard, request), _choices(dashboard, request)
            results = run_panel(panel, prometheus, span, choices)
        except ValueError as error:
            return JSONResponse(message(f"Cannot draw this: {error}"), status_code=400)
        except PrometheusError as error:
            return JSONResponse(message(str(error)), status_code=502)
        link = link_to_prometheus(panel, shown(prometheus.url), span, choices)
        return JSONResponse(figure(panel, results, span) | {"query": link})

    def marks(request: Request) -> Response:
        dashboard = dashboards.get(request.path_params["uid"])
        if dashboard is None:
            return JSONResponse([], status_code=404)
        found: list[dict[str, Any]] = []
        try:
            span, choices = _time_range(dashboard, request), _choices(dashboard, request)
            for annotation in dashboard["annotations"]["list"]:
                series = run_annotation(annotation["expr"], prometheus, span, choices)
                found += marks_of(annotation, series, annotation_step(span), span.end)
        except ValueError:
            return JSONResponse([], status_code=400)
        except PrometheusError:
            return JSONResponse([], status_code=502)
        return JSONResponse(found)

    def as_grafana(request: Request) -> Response:
        dashboard = dashboards.get(request.path_params["uid"])
        if dashboard is None:
            return JSONResponse({"message": "Dashboard not found"}, status_code=404)
        return JSONResponse({"meta": {"provisioned": True, "slug": "", "type": "db"}, "dashboard": dashboard})

    def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "dashboards": sorted(dashboards)})

    def plotly_js(request: Request) -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    def _variables(dashboard: dict[str, Any], request: Request) -> tuple[tuple[Variable, ...], str]:
        """The variable bar, and what went wrong filling it: it is then left with what the URL says."""
        choices, problem = _choices(dashboard, request), ""
        bar = []
        for variable in query_variables(dashboard):
            options: list[str] = []
            if not problem:
                try:
                    options = variable_options(variable, prometheus, _time_range(dashboard, request), choices)
                except (PrometheusError, ValueError) as error:
                    problem = str(error)
            chosen = tuple(choices.values[variable["name"]])
            bar.append(Variable(variable["name"], variable["label"], tuple(options), chosen))
        return tuple(bar), problem

    def _not_found(text: str) -> Response:
        return HTMLResponse(page.not_found(text, list(dashboards.values())), status_code=404)

    script = get_plotlyjs()
    return Starlette(
        routes=[
            Route("/", home),
            Route("/d/{uid}", show),
            Route("/d/{uid}/{slug}", show),
            Route("/panel/{uid}/{id}", draw),
            Route("/annotations/{uid}", marks),
            Route("/api/dashboards/uid/{uid}", as_grafana),
            Route("/api/health", health),
            Route("/health", health),
            Route("/plotly.js", plotly_js),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(RequestGuard, hosts=hosts)],
    )


def find_panel(dashboard: dict[str, Any], asked_for: str) -> dict[str, Any] | None:
    """The panel that ``panel-3`` (or ``3``, as older links have it) means; None if there is no such panel."""
    match = re.fullmatch(r"(?:panel-)?(\d+)", asked_for)
    if match is None:
        return None
    wanted = int(match[1])
    return next((panel for panel in dashboard["panels"] if panel["id"] == wanted and panel["type"] != "row"), None)


def _choices(dashboard: dict[str, Any], request: Request) -> Choices:
    query = request.query_params
    return Choices.of(dashboard, {name: query.getlist(name) for name in query})


def _asked_range(dashboard: dict[str, Any], request: Request) -> tuple[str, str]:
    default = dashboard["time"]
    return request.query_params.get("from", default["from"]), request.query_params.get("to", default["to"])


def _time_range(dashboard: dict[str, Any], request: Request) -> TimeRange:
    return TimeRange.parse(*_asked_range(dashboard, request), now=time.time())
