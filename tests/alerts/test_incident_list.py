"""The pager's list of incidents: kept on disk, grouped by cause, taken in hand, silenced and escalated."""

from __future__ import annotations

import json
import shlex
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alerts.catalog import ALERTS
from alerts.pager import Escalation, create_app
from alerts.pager.incidents import UNHEARD, Alarm, cause_of, incidents, to_escalate
from alerts.pager.notification import Page, pages_in
from alerts.pager.store import KEPT_ALARMS, KEPT_PAGES, Store
from alerts.promql import Duration
from sample_agent.serving import serving
from stack import config
from stack.layout import HOME, ROOT, Layout, Ports
from tests import axe, chromium
from tests.alerts import alertmanager

pytestmark = pytest.mark.browser

SAVED = HOME / "pictures"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INHIBITS = {alert.name: alert.inhibits for alert in ALERTS}


def raw(name: str, minutes_ago: float = 5, *, ended: bool = False, severity: str = "critical", **labels: str) -> Any:
    """An alert as Alertmanager sends it."""
    began = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {
        "status": "resolved" if ended else "firing",
        "labels": {"alertname": name, "severity": severity, "agent": "a", **labels},
        "annotations": {
            "summary": f"{name} is bad.",
            "description": f"a: {name} 7 of 9.",
            "runbook_url": f"http://127.0.0.1:8020/{name}/?agent=a",
            "dashboard_url": "http://127.0.0.1:3000/d/agentgauge-tools?viewPanel=panel-4&var-agent=a",
        },
        "startsAt": began,
        "endsAt": NOW.isoformat() if ended else "0001-01-01T00:00:00Z",
    }


def pages(*alerts: Any) -> list[Page]:
    """What the pager makes of them."""
    return pages_in({"alerts": list(alerts)})


def opened(store: Store) -> list[list[str]]:
    """The open incidents: the names of the alarms in each."""
    return [[alarm.page.alert for alarm in one.alarms] for one in incidents(store.alarms(), INHIBITS)]


@pytest.fixture
def store() -> Iterator[Store]:
    """One in memory."""
    with closing(Store()) as opened_store:
        yield opened_store


def test_an_alarm_is_one_from_its_first_page_to_its_end(store: Store) -> None:
    """Alertmanager repeats itself with new numbers; the beginning stays."""
    store.add(pages(raw("AgentHung", 20)))
    store.add(pages(raw("AgentHung", 3)))
    (alarm,) = store.alarms()
    assert alarm.began_at == "2026-03-01T11:40:00.000+00:00"
    assert not alarm.ended_at
    store.add(pages(raw("AgentHung", 20, ended=True)))
    (alarm,) = store.alarms()
    assert alarm.ended_at == "2026-03-01T12:00:00.000+00:00"
    store.add(pages(raw("AgentHung", 0)))
    assert [bool(one.ended_at) for one in store.alarms()] == [True, False]


def test_a_symptom_stands_below_its_cause_even_when_it_paged_first(store: Store) -> None:
    """The on-call begins with the cause. Another agent's is another incident, and so is what has no part in it."""
    store.add(pages(raw("AgentTaskCompletionLow", 9), raw("AgentAllToolCallsFailing", 5)))
    store.add(pages(raw("AgentHung", 3, agent="b"), raw("AgentEvalStale", 90, severity="warning")))
    assert opened(store) == [
        ["AgentAllToolCallsFailing", "AgentTaskCompletionLow"],
        ["AgentHung"],
        ["AgentEvalStale"],
    ]


def test_causes_are_followed_to_the_end_of_the_chain() -> None:
    """Also where somebody's configuration runs in a circle."""
    chain = {"a": ["b"], "b": ["c"]}
    assert cause_of("c", ["a", "b", "c"], chain) == "a"
    assert cause_of("c", ["a", "c"], chain) == "c"
    assert cause_of("a", ["a", "b"], {"a": ["b"], "b": ["a"]}) in ("a", "b")


def test_what_nobody_has_in_hand_comes_first(store: Store) -> None:
    """Of those that are as bad; one that joins a taken incident is nobody's yet."""
    store.add(pages(raw("AgentHung", 30), raw("AgentToolSuccessRateLow", 10, tool="x")))
    hung = next(alarm for alarm in store.alarms() if alarm.page.alert == "AgentHung")
    store.acknowledge([hung.id], "Kim", NOW.isoformat())
    assert opened(store) == [["AgentToolSuccessRateLow"], ["AgentHung"]]
    store.add(pages(raw("AgentHung", 1, instance="two")))
    both = next(one for one in incidents(store.alarms(), INHIBITS) if one.cause.page.alert == "AgentHung")
    assert both.acknowledged_by == ""


def test_a_link_shows_the_time_around_the_breach(store: Store) -> None:
    """Half an hour before it; until now while it goes on, and ten minutes past its end."""
    store.add(pages(raw("AgentHung", 60)))
    (alarm,) = store.alarms()
    begin = int((NOW - timedelta(minutes=90)).timestamp() * 1000)
    assert alarm.panel_url(NOW).endswith(f"?viewPanel=panel-4&var-agent=a&from={begin}&to=now")
    store.add(pages(raw("AgentHung", 60, ended=True)))
    (alarm,) = store.alarms()
    end = int((NOW + timedelta(minutes=10)).timestamp() * 1000)
    assert alarm.panel_url(NOW + timedelta(days=1)).endswith(f"&from={begin}&to={end}")


def test_the_command_in_a_page_is_one_command() -> None:
    """Whatever its link holds; and none where the link is not one."""
    (page,) = pages(raw("AgentHung"))
    assert shlex.split(page.command) == ["agentgauge", "incident", page.runbook_url]
    evil = raw("AgentHung")
    evil["annotations"]["runbook_url"] = "http://x/$(reboot)'; reboot #"
    (page,) = pages(evil)
    assert shlex.split(page.command) == ["agentgauge", "incident", page.runbook_url]
    evil["annotations"]["runbook_url"] = "javascript:alert(1)"
    (page,) = pages(evil)
    assert page.command == ""


def test_only_critical_alarms_that_nobody_took_are_escalated(store: Store) -> None:
    """Once each; not what is silenced, taken, over, or a ticket."""
    store.add(pages(*(raw("AgentHung", 20, instance=str(n)) for n in range(4)), raw("AgentHung", 5, instance="new")))
    store.add(pages(raw("AgentEvalStale", 90, severity="warning"), raw("AgentHung", 20, ended=True, instance="3")))
    ids = {alarm.page.labels.get("instance"): alarm.id for alarm in store.alarms()}
    store.acknowledge([ids["0"]], "Kim", NOW.isoformat())
    store.silence([ids["1"]], "Kim", (NOW + timedelta(hours=1)).isoformat())

    def due() -> list[int]:
        return [alarm.id for alarm in to_escalate(store.alarms(), NOW, timedelta(minutes=15))]

    assert due() == [ids["2"]]
    store.escalate([ids["2"]], NOW.isoformat())
    assert due() == []


def test_what_alertmanager_does_not_repeat_is_said_to_be_unknown(store: Store) -> None:
    """It repeats every alert well within that time, unless it is away or was started again."""
    (page,) = pages(raw("AgentHung"))
    alarm = Alarm(1, page, page.starts_at, page.received_at)
    heard = datetime.fromisoformat(page.received_at)
    assert not alarm.is_unheard(heard + UNHEARD)
    assert alarm.is_unheard(heard + UNHEARD + timedelta(seconds=1))
    routes = yaml.safe_load((ROOT / "alerts" / "alertmanager.yml").read_text(encoding="utf-8"))["route"]
    longest = max(
        Duration.parse(one["repeat_interval"]).seconds
        for one in [routes, *routes["routes"]]
        if "repeat_interval" in one
    )
    assert UNHEARD.total_seconds() > longest + Duration.parse(routes["group_interval"]).seconds


def test_what_is_open_is_never_forgotten(store: Store) -> None:
    """However much comes after it; what has ended is, and pages are."""
    store.add(pages(raw("AgentHung", 500)))
    for number in range(KEPT_ALARMS + 5):
        instance = str(number)
        store.add(pages(raw("AgentGone", instance=instance), raw("AgentGone", ended=True, instance=instance)))
    alarms = store.alarms()
    assert [alarm.page.alert for alarm in alarms if not alarm.ended_at] == ["AgentHung"]
    assert len(alarms) == KEPT_ALARMS + 1
    assert len(store.pages()) == KEPT_PAGES


def test_a_restart_forgets_nothing_and_the_file_is_its_owners(tmp_path: Path) -> None:
    """Pages, who has what in hand, and what was escalated."""
    path = tmp_path / "new" / "pager.sqlite"
    with serving(create_app(list[str]().append, state=path)) as url:
        send(url, raw("AgentHung"))
        post(url, "acknowledge", alarms="1", by="Kim")
    with serving(create_app(list[str]().append, state=path)) as url:
        (incident,) = requests.get(f"{url}/incidents", timeout=5).json()
        assert incident["alarms"][0]["acknowledged_by"] == "Kim"
        assert len(requests.get(f"{url}/pages", timeout=5).json()) == 1
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_page_is_printed_even_when_it_cannot_be_kept(tmp_path: Path) -> None:
    """And Alertmanager is told to come again."""
    path, shown = tmp_path / "pager.sqlite", list[str]()
    with serving(create_app(shown.append, state=path)) as url:
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE alarms")
            other.commit()
        answer = send(url, raw("AgentHung"))
    assert answer.status_code == 503
    assert "the pager's file cannot be used" in answer.text
    assert shown[0].startswith("PAGE AgentHung of a")


def send(url: str, *alerts: Any) -> requests.Response:
    """Notify the pager."""
    return requests.post(f"{url}/alerts", json={"version": "4", "alerts": list(alerts)}, timeout=5)


def post(url: str, action: str, origin: str | None = "", **fields: str) -> requests.Response:
    """Send a form as our own page does, or as the page of another origin."""
    headers = {} if origin is None else {"origin": origin or url}
    return requests.post(f"{url}/{action}", data=fields, headers=headers, timeout=15, allow_redirects=False)


@pytest.mark.parametrize(
    ("action", "fields", "origin", "status"),
    [
        ("acknowledge", {"alarms": "1", "by": "Kim"}, "http://evil.example", 403),
        ("silence", {"alarms": "1", "by": "Kim", "why": "x", "hours": "1"}, "null", 403),
        ("acknowledge", {"alarms": "1", "by": " "}, "", 400),
        ("silence", {"alarms": "1", "by": "Kim", "hours": "1"}, "", 400),
        ("silence", {"alarms": "1", "by": "Kim", "why": "x", "hours": "999"}, "", 400),
        ("acknowledge", {"alarms": "1", "by": "x" * 1_000_001}, "", 413),
    ],
)
def test_a_form_that_is_not_ours_or_not_whole_changes_nothing(
    action: str, fields: dict[str, str], origin: str, status: int
) -> None:
    """A website cannot acknowledge in its reader's place."""
    shown: list[str] = []
    with serving(create_app(shown.append)) as url:
        send(url, raw("AgentHung"))
        assert post(url, action, origin, **fields).status_code == status
        (incident,) = requests.get(f"{url}/incidents", timeout=5).json()
        assert incident["alarms"][0]["acknowledged_by"] == ""
    assert len(shown) == 1


def test_a_name_with_control_characters_reaches_no_terminal() -> None:
    """What people write into a form is trusted as little as a label."""
    shown: list[str] = []
    with serving(create_app(shown.append)) as url:
        send(url, raw("AgentHung"))
        assert post(url, "acknowledge", alarms="1", by="Kim\x1b[2J\r\nPAGE AgentGone").status_code == 303
    assert shown[1] == "ACKNOWLEDGED by Kim\N{REPLACEMENT CHARACTER}[2J PAGE AgentGone: AgentHung of a"


def test_alertmanager_silences_what_the_reader_silenced(tmp_path: Path, programs: dict[str, Path]) -> None:
    """The real one: the alert is suppressed there by a silence that says who and why."""
    item = alertmanager.RENDERED["AgentToolSuccessRateLow"]
    layout = Layout(Ports.free(), tmp_path)
    config.write(layout)
    with (
        alertmanager.running(layout, programs) as its_url,
        serving(create_app(list[str]().append, alertmanager=its_url)) as url,
    ):
        alertmanager.post(its_url, [alertmanager.alert(item)])
        labels = alertmanager.labels_of(item)
        send(url, {**raw("x"), "labels": labels})
        assert post(url, "silence", alarms="1", by="Kim", why="the CRM is being moved", hours="4").status_code == 303
        (silence,) = requests.get(f"{its_url}/api/v2/silences", timeout=10).json()
        assert (silence["createdBy"], silence["comment"]) == ("Kim", "the CRM is being moved")
        (status,) = (one["status"] for one in requests.get(f"{its_url}/api/v2/alerts", timeout=10).json())
        assert status["state"] == "suppressed"
        (incident,) = requests.get(f"{url}/incidents", timeout=5).json()
        assert incident["alarms"][0]["silenced_by"] == "Kim"
    with serving(create_app(list[str]().append, alertmanager=its_url)) as url:
        send(url, raw("AgentHung"))
        answer = post(url, "silence", alarms="1", by="Kim", why="x", hours="1")
        assert answer.status_code == 502
        assert f"{its_url}/api/v2/silences does not answer" in answer.text


def test_who_is_next_is_told_and_asked_again_until_they_answer() -> None:
    """An escalation that got lost would be worse than none."""
    taken: list[Any] = []
    done = threading.Event()
    answers = iter([503, 200])

    async def take(request: Request) -> Response:
        taken.append(await request.json())
        status = next(answers)
        if status == 200:
            done.set()
        return PlainTextResponse("", status_code=status)

    shown: list[str] = []
    next_one = Starlette(routes=[Route("/", take, methods=["POST"])])
    with serving(next_one) as other:
        escalation = Escalation(timedelta(minutes=15), other)
        with serving(create_app(shown.append, escalation=escalation)) as url:
            send(url, raw("AgentHung"))
            assert done.wait(timeout=30)
    assert taken[-1]["text"].startswith(
        "PAGE AgentHung of a since 2026-03-01 11:55 UTC: nobody has acknowledged it for"
    )
    assert taken[-1]["alarm"]["page"]["labels"] == {"agent": "a"}
    assert any(line.startswith("NOT ESCALATED: ") for line in shown)


def test_what_is_over_for_alertmanager_is_not_escalated(tmp_path: Path, programs: dict[str, Path]) -> None:
    """The real one says that an alert is over up to its group_interval late; until then nobody has to be woken."""
    item = alertmanager.RENDERED["AgentAllToolCallsFailing"]
    layout = Layout(Ports.free(), tmp_path)
    config.write(layout)
    shown, escalated = list[str](), threading.Event()

    def show(line: str) -> None:
        shown.append(line)
        if line.startswith("ESCALATED"):
            escalated.set()

    with alertmanager.running(layout, programs) as its_url:
        alertmanager.post(its_url, [alertmanager.alert(item)])
        over = {**raw("x"), "labels": alertmanager.labels_of(alertmanager.RENDERED["AgentToolSuccessRateLow"])}
        escalation = Escalation(timedelta(minutes=15))
        with serving(create_app(show, alertmanager=its_url, escalation=escalation)) as url:
            send(url, over, {**raw("x"), "labels": alertmanager.labels_of(item)})
            assert escalated.wait(timeout=60)
    assert [line for line in shown if "ESCALATED" in line and "AgentAllToolCallsFailing" not in line] == []


@pytest.fixture(scope="module")
def browser_page() -> Iterator[BrowserPage]:
    """A page of a headless Chromium, on which any error fails the test."""
    with chromium.page_without_errors() as page:
        yield page


def test_the_list_is_renewed_under_the_reader_without_a_reload(browser_page: BrowserPage) -> None:
    """What is typed stays; a new incident appears; taken in hand, it says by whom; axe finds nothing serious."""
    evil = raw("AgentGone", instance="<script>document.title='taken'</script>")
    with serving(create_app(list[str]().append, alertmanager="http://127.0.0.1:1")) as url:
        send(url, raw("AgentHung"), raw("AgentTaskCompletionLow", 9), raw("AgentAllToolCallsFailing"), evil)
        send(url, raw("AgentEvalStale", 90, severity="warning"), raw("AgentGone", 9, ended=True))
        SAVED.mkdir(parents=True, exist_ok=True)
        browser_page.goto(url)
        browser_page.evaluate("window.stayed = true")
        browser_page.get_by_label("You").fill("Kim")
        expect(browser_page.locator("article")).to_have_count(4)
        send(url, raw("AgentCrashLooping", 1))
        expect(browser_page.locator("article")).to_have_count(5)
        assert browser_page.evaluate("window.stayed")
        hung = browser_page.locator("article", has_text="AgentHung")
        assert hung.get_by_label("Name").first.input_value() == "Kim"
        hung.get_by_role("button", name="Acknowledge").click()
        expect(hung).to_contain_text("In the hands of Kim since")
        assert browser_page.title() == "Pager"
        for scheme in ("light", "dark"):
            browser_page.emulate_media(color_scheme=scheme)
            assert axe.serious(browser_page) == []
            browser_page.screenshot(path=SAVED / f"pager-{scheme}.png", full_page=True)
        browser_page.set_viewport_size({"width": 360, "height": 740})
        assert browser_page.evaluate("document.documentElement.scrollWidth") <= 360


def test_no_payload_breaks_the_page_for_the_others() -> None:
    """What was taken once must be shown for ever: odd characters, empty texts, very long ones."""
    with serving(create_app(list[str]().append)) as url:
        odd = raw("AgentHung", instance="\ud800\x00\u202e" + "x" * 5000)
        odd["annotations"] = {}
        body = json.dumps({"alerts": [odd]})
        as_json = {"content-type": "application/json"}
        assert requests.post(f"{url}/alerts", data=body, headers=as_json, timeout=5).ok
        early = raw("AgentGone") | {"startsAt": "0001-01-01T00:00:00+14:00"}
        assert send(url, early).status_code == 400
        assert send(url, raw("AgentGone") | {"startsAt": "9999-12-31T23:59:59Z"}).ok
        for path in ("/", "/open", "/incidents", "/pages", "/health"):
            assert requests.get(url + path, timeout=5).ok, path
