"""``python -m stack preview | pictures | cost``: the stand-in for Grafana, pictures of it, and what a look costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dashboards.catalog import GENERATED

PREVIEW = "http://127.0.0.1:3000"
PROMETHEUS = "http://127.0.0.1:9090"


def preview(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    prometheus: Annotated[str, typer.Option(help="Base URL of Prometheus.")] = PROMETHEUS,
    dashboards: Annotated[Path, typer.Option(help="Folder of the dashboards' JSON.")] = GENERATED,
    name: Annotated[list[str] | None, typer.Option(help="A host name by which people ask it; repeatable.")] = None,
) -> None:
    """Serve the generated dashboards where there is no Grafana, drawn with live data, at the same URLs."""
    from agentgauge import http_server
    from agentgauge.http_guard import LOOPBACK
    from agentgauge.ops.prometheus import Prometheus
    from stack.preview.app import LibraryError, create_app

    try:
        application = create_app(dashboards, Prometheus(prometheus), [*LOOPBACK, host, *(name or [])])
    except LibraryError as error:
        _fail(error)
    http_server.run(application, host, port)


def pictures(
    dashboards: Annotated[list[str] | None, typer.Argument(help="Such as overview; all if none is named.")] = None,
    url: Annotated[str, typer.Option(help="Base URL of a running preview.")] = PREVIEW,
    folder: Annotated[Path, typer.Option(help="Where to save them.")] = Path(".stack/pictures"),
    since: Annotated[str, typer.Option(help="Start of the time range: now-6h; each dashboard's own if empty.")] = "",
    height: Annotated[int | None, typer.Option(help="Cut them at so many pixels.")] = None,
) -> None:
    """Save a picture of each dashboard in light and dark: for the README, and to look at a change before and after."""
    from stack.preview.app import LibraryError, load

    try:
        from stack.preview import pictures as camera  # needs Playwright, which only developers install

        uids = [f"agentgauge-{name}" for name in dashboards or ()] or list(load(GENERATED))
        query = {"from": since, "to": "now"} if since else {}
        with camera.browser() as browser:
            taken = camera.take(browser, url, uids, folder, height=height, **query)
    except ImportError:
        _fail("pictures are taken with Playwright; `pip install -e .[dev]` brings it")
    except (LibraryError, camera.PictureError) as error:
        _fail(error)
    for path in taken:
        typer.echo(f"wrote {path} ({path.stat().st_size / 1000:.0f} kB)")


def cost(
    prometheus: Annotated[str, typer.Option(help="Base URL of Prometheus.")] = PROMETHEUS,
    since: Annotated[str, typer.Option(help="Start of the time range.")] = "now-24h",
    rounds: Annotated[int, typer.Option(help="Take the median of so many.")] = 5,
) -> None:
    """Measure how long Prometheus takes to answer each dashboard, asked as a browser does."""
    from rich.console import Console
    from rich.table import Table

    from agentgauge.ops.prometheus import Prometheus, PrometheusError
    from stack.preview.app import LibraryError, load
    from stack.preview.query import TimeRange
    from stack.preview.querycost import measure

    table = Table("dashboard", "queries", "all answered", "slowest", "", title=f"Queries from {since} to now")
    try:
        span = TimeRange.parse(since, "now", time.time())
        boards = list(load(GENERATED).values())
        for one in measure(boards, Prometheus(prometheus), span, rounds):
            slowest = f"{one.slowest_seconds:.2f} s"
            table.add_row(
                one.title.removeprefix("AgentGauge "), str(one.queries), f"{one.seconds:.2f} s", one.slowest, slowest
            )
    except (LibraryError, PrometheusError, ValueError) as error:
        _fail(error)
    Console().print(table)


def _fail(error: Exception | str) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1)
