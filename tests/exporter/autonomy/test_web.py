"""The approvals page: over HTTP, as an attacker or a script meets it, and in a real browser, as people do."""

from __future__ import annotations

import html
import json
import logging
import re
import sqlite3
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from types import MappingProxyType
from typing import Any

import pytest
from httpx2 import Response
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from agentgauge.autonomy.access import HEADERS, MOST_GUESSES, Door
from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.logins import LINK_SECONDS, Logins
from agentgauge.autonomy.parts import Autonomy
from agentgauge.autonomy.people import People
from agentgauge.autonomy.policy import Policy
from agentgauge.autonomy.showing import NO_PREVIEW
from agentgauge.autonomy.web import approvals_app
from agentgauge.ledger import Ledger
from agentgauge.transcripts import Occasion, Transcript
from sample_agent.serving import serving
from stack.layout import HOME
from stack.preview import pictures
from tests import axe, chromium

ORIGIN = "http://127.0.0.1:8030"
PROXY = {"x-agentgauge-proxy": "only-the-proxy-knows-this", "x-forwarded-user": "eve", "x-forwarded-groups": "lead, it"}
FROM_OUR_PAGE = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
BODY = "Dear Ms Doe,\n\nplease find our offer.\n\nYours sincerely\nAnn"
EMAIL = {"to": "jane@globex.example", "subject": "Renewal", "body": BODY}
SCHEMAS = {"draft_email": {"properties": {"to": {}, "subject": {}, "body": {}, "tone": {"enum": ["warm", "formal"]}}}}
POLICY = Policy.model_validate(
    {
        "changed_by": "tests",
        "reason": "tests",
        "stage": "approval_required",
        "tools": {
            "draft_email": {
                "risk": "medium",
                "rules": [
                    {
                        "when": {"arguments": ["body"], "matches": r"(\d+) ?%", "above": 20},
                        "then": "high",
                        "why": "it speaks of a large discount",
                    }
                ],
            }
        },
    }
)


@pytest.fixture
def autonomy(tmp_path: Path) -> Iterator[Autonomy]:
    """The approvals of an agent with one tool, whose address needs an @."""

    def check(tool: str, arguments: Any) -> None:
        if "@" not in arguments["to"]:
            raise ValueError(f"{tool}: to: is not an address")

    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        yield Autonomy.on(ledger, "sales_companion", lambda: POLICY, check)


@pytest.fixture
def people(tmp_path: Path) -> People:
    """The file of those who can log in; nobody yet."""
    return People(tmp_path / "people.yml")


def mounted(autonomy: Autonomy, door: Door, **different: Any) -> Starlette:
    """The page, mounted as the service does."""
    return Starlette(
        routes=[Mount("/approvals", approvals_app(autonomy, SCHEMAS, door, "sales_companion", **different))]
    )


@pytest.fixture
def app(autonomy: Autonomy, people: People) -> Starlette:
    """The page; a proxy that knows the secret can say who somebody is."""
    return mounted(autonomy, Door(people, PROXY["x-agentgauge-proxy"]))


@pytest.fixture
def propose(autonomy: Autonomy) -> Callable[..., Action]:
    """Let the agent propose an e-mail; keywords are other arguments of it, or parts of the Proposal."""

    def made(**different: Any) -> Action:
        arguments = EMAIL | {name: different.pop(name) for name in [*different] if name in EMAIL}
        parts = {"risk": "medium", "disposition": "approval", "context": {"why": "draft_email is of medium risk"}}
        origin = {"user_id": "rep-1", "session_id": "session-7"}
        return autonomy.actions.propose(Proposal("draft_email", arguments=arguments, **parts | origin | different))

    return made


@pytest.fixture
def sampled(propose: Callable[..., Action]) -> Action:
    """An e-mail that was drafted without asking, and is to be audited."""
    return propose(disposition="auto", sampled=True)


class Reviewer:
    """Somebody's browser, as far as HTTP goes; logged in if it has a token."""

    def __init__(self, app: Starlette, token: str | None = None, address: str = "192.0.2.1") -> None:
        self.client = TestClient(app, base_url=ORIGIN, client=(address, 50_000))
        self.csrf = ""
        if token is not None:
            self.get("/login")
            assert self.post("/login", {"token": token}).status_code == 200

    def get(self, path: str, **headers: str) -> Response:
        """Open a page, by its path below /approvals."""
        return self._seen(self.client.get(f"/approvals{path}", headers=headers))

    def post(
        self, path: str, fields: Mapping[str, str] = MappingProxyType({}), headers: Mapping[str, str] = FROM_OUR_PAGE
    ) -> Response:
        """Send a form as the page last seen would, unless the fields say otherwise."""
        form = {"csrf": self.csrf, **fields}
        return self._seen(self.client.post(f"/approvals{path}", data=form, headers=dict(headers)))

    def approve(self, action: Action) -> Response:
        """Press the button on the page of an action."""
        return self.post(f"/actions/{action.id}/approve", {"seen": action.seal})

    def _seen(self, answer: Response) -> Response:
        if found := re.search(r'name="csrf" value="(.+?)"', answer.text):
            self.csrf = found[1]
        return answer


@pytest.fixture
def ann(app: Starlette, people: People) -> Reviewer:
    """Ann, who is logged in."""
    return Reviewer(app, people.add("Ann", ()))


def text_of(answer: Response) -> str:
    """What a page says, without its tags; how many seconds ago something was depends on the machine."""
    said = " ".join(html.unescape(re.sub(r"<.*?>", " ", answer.text, flags=re.DOTALL)).split())
    return re.sub(r"\b\d+ s\b", "some s", said)


# Getting in


@pytest.mark.parametrize("path", ["/", "/actions/{id}"])
def test_without_a_login_every_page_leads_to_it_and_from_there_back(
    app: Starlette, people: People, propose: Callable[..., Action], path: str
) -> None:
    """Nothing of an action is shown before; the page that was asked for comes after."""
    nobody = Reviewer(app)
    path = path.format(id=propose().id)
    answer = nobody.get(path)
    assert answer.url.path == "/approvals/login"
    assert "Renewal" not in answer.text
    assert nobody.post("/login", {"token": people.add("Ann", ())}).url.path == f"/approvals{path}"


@pytest.mark.parametrize("what", ["approve", "edit", "reject", "audit", "preview", "settle"])
def test_without_a_login_nothing_is_decided(
    app: Starlette, autonomy: Autonomy, propose: Callable[..., Action], what: str
) -> None:
    """Not even with a form that is right in everything else."""
    action, nobody = propose(), Reviewer(app)
    nobody.get("/login")
    answer = nobody.post(f"/actions/{action.id}/{what}", {"reason": "x", "field.body": "x", "verdict": "ok"})
    assert answer.url.path == "/approvals/login"
    assert autonomy.approvals.waiting() == [action]


def test_the_cookie_stays_with_this_page_and_holds_no_token(app: Starlette, people: People) -> None:
    """Scripts and other sites do not get it; what is in it is worth nothing after the logout."""
    token = people.add("Ann", ())
    nobody = Reviewer(app)
    nobody.get("/login")
    (first,) = nobody.post("/login", {"token": token}).history
    cookie = first.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/approvals;", "max-age=43200"))
    assert "secure" not in cookie
    kept = json.loads(b64decode(nobody.client.cookies["approvals"].partition(".")[0]))
    assert sorted(kept) == ["csrf", "login"]
    assert token not in kept.values()


@pytest.mark.parametrize("how", ["TLS", "proxy"])
def test_behind_tls_the_cookie_is_never_sent_without(app: Starlette, how: str) -> None:
    """Whether the agent speaks it, or the proxy does; anybody else's word on that does not count."""
    own = TestClient(app, base_url=ORIGIN.replace("http", "https") if how == "TLS" else ORIGIN)
    says = {"x-forwarded-proto": "https"}
    answer = own.get("/approvals/login", headers={} if how == "TLS" else PROXY | says | {"x-forwarded-user": ""})
    assert "secure" in answer.headers["set-cookie"].lower()
    assert "secure" not in TestClient(app, base_url=ORIGIN).get("/approvals/login", headers=says).headers["set-cookie"]


def test_a_link_logs_its_person_in_once(app: Starlette, autonomy: Autonomy, people: People) -> None:
    """Not before somebody presses the button: chats and mail scanners follow links, and must not use it up."""
    people.add("Ann", ())
    code = autonomy.logins.link("Ann")
    scanner, browser = Reviewer(app), Reviewer(app)
    assert "Your link works once." in scanner.get(f"/login?code={code}").text
    assert str(browser.get(f"/login?code={code}").url) == f"{ORIGIN}/approvals/login"
    assert "Log out" in browser.post("/login").text
    late = scanner.post("/login")
    assert (late.status_code, "This link was used before" in late.text) == (403, True)
    assert "Your token" in late.text


def test_a_link_expires(app: Starlette, people: People, tmp_path: Path) -> None:
    """One that lies about in a chat is worth nothing."""
    people.add("Ann", ())
    long_ago = datetime.now(UTC) - timedelta(seconds=LINK_SECONDS)
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", now=lambda: long_ago)) as before:
        code = Logins(before, "sales_companion").link("Ann")
    nobody = Reviewer(app)
    nobody.get(f"/login?code={code}")
    assert nobody.post("/login").status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", "x" * 43, "\N{SNOWMAN}", "\x00"])
def test_a_wrong_token_is_refused(app: Starlette, people: People, token: str) -> None:
    """Whatever it is made of."""
    people.add("Ann", ())
    nobody = Reviewer(app)
    nobody.get("/login")
    answer = nobody.post("/login", {"token": token})
    assert (answer.status_code, "That is nobody&#39;s token." in answer.text) == (403, True)


def test_guessing_shuts_out_who_guesses_and_nobody_else(app: Starlette, people: People) -> None:
    """After a few wrong tokens the right one is not looked at either, from there."""
    token = people.add("Ann", ())
    guesser = Reviewer(app, address="192.0.2.66")
    guesser.get("/login")
    for _ in range(MOST_GUESSES):
        assert guesser.post("/login", {"token": "a guess of some length"}).status_code == 403
    answer = guesser.post("/login", {"token": token})
    assert (answer.status_code, "too many wrong tokens" in answer.text) == (429, True)
    assert Reviewer(app, token).get("/").status_code == 200


def test_logging_out_ends_it_for_every_copy_of_the_cookie(app: Starlette, ann: Reviewer) -> None:
    """For the next who sits at this machine, and for whoever took the cookie from it."""
    thief = Reviewer(app)
    thief.client.cookies.set("approvals", ann.client.cookies["approvals"], path="/approvals")
    assert thief.get("/").url.path == "/approvals/"
    assert ann.post("/logout").url.path == "/approvals/login"
    assert ann.get("/").url.path == "/approvals/login"
    again = Reviewer(app)
    again.client.cookies.set("approvals", thief.client.cookies["approvals"], path="/approvals")
    assert again.get("/").url.path == "/approvals/login"


def test_who_is_removed_is_out_at_once(ann: Reviewer, people: People) -> None:
    """Not when the cookie expires."""
    people.remove("Ann")
    assert ann.get("/").url.path == "/approvals/login"


def test_a_proxy_says_who_somebody_is(app: Starlette, autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """Without a login of ours; the record has their name."""
    action, eve = propose(), Reviewer(app)
    eve.client.headers.update(PROXY)
    assert "Log out" in eve.get("/").text
    assert eve.approve(action).status_code == 200
    assert autonomy.approvals.get(action.id).decided_by == "eve"


@pytest.mark.parametrize("secret", [None, "", "a guess of some length"])
def test_nobody_else_says_who_somebody_is(app: Starlette, secret: str | None) -> None:
    """Whoever reaches the port can send headers; the secret is the proxy's."""
    headers = {name: value for name, value in PROXY.items() if name != "x-agentgauge-proxy"}
    claimed = headers if secret is None else headers | {"x-agentgauge-proxy": secret}
    assert Reviewer(app).get("/", **claimed).url.path == "/approvals/login"


def test_a_file_of_people_that_cannot_be_used_lets_nobody_in(ann: Reviewer, tmp_path: Path) -> None:
    """It is said, and the log says what is wrong with it."""
    (tmp_path / "people.yml").write_text("people: [")
    answer = ann.get("/")
    assert (answer.status_code, "It cannot be read who may log in" in answer.text) == (503, True)


def test_tokens_codes_and_cookies_are_in_no_log(
    app: Starlette, autonomy: Autonomy, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads logs must not be able to decide."""
    for logger in ("sample_agent", "starlette", "agentgauge"):
        caplog.set_level(logging.DEBUG, logger=logger)
    token, code = people.add("Ann", ()), autonomy.logins.link("Ann")
    session = Reviewer(app, token).client.cookies["approvals"]
    by_link = Reviewer(app)
    by_link.get(f"/login?code={code}")
    by_link.post("/login")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert not any(secret in line for line in ours for secret in (token, code, session))


# Requests that a reviewer did not mean


@pytest.mark.parametrize("csrf", ["", "guess", "\N{SNOWMAN}"])
def test_a_form_without_this_sessions_csrf_token_does_nothing(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action], csrf: str
) -> None:
    """The cookie alone is not enough."""
    answer = ann.post(f"/actions/{propose().id}/approve", {"csrf": csrf})
    assert (answer.status_code, "This form is out of date" in answer.text) == (403, True)
    assert len(autonomy.approvals.waiting()) == 1


def test_the_csrf_token_of_another_session_does_nothing(
    app: Starlette, people: People, ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """Nor does the one from before the login."""
    bob, before = Reviewer(app, people.add("Bob", ())), Reviewer(app)
    before.get("/login")
    action = propose()
    for csrf in (bob.csrf, before.csrf):
        assert ann.post(f"/actions/{action.id}/approve", {"csrf": csrf}).status_code == 403
    assert autonomy.approvals.waiting() == [action]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-site"},
        {"origin": "null"},
        {},
    ],
)
@pytest.mark.parametrize("path", ["/actions/{id}/approve", "/login", "/logout"])
def test_a_form_of_another_site_does_nothing(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action], path: str, headers: dict[str, str]
) -> None:
    """Even if it got hold of the CSRF token."""
    answer = ann.post(path.format(id=propose().id), headers=headers)
    assert (answer.status_code, "sent by another site" in answer.text) == (403, True)
    assert len(autonomy.approvals.waiting()) == 1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8030", "127.0.0.1.evil.example", "10.0.0.7"])
def test_a_name_that_was_pointed_at_this_machine_is_refused(ann: Reviewer, host: str) -> None:
    """DNS rebinding makes another site same-origin, but its requests carry its name."""
    assert ann.get("/", host=host).status_code == 400


def test_other_names_can_be_allowed(autonomy: Autonomy, people: People) -> None:
    """Behind a proxy, for example."""
    client = TestClient(
        mounted(autonomy, Door(people), hosts=["approvals.example"]), base_url="https://approvals.example"
    )
    assert client.get("/approvals/").status_code == 200
    assert client.get("/approvals/", headers={"host": "127.0.0.1"}).status_code == 400


def test_a_link_of_another_site_neither_shows_nor_changes_anything(ann: Reviewer) -> None:
    """It comes without the strict cookie: the browser is told to ask again, and that does not log anybody out."""
    answer = ann.get("/", **{"sec-fetch-site": "cross-site"})
    assert 'http-equiv="refresh"' in answer.text
    assert "set-cookie" not in answer.headers
    assert "Waiting" not in answer.text


@pytest.mark.parametrize("path", ["/", "/login", "/actions/none", "/nowhere", "/static/approvals.css"])
def test_every_answer_says_what_a_browser_must_not_do(ann: Reviewer, path: str) -> None:
    """No script but ours, no frame, no cache."""
    answer = ann.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_a_huge_form_is_refused(ann: Reviewer, propose: Callable[..., Action]) -> None:
    """Before it fills the memory."""
    assert ann.post(f"/actions/{propose().id}/preview", {"field.body": "x" * 1_100_000}).status_code == 413


# Looking and deciding


def test_the_list_says_what_waits_how_risky_it_is_and_until_when(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action], sampled: Action
) -> None:
    """And what ran unasked, and who decided what."""
    propose(expires_in_seconds=7300)
    autonomy.approvals.reject(propose().id, "Bob", "too formal")
    said = text_of(ann.get("/"))
    assert "Waiting for a decision 1 The stage is approval required." in said
    assert "draft_email medium risk jane@globex.example · Renewal · Dear Ms Doe, please find our offer." in said
    assert "waits some s · expires in 2 h To audit 1" in said
    assert "ran some s ago Decided in the last 24 hours" in said
    assert "draft_email rejected too formal by Bob, some s ago" in said


def test_who_asked_is_on_no_page(ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """A reviewer judges the action, not the user; not even one who decided in the chat is named."""
    decided = autonomy.approvals.approve(propose().id, "rep-1")
    assert "draft_email approved by the user, some s ago" in text_of(ann.get("/"))
    for path in ("/", f"/actions/{propose().id}", f"/actions/{decided.id}"):
        assert not re.search("rep-1|session-7", ann.get(path).text)


def test_a_session_that_went_wrong_says_how_to_read_it(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """Why it is kept, and the command by the action's id; what was said stays off the page."""
    action = propose()
    page = f"/actions/{action.id}"
    assert "transcripts show" not in text_of(ann.get(page))
    at = datetime.now(UTC)
    looping = Occasion("looping", at, question="What does Globex pay?", answer="Let me see.")
    said = [{"role": "user", "content": [{"type": "text", "text": "What does Globex pay?"}]}]
    kept = Transcript("session-7", None, at, "1.4.0", "v1", 16, 1, 0.1, "redacted", (looping,), said)
    autonomy.transcripts.put(kept)
    shown = ann.get(page)
    assert f"Its conversation is kept (looping): agentgauge transcripts show {action.id}" in text_of(shown)
    assert not re.search("What does Globex pay|session-7", shown.text)


def test_arguments_stay_text(ann: Reviewer, propose: Callable[..., Action]) -> None:
    """An e-mail cannot bring a script along, nor characters that make it read as something else."""
    action = propose(subject='"><script>alert(1)</script>', body="</textarea><script>alert(2)</script>\u202e")
    preview = ann.post(f"/actions/{action.id}/preview", {"field.body": "<script>alert(3)</script>"})
    for answer in (ann.get("/"), ann.get(f"/actions/{action.id}"), preview):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
        assert "<script>" not in answer.text
        assert "⟨U+202E⟩" in answer.text


def test_an_approval_is_recorded_with_who_gave_it(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """Back on the list, that is said once."""
    action = propose()
    answer = ann.approve(action)
    assert (answer.url.path, "draft_email: approved." in answer.text) == ("/approvals/", True)
    decided = autonomy.approvals.get(action.id)
    assert (decided.decision, decided.decided_by, decided.decided_arguments) == ("approved", "Ann", None)
    assert "draft_email: approved." not in ann.get("/").text


def test_an_edit_is_shown_before_it_is_made(ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """The preview decides nothing; what is decided is what it showed. That the tool has none of its own is said."""
    action = propose()
    assert NO_PREVIEW in text_of(ann.get(f"/actions/{action.id}"))
    body = BODY.replace("Dear Ms Doe", "Hi Jane")
    form = {"field.body": body.replace("\n", "\r\n"), "field.tone": "warm", "reason": "friendlier"}
    shown = ann.post(f"/actions/{action.id}/preview", form)
    assert "<del>Dear Ms Doe,</del><ins>Hi Jane,</ins>" in shown.text
    assert 'value="friendlier"' in shown.text
    assert autonomy.approvals.waiting() == [action]
    ann.post(f"/actions/{action.id}/edit", form)
    decided = autonomy.approvals.get(action.id)
    assert (decided.decision, decided.decided_by, decided.reason) == ("edited", "Ann", "friendlier")
    assert decided.decided_arguments == EMAIL | {"body": body, "tone": "warm"}
    assert "Edited by Ann, some s ago: friendlier" in text_of(ann.get(f"/actions/{action.id}"))


def test_an_edit_that_changes_nothing_is_an_approval(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """It must not count against the agent."""
    action = propose()
    fields = {f"field.{name}": value.replace("\n", "\r\n") for name, value in EMAIL.items()}
    assert "draft_email: approved." in ann.post(f"/actions/{action.id}/edit", fields).text
    assert autonomy.approvals.get(action.id).decision == "approved"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"field.to": "nobody"}, "draft_email: to: is not an address"),
        ({"field.body": "We give you 30 % off."}, "would be of high risk, not of medium risk (it speaks of a large"),
        ({"field.tone": "rude"}, "tone: expected one of warm, formal"),
        ({"field.colour": "red"}, "colour: there is no such field; the fields are to, subject, body, tone"),
    ],
)
def test_an_edit_that_cannot_be_is_said_and_not_lost(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action], fields: dict[str, str], says: str
) -> None:
    """The form comes back as it was filled in; the action still waits."""
    action = propose()
    form = {"reason": "my reason", "field.subject": "my subject"} | fields
    answer = ann.post(f"/actions/{action.id}/edit", form)
    assert answer.status_code == 422
    assert says in text_of(answer)
    assert 'value="my subject"' in answer.text
    assert 'value="my reason"' in answer.text
    assert autonomy.approvals.waiting() == [action]


def test_a_rejection_needs_a_reason(ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """The agent is told it, and prompts are improved by it."""
    action = propose()
    answer = ann.post(f"/actions/{action.id}/reject", {"reason": "  "})
    assert (answer.status_code, "Say why you reject it." in answer.text) == (422, True)
    ann.post(f"/actions/{action.id}/reject", {"reason": "too formal"})
    decided = autonomy.approvals.get(action.id)
    assert (decided.decision, decided.decided_by, decided.reason) == ("rejected", "Ann", "too formal")


DRAFTS = {6: {"to": "jane@globex.example", "body": "10 % off"}, 7: {"to": "bob@hooli.example", "body": "See you"}}


@pytest.fixture
def sender(tmp_path: Path, people: People) -> Iterator[tuple[Reviewer, Autonomy, Action]]:
    """Ann at the page of an agent that wants to send the draft 6."""
    policy = POLICY.model_copy(update={"tools": {"send": POLICY.tools["draft_email"].model_copy(update={"rules": []})}})
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'sending.sqlite'}")) as ledger:
        autonomy = Autonomy.on(
            ledger, "sales_companion", lambda: policy, lambda *_: None, lambda _, given: DRAFTS[given["draft_id"]]
        )
        proposal = Proposal("send", "medium", "approval", {"draft_id": 6}, {}, effect=DRAFTS[6])
        action = autonomy.actions.propose(proposal)
        yield Reviewer(mounted(autonomy, Door(people)), people.add("Ann", ())), autonomy, action


def test_the_email_behind_a_number_is_shown(sender: tuple[Reviewer, Autonomy, Action]) -> None:
    """In the list and on the page of the action; the call itself is there for who asks."""
    ann, autonomy, action = sender
    assert "send medium risk jane@globex.example · 10 % off" in text_of(ann.get("/"))
    said = text_of(ann.get(f"/actions/{action.id}"))
    assert "What it wants to do to jane@globex.example body 10 % off The call itself draft_id 6" in said
    assert NO_PREVIEW not in said
    ann.post(f"/actions/{action.id}/approve", {"seen": action.seal})
    assert autonomy.approvals.get(action.id).decision == "approved"


@pytest.mark.parametrize("seen", ["", "another seal"])
def test_what_was_not_shown_is_not_approved(sender: tuple[Reviewer, Autonomy, Action], seen: str) -> None:
    """The page shows what it is."""
    ann, autonomy, action = sender
    answer = ann.post(f"/actions/{action.id}/approve", {"seen": seen})
    assert (answer.status_code, "would do something else than you were shown" in answer.text) == (409, True)
    assert autonomy.approvals.waiting() == [action]


def test_an_edit_to_another_draft_is_shown_before_it_is_made(sender: tuple[Reviewer, Autonomy, Action]) -> None:
    """Sent without that, it decides nothing, and the page shows it; sent from there, it does."""
    ann, autonomy, action = sender
    unseen = ann.post(f"/actions/{action.id}/edit", {"field.draft_id": "7"})
    assert (unseen.status_code, autonomy.approvals.waiting()) == (409, [action])
    assert "What that does to jane@globex.example bob@hooli.example" in text_of(unseen)
    seals = re.findall(r'name="seen" value="(.+?)"', unseen.text)
    assert seals[0] == action.seal
    ann.post(f"/actions/{action.id}/edit", {"field.draft_id": "7", "seen": seals[1]})
    assert autonomy.approvals.get(action.id).decided_effect == DRAFTS[7]
    assert "What that does" in ann.get(f"/actions/{action.id}").text


def test_nobody_approves_their_own_call_of_high_risk(
    ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """The page says why, and what they can do; it still waits."""
    action = propose(risk="high", user_id="Ann")
    answer = ann.approve(action)
    assert (answer.status_code, "Not decided: you asked for this yourself" in text_of(answer)) == (403, True)
    assert autonomy.approvals.waiting() == [action]


def test_of_two_reviewers_at_once_one_wins_and_the_other_is_told(
    app: Starlette, people: People, autonomy: Autonomy, propose: Callable[..., Action]
) -> None:
    """In plain words, with who was faster."""
    action, barrier = propose(), Barrier(2, timeout=60)
    reviewers = {name: Reviewer(app, people.add(name, ())) for name in ("Ann", "Bob")}

    def decide(name: str) -> Response:
        barrier.wait(timeout=20)
        return reviewers[name].approve(action)

    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip(reviewers, pool.map(decide, reviewers), strict=True))
    winner = autonomy.approvals.get(action.id).decided_by
    loser = "Bob" if winner == "Ann" else "Ann"
    assert winner in reviewers
    assert (answers[winner].status_code, answers[loser].status_code) == (200, 409)
    said = f"It was approved some s ago by {winner}, who was faster. Your decision was not kept."
    assert said in text_of(answers[loser])


def test_what_expired_cannot_be_approved(ann: Reviewer, autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """The agent has gone on without it."""
    action = propose(expires_in_seconds=-1)
    assert action.id not in ann.get("/").text.partition("Decided in")[0]
    answer = ann.approve(action)
    assert (answer.status_code, "It expired before you decided." in answer.text) == (409, True)
    assert autonomy.approvals.get(action.id).decision == "expired"


@pytest.mark.parametrize("verdict", ["ok", "problem"])
def test_an_audit_is_judged_once(app: Starlette, people: People, ann: Reviewer, sampled: Action, verdict: str) -> None:
    """Whoever comes second is told."""
    assert "What it did" in ann.get(f"/actions/{sampled.id}").text
    assert f"draft_email: {verdict}." in ann.post(f"/actions/{sampled.id}/audit", {"verdict": verdict}).text
    late = Reviewer(app, people.add("Bob", ())).post(f"/actions/{sampled.id}/audit", {"verdict": "ok"})
    assert (late.status_code, f"judged it: {verdict}." in late.text) == (409, True)


@pytest.fixture
def cut_off(propose: Callable[..., Action], autonomy: Autonomy, monkeypatch: pytest.MonkeyPatch) -> Action:
    """An e-mail whose process ended while it drafted it: it was begun, and its lease has run out."""
    monkeypatch.setattr("agentgauge.autonomy.actions.LEASE_SECONDS", 0.0)
    action = propose()
    autonomy.actions.decide(action.id, "approved", "Ann")
    assert autonomy.actions.start(action.id)
    return autonomy.actions.get(action.id)


@pytest.mark.parametrize(("found", "says"), [("yes", "it happened."), ("no", "it did not happen.")])
def test_what_has_no_known_end_is_on_the_page_and_settled_there(
    ann: Reviewer, autonomy: Autonomy, cut_off: Action, found: str, says: str
) -> None:
    """Once, with how they know it; who comes later reads who was faster."""
    assert "Begun, and nobody knows whether it happened" in ann.get("/").text
    assert "What it was doing" in ann.get(f"/actions/{cut_off.id}").text
    path, fields = f"/actions/{cut_off.id}/settle", {"happened": found, "reason": "looked into the outbox"}
    assert ann.post(path, fields | {"reason": " "}).status_code == 422
    assert ann.post(path, fields | {"happened": "perhaps"}).status_code == 400
    assert autonomy.actions.unresolved() == [cut_off]
    ann.get("/")
    assert f"draft_email: {says}" in ann.post(path, fields).text
    assert "nobody knows whether it happened" not in ann.get("/").text
    shown = ann.get(f"/actions/{cut_off.id}").text
    assert "says Ann: looked into the outbox" in shown
    late = ann.post(path, fields)
    assert late.status_code == 409
    assert "was settled before, by Ann" in late.text


def test_an_audit_has_two_verdicts(ann: Reviewer, autonomy: Autonomy, sampled: Action) -> None:
    """Another is not kept."""
    assert ann.post(f"/actions/{sampled.id}/audit", {"verdict": "so-so"}).status_code == 400
    assert autonomy.actions.to_audit() == [sampled]


def test_what_nobody_has_to_decide_has_no_buttons(ann: Reviewer, propose: Callable[..., Action]) -> None:
    """A page that is out of date cannot decide it either."""
    action = propose(disposition="suggested")
    assert not re.search("Approve|Reject|It was right", ann.get(f"/actions/{action.id}").text)
    answer = ann.approve(action)
    assert (answer.status_code, "It does not wait for that." in answer.text) == (409, True)


@pytest.mark.parametrize("path", ["", "/approve"])
def test_an_unknown_action_is_said(ann: Reviewer, path: str) -> None:
    """With a way back to the list."""
    answer = ann.post(f"/actions/nothing{path}") if path else ann.get("/actions/nothing")
    assert answer.status_code == 404
    assert "There is no such action" in answer.text
    assert 'href="/approvals/"' in answer.text


def test_without_its_ledger_the_page_says_that_nothing_was_decided(
    ann: Reviewer, propose: Callable[..., Action], tmp_path: Path
) -> None:
    """Not a stack trace."""
    action = propose()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as broken:
        broken.execute("DROP TABLE agentgauge_action").close()
    answer = ann.approve(action)
    assert (answer.status_code, "so nothing was decided" in answer.text) == (503, True)


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with pictures.browser(*chromium.program(HOME)) as started:
        yield started


@pytest.fixture
def url(app: Starlette) -> Iterator[str]:
    """The address of the page, served."""
    with serving(app) as server:
        yield f"{server}/approvals/"


@pytest.fixture
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """A browser with no cookies, in which nothing may go wrong unseen; it is closed before the server is."""
    made = browser.new_context()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.text} at {message.location}")

    made.on("console", note)
    made.on("weberror", lambda error: complaints.append(str(error.error)))
    yield made
    made.close()
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext, ann: Reviewer, url: str) -> Page:
    """A page in Ann's browser, which is logged in."""
    cookie = ann.client.cookies["approvals"]
    context.add_cookies([{"name": "approvals", "value": cookie, "url": url, "httpOnly": True, "sameSite": "Strict"}])
    return context.new_page()


def test_bob_comes_by_the_link(context: BrowserContext, autonomy: Autonomy, people: People, url: str) -> None:
    """The code is gone from the address; a key press logs him in."""
    people.add("Bob", ())
    page = context.new_page()
    page.goto(f"{url}login?code={autonomy.logins.link('Bob')}")
    expect(page).to_have_url(f"{url}login")
    expect(page.get_by_role("button", name="Log in")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(url)
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("Bob")
    (cookie,) = context.cookies()
    assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"]) == ("/approvals", True, "Strict")


def test_ann_edits_an_email_sees_the_difference_and_approves(
    propose: Callable[..., Action], page: Page, autonomy: Autonomy, url: str
) -> None:
    """From the list to the decision; the difference follows her typing."""
    action = propose()
    page.goto(url)
    page.get_by_role("link", name="draft_email").click()
    expect(page.get_by_role("definition").filter(has_text="Yours sincerely")).to_have_text(BODY)
    page.get_by_text("Edit", exact=True).click()
    expect(page.get_by_text("Nothing is changed yet.")).to_be_visible()
    page.get_by_label("body").fill(BODY.replace("Dear Ms Doe", "Hi Jane"))
    expect(page.locator("#changes del")).to_have_text("Dear Ms Doe,")
    expect(page.locator("#changes ins")).to_have_text("Hi Jane,")
    page.get_by_role("button", name="Approve with these changes").click()
    expect(page).to_have_url(url)
    expect(page.get_by_role("status")).to_have_text("draft_email: edited.")
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    assert autonomy.approvals.get(action.id).decided_arguments == EMAIL | {
        "body": BODY.replace("Dear Ms Doe", "Hi Jane")
    }


def test_ann_rejects_with_a_reason(propose: Callable[..., Action], page: Page, autonomy: Autonomy, url: str) -> None:
    """Without one, the browser does not even send the form."""
    action = propose()
    page.goto(f"{url}actions/{action.id}")
    page.get_by_text("Reject", exact=True).first.click()
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_label("Why", exact=True)).to_be_focused()
    page.keyboard.type("too formal")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status")).to_have_text("draft_email: rejected.")
    assert autonomy.approvals.get(action.id).reason == "too formal"


def test_ann_decides_by_keyboard_alone(
    propose: Callable[..., Action], page: Page, autonomy: Autonomy, url: str
) -> None:
    """Past the header to the first action, and from there to the button."""
    action = propose()
    page.goto(url)
    skip_to_the_content(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="draft_email")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What it wants to do")).to_be_visible()
    skip_to_the_content(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="All approvals")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("draft_email: approved.")
    assert autonomy.approvals.get(action.id).decision == "approved"


def skip_to_the_content(page: Page) -> None:
    """Past the header, by the first link of every page."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_what_comes_up_appears_by_itself(propose: Callable[..., Action], page: Page, url: str) -> None:
    """Nobody has to reload, and the tab says how many wait."""
    page.clock.install()
    page.goto(url)
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    propose()
    page.clock.run_for(5000)
    expect(page.get_by_role("link", name="draft_email")).to_be_visible()
    expect(page).to_have_title("1 waiting · sales_companion")


def test_it_all_works_without_scripts(
    propose: Callable[..., Action], browser: Browser, people: People, url: str
) -> None:
    """Then the difference is a click away."""
    action = propose()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}actions/{action.id}")
    page.get_by_label("Your token").fill(people.add("Ann", ()))
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("Edit", exact=True).click()
    page.get_by_label("subject").fill("Your renewal")
    page.get_by_role("button", name="Show the changes").click()
    expect(page.locator("#changes ins")).to_have_text("Your renewal")
    page.get_by_role("button", name="Approve with these changes").click()
    expect(page.get_by_role("status")).to_have_text("draft_email: edited.")
    context.close()


def test_another_site_can_link_to_the_page_but_not_decide(
    propose: Callable[..., Action], browser: Browser, page: Page, autonomy: Autonomy, url: str
) -> None:
    """The browser itself keeps the cookie from its form; who follows its link is still logged in."""
    context = browser.new_context(storage_state=page.context.storage_state())  # this one complains of the refusal
    page = context.new_page()
    action = propose()
    target = f"{url}actions/{action.id}"

    async def lure(request: Request) -> HTMLResponse:
        form = f'<form method="post" action="{target}/approve"><button>Win a prize</button></form>'
        return HTMLResponse(f'<link rel="icon" href="data:,">{form}<a href="{target}">A link in a chat</a>')

    with serving(Starlette(routes=[Route("/", lure)])) as site:
        elsewhere = site.replace("127.0.0.1", "localhost")  # for a browser, this is another site
        page.goto(elsewhere)
        page.get_by_role("link").click()
        expect(page.get_by_role("heading", name="draft_email")).to_be_visible()
        page.goto(elsewhere)
        with page.expect_response(f"{target}/approve") as refused:
            page.get_by_role("button").click()
    headers = refused.value.request.all_headers()
    assert refused.value.status == 403
    assert headers["sec-fetch-site"] == "cross-site"
    assert "cookie" not in headers
    context.close()
    assert autonomy.approvals.waiting() == [action]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone(propose: Callable[..., Action], page: Page, url: str, scheme: Any) -> None:
    """Nothing is wider than a small screen, and every colour stands out from what is behind it (WCAG AA)."""
    action = propose(subject="x" * 200)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 640})
    for path in ("", f"actions/{action.id}"):
        page.goto(url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert axe.serious(page) == []
    colours = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const names = ["page", "panel", "text", "dim", "link", "good", "amber", "bad", "on-colour"];
            const probe = document.body.appendChild(document.createElement("i"));
            const rgb = (name) => {
                probe.style.color = style.getPropertyValue("--" + name);
                return getComputedStyle(probe).color.match(/\\d+/g).map(Number);
            };
            return Object.fromEntries(names.map((name) => [name, rgb(name)]));
        }"""
    )
    for name in ("text", "dim", "link", "good", "amber", "bad"):
        for background in ("page", "panel"):
            assert contrast(colours[name], colours[background]) >= 4.5, (name, background)
    for button in ("good", "bad"):
        assert contrast(colours["on-colour"], colours[button]) >= 4.5, button
    dark = luminance(colours["page"]) < luminance(colours["text"])
    assert dark == (scheme == "dark")


def contrast(one: list[int], other: list[int]) -> float:
    """The ratio of WCAG, from 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: list[int]) -> float:
    """The relative luminance of an sRGB colour, from 0 to 1."""
    shares = [value / 255 for value in colour]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
