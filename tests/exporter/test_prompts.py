"""Prompt versions in the ledger: one in force, the history kept, and a way back that does not lead in circles."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agentgauge.autonomy.action import Proposal
from agentgauge.autonomy.actions import Actions, TrackRecord
from agentgauge.feedback.thumbs import thumbs_since
from agentgauge.ledger import Ledger
from agentgauge.prompts.activations import NothingBeforeError, PromptActivations
from agentgauge.prompts.library import PromptLibrary
from agentgauge.vocabulary import Decision
from tests.clock import Clock


@pytest.fixture
def prompts(ledger: Ledger) -> PromptActivations:
    """The prompt versions of agent ``a``; none was ever activated."""
    return PromptActivations(ledger, "a")


def versions(prompts: PromptActivations) -> list[str]:
    """The versions of the history, oldest first."""
    return [activation.version for activation in prompts.history()]


def test_what_was_activated_last_is_in_force_with_who_when_and_why(prompts: PromptActivations, clock: Clock) -> None:
    """And stays readable when the next one replaces it."""
    assert prompts.active() is None
    first = prompts.activate("v1", "ann", "first")
    clock.forward(hours=1)
    second = prompts.activate("v2", "bob", "warmer")
    assert prompts.active() == second
    assert (second.version, second.by, second.reason, second.at) == ("v2", "bob", "warmer", clock())
    assert prompts.history() == [first, second]


def test_every_replica_reads_the_same_version(url: str) -> None:
    """The ledger is what they share."""
    with closing(Ledger.open(url)) as one, closing(Ledger.open(url)) as other:
        activated = PromptActivations(one, "a").activate("v2", "ann", "warmer")
        assert PromptActivations(other, "a").active() == activated


def test_activating_what_is_in_force_changes_nothing(prompts: PromptActivations) -> None:
    """A history that repeats itself would hide what came before."""
    first = prompts.activate("v1", "ann", "first")
    assert prompts.activate("v1", "bob", "again") == first
    assert prompts.history() == [first]


def test_an_agent_starts_with_a_version_only_if_it_never_had_one(prompts: PromptActivations) -> None:
    """A restart must not undo what a person activated."""
    assert prompts.start_with("v1").version == "v1"
    prompts.activate("v2", "ann", "warmer")
    assert prompts.start_with("v1").version == "v2"
    assert versions(prompts) == ["v1", "v2"]


def test_the_first_start_has_a_version_to_roll_back_to(prompts: PromptActivations) -> None:
    """A new ledger knows none, and the first page that asks for a rollback would get none; once is enough."""
    prompts.start_with("v2")
    assert prompts.before("v1") == "v1"
    assert prompts.rollback("ann", "worse", "v1").version == "v1"
    assert versions(prompts) == ["v1", "v2", "v1"]
    with pytest.raises(NothingBeforeError, match="before v1"):
        prompts.rollback("ann", "and again")


def test_an_older_version_that_a_person_tried_rolls_back_to_the_first(prompts: PromptActivations) -> None:
    """What is older than the ledger counts only where the ledger knows nothing."""
    prompts.start_with("v2")
    prompts.activate("v1", "ann", "another try")
    assert prompts.rollback("ann", "worse", "v0").version == "v2"


def test_activations_at_the_same_moment_keep_their_order(prompts: PromptActivations) -> None:
    """The test's clock stands still, as two hosts' clocks may seem to."""
    order = [f"v{number}" for number in range(20)]
    for version in order:
        prompts.activate(version, "ann", "")
    assert versions(prompts) == order


def test_rolling_back_twice_goes_two_versions_back(prompts: PromptActivations) -> None:
    """Whoever is still paged after the first rollback must not get the bad version again."""
    for version in ("v1", "v2", "v3"):
        prompts.activate(version, "ann", "")
    assert prompts.rollback("bob", "worse").version == "v2"
    assert prompts.rollback("bob", "still bad").version == "v1"
    with pytest.raises(NothingBeforeError, match="before v1"):
        prompts.rollback("bob", "and again")
    assert versions(prompts) == ["v1", "v2", "v3", "v2", "v1"]
    last = prompts.active()
    assert last is not None
    assert last.reason == "still bad"


def test_a_version_after_a_rollback_rolls_back_to_what_it_replaced(prompts: PromptActivations) -> None:
    """Not to the one that was rolled back before."""
    for version in ("v1", "v2"):
        prompts.activate(version, "ann", "")
    prompts.rollback("bob", "worse")
    prompts.activate("v3", "ann", "another try")
    assert prompts.rollback("bob", "worse, too").version == "v1"


def test_without_any_activation_there_is_nothing_to_roll_back(prompts: PromptActivations) -> None:
    """It is said, not guessed."""
    with pytest.raises(NothingBeforeError, match="no prompt version was ever activated"):
        prompts.rollback("bob", "")


def test_agents_share_a_ledger_not_their_prompts(prompts: PromptActivations, ledger: Ledger) -> None:
    """The version of one says nothing of the other's."""
    PromptActivations(ledger, "b").activate("v9", "ann", "")
    assert prompts.active() is None


def test_the_approval_rate_of_each_version_is_one_query(
    prompts: PromptActivations, ledger: Ledger, clock: Clock
) -> None:
    """What was decided before, waits still, or is another agent's does not count."""

    def decide(version: str, *decisions: Decision, agent: str = "a") -> None:
        actions = Actions(ledger, agent)
        proposal = Proposal("send_email", "high", "approval", {}, {}, prompt_version=version)
        for decision in decisions:
            actions.decide(actions.propose(proposal).id, decision, "ann")

    decide("v1", "approved")
    clock.forward(days=1)
    since = clock()
    decide("v2", "approved", "approved", "edited", "expired")
    decide("v1", "rejected")
    decide("v1", "approved", agent="b")
    Actions(ledger, "a").propose(Proposal("send_email", "high", "approval", {}, {}, prompt_version="v3"))
    assert prompts.track_records(since) == {
        "v1": TrackRecord(rejected=1),
        "v2": TrackRecord(approved=2, edited=1, expired=1),
    }


def test_thumbs_are_counted_by_rating_and_reason(ledger: Ledger, clock: Clock) -> None:
    """From a moment on, of one agent."""
    ledger.add_feedback("a", "rep-1", "down", "tone")
    clock.forward(days=1)
    since = clock()
    for agent, rating, reason in (
        ("a", "down", "tone"),
        ("a", "down", "tone"),
        ("a", "up", "none"),
        ("b", "up", "none"),
    ):
        ledger.add_feedback(agent, None, rating, reason)
    assert thumbs_since(ledger, "a", since) == {("down", "tone"): 2, ("up", "none"): 1}


LONG = 'Looks up: names, "titles" – and more. # no comment ' + "again and again " * 20 + "#renewal"


@pytest.mark.parametrize("description", ["Short.", LONG, "Two lines:\n\n* one", "it's: {odd} 100 % - [x]", "yes"])
@pytest.mark.parametrize(
    "file",
    [
        "# Ours.\n\nlook_up: >-\n  Looks\n  up.\n\n# Theirs.\nsend: 'Sends.'\n",
        "look_up: Looks up.\nsend: |\n  Sends.\n\n  Once.\n",
        "send: Sends.\n'look_up': \"Looks up.\"",
        "{look_up: Looks up., send: Sends.}\n",
    ],
)
def test_a_version_that_is_written_says_what_it_was_given(tmp_path: Path, file: str, description: str) -> None:
    """However the file is laid out; comments, and the lines of the other tools, stay as they are where they can."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "system.md").write_text("You help.\n", encoding="utf-8")
    (tmp_path / "v1" / "tools.yml").write_text(file, encoding="utf-8")
    library = PromptLibrary(tmp_path, ["system"], ["look_up", "send"])
    before = library.load("v1")
    descriptions = {**before.tool_descriptions, "look_up": description.strip()}
    wanted = replace(before, version=library.next_version(), tool_descriptions=descriptions)
    assert library.write(wanted, "v1") == tmp_path / "v2"
    assert library.load("v2") == wanted
    kept = [line for line in file.splitlines() if line.startswith(("#", "send"))]
    assert set(kept) <= set((tmp_path / "v2" / "tools.yml").read_text(encoding="utf-8").splitlines())


def test_a_version_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    """It may be in force."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "system.md").write_text("You help.\n", encoding="utf-8")
    (tmp_path / "v1" / "tools.yml").write_text("send: Sends.\n", encoding="utf-8")
    library = PromptLibrary(tmp_path, ["system"], ["send"])
    with pytest.raises(FileExistsError):
        library.write(library.load("v1"), "v1")
