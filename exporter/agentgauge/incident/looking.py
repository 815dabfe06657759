"""Looks at an incident: what fires, whom it hits, and where its runbook leads. Each face shows what this returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from agentgauge.incident import mending
from agentgauge.incident.diagnosis import Diagnosis, walk
from agentgauge.incident.impact import firing
from agentgauge.incident.pages import declared, job_of, pages_of, words_of_commands
from agentgauge.incident.place import Place
from agentgauge.incident.seen import Seen


def _unknown(needed: bool) -> str:
    return "unknown"


def look(
    alert: str,
    labels: Mapping[str, str],
    place: Place,
    at: datetime | None = None,
    agent_name: Callable[[bool], str] = _unknown,
) -> Seen:
    """The alert with these labels at a time; now by default.

    ``labels`` narrow what fires, but for those that only a command needs, such as ``cheaper_model``. ``agent_name``
    says whose alert it is where neither says it; it gets whether that has to be known. Raises RunbookError if there is
    no such alert, PrometheusError without an answer, and what ``agent_name`` raises.
    """
    known = declared(alert)
    given = {
        name.upper(): value
        for name, value in labels.items()
        if name.upper() in words_of_commands() and not value.startswith("-")  # which would be read as an option
    }
    narrowing = {name: value for name, value in labels.items() if name.upper() not in given or name in known.labels}
    ask = place.ask(at)
    fires = firing(alert, narrowing, ask)
    first = fires[0] if fires else None
    of = {**narrowing, **(first.labels if first else {})}
    name = of.get("agent") or agent_name("agent" in known.labels)
    job = place.job or of.get("job") or job_of(name, ask)
    page = pages_of(name, job, place.prometheus.url, place.thresholds, place.speed, place.app)
    diagnosis = walk(alert, page, of, ask)
    return Seen(
        alert=alert,
        agent=name,
        at=at or datetime.now(UTC),
        summary=page(alert).summary,
        firing=first,
        others=len(fires) - 1,
        impact=place.impact(name, at),
        diagnosis=diagnosis,
        plan=_plan(diagnosis, of, given),
        place=place,
    )


def still_fires(seen: Seen) -> bool:
    """Whether what was seen to fire does so now; raises PrometheusError."""
    return seen.firing is not None and bool(firing(seen.alert, seen.firing.labels, seen.place.ask()))


def _plan(diagnosis: Diagnosis, labels: Mapping[str, str], given: Mapping[str, str]) -> mending.Plan:
    if diagnosis.mitigation is None:
        return mending.Plan((), by_hand=True)
    known = mending.known_words(diagnosis.mitigation, diagnosis, labels)
    return mending.plan(diagnosis.mitigation, {**known, **given})
