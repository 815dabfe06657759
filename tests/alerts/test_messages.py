"""What people read: messages of the real Alertmanager, as they reach Slack, PagerDuty, Opsgenie and a mail server."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote_plus

import pytest
import requests
import yaml

from alerts.pager.notification import Page, pages_in
from alerts.rules import RenderedAlert
from stack import config
from stack.layout import ROOT, Layout, Ports
from tests.alerts import alertmanager
from tests.alerts.alertmanager import RENDERED, labels_of
from tests.alerts.inbox import Inbox, Message, mail_server, web_hooks

Way = Literal["slack", "pagerduty", "email"]
Status = Literal["firing", "resolved"]

CONFIG = (ROOT / "alerts" / "alertmanager.yml").read_text(encoding="utf-8")
SWITCHES = re.findall(r"^    # (\w+_configs: \*\w+)$", CONFIG, re.MULTILINE)
"""What is commented out under the receivers, and switched on by removing the #."""

PAGED = [item for item in RENDERED.values() if item.numbers.severity == "critical"]
TICKETS = [item for item in RENDERED.values() if item.numbers.severity == "warning"]
MESSAGES = [(item, way) for item in PAGED for way in ("slack", "pagerduty", "email")]
MESSAGES += [(item, way) for item in TICKETS for way in ("slack", "email")]

OF_TWO_TOOLS = RENDERED["AgentToolSuccessRateLow"]
HOSTILE = RENDERED["AgentToolNewErrorType"]
HOSTILE_LABELS = {"agent": "hostile", "error_type": "<!channel> <script>alert(1)</script> & 'x'; reboot"}


def switched_on(text: str, *switches: str) -> str:
    """The configuration with these ways to be told."""
    for switch in switches:
        text = text.replace(f"    # {switch}", f"    {switch}")
    return text


def told(messages: list[Message]) -> list[Message]:
    """Those to people: the pager and the dead-man switch of the bundle are on as well."""
    return [message for message in messages if message.way in ("slack", "pagerduty", "opsgenie", "email")]


def title(message: Message) -> str:
    """The line that a person sees first."""
    match message.way:
        case "slack":
            return str(message.content["attachments"][0]["title"])
        case "pagerduty":
            return str(message.content["payload"]["summary"]).partition(" UTC:")[0] + " UTC"
        case "email":
            return str(message.content["Subject"])
    return ""


def text(message: Message) -> str:
    """What a person reads below it."""
    match message.way:
        case "slack":
            return html.unescape(slack_markup(message))
        case "pagerduty":
            return str(message.content["payload"]["custom_details"]["message"])
    return str(message.content.get_body(("plain",)).get_content())


def links(message: Message) -> dict[str, str]:
    """Name, in lower case → URL of each link; the first of that name."""
    match message.way:
        case "slack":
            found = [(name, url) for url, name in re.findall(r"<([^|>]+)\|(\w+)>", slack_markup(message))]
        case "pagerduty":
            found = [(link["text"], link["href"]) for link in message.content["links"]]
        case _:
            found = [(name, url) for url, name in re.findall(r'<a href="([^"]+)">(?:<b>)?(\w+)', mail_page(message))]
    return {name.lower(): html.unescape(url) for name, url in reversed(found)}


def slack_markup(message: Message) -> str:
    """The text of a Slack message as it was sent."""
    return str(message.content["attachments"][0]["text"])


def mail_page(message: Message) -> str:
    """The HTML of a mail."""
    return str(message.content.get_body(("html",)).get_content())


def whole(message: Message) -> str:
    """Everything that was sent."""
    return message.content.as_string() + mail_page(message) if message.way == "email" else json.dumps(message.content)


@dataclass(frozen=True)
class Sent:
    """What an Alertmanager, which still runs at ``url``, has sent; ``pages`` are those at the pager."""

    url: str
    messages: list[Message]
    pages: list[Page]

    def message(self, way: Way, item: RenderedAlert, status: Status = "firing", agent: str = "") -> Message:
        """The one message of that alert."""
        what = "RESOLVED" if status == "resolved" else "PAGE" if item in PAGED else "TICKET"
        labels = labels_of(item)
        wanted = f"{what} {item.alert.name} of {agent or labels.get('agent') or labels['job']} since "
        (found,) = (message for message in self.messages if message.way == way and title(message).startswith(wanted))
        return found


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Iterator[Sent]:
    """Every alert that is a page or a ticket, fired and resolved, with every way to be told switched on."""
    folder = tmp_path_factory.mktemp("messages")
    alerts: list[tuple[RenderedAlert, dict[str, str]]] = [(item, {}) for item in PAGED + TICKETS]
    alerts += [(OF_TWO_TOOLS, {"tool": "search_emails"}), (HOSTILE, HOSTILE_LABELS)]
    inbox = Inbox()

    def post(url: str, resolved: bool) -> list[Message]:
        alertmanager.post(url, [alertmanager.alert(item, changed, resolved=resolved) for item, changed in alerts])
        # Two more: the hostile one is a ticket. Opsgenie gets the pages, and is told of an end by an alias alone.
        expected = (len(MESSAGES) + 2 + len(PAGED)) * (2 if resolved else 1)
        return inbox.wait(lambda messages: len(told(messages)) >= expected)

    with web_hooks(inbox) as http, mail_server(inbox) as smtp:
        layout = Layout(replace(Ports.free(), pager=int(http.rpartition(":")[2])), folder)
        config.write(layout)
        path = layout.etc / "alertmanager.yml"
        document = yaml.safe_load(switched_on(path.read_text(encoding="utf-8"), *SWITCHES))
        path.write_text(yaml.safe_dump(reaching(document, folder, http, smtp)), encoding="utf-8")
        with alertmanager.running(layout, programs) as url:
            post(url, resolved=False)
            messages = post(url, resolved=True)
            pages = [page for one in messages if one.way == "alerts" for page in pages_in(one.content)]
            yield Sent(url, told(messages), pages)


def reaching(document: Any, folder: Path, http: str, smtp: str) -> Any:
    """The configuration with the test's servers for those of the providers, and with its clocks shortened."""
    secrets = {"slack-webhook-url": f"{http}/slack/T0", "pagerduty-routing-key": "R0", "smtp-password": "P0"}
    secrets["opsgenie-api-key"] = "K0"
    for name, secret in secrets.items():
        (folder / name).write_text(secret, encoding="utf-8")
    receivers = {receiver["name"]: receiver for receiver in document["receivers"]}
    receivers["slack"]["slack_configs"][0]["api_url_file"] = str(folder / "slack-webhook-url")
    receivers["pagerduty"]["pagerduty_configs"][0] |= {
        "routing_key_file": str(folder / "pagerduty-routing-key"),
        "url": f"{http}/pagerduty",
    }
    receivers["opsgenie"]["opsgenie_configs"][0] |= {
        "api_key_file": str(folder / "opsgenie-api-key"),
        "api_url": f"{http}/opsgenie/",
    }
    receivers["email"]["email_configs"][0] |= {
        "auth_password_file": str(folder / "smtp-password"),
        "smarthost": smtp,
        "require_tls": False,
    }
    document["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    return document | {"inhibit_rules": []}


@pytest.mark.parametrize(("item", "way"), MESSAGES, ids=[f"{item.alert.name}-{way}" for item, way in MESSAGES])
def test_a_message_has_what_the_on_call_needs(sent: Sent, item: RenderedAlert, way: Way) -> None:
    """What, of which agent, how much against which threshold; runbook, panel and silence one click away."""
    message = sent.message(way, item)
    annotations = alertmanager.alert(item)["annotations"]
    assert annotations["summary"] in text(message)
    assert annotations["description"] in text(message)
    found = links(message)
    assert found["runbook"] == annotations["runbook_url"]
    assert found["panel"] == annotations["dashboard_url"]
    assert found["incident"] == annotations["incident_url"]
    assert found["silence"].startswith(f"{sent.url}/#/silences/new?filter=")
    assert "amtool silence add " in text(message)
    assert not re.search(r"<no value>|&lt;no value|\{\{|%!", whole(message))


@pytest.mark.parametrize(("item", "way"), MESSAGES, ids=[f"{item.alert.name}-{way}" for item, way in MESSAGES])
def test_the_end_is_told_as_well(sent: Sent, item: RenderedAlert, way: Way) -> None:
    """Under the same name, with nothing left to silence."""
    message = sent.message(way, item, "resolved")
    assert "No longer: " in text(message)
    assert "amtool silence" not in text(message)
    assert "<no value>" not in whole(message)


@pytest.mark.parametrize("item", PAGED + TICKETS, ids=lambda item: item.alert.name)
def test_every_way_begins_with_the_same_line(sent: Sent, item: RenderedAlert) -> None:
    """What, how bad, for whom, since when: people who read it in two places know that it is one."""
    at_the_pager = {page.first_line for page in sent.pages if page.labels.get("agent") != "hostile"}
    ways: tuple[Way, ...] = ("slack", "pagerduty", "email") if item in PAGED else ("slack", "email")
    assert {title(sent.message(way, item)) for way in ways} <= at_the_pager


def test_pagerduty_closes_the_incident_that_it_opened(sent: Sent) -> None:
    """The key of the end is that of the beginning."""
    for item in PAGED:
        fired, resolved = (sent.message("pagerduty", item, status).content for status in ("firing", "resolved"))
        assert (fired["event_action"], resolved["event_action"]) == ("trigger", "resolve")
        assert fired["dedup_key"] == resolved["dedup_key"]
        assert fired["payload"]["severity"] == "critical"


def test_opsgenie_closes_the_alert_that_it_opened(sent: Sent) -> None:
    """By its alias; until then, an alert that is sent again is the same one."""
    contents = [message.content for message in sent.messages if message.way == "opsgenie"]
    opened = {one["alias"]: one for one in contents if one["path"] == "v2/alerts"}
    closed = [one["path"] for one in contents if one["path"] != "v2/alerts"]
    assert sorted(closed) == sorted(f"v2/alerts/{alias}/close" for alias in opened)
    pages = {title(sent.message("pagerduty", item)): item for item in PAGED}
    assert {one["message"] for one in opened.values()} == pages.keys()
    for one in opened.values():
        annotations = alertmanager.alert(pages[one["message"]])["annotations"]
        assert annotations["description"] in one["description"]
        assert one["priority"] == "P1"
        assert one["details"]["runbook"] == annotations["runbook_url"]
        assert one["details"]["panel"] == annotations["dashboard_url"]
        assert one["details"]["incident"] == annotations["incident_url"]
        assert "<no value>" not in json.dumps(one)


def test_tickets_do_not_reach_pagerduty(sent: Sent) -> None:
    """Nobody is woken for a warning."""
    titles = [title(message) for message in sent.messages if message.way == "pagerduty"]
    assert len(titles) == 2 * len(PAGED)
    assert not any("TICKET" in found for found in titles)


def test_two_tools_of_one_agent_are_one_message(sent: Sent) -> None:
    """Each has its own line and panel; the silence is for both."""
    message = sent.message("slack", OF_TWO_TOOLS)
    for tool in ("get_deal_history", "search_emails"):
        annotations = alertmanager.alert(OF_TWO_TOOLS, {"tool": tool})["annotations"]
        assert f"{annotations['description']} <{annotations['dashboard_url']}|panel>" in text(message)
    assert "tool=" not in text(message).partition("amtool silence add")[2]


def test_the_silence_in_a_message_is_for_that_alert_alone(sent: Sent, programs: dict[str, Path]) -> None:
    """Link and command name the same matchers, and the command works as it is pasted."""
    message = sent.message("email", HOSTILE)
    labels = {name: value for name, value in labels_of(HOSTILE).items() if name != "severity"}
    matchers = ",".join(f'{name}="{labels[name]}"' for name in ("alertname", *sorted(labels.keys() - {"alertname"})))
    assert unquote_plus(links(message)["silence"].partition("filter=")[2]) == f"{{{matchers}}}"
    assert silenced(sent, programs, message) == labels


def test_a_command_with_a_hostile_label_is_one_command(sent: Sent, programs: dict[str, Path]) -> None:
    """What comes from outside ends no quotation: pasted into a shell, it is a value."""
    message = sent.message("email", HOSTILE, agent="hostile")
    assert silenced(sent, programs, message)["error_type"] == HOSTILE_LABELS["error_type"]


def silenced(sent: Sent, programs: dict[str, Path], message: Message) -> dict[str, str]:
    """Run the command in a message; the labels that Alertmanager then silences."""
    (command,) = re.findall(r"amtool (silence add .*)", text(message))
    words = [str(programs["amtool"]), *shlex.split(command)]
    identifier = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    silence = requests.get(f"{sent.url}/api/v2/silence/{identifier}", timeout=10).json()
    return {matcher["name"]: matcher["value"] for matcher in silence["matchers"]}


def test_labels_from_outside_are_text_and_no_markup(sent: Sent) -> None:
    """An error type can hold anything: it notifies no channel and runs nothing."""
    description = alertmanager.alert(HOSTILE, HOSTILE_LABELS)["annotations"]["description"]
    slack = sent.message("slack", HOSTILE, agent="hostile")
    assert description in text(slack)
    assert "<!channel>" not in slack_markup(slack)
    mail = sent.message("email", HOSTILE, agent="hostile")
    assert description in text(mail)
    assert "<script>" not in mail_page(mail)
    assert description in html.unescape(mail_page(mail))


def test_each_way_signs_in_with_the_secret_from_its_file(sent: Sent) -> None:
    """Slack's is its URL, PagerDuty's the routing key, Opsgenie's the API key, the mail server's a password."""
    secrets = {(message.way, message.secret) for message in sent.messages}
    assert secrets == {("slack", "T0"), ("pagerduty", "R0"), ("opsgenie", "K0"), ("email", "P0")}


def test_a_mail_goes_to_the_address_in_the_file(sent: Sent) -> None:
    """As text and as HTML, so that every mail program shows it."""
    mail = sent.message("email", PAGED[0]).content
    receiver = next(found for found in yaml.safe_load(CONFIG)["receivers"] if found["name"] == "email")
    assert (mail["To"], mail["From"]) == (receiver["email_configs"][0]["to"], receiver["email_configs"][0]["from"])
    assert {part.get_content_type() for part in mail.iter_parts()} == {"text/plain", "text/html"}


@pytest.mark.parametrize("switch", [(), *((switch,) for switch in sorted(set(SWITCHES))), tuple(SWITCHES)], ids=str)
def test_each_way_is_switched_on_without_touching_the_routes(
    tmp_path: Path, programs: dict[str, Path], switch: tuple[str, ...]
) -> None:
    """One # less is a configuration that amtool accepts; so is the committed one."""
    (tmp_path / "templates").symlink_to(ROOT / "alerts" / "templates")
    path = tmp_path / "alertmanager.yml"
    path.write_text(switched_on(CONFIG, *switch), encoding="utf-8")
    result = subprocess.run([programs["amtool"], "check-config", path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(SWITCHES) == 6


def test_no_secret_is_written_into_the_file_the_repository_or_the_image() -> None:
    """Every one is read from a file, in a folder that neither git nor Docker takes along."""
    assert not re.search(r"\b(api_url|routing_key|service_key|auth_password|auth_secret): ", CONFIG)
    files = re.findall(r"_file: (\S+)", CONFIG)
    assert [Path(file).parent for file in files] == [Path("/etc/alertmanager/secrets")] * 4
    assert "*" in (ROOT / "alerts" / "secrets" / ".gitignore").read_text(encoding="utf-8").splitlines()
    image = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert image.index("alerts/secrets") > image.index("!alerts")
