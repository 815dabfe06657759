"""The draft of a post-mortem: what the machine knows is in it, what people know is left to be filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentgauge.incident.diagnosis import Diagnosis
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import printable
from agentgauge.incident.words import age, figures, impact_lines

if TYPE_CHECKING:
    from agentgauge.ops.log import LogEntry


@dataclass(frozen=True)
class Incident:
    """What one run of `agentgauge incident` saw, and did afterwards.

    ``commands`` are those that were run, with when (UTC); ``mended_after`` is in seconds from ``began``, when it was
    agreed to; None if it was not mended.
    """

    seen: Seen
    by: str
    began: datetime
    commands: Sequence[tuple[datetime, str]]
    mended_after: float | None


def draft(it: Incident, log: Sequence[LogEntry]) -> str:
    """The post-mortem as Markdown; ``log`` is what people did to the agent meanwhile."""
    labels = it.seen.firing.labels if it.seen.firing else {}
    on = ", ".join(f"{name} {value}" for name, value in sorted(labels.items()))
    parts = [
        f"# {it.seen.alert} on {it.seen.at:%Y-%m-%d}",
        _text(it.seen.summary),
        f"Labels: {_text(on)}.",
        "## Timeline (UTC)",
        "\n".join(f"* {at:%Y-%m-%d %H:%M:%S} {_text(line)}" for at, line in sorted(_timeline(it, log))),
        "## Impact",
        "\n".join(f"* {_text(line)}" for line in impact_lines(it.seen.impact)),
        "Still to be filled in: what users saw, how many asked for help, what it cost in all.",
        "## Diagnosis",
        "\n".join(_step(it.seen.diagnosis)),
        "## Root cause",
        "Still to be filled in: why it could happen, and why nothing stopped it before users felt it.",
        "## What we change",
        "Still to be filled in: each with a name and a day. What was switched to mend it has to be switched back.",
    ]
    return "\n\n".join(parts) + "\n"


def file_name(seen: Seen) -> str:
    """What the draft is called: when it was looked at, and the alert."""
    return f"{seen.at:%Y-%m-%dT%H%M}-{seen.alert}.md"


def _timeline(it: Incident, log: Sequence[LogEntry]) -> list[tuple[datetime, str]]:
    lines = [(it.seen.at, f"{it.by} looked: the runbook led to {_end(it.seen.diagnosis)}")]
    if it.seen.firing is not None and it.seen.firing.since is not None:
        lines.append((it.seen.firing.since, f"{it.seen.alert}: the condition began to hold"))
    lines += [(at, f"{it.by} ran {command}") for at, command in it.commands]
    lines += [(one.at, f"{one.by}: {one.what}" + (f" ({one.why})" if one.why else "")) for one in log]
    if it.mended_after is None:
        lines.append((max([it.began, *(at for at, _ in it.commands)]), "not mended while it was watched"))
    else:
        lines.append((it.began + timedelta(seconds=it.mended_after), f"mended after {age(it.mended_after)}"))
    return lines


def _end(found: Diagnosis) -> str:
    return f"{found.alert}, mitigation {found.mitigation.number}" if found.mitigation else "no mitigation"


def _step(found: Diagnosis) -> list[str]:
    return [
        f"1. {one.alert}, step {one.step.number}: {_text(one.step.question)} {_text(figures(one.rows))}. "
        + (_text(one.reading.text) if one.reading else "None of the readings fits.")
        for one in found.steps
    ]


def _text(text: str) -> str:
    """Text of others inside Markdown: on one line, and no mark-up of its own."""
    return "".join(f"\\{character}" if character in "<>[]`*_\\|" else character for character in printable(text))
