"""The pager: every page kept and printed, bad input refused, nothing executed in the browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from alerts.pager import create_app
from sample_agent.serving import serving


@pytest.fixture
def shown() -> list[str]:
    """What the pager printed."""
    return []


@pytest.fixture
def pager(shown: list[str]) -> Iterator[str]:
    """A running pager."""
    with serving(create_app(shown.append)) as url:
        yield url


def alert(name: str = "AgentSessionLooping", status: str = "firing", **labels: str) -> dict[str, Any]:
    """An alert as Alertmanager sends it."""
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", "agent": "a", **labels},
        "annotations": {
            "summary": "It loops.",
            "description": "a: 1 session passed 15 tool calls.",
            "runbook_url": f"http://127.0.0.1:8020/{name}/",
            "dashboard_url": "http://127.0.0.1:3000/d/agentgauge-tools?viewPanel=panel-4&var-agent=a",
        },
        "startsAt": "2026-01-01T00:00:00Z",
    }


def send(pager: str, *alerts: dict[str, Any]) -> requests.Response:
    """Post a notification."""
    return requests.post(f"{pager}/alerts", json={"version": "4", "alerts": list(alerts)}, timeout=5)


def test_a_page_is_printed_with_its_links_and_kept(pager: str, shown: list[str]) -> None:
    """What the on-call sees: what, how much, runbook, panel."""
    assert send(pager, alert()).ok
    assert shown == [
        "PAGE AgentSessionLooping of a since 2026-01-01 00:00 UTC\n"
        "  It loops.\n"
        "  a: 1 session passed 15 tool calls.\n"
        "  runbook  http://127.0.0.1:8020/AgentSessionLooping/\n"
        "  panel    http://127.0.0.1:3000/d/agentgauge-tools?viewPanel=panel-4&var-agent=a\n"
        "  follow   agentgauge incident http://127.0.0.1:8020/AgentSessionLooping/"
    ]
    (page,) = requests.get(f"{pager}/pages", timeout=5).json()
    assert (page["alert"], page["status"], page["labels"]) == ("AgentSessionLooping", "firing", {"agent": "a"})


def test_a_warning_is_a_ticket_and_the_end_is_said(pager: str, shown: list[str]) -> None:
    """Nobody is woken for a warning; the all-clear says what is over."""
    send(pager, alert(severity="warning"), alert(status="resolved"))
    assert shown[0].startswith("TICKET ")
    assert shown[1] == "RESOLVED AgentSessionLooping of a since 2026-01-01 00:00 UTC\n  It loops."


def test_waiting_answers_as_soon_as_the_page_comes(pager: str) -> None:
    """Drills wait for an event instead of sleeping."""
    answers: list[requests.Response] = []
    query = {"alert": "AgentSessionLooping", "timeout": "30"}
    waiting = threading.Thread(
        target=lambda: answers.append(requests.get(f"{pager}/pages/wait", params=query, timeout=40))
    )
    waiting.start()
    send(pager, alert("AnotherAlert"))
    send(pager, alert())
    waiting.join(timeout=20)
    assert answers[0].json()["alert"] == "AgentSessionLooping"


def test_waiting_for_what_does_not_come_ends_with_no_content(pager: str) -> None:
    """204 after the timeout, so that the caller can say what it waits for."""
    query = {"alert": "AgentSessionLooping", "timeout": "0.01"}
    assert requests.get(f"{pager}/pages/wait", params=query, timeout=5).status_code == 204


@pytest.mark.parametrize("body", [{}, {"alerts": "x"}, {"alerts": [{}]}, [], {"alerts": [1]}], ids=str)
def test_what_is_no_webhook_is_refused(pager: str, body: Any) -> None:
    """Alertmanager must see a failure and retry, not a page lost."""
    assert requests.post(f"{pager}/alerts", json=body, timeout=5).status_code == 400
    assert requests.get(f"{pager}/pages", timeout=5).json() == []


def test_the_page_list_shows_text_and_runs_nothing(pager: str) -> None:
    """Labels can come from elsewhere."""
    evil = alert()
    evil["annotations"]["description"] = "<script>alert(1)</script>"
    send(pager, evil)
    shown = requests.get(pager, timeout=5).text
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_heartbeat_is_remembered(pager: str) -> None:
    """The watchdog's runbook looks here."""
    assert requests.get(f"{pager}/health", timeout=5).json()["last_heartbeat"] is None
    requests.post(f"{pager}/heartbeat", json={"alerts": []}, timeout=5)
    assert requests.get(f"{pager}/health", timeout=5).json()["last_heartbeat"]


def test_a_website_can_neither_page_nor_beat_the_heart(pager: str, shown: list[str]) -> None:
    """A form sends text without asking; a script says where it comes from; a name of its own may point here."""
    body = json.dumps({"version": "4", "alerts": [alert()]})
    as_json = {"content-type": "application/json"}
    for path in ("/alerts", "/heartbeat"):
        url = pager + path
        assert requests.post(url, data=body, headers={"content-type": "text/plain"}, timeout=5).status_code == 415
        from_afar = as_json | {"origin": "http://evil.example"}
        assert requests.post(url, data=body, headers=from_afar, timeout=5).status_code == 403
        assert requests.post(url, data=body, headers=as_json | {"host": "evil.example"}, timeout=5).status_code == 400
    assert requests.get(f"{pager}/pages", headers={"host": "evil.example"}, timeout=5).status_code == 400
    assert shown == []
    assert requests.get(f"{pager}/health", timeout=5).json() == {"pages": 0, "last_heartbeat": None}


def test_a_body_that_is_too_large_or_too_deep_is_refused(pager: str) -> None:
    """And the pager goes on."""
    as_json = {"content-type": "application/json"}
    assert requests.post(f"{pager}/alerts", data=b"x" * 1_000_001, headers=as_json, timeout=5).status_code == 413
    assert requests.post(f"{pager}/alerts", data=b"[" * 100_000, headers=as_json, timeout=5).status_code == 400
    assert send(pager, alert()).ok


def test_no_page_moves_the_cursor_or_breaks_the_list(pager: str, shown: list[str]) -> None:
    """Control characters never reach a terminal; values that are no text are shown as text; no link is executed."""
    odd = alert()
    odd["annotations"] |= {"description": "\x1b[2J gone\u202e", "runbook_url": "javascript:alert(1)", "summary": 7}
    odd["labels"]["agent"] = ["a"]
    assert send(pager, odd).ok
    assert "\x1b" not in shown[0]
    assert "\u202e" not in shown[0]
    page = requests.get(pager, timeout=5)
    assert page.ok
    assert "javascript:" not in page.text
