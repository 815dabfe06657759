"""What is approved is what happens: people decide on what a call would do, and nothing else is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentApp, AgentGauge, Tool
from agentgauge.autonomy import Call, NotShownError, Resumed, Settled, ToolRequests, Waiting
from agentgauge.autonomy.approvals import Approvals, InvalidEditError, RiskRaisedError
from agentgauge.autonomy.policy import Condition

NUMBER = {"type": "object", "properties": {"draft_id": {"type": "integer"}}, "required": ["draft_id"]}
OFFER = {"to": "jane@globex.example", "subject": "Renewal", "body": "10 % off"}
LETTER = {"to": "bob@hooli.example", "subject": "Hello", "body": "See you"}


@dataclass
class Shop:
    """An agent whose one tool sends drafts by their number."""

    folder: Path
    gauge: AgentGauge
    drafts: dict[int, dict[str, str]] = field(default_factory=lambda: {6: dict(OFFER), 7: dict(LETTER)})
    sent: list[dict[str, str]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    policy: Path | None = None

    def __post_init__(self) -> None:
        send = Tool("send", NUMBER, "high" if self.policy is None else "low", preview=self.preview)
        self.app = AgentApp("shop", self.gauge_ledger, tools=[send], policy=self.policy, run_tool=self.run)
        self.requests = ToolRequests(self.app.supervisor(self.gauge))

    @property
    def gauge_ledger(self) -> str:
        """The ledger's URL."""
        return f"sqlite:///{self.folder / 'ledger.sqlite'}"

    @property
    def approvals(self) -> Approvals:
        """What people decide with."""
        return self.requests.supervisor.autonomy.approvals

    def preview(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The e-mail behind a number."""
        if arguments["draft_id"] not in self.drafts:
            raise LookupError(f"there is no draft {arguments['draft_id']}")
        return dict(self.drafts[arguments["draft_id"]])

    def run(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Send a draft."""
        self.sent.append(dict(self.drafts[arguments["draft_id"]]))
        return "sent"

    async def ask(self, draft: int = 6) -> Waiting | Settled:
        """Let the agent send a draft."""
        with self.gauge.session("rep-1", session_id="s") as session, session.task() as task:
            return await self.requests.call(task, [Call("1", "send", {"draft_id": draft})], {})

    async def asked(self) -> str:
        """The id of the action for which sending draft 6 waits."""
        waiting = await self.ask()
        assert isinstance(waiting, Waiting)
        return waiting.actions[0].id

    async def go_on(self) -> None:
        """Let what was decided happen."""

        def answer(resumed: Resumed) -> str:
            self.answers.append([outcome.content for outcome in resumed.outcomes])
            return "answered"

        await self.requests.resume_decided(answer)


@pytest.fixture
def shop(tmp_path: Path, registry: CollectorRegistry) -> Iterator[Shop]:
    """It has two drafts, and sent none."""
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with closing(AgentGauge("shop", tools=["send"], registry=registry, ledger=ledger)) as gauge:
        yield Shop(tmp_path, gauge)


async def test_people_are_shown_the_email_and_not_its_number(shop: Shop) -> None:
    """Recipient, subject and text; what they approve is sent."""
    action = shop.approvals.get(await shop.asked())
    assert action.shown == OFFER
    shop.approvals.approve(action.id, "ann", action.seal)
    await shop.go_on()
    assert shop.sent == [OFFER]


RULES = """
changed_by: jane
reason: a test
tools:
  send:
    rules:
      - { when: { effect: [to], matches: globex }, then: high, why: Globex is the director's }
      - { when: { effect: [body], price_change_above: 50 }, then: denied, why: nobody gives half of it away }
"""


async def test_a_rule_looks_at_what_a_call_would_do(shop: Shop, tmp_path: Path) -> None:
    """Its arguments are a number: the recipient and the text behind it decide, also of an edit and at the end."""
    policy = tmp_path / "policy.yml"
    policy.write_text(RULES, encoding="utf-8")
    ruled = Shop(tmp_path, shop.gauge, policy=policy)
    assert isinstance(await ruled.ask(7), Settled)
    assert ruled.sent == [LETTER]
    action = ruled.approvals.get(await ruled.asked())
    assert (action.proposal.risk, action.proposal.context["why"]) == ("high", "Globex is the director's")
    ruled.drafts[7]["body"] = "it is 60 % off"
    with pytest.raises(RiskRaisedError, match="would be denied"):
        ruled.approvals.edit(action.id, {"draft_id": 7}, "ann")
    refused = await ruled.ask(7)
    assert isinstance(refused, Settled)
    assert refused.outcomes[0].content == "denied by the policy: nobody gives half of it away"
    ruled.approvals.approve(action.id, "ann")
    ruled.drafts[6]["body"] = "it is 60 % off"
    await ruled.go_on()
    assert ruled.answers == [["approved, but not allowed any more: nobody gives half of it away"]]
    assert ruled.sent == [LETTER]


def test_where_nobody_can_say_what_a_call_would_do_a_rule_on_it_holds() -> None:
    """To be on the safe side; a rule says where it looks."""
    condition = Condition(effect=["to"], matches="globex")
    assert condition.holds({}, None)
    assert condition.holds({}, {"to": "jane@globex.example"})
    assert not condition.holds({"to": "jane@globex.example"}, {"to": "bob@hooli.example"})
    with pytest.raises(ValueError, match="say where to look"):
        Condition(matches="globex")


async def test_what_changed_since_it_was_approved_is_asked_again(shop: Shop) -> None:
    """Nothing of it is done before people have seen what it would do now."""
    action_id = await shop.asked()
    shop.approvals.approve(action_id, "ann")
    shop.drafts[6]["body"] = "90 % off"
    await shop.go_on()
    assert (shop.sent, shop.answers) == ([], [])
    (again,) = shop.approvals.waiting()
    assert again.id != action_id
    assert again.shown == OFFER | {"body": "90 % off"}
    assert again.proposal.context["why"] == "it would do something else by now than what was approved"
    shop.approvals.approve(again.id, "ann")
    await shop.go_on()
    assert shop.sent == [OFFER | {"body": "90 % off"}]
    assert shop.answers == [['"sent"']]


async def test_an_edit_does_not_swap_one_draft_for_another_unseen(shop: Shop) -> None:
    """The error holds what it would do, and the seal with which the person says that they saw it."""
    action_id = await shop.asked()
    for seen in (None, shop.approvals.get(action_id).seal):
        with pytest.raises(NotShownError, match="look at that before you approve it") as refused:
            shop.approvals.edit(action_id, {"draft_id": 7}, "ann", seen=seen)
    assert refused.value.effect == LETTER
    edited = shop.approvals.edit(action_id, {"draft_id": 7}, "ann", seen=refused.value.seal)
    assert (edited.decision, edited.decided_effect) == ("edited", LETTER)
    await shop.go_on()
    assert shop.sent == [LETTER]


async def test_an_edited_call_that_changed_is_asked_again_as_edited(shop: Shop) -> None:
    """Not as the agent had proposed it."""
    action_id = await shop.asked()
    seal = shop.approvals.get(action_id).seal
    with pytest.raises(NotShownError) as refused:
        shop.approvals.edit(action_id, {"draft_id": 7}, "ann", seen=seal)
    shop.approvals.edit(action_id, {"draft_id": 7}, "ann", seen=refused.value.seal)
    shop.drafts[7]["to"] = "mallory@evil.example"
    await shop.go_on()
    (again,) = shop.approvals.waiting()
    assert (again.proposal.arguments, again.shown) == ({"draft_id": 7}, LETTER | {"to": "mallory@evil.example"})
    assert shop.sent == []


async def test_an_approval_of_something_else_is_refused(shop: Shop) -> None:
    """Of a page that another action was shown on, for example; this one still waits."""
    action = shop.approvals.get(await shop.asked())
    with pytest.raises(NotShownError, match="would do something else than you were shown; nothing was decided"):
        shop.approvals.approve(action.id, "ann", "another seal")
    assert shop.approvals.waiting() == [action]


async def test_nobody_is_asked_about_what_cannot_be_done(shop: Shop) -> None:
    """The model reads why; and an edit to something like that is refused."""
    settled = await shop.ask(draft=99)
    assert isinstance(settled, Settled)
    assert settled.outcomes[0].content == "LookupError: there is no draft 99"
    with pytest.raises(InvalidEditError, match="there is no draft 99"):
        shop.approvals.edit(await shop.asked(), {"draft_id": 99}, "ann")


async def test_what_cannot_be_done_any_more_is_not_done(shop: Shop) -> None:
    """The model reads that as well."""
    shop.approvals.approve(await shop.asked(), "ann")
    del shop.drafts[6]
    await shop.go_on()
    assert shop.answers == [["LookupError: there is no draft 6"]]
    assert shop.sent == []
