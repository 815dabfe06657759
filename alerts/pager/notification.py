"""What Alertmanager sends, as pages: printable text, and nothing that a terminal or a browser would execute."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agentgauge.incident.terminal import printable


@dataclass(frozen=True)
class Page:
    """One alert as it reached the pager. ``status`` is firing or resolved; times are ISO 8601 in UTC."""

    status: str
    alert: str
    severity: str
    labels: dict[str, str]
    summary: str
    description: str
    runbook_url: str
    dashboard_url: str
    starts_at: str
    ends_at: str
    received_at: str
    incident_url: str = ""

    @property
    def whose(self) -> str:
        """The agent, or the job of an alert that is about none; empty if it is about neither."""
        return self.labels.get("agent") or self.labels.get("job", "")

    @property
    def command(self) -> str:
        """The command that follows the runbook, ready to paste; empty where the page links to none."""
        link = next(filter(is_web_link, [self.incident_url, self.runbook_url]), "")
        return f"agentgauge incident {shlex.quote(link)}" if link else ""

    @property
    def first_line(self) -> str:
        """What, how bad, for whom, since when: the words of the messages to Slack, PagerDuty and by mail."""
        what = "RESOLVED" if self.status == "resolved" else "PAGE" if self.severity == "critical" else "TICKET"
        of = f" of {self.whose}" if self.whose else ""
        return f"{what} {self.alert}{of} since {moment(self.starts_at):%Y-%m-%d %H:%M} UTC"

    def __str__(self) -> str:
        lines = [self.first_line, f"  {self.summary}"]
        if self.status != "resolved":
            lines += [f"  {self.description}"]
            lines += [f"  incident {self.incident_url}"] if self.incident_url else []
            lines += [f"  runbook  {self.runbook_url}", f"  panel    {self.dashboard_url}"]
            lines += [f"  follow   {self.command}"] if self.command else []
        return "\n".join(lines)


def is_web_link(url: str) -> bool:
    """Whether a link leads to a page, and not to something that is executed."""
    return url.startswith(("http://", "https://"))


def pages_in(notification: dict[str, Any]) -> list[Page]:
    """The pages in an Alertmanager webhook body (version 4); ValueError or KeyError if it is something else."""
    alerts = notification.get("alerts")
    if not isinstance(alerts, list):
        raise ValueError("expected Alertmanager's webhook body: an object with a list of alerts")
    now = in_iso(datetime.now(UTC))
    return [_page(alert, now) for alert in alerts]


def moment(text: str) -> datetime:
    """An ISO 8601 time in UTC; ValueError if it is not one."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def in_iso(at: datetime) -> str:
    """A time as pages carry it: all in one form, so that they can be compared as text."""
    return at.isoformat(timespec="milliseconds")


def _page(alert: dict[str, Any], received_at: str) -> Page:
    labels, annotations = _texts(alert["labels"]), _texts(alert.get("annotations", {}))
    is_resolved = alert["status"] == "resolved"
    return Page(
        status=printable(str(alert["status"])),
        alert=labels["alertname"],
        severity=labels.get("severity", "none"),
        labels={name: value for name, value in labels.items() if name not in ("alertname", "severity")},
        summary=annotations.get("summary", ""),
        description=annotations.get("description", ""),
        runbook_url=annotations.get("runbook_url", ""),
        dashboard_url=annotations.get("dashboard_url", ""),
        starts_at=in_iso(moment(alert["startsAt"])),
        ends_at=in_iso(moment(alert["endsAt"])) if is_resolved and alert.get("endsAt") else "",
        received_at=received_at,
        incident_url=annotations.get("incident_url", ""),
    )


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {printable(str(name)): printable(str(value)) for name, value in values.items()}
