"""`agentgauge approvals …`: the same decisions as on the page, from a terminal."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentGauge
from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import FILE_VARIABLE, TOKEN_VARIABLE, People
from agentgauge.cli.root import app as agentgauge
from agentgauge.ledger import Ledger
from sample_agent import assembly
from sample_agent.sales import crm
from sample_agent.sales.tools import SALES_TOOLS
from sample_agent.service import Service
from sample_agent.serving import serving
from sample_agent.settings import AGENT, ledger_url
from tests.front_end import opened

EMAIL = {
    "to": "jane.cooper@globex.example.com",
    "subject": "Renewal",
    "body": "Dear Ms Doe,\n\nplease find our offer.\n\nAnn",
}
SEARCH = {"accounts": ["Globex"], "limit": 10}


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of its own."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    for name in ("AGENTGAUGE_LEDGER", "AGENTGAUGE_POLICY", FILE_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def autonomy(tmp_path: Path) -> Iterator[Autonomy]:
    """The Sales Companion's, on the ledger that the commands open."""
    with closing(Ledger.open(ledger_url(tmp_path))) as ledger:
        yield assembly.build_autonomy(ledger)


@pytest.fixture
def propose(autonomy: Autonomy, tmp_path: Path) -> Callable[..., Action]:
    """Let the agent propose an e-mail; keywords are other parts of the Proposal."""
    crm.build(tmp_path / "crm.sqlite")

    def made(tool: str = "draft_email", arguments: Any = EMAIL, **different: Any) -> Action:
        parts = {"risk": "medium", "disposition": "approval", "context": {"why": "draft_email is of medium risk"}}
        return autonomy.actions.propose(Proposal(tool, arguments=arguments, user_id="rep-1", **parts | different))

    return made


def approvals(*arguments: str, typed: str = "", status: int = 0) -> str:
    """Run `approvals …`, which has to end with this status; returns what it printed."""
    result = CliRunner().invoke(agentgauge, ["approvals", *arguments], input=typed, env={"USER": "ann"})
    assert result.exit_code == status, result.output
    return result.output


def test_the_list_shows_what_waits_and_says_what_is_to_be_audited(propose: Callable[..., Action]) -> None:
    """With how risky it is, for how long it waits and until when."""
    assert "nothing waits for a decision" in approvals("list")
    waiting = propose(expires_in_seconds=7300)
    propose("update_crm", {"account": "Globex", "text": "Call Jane"}, disposition="auto", sampled=True)
    printed = " ".join(approvals("list").split())
    assert printed.startswith("the stage is approval_required id tool risk")
    assert re.search(rf"{waiting.id} draft_email medium \d+ s 2 h jane\.cooper@", printed)
    assert "1 ran unasked and wait for an audit: `agentgauge autonomy audits` lists them" in printed


def test_one_action_is_shown_in_full(propose: Callable[..., Action]) -> None:
    """Long texts as they are, the user unnamed, and nothing that could rewrite the terminal."""
    action = propose(arguments=EMAIL | {"body": "Hi,\n\n\x1b[2J[red]all is fine"})
    printed = approvals("show", action.id)
    assert "it waits because draft_email is of medium risk" in printed
    assert "body\nHi,\n\n⟨U+001B⟩[2J[red]all is fine\n" in printed
    assert "this tool has no preview" in printed
    assert "rep-1" not in printed


def test_an_approval_is_recorded_with_who_gave_it(propose: Callable[..., Action], autonomy: Autonomy) -> None:
    """By default whoever is logged in at the terminal."""
    action = propose()
    assert approvals("approve", action.id) == f"draft_email {action.id}: approved by ann\n"
    assert autonomy.approvals.get(action.id).decided_by == "ann"
    assert f"draft_email {action.id}: approved by ann" in approvals("show", action.id)


def test_fields_are_edited_by_name(propose: Callable[..., Action], autonomy: Autonomy) -> None:
    """What is changed is shown, also without colours."""
    action = propose()
    changed = ["--set", "subject=Your renewal", "--set", f"body={EMAIL['body'].replace('Dear Ms Doe', 'Hi Jane')}"]
    printed = approvals("edit", action.id, *changed, "--reason", "friendlier")
    assert "{+Your +}[-Renewal-]{+renewal+}" in printed or "[-Renewal-]{+Your renewal+}" in printed
    assert "[-Dear Ms Doe,-]{+Hi Jane,+}\n\nplease find our offer." in printed
    decided = autonomy.approvals.get(action.id)
    assert (decided.decision, decided.decided_by, decided.reason) == ("edited", "ann", "friendlier")
    assert decided.final_arguments["subject"] == "Your renewal"
    assert "[-Dear Ms Doe,-]{+Hi Jane,+}" in approvals("show", action.id)


def test_an_edited_field_keeps_its_type(propose: Callable[..., Action], autonomy: Autonomy) -> None:
    """A list, a number, and one that the agent had left out."""
    action = propose("search_emails", SEARCH)
    approvals("edit", action.id, "--set", "accounts=Globex\nInitech", "--set", "limit=5", "--set", "words=renewal")
    expected = {"accounts": ["Globex", "Initech"], "limit": 5, "words": "renewal"}
    assert autonomy.approvals.get(action.id).decided_arguments == expected


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("limit=many", "limit: expected a number, not 'many'"),
        ("limit=1000", "search_emails: limit: Input should be less than or equal to 50"),
        ("colour=red", "colour: there is no such field; the fields are accounts, limit, words"),
        ("limit", "limit: expected FIELD=VALUE"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(
    propose: Callable[..., Action], autonomy: Autonomy, assignment: str, says: str
) -> None:
    """With the field, and it still waits."""
    action = propose("search_emails", SEARCH)
    assert says in approvals("edit", action.id, "--set", assignment, status=1)
    assert autonomy.approvals.waiting() == [action]


def test_an_edit_cannot_raise_the_risk(propose: Callable[..., Action], autonomy: Autonomy) -> None:
    """That takes a decision of its own."""
    action = propose()
    printed = approvals("edit", action.id, "--set", "body=We give you 30 % off.", status=1)
    assert "would be of high risk, not of medium risk" in printed
    assert autonomy.approvals.waiting() == [action]


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Let $EDITOR make a replacement each time it is opened; the folder returned holds what it was shown."""

    def made(*replacements: tuple[str, str]) -> Path:
        script, seen = tmp_path / "editor.py", tmp_path / "seen"
        seen.mkdir()
        script.write_text(
            "import os, pathlib, sys\n"
            f"seen, file = pathlib.Path({str(seen)!r}), pathlib.Path(sys.argv[1])\n"
            "turn = len(list(seen.iterdir()))\n"
            "(seen / str(turn)).write_text(file.read_text())\n"
            f"file.write_text(file.read_text().replace(*{list(replacements)!r}[turn]))\n"
            "os.utime(file, (0, 0))\n"  # another time than before: that is how it is noticed that it was saved
        )
        monkeypatch.setenv("VISUAL", "")
        monkeypatch.setenv("EDITOR", f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}")
        return seen

    return made


def test_an_email_is_edited_in_the_editor(
    propose: Callable[..., Action], autonomy: Autonomy, editor: Callable[..., Path]
) -> None:
    """Its lines as lines; the change is shown before it is confirmed."""
    action, seen = propose(), editor(("Dear Ms Doe", "Hi Jane"))
    printed = approvals("edit", action.id, typed="y\n")
    assert "body: |-\n  Dear Ms Doe,\n\n  please find our offer.\n" in (seen / "0").read_text()
    assert "[-Dear Ms Doe,-]{+Hi Jane,+}" in printed
    decided = autonomy.approvals.get(action.id)
    assert (decided.decision, decided.decided_by) == ("edited", "ann")
    assert decided.decided_arguments == EMAIL | {"body": EMAIL["body"].replace("Dear Ms Doe", "Hi Jane")}


def test_what_does_not_fit_is_edited_again(
    propose: Callable[..., Action], autonomy: Autonomy, editor: Callable[..., Path]
) -> None:
    """Nothing of the work is lost."""
    action = propose("search_emails", SEARCH)
    seen = editor(("Globex", "Initech"), ("'10'", "ten"), ("ten", "10"))
    printed = approvals("edit", action.id, typed="n\ny\ny\ny\n")
    assert "limit: expected a number, not 'ten'" in printed
    assert "Initech" in (seen / "2").read_text()
    assert autonomy.approvals.get(action.id).decided_arguments == {"accounts": ["Initech"], "limit": 10}


@pytest.mark.parametrize("to", ["", "- a list", "subject: [1, 2]", "{"])
def test_a_file_that_is_no_list_of_fields_decides_nothing(
    propose: Callable[..., Action], autonomy: Autonomy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, to: str
) -> None:
    """Nor does one that was emptied."""
    action = propose()
    (tmp_path / "new").write_text(to)
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", f"cp {shlex.quote(str(tmp_path / 'new'))}")
    assert "nothing was decided" in approvals("edit", action.id, typed="n\n", status=1)
    assert autonomy.approvals.waiting() == [action]


def test_a_rejection_needs_a_reason(propose: Callable[..., Action], autonomy: Autonomy) -> None:
    """The agent is told it."""
    action = propose()
    approvals("reject", action.id, status=2)
    assert "say why: --reason" in approvals("reject", action.id, "--reason", " ", status=2)
    assert "rejected by ann" in approvals("reject", action.id, "--reason", "too formal")
    assert autonomy.approvals.get(action.id).reason == "too formal"
    assert "reason: too formal" in approvals("show", action.id)


@pytest.mark.parametrize("command", ["approve", "reject --reason x", "edit --set subject=x"])
def test_whoever_comes_second_is_told(propose: Callable[..., Action], autonomy: Autonomy, command: str) -> None:
    """In plain words; a user who decided in the chat is not named."""
    name, *options = command.split()
    for by, who in {"bob": "bob", "rep-1": "the user"}.items():
        action = propose()
        autonomy.approvals.approve(action.id, by)
        printed = approvals(name, action.id, *options, status=1)
        assert re.search(rf"It was approved \d+ s ago by {who}, who was faster", printed)


def test_an_unknown_action_is_said(autonomy: Autonomy) -> None:
    """With where to look."""
    printed = approvals("approve", "nothing", status=1)
    assert "sales_companion has no action 'nothing'; `agentgauge approvals list` shows those that wait" in printed


@pytest.fixture
def unresolved(autonomy: Autonomy, tmp_path: Path, propose: Callable[..., Action]) -> Action:
    """An e-mail that was begun two hours ago by a process that was killed."""
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    with closing(Ledger.open(ledger_url(tmp_path), now=lambda: two_hours_ago)) as before:
        actions = assembly.build_autonomy(before).actions
        action = actions.propose(Proposal("draft_email", "medium", "approval", EMAIL, {}, "session-7", "rep-1"))
        actions.decide(action.id, "approved", "bob")
        assert actions.start(action.id)
    return autonomy.actions.get(action.id)


def test_what_nobody_knows_the_end_of_is_listed(unresolved: Action) -> None:
    """Its whole id, since when and what it is; nothing of the session and the user."""
    assert f"{unresolved.id} draft_email medium 2 h ago bob" in " ".join(approvals("unresolved").split())
    (row,) = json.loads(approvals("unresolved", "--json"))
    assert (row["id"], row["tool"], row["decided_by"]) == (unresolved.id, "draft_email", "bob")
    assert (row["arguments"], unresolved.started_at) == (EMAIL, datetime.fromisoformat(row["started_at"]))
    for printed in (approvals("unresolved"), str(row)):
        assert "rep-1" not in printed
        assert "session-7" not in printed
    assert "1 were begun, and nobody knows whether they happened: `agentgauge approvals unresolved`" in approvals(
        "list"
    )


@pytest.mark.parametrize(
    ("option", "happened", "says"),
    [
        ("--happened", True, "happened, says ann"),
        ("--did-not-happen", False, "did not happen, and is not done again, says ann"),
    ],
)
def test_a_person_settles_it_with_how_they_know(
    unresolved: Action, autonomy: Autonomy, option: str, happened: bool, says: str
) -> None:
    """`show` tells it afterwards, and there is nothing left to look into."""
    printed = approvals("settle", unresolved.id, option, "--why", "looked into the outbox")
    assert printed == f"draft_email {unresolved.id}: {says}\n"
    settlement = autonomy.actions.get(unresolved.id).settlement
    assert settlement is not None
    assert (settlement.happened, settlement.by, settlement.why) == (happened, "ann", "looked into the outbox")
    assert not autonomy.actions.start(unresolved.id)
    shown = approvals("show", unresolved.id)
    assert says in shown
    assert "they know because: looked into the outbox" in shown
    assert json.loads(approvals("show", unresolved.id, "--json"))["settlement"]["happened"] is happened
    assert "the end of everything that was begun is known" in approvals("unresolved")


def test_what_cannot_be_settled_says_why_and_where_to_look(
    unresolved: Action, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """One that is unknown, one that runs, one that was settled before; and nothing without an outcome and a reason."""
    runs = propose(disposition="auto")
    where = "; `agentgauge approvals unresolved` shows those to settle"
    for action, says in {
        "nothing": "sales_companion has no action 'nothing'",
        runs.id: f"{runs.id} is still being carried out; if its process does not go on with it, that shows in",
    }.items():
        printed = approvals("settle", action, "--happened", "--why", "I looked", status=1)
        assert says in printed
        assert where in printed
    assert "--happened" in approvals("settle", unresolved.id, "--why", "I looked", status=2)
    assert "say how you know it: --why" in approvals("settle", unresolved.id, "--happened", "--why", " ", status=2)
    assert autonomy.actions.get(unresolved.id).settlement is None
    approvals("settle", unresolved.id, "--happened", "--why", "I looked")
    late = approvals("settle", unresolved.id, "--did-not-happen", "--why", "no", status=1)
    assert f"{unresolved.id} was settled before, by ann: it happened{where}" in late


def test_the_link_leads_into_the_page_of_the_running_agent(
    fake_api: str, registry: CollectorRegistry, tmp_path: Path
) -> None:
    """And a request that waited is answered after the decision there."""
    tools = [tool.name for tool in SALES_TOOLS]
    ledger = ledger_url(tmp_path)
    gauge = AgentGauge(AGENT, tools=tools, registry=registry, ledger=ledger)
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, middleware=[gauge.anthropic()])
    companion = assembly.build_companion(gauge, client, tmp_path)
    door = assembly.build_door(tmp_path)
    page = assembly.build_approvals_page(companion.supervisor.autonomy, door)
    with serving(Service(gauge, companion, door, approvals_page=page).app()) as url, requests.Session() as browser:
        session = f"{url}/sessions/{opened(url, tmp_path)}"
        asked = {"text": "Draft a renewal proposal email to Jane at Globex"}
        (waiting,) = browser.post(f"{session}/messages", json=asked, timeout=20).json()["approvals"]

        link = approvals("link", "--agent", url).strip()
        assert People.of(tmp_path).owner()[1] not in link
        login = browser.get(link, timeout=20)
        assert urlsplit(login.url).query == ""
        listed = send(browser, login, f"{url}/approvals/login")
        assert waiting["id"] in listed.text
        action = browser.get(f"{url}/approvals/actions/{waiting['id']}", timeout=20)
        (seen,) = re.findall(r'name="seen" value="(.+?)"', action.text)
        send(browser, action, f"{url}/approvals/actions/{waiting['id']}/approve", seen=seen)

        answer = browser.get(f"{session}/answer?wait=20", timeout=30).json()
        assert answer["tools"][-1] == "draft_email"
        assert answer["approvals"] == []


def send(browser: requests.Session, page: requests.Response, to: str, **fields: str) -> requests.Response:
    """Send a form of a page as a browser would."""
    (csrf, *_) = re.findall(r'name="csrf" value="(.+?)"', page.text)
    site = urlsplit(to)
    headers = {"origin": f"{site.scheme}://{site.netloc}", "sec-fetch-site": "same-origin"}
    answer = browser.post(to, data={"csrf": csrf, **fields}, headers=headers, timeout=20)
    answer.raise_for_status()
    return answer
