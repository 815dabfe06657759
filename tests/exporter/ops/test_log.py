"""One log of everything that people did to an agent, whichever command they did it with."""

from __future__ import annotations

from datetime import UTC, datetime

from agentgauge.autonomy.changes import Changes
from agentgauge.cost.throttles import Throttles
from agentgauge.ledger import Ledger
from agentgauge.ops import log, switches
from agentgauge.ops.operations import Operations
from agentgauge.prompts.activations import PromptActivations
from tests.clock import Clock

UNTIL = datetime(2026, 3, 19, tzinfo=UTC)


def test_everything_is_in_one_log_with_who_and_why(ledger: Ledger, clock: Clock) -> None:
    """Oldest first; users by pseudonym."""
    steps = (
        lambda: switches.change(ledger, "a", lambda now: now.without("send_email"), "ann", "it sends twice"),
        lambda: PromptActivations(ledger, "a").activate("v2", "bob", "shorter answers"),
        lambda: Changes(ledger, "a").record("stage", None, "suggest_only", "carol", "wrong drafts"),
        lambda: Throttles(ledger, "a").put("rep-1", "throttle", UNTIL, "dan", "loops"),
        lambda: Operations(ledger, "a").add("cache_drop", {"tool": None}, "eve", "stale"),
        lambda: Operations(ledger, "a").add("end_session", {"session": "s-1"}, "fay", "it loops"),
        lambda: Throttles(ledger, "a").lift("rep-1", "dan", "fixed"),
        lambda: Operations(ledger, "a").add("incident", {"alert": "AgentHung", "command": "make tea"}, "eve", "step 1"),
    )
    for step in steps:
        step()
        clock.forward(minutes=1)
    user = ledger.pseudonym("rep-1")
    entries = log.entries(ledger, "a")
    assert [(entry.by, entry.what, entry.why) for entry in entries] == [
        ("ann", str(switches.Switches(("send_email",))), "it sends twice"),
        ("bob", "prompts: v2 in force", "shorter answers"),
        ("carol", "autonomy: stage unset → suggest_only", "wrong drafts"),
        ("dan", f"user {user} throttled until 2026-03-19T00:00+00:00", "loops"),
        ("eve", "cache dropped: results of all tools", "stale"),
        ("fay", "session s-1 ended", "it loops"),
        ("dan", f"user {user} let go", "fixed"),
        ("eve", "AgentHung: ran make tea", "step 1"),
    ]
    assert entries[0].at == datetime(2026, 3, 18, 12, tzinfo=UTC)
    assert "rep-1" not in str(entries)
    assert log.entries(ledger, "b") == []


def test_a_change_of_the_whole_policy_is_one_short_line(ledger: Ledger) -> None:
    """`agentgauge autonomy` shows what is in it."""
    Changes(ledger, "a").record("policy", None, '{"stage": "suggest_only", "tools": {}}', "the team", "a new tool")
    assert [entry.what for entry in log.entries(ledger, "a")] == ["autonomy: policy changed"]


def test_what_a_budget_does_is_not_what_people_did(ledger: Ledger) -> None:
    """It would drown the log; `ops throttles` shows it."""
    Throttles(ledger, "a").put_first("rep-1", "throttle", UNTIL, "the budget", "$10.10")
    assert Throttles(ledger, "a").lift("rep-2", "dan") == 0
    assert log.entries(ledger, "a") == []


def test_an_operation_of_a_newer_version_is_shown_all_the_same(ledger: Ledger) -> None:
    """Who, when and why are known in any case."""
    Operations(ledger, "a").add("switches", {"dreams": True}, "ann", "to see")
    Operations(ledger, "a").add("reboot", {}, "ann", "to see")  # type: ignore[arg-type]  # not known yet
    whats = [entry.what for entry in log.entries(ledger, "a")]
    assert whats == ["switches that this version of agentgauge does not know", "reboot"]
