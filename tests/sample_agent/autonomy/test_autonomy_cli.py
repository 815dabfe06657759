"""`agentgauge autonomy …` and the decisions in the chat, as people type them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentgauge.autonomy.action import Action, Proposal
from agentgauge.autonomy.parts import Autonomy
from agentgauge.cli.root import app as agentgauge
from agentgauge.ledger import Ledger
from sample_agent import assembly
from sample_agent.cli import app as demo
from sample_agent.sales import crm
from sample_agent.settings import ledger_url

NOTE = {"account": "Globex", "kind": "note", "text": "call back next week"}


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of its own."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("AGENTGAUGE_LEDGER", "AGENTGAUGE_POLICY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def autonomy(tmp_path: Path) -> Iterator[Autonomy]:
    """The Sales Companion's, on the ledger that the commands open."""
    with closing(Ledger.open(ledger_url(tmp_path))) as ledger:
        yield assembly.build_autonomy(ledger)


@pytest.fixture
def propose(autonomy: Autonomy, tmp_path: Path) -> Callable[..., Action]:
    """Let the agent propose a note; keywords are other parts of the Proposal."""
    crm.build(tmp_path / "crm.sqlite")

    def made(**different: Any) -> Action:
        parts = {"tool": "update_crm", "risk": "medium", "disposition": "approval", "arguments": NOTE, "context": {}}
        return autonomy.actions.propose(Proposal(**parts | different))

    return made


def run(*arguments: str, typed: str = "", status: int = 0) -> str:
    """Run `autonomy …`, which has to end with this status; returns what it printed, in one line."""
    result = CliRunner().invoke(agentgauge, ["autonomy", *arguments], input=typed, env={"USER": "ann"})
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


def test_explain_prints_the_figures_and_what_is_missing(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """What an owner asks before they give a tool more freedom."""
    for _ in range(90):
        autonomy.approvals.approve(propose().id, "jane")
    for _ in range(5):
        autonomy.approvals.edit(propose().id, NOTE | {"kind": "risk"}, "jane")
    said = run("explain", "update_crm")
    assert "update_crm is of medium risk; the stage is approval_required: it waits for approval" in said
    assert "95 decisions: 90 approved (94.7%), 5 edited, 0 rejected" in said
    assert "missing: 5 more decisions: 95 of 100 were made" in said
    assert "missing: more approvals: 94.7% of 97.0%; an edit does not count as one" in said
    assert "missing: a lower risk" in run("explain", "send_email")
    assert "missing" not in run("explain", "search_emails")


def test_a_tool_is_promoted_once_it_has_earned_it(autonomy: Autonomy, propose: Callable[..., Action]) -> None:
    """Before, the command says what it lacks; afterwards, explain says who did it."""
    assert "update_crm has not earned it; it needs 100 more decisions" in run("promote", "update_crm", status=1)
    for _ in range(100):
        autonomy.approvals.approve(propose().id, "jane")
    run("stage", "semi_autonomous", "--reason", "a good month")
    assert "nothing is missing: it is promoted as soon as" in run("explain", "update_crm")
    run("promote", "update_crm")
    said = run("explain", "update_crm")
    assert "it runs unasked" in said
    assert "by ann: earned: 100 decisions: 100 approved" in said


def test_changes_say_who_and_why_and_are_shown(autonomy: Autonomy) -> None:
    """Asked for the reason if it is not given."""
    assert "the stage is autonomous from the next call on" in run("stage", "autonomous", typed="a good year\n")
    run("demote", "draft_email", "--reason", "the templates change")
    said = run("show")
    for part in ("the stage is autonomous", "draft_email", "a good year", "the templates change", "ann"):
        assert part in said
    state = autonomy.changes.state()
    assert (state["stage"].after, state["stage"].changed_by, state["stage"].reason) == (
        "autonomous",
        "ann",
        "a good year",
    )
    assert state["tool:draft_email"].after == "demoted"


def test_audits_are_listed_and_judged(propose: Callable[..., Action], autonomy: Autonomy) -> None:
    """A problem takes the freedom back that the stage gives."""
    assert "nothing waits for an audit" in run("audits")
    run("stage", "autonomous", "--reason", "a good year")
    action = propose(disposition="auto", sampled=True)
    assert action.id in run("audits")
    assert f"update_crm {action.id}: problem" in run("audit", action.id, "--verdict", "problem")
    assert autonomy.standings.now(autonomy.policy()).demoted == {"update_crm"}
    assert "was audited before: problem" in run("audit", action.id, "--verdict", "ok", status=1)


def test_a_note_in_the_crm_is_compared_with_the_suggestion(
    propose: Callable[..., Action], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the fields that the policy says count: the kind, and not the words. Nobody says it by hand."""
    monkeypatch.setenv("USER", "ann")
    action = propose(disposition="suggested", user_id="ann")
    assert action.id in run("suggestions")
    assert "just do it there" in run("did", action.id, "--as-suggested", status=1)
    done = CliRunner().invoke(demo, ["crm", "note", "Globex", "as I say it"])
    assert done.exit_code == 0, done.output
    assert "compared: 1;" in run("compare")
    assert "update_crm: 1 of 1 aligned, 1 × wording" in run("comparisons")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["explain", "fly"], 2, "sales_companion has no tool 'fly'"),
        (["did", "123"], 2, "say what you did: --as-suggested, --arguments"),
        (["did", "123", "--as-suggested"], 1, "sales_companion has no action '123'"),
        (["did", "123", "--arguments", "{"], 2, "--arguments is not JSON"),
        (["did", "123", "--arguments", "7"], 2, "--arguments: expected an object"),
        (["audit", "123", "--verdict", "ok"], 1, "sales_companion has no action '123'"),
    ],
)
def test_wrong_commands_are_one_clear_line(arguments: list[str], status: int, says: str) -> None:
    """What was wrong, and what to do."""
    assert says in run(*arguments, status=status)


def test_a_broken_policy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With file, line and field."""
    (tmp_path / "mine.yml").write_text("stage: bold")
    monkeypatch.setenv("AGENTGAUGE_POLICY", str(tmp_path / "mine.yml"))
    assert "error: mine.yml:1: changed_by: is missing" in run("show", status=2)


def chat(state: Path, *typed: str) -> str:
    """Talk to an agent of its own; the editor that it opens replaces "proposal" by "idea"."""
    editor = shlex.join(["sed", "-i", "s/proposal/idea/"])
    result = subprocess.run(
        [sys.executable, "-m", "sample_agent", "chat", "--agent", "http://127.0.0.1:9"],
        env=os.environ | {"AGENTGAUGE_STATE": str(state), "EDITOR": editor, "VISUAL": editor, "USER": "ann"},
        input="\n".join([*typed, "", ""]),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return " ".join(result.stdout.split())


def test_the_user_edits_and_rejects_in_the_chat_and_leaves_what_others_approve(
    tmp_path: Path, autonomy: Autonomy
) -> None:
    """Sending is of high risk: who asked for it does not approve it, and is told so."""
    draft = "Draft a renewal proposal email to Jane at Globex"
    said = chat(
        tmp_path,
        *(draft, "what?", "e", "y"),
        *("send it", "r", "too early"),
        *("send it", "l"),
        *("so send it", "a", "l"),
    )
    for part in (
        "draft_email, medium risk",
        "Renewal on 2027-03-31: [-proposal-]{+idea+}",
        "Shall I send it?",
        "I have not done that: the action was not approved.",
        "this conversation waits for a decision",
        "you asked for this yourself, and a call of high risk is approved by somebody else",
    ):
        assert part in said
        said = said.partition(part)[2]
    decided = autonomy.actions.decided_since(autonomy.actions.now().replace(year=2000))
    assert [(action.decision, action.decided_by) for action in decided] == [("edited", "ann"), ("rejected", "ann")]
    assert [action.proposal.tool for action in autonomy.approvals.waiting()] == ["send_email"]
