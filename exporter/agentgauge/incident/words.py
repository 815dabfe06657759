"""An incident in words: lines for a terminal and for the post-mortem, and what `--json` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agentgauge.incident.conditions import Row
from agentgauge.incident.diagnosis import Walked
from agentgauge.incident.impact import Firing, Impact
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import number, printable

MOST_ROWS = 3
UNKNOWN = "unknown"


def age(seconds: float) -> str:
    """A duration as people say it: 40 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = max(round(seconds), 0)
    for size, name, rest, rest_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            left = whole % size // rest
            return f"{whole // size} {name}" + (f" {left} {rest_name}" if left else "")
    return f"{whole} s"


def headline(alert: str, one: Firing | None, others: int, now: datetime) -> str:
    """What fires, on what, and since when."""
    if one is None:
        return f"{alert} does not fire"
    return f"{alert} ({_severity(one)}) fires {_since(one, now)}: {_on(one, others)}"


def under_its_name(one: Firing, others: int, now: datetime) -> str:
    """The same for a page that has the alert's name above it: how bad, since when, and on what."""
    return f"{_severity(one).capitalize()} {_since(one, now)}: {_on(one, others)}"


def _severity(one: Firing) -> str:
    return printable(one.labels.get("severity", "no severity"))


def _since(one: Firing, now: datetime) -> str:
    return f"since {one.since:%Y-%m-%d %H:%M} UTC ({age((now - one.since).total_seconds())})" if one.since else "now"


def _on(one: Firing, others: int) -> str:
    on = ", ".join(f"{name} {printable(value)}" for name, value in sorted(one.labels.items()) if name != "severity")
    return on + (f"; and {others} more of it" if others else "")


def impact_lines(it: Impact) -> tuple[str, ...]:
    """Whom it hits, which conversations and at what cost, and what runs and fails: a line each."""
    return (who(it), conversations(it), what(it))


def who(it: Impact) -> str:
    """Which part of the requests and of the users it hits."""
    if it.requests_per_minute is None:
        failing = "requests: unknown"
    elif it.failed_share is None:
        failing = "no requests now"
    else:
        failed, of = _rate(it.failed_per_minute or 0), _rate(it.requests_per_minute)
        failing = f"{failed} of {of} requests a minute fail ({it.failed_share:.0%})"
    users = "users: unknown" if it.users is None else f"{_count(it.users_failed or 0)} of {_count(it.users)} users"
    return f"{failing}; {users}" + (f" of the last hour saw one fail ({it.users_share:.0%})" if it.users_share else "")


def conversations(it: Impact) -> str:
    """Which part of the conversations it hits, and what everything costs."""
    spent = UNKNOWN if it.usd_per_minute is None else f"${it.usd_per_minute:.2f}"
    if it.sessions is None:
        return f"conversations: unknown; {spent} a minute"
    share = f" ({it.sessions_share:.0%})" if it.sessions_share else ""
    hit = f"in {_count(it.sessions_failed or 0)} of {_count(it.sessions)} conversations of the last hour{share}"
    over = f"{_count(it.sessions_over_limit or 0)} passed a limit"
    return f"{hit}; {over}; {_known(it.sessions_open)} open; {spent} a minute"


def what(it: Impact) -> str:
    """What runs, and which error leads."""
    versions = ", ".join(printable(one) for one in it.versions) or UNKNOWN
    errors = [f"{printable(where)}: {printable(error)}, {_count(often)} in 10 min" for where, error, often in it.errors]
    return f"version {versions}; " + ("; ".join(errors) or "no errors of tools or models")


def figures(rows: Sequence[Row]) -> str:
    """The largest rows of an answer, each by the labels that tell it from the others."""
    if not rows:
        return "no rows"
    same = {name for name in rows[0].labels if len(rows) > 1 and len({row.labels.get(name) for row in rows}) == 1}
    ordered = sorted(rows, key=lambda row: (math.isnan(row.value), -row.value))
    shown = [_row(row, same) for row in ordered[:MOST_ROWS]]
    more = f" … {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    return ", ".join(shown) + more


def _row(row: Row, same: set[str]) -> str:
    hidden = same | {"__name__", "agent", "job"}
    named = " ".join(printable(value) for name, value in sorted(row.labels.items()) if name not in hidden and value)
    return f"{named} {number(row.value)}".strip()


def _count(value: float) -> str:
    """How often, which Prometheus estimates between scrapes: 41.1 conversations are 41."""
    return number(round(value)) if math.isfinite(value) else number(value)


def _rate(value: float) -> str:
    """Times a minute: 9.36 of them are 9.4, which says no less; 0.04 stay."""
    return number(round(value, 1)) if 1 <= value < math.inf else number(value)


def _known(value: float | None) -> str:
    return UNKNOWN if value is None else number(value)


def step_lines(one: Walked, first_of_page: bool) -> list[str]:
    """A step that was asked: question and figures, then the reading."""
    of_page = [f"  {one.alert}"] if first_of_page else []
    taken = "none of the readings fits" if one.reading is None else one.reading.text
    return [*of_page, f"  {one.step.number} {one.step.question} {figures(one.rows)}", f"    → {printable(taken)}"]


def document(seen: Seen) -> dict[str, Any]:
    """The incident as JSON: what fires, its impact, the walk, and how it is mended."""
    fires, diagnosis = seen.firing, seen.diagnosis
    return {
        "alert": seen.alert,
        "agent": seen.agent,
        "at": seen.at.isoformat(),
        "firing": fires is not None,
        "since": fires.since.isoformat() if fires and fires.since else None,
        "labels": dict(fires.labels) if fires else {},
        "others": max(seen.others, 0),
        "impact": of_impact(seen.impact),
        "diagnosis": [_walked(one) for one in diagnosis.steps],
        "ended": diagnosis.ended,
        "runbook": diagnosis.alert,
        "mitigation": diagnosis.mitigation
        and {
            "number": diagnosis.mitigation.number,
            "text": diagnosis.mitigation.text,
            "commands": list(seen.plan.commands),
            "by_hand": seen.plan.by_hand,
        },
    }


def of_impact(it: Impact) -> Mapping[str, Any]:
    """The impact as JSON."""
    named = {name: getattr(it, name) for name in it.__dataclass_fields__ if name not in ("versions", "errors")}
    errors = [{"where": where, "error_type": error, "in_10_minutes": often} for where, error, often in it.errors]
    shares = {name: getattr(it, name) for name in ("failed_share", "users_share", "sessions_share")}
    return {**named, **shares, "versions": list(it.versions), "errors": errors}


def _walked(one: Walked) -> Mapping[str, Any]:
    return {
        "runbook": one.alert,
        "step": one.step.number,
        "question": one.step.question,
        "query": one.query,
        "rows": [
            {"labels": dict(row.labels), "value": row.value if math.isfinite(row.value) else number(row.value)}
            for row in one.rows
        ],
        "reading": None if one.reading is None else one.reading.text,
        "because": None if one.reading is None else str(one.reading.condition),
    }
