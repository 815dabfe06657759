"""`agentgauge truth`: what the alerts can find at a volume of traffic, and what they are blind to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from agentgauge.cli.bundle import alerts_module
from agentgauge.cli.common import AsJson, say, stop
from agentgauge.cli.tables import Column, Row, print_rows

app = typer.Typer(add_completion=False)


@app.command()
def truth(
    calls_per_hour: Annotated[float | None, typer.Option(min=0.01, help="Calls of one tool in an hour.")] = None,
    tasks_per_hour: Annotated[float | None, typer.Option(min=0.01, help="User requests in an hour.")] = None,
    sessions_per_hour: Annotated[float | None, typer.Option(min=0.01, help="Conversations in an hour.")] = None,
    approvals_per_hour: Annotated[float | None, typer.Option(min=0.01, help="Decisions of people in an hour.")] = None,
    ratings_per_hour: Annotated[float | None, typer.Option(min=0.01, help="Thumbs in an hour.")] = None,
    llm_calls_per_hour: Annotated[float | None, typer.Option(min=0.01, help="Attempts at a model in an hour.")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="Your thresholds.yml, laid over ours.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which alerts can work at your volume, how soon each finds a fault, and what the others would need.

    One number is enough: the others follow in the proportions of the agent that the alerts were measured on.
    """
    given = {
        "calls": calls_per_hour,
        "tasks": tasks_per_hour,
        "sessions": sessions_per_hour,
        "approvals": approvals_per_hour,
        "ratings": ratings_per_hour,
        "llm_calls": llm_calls_per_hour,
    }
    known = {name: number for name, number in given.items() if number is not None}
    if not known:
        stop("say how much happens: --calls-per-hour 12, for example; `agentgauge truth --help` lists the others")
    reach, numbers = alerts_module("reach"), alerts_module("thresholds")
    loaded = numbers.load(overrides=thresholds)
    rows = [_row(one) for one in reach.reaches(loaded, reach.volumes(known))]
    print_rows(COLUMNS, rows, as_json=as_json, nothing="no alert needs events")
    if not as_json:
        say("")
        say("Half of the faults are found sooner. Every other alert sees a single event, or a silence, at any volume.")


def _row(one: Any) -> Row:
    return {
        "alert": one.alert,
        "events": one.events,
        "per_hour": one.per_hour,
        "works": one.works,
        "all_bad_minutes": _finite(one.total_minutes),
        "least": _finite(one.worst),
        "least_minutes": one.within if one.works else None,
        "needs_hours": one.needs_hours or None,
        "mean": one.mean,
        "words": _words(one),
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _words(one: Any) -> str:
    if not one.works:
        return f"cannot work; a window of {_duration(one.needs_hours * 60)} would see enough"
    worst = f"a mean of {_number(one.worst)}" if one.mean else f"{one.worst:.0%} bad"
    return f"finds {worst} within {_duration(one.within)}"


def _number(value: float) -> str:
    """Three digits that count, written out: 84 500 and 0.505."""
    return f"{float(f'{value:.3g}'):,.15g}".replace(",", " ")


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


COLUMNS = (
    Column("alert", "alert"),
    Column("per_hour", "an hour", _number, right=True),
    Column("events", "events", lambda value: str(value).replace("_", " ")),
    Column("all_bad_minutes", "all bad", lambda value: "–" if value is None else _duration(value), right=True),
    Column("words", "what it finds", wraps=True),
)
