"""The whole story, unattended: break it, wait for the page, follow its links, mend it, wait for the all-clear."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from agentgauge import metrics
from agentgauge.ops.prometheus import Prometheus
from sample_agent import faults
from stack.errors import StackError
from stack.layout import Layout

ALERT_OF_FAULT = {
    "crm-outage": "AgentAllToolCallsFailing",
    "flaky-tool": "AgentToolSuccessRateLow",
    "slow-tool": "AgentToolLatencyHigh",
    "looping": "AgentSessionLooping",
    "slow-model": "AgentLatencySpike",
    "declining": "AgentTaskCompletionLow",
    "overloaded": "AgentLLMErrorsHigh",
    "model-gone": "AgentModelGone",
    "usage-lost": "AgentUsageUnknown",
    "pricey-tool": "AgentSessionCostOverLimit",
    "ruinous-tool": "AgentSessionCostRunaway",
    "stale-data": "AgentWrongAnswersReported",
    "picky-reviewers": "AgentApprovalRateLow",
    "absent-reviewers": "AgentApprovalQueueStalled",
}
"""The first alert that a fault of the demo fires."""

PATIENCE_SECONDS = 15 * 60.0
WARM_TASKS = 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How it went; times in seconds since the fault was put in, or since it was cleared."""

    page: dict[str, str]
    seconds_to_page: float
    runbook_status: int
    panel_title: str
    seconds_to_resolved: float


def tell(layout: Layout, fault: str, say: Say, tool: str | None = None) -> Outcome:
    """Run the story on a running stack. StackError if the page does not come or a link of it leads nowhere."""
    alert = ALERT_OF_FAULT.get(fault)
    if alert is None:
        raise StackError(f"no story for {fault!r}; there is one for {', '.join(ALERT_OF_FAULT)}")
    say(f"breaking it: {fault}: {faults.FAULTS[fault].description}")
    faults.inject(layout.state, faults.Fault(fault, tool))
    try:
        page, to_page = _wait(layout, alert, "firing", say)
        runbook_status = _check_runbook(page)
        panel_title = _check_panel(page)
    finally:
        faults.clear(layout.state, fault)
    say("mended: fault cleared; waiting until the window has drained and the alert resolves")
    _, to_resolved = _wait(layout, alert, "resolved", say)
    return Outcome(page, to_page, runbook_status, panel_title, to_resolved)


def wait_until_working(layout: Layout) -> None:
    """Wait until Prometheus has seen the agent complete some tasks: an outage before that looks like a dead start."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    query = f'sum({metrics.TASKS}{{outcome="completed"}}) >= {WARM_TASKS}'
    while not Prometheus(layout.prometheus).instant(query):
        if time.monotonic() > deadline:
            raise StackError(f"the agent completed no {WARM_TASKS} tasks; see {layout.logs / 'agent.log'}")
        time.sleep(0.5)


def _wait(layout: Layout, alert: str, status: str, say: Say) -> tuple[dict[str, str], float]:
    started, since = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
    shown = ""
    while (elapsed := time.monotonic() - started) < PATIENCE_SECONDS:
        query = {"alert": alert, "status": status, "since": since, "timeout": "1"}
        answer = requests.get(f"{layout.pager}/pages/wait", params=query, timeout=10)
        if answer.status_code == 200:
            page: dict[str, str] = answer.json()
            return page, time.monotonic() - started
        state = _state(layout, alert)
        if state != shown:
            say(f"  {elapsed:5.1f} s  {alert} is {state}")
            shown = state
    raise StackError(f"no {status} page of {alert} within {PATIENCE_SECONDS / 60:.0f} minutes; see {layout.logs}")


def _state(layout: Layout, alert: str) -> str:
    alerts = Prometheus(layout.prometheus).alerts()
    states = {one["state"] for one in alerts if one["labels"]["alertname"] == alert}
    return "firing" if "firing" in states else "pending" if states else "quiet"


def _check_runbook(page: dict[str, str]) -> int:
    answer = requests.get(page["runbook_url"], timeout=10)
    if answer.status_code != 200 or page["alert"] not in answer.text:
        raise StackError(f"the runbook link {page['runbook_url']} answers {answer.status_code}, not the page")
    return answer.status_code


def _check_panel(page: dict[str, str]) -> str:
    """The title of the panel that the page links to; StackError if dashboard or panel do not exist."""
    url = urlsplit(page["dashboard_url"])
    uid = url.path.removeprefix("/d/")
    answer = requests.get(f"{url.scheme}://{url.netloc}/api/dashboards/uid/{uid}", timeout=10)
    wanted = re.search(r"viewPanel=panel-(\d+)", url.query)
    if answer.status_code == 200 and wanted:
        for panel in answer.json()["dashboard"]["panels"]:
            if panel["id"] == int(wanted[1]):
                return str(panel["title"])
    raise StackError(f"the panel link {page['dashboard_url']} leads to no panel (dashboard {answer.status_code})")
