"""Chaos: what is judged a loss, and how it is kept. The rows themselves take the real programs: `make chaos`."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agentgauge.autonomy.action import Action, Proposal
from agentgauge.ledger import Ledger
from sample_agent.assembly import build_autonomy
from sample_agent.sales import crm
from sample_agent.settings import AGENT
from stack.chaos import killing, play, results
from stack.chaos.results import Result
from stack.chaos.rows import ROWS, Scene, chosen
from stack.chaos.stage import Setting, Stage
from stack.chaos.witness import Deed, losses, unfinished
from stack.errors import StackError
from stack.layout import Layout, Ports
from tests.clock import Clock

PLAYED = Result("locked ledger", ("`AgentTelemetryErrors` paged",), (), 12, 7, "2026-03-18", "2 cores")


class Room:
    """A CRM and a ledger, and what an agent did with them."""

    def __init__(self, ledger: Ledger, layout: Layout) -> None:
        self.ledger, self.layout = ledger, layout
        self.actions = build_autonomy(ledger, state=layout.state).actions
        self._crm = crm.Crm(layout.state / "crm.sqlite")

    def proposed(self, deed: Deed) -> Action:
        """What a person asked for, waiting for a decision."""
        action = self.actions.propose(Proposal("update_crm", "medium", "approval", {"text": deed.note}, {}))
        deed.action = action.id
        return action

    def approved(self, deed: Deed) -> Action:
        """The same, approved, which its person knows."""
        action = self.proposed(deed)
        deed.decided = "approved"
        return self.actions.decide(action.id, "approved", deed.user)

    def do(self, action: Action, note: str) -> None:
        """Carry it out, and write that down."""
        self.actions.start(action.id)
        self.note(note)
        self.actions.finish(action.id, {"status": "done", "content": "{}"})

    def note(self, text: str) -> None:
        """Write a note into the CRM."""
        (account,) = self._crm.accounts(["Globex"])
        self._crm.add_note(account["id"], "note", text)

    def losses(self, *deeds: Deed) -> list[str]:
        """What was lost of these."""
        return list(losses(list(deeds), self.ledger, self.layout))


@pytest.fixture
def clock() -> Clock:
    """The ledger's clock."""
    return Clock()


@pytest.fixture
def room(tmp_path: Path, clock: Clock) -> Iterator[Room]:
    """An empty room."""
    layout = Layout(Ports(), tmp_path)
    layout.state.mkdir()
    crm.build(layout.state / "crm.sqlite")
    with closing(Ledger.open(f"sqlite:///{layout.ledger}", now=clock)) as ledger:
        yield Room(ledger, layout)


@pytest.fixture
def deed() -> Deed:
    """What one person asked for."""
    return Deed("rep-1", "chaos 1")


def test_what_was_approved_and_done_once_is_no_loss(room: Room, deed: Deed) -> None:
    """The usual end."""
    room.do(room.approved(deed), deed.note)
    assert room.losses(deed) == []
    assert unfinished([deed], room.ledger, room.layout) == []


def test_what_was_done_twice_is_a_loss(room: Room, deed: Deed) -> None:
    """Whatever the ledger says of it."""
    room.do(room.approved(deed), deed.note)
    room.note(deed.note)
    assert room.losses(deed) == ["chaos 1 was done 2 times"]


def test_an_acknowledged_decision_that_is_not_kept_is_a_loss(room: Room, deed: Deed) -> None:
    """Because it was never written, or because its action is gone."""
    room.proposed(deed)
    deed.decided = "rejected"
    gone = Deed("rep-2", "chaos 2", action="0123456789ab", decided="approved")
    assert room.losses(deed, gone) == [
        "chaos 1 was acknowledged as rejected, and the ledger says None",
        "the ledger does not know chaos 2, which was acknowledged as approved",
    ]


def test_a_rejected_call_that_was_carried_out_is_a_loss(room: Room, deed: Deed) -> None:
    """People said no."""
    action = room.proposed(deed)
    room.actions.decide(action.id, "rejected", "rep-1", reason="no")
    deed.decided = "rejected"
    room.note(deed.note)
    assert room.losses(deed) == ["chaos 1 was rejected, and done"]


def test_an_acknowledged_rating_that_is_not_kept_is_a_loss(room: Room, deed: Deed) -> None:
    """One that is kept is none."""
    deed.rated = True
    assert room.losses(deed) == ["the rating of rep-1 was acknowledged and is not kept"]
    room.ledger.add_feedback(AGENT, "rep-1", "up", "none")
    assert room.losses(deed) == []


def test_what_was_begun_and_has_no_end_is_waited_for_until_people_are_shown_it(
    room: Room, deed: Deed, clock: Clock
) -> None:
    """While its lease runs it may still end; after that, it is unresolved, and no longer waited for."""
    room.actions.start(room.approved(deed).id)
    assert [one.id for one in unfinished([deed], room.ledger, room.layout)] == [deed.action]
    clock.forward(minutes=5)
    assert unfinished([deed], room.ledger, room.layout) == []


def test_a_row_survives_if_it_was_played_and_lost_nothing() -> None:
    """What could not be played here has not survived."""
    assert PLAYED.survived
    assert not replace(PLAYED, lost=("a decision",)).survived
    assert not replace(PLAYED, not_run="it takes root").survived


def test_playing_one_row_again_keeps_the_results_of_the_others(tmp_path: Path) -> None:
    """And drops those of rows that are not there any more; the page shows what there is."""
    file = tmp_path / "results.json"
    results.keep([PLAYED, replace(PLAYED, name="kill -9"), replace(PLAYED, name="old")], ["locked ledger", "old"], file)
    results.keep([replace(PLAYED, seed=8, lost=("chaos 1",))], ["kill -9", "locked ledger"], file)
    kept = results.load(file)
    assert {name: (one.seed, one.survived) for name, one in kept.items()} == {"locked ledger": (8, False)}
    page = results.page([("locked ledger", "it is locked"), ("kill -9", "killed")], kept)
    assert "2 rows: 0 survived, 1 lost." in page
    assert "| locked ledger | it is locked | **LOST** | chaos 1 | 2026-03-18, seed 8 |" in page
    assert "| kill -9 | killed | not played yet | | |" in page


@contextmanager
def broken(_layout: Layout) -> Iterator[Setting]:
    """A setting that cannot be made."""
    raise StackError("no PostgreSQL")
    yield Setting({}, "")


def test_rows_whose_stack_does_not_come_up_are_lost() -> None:
    """All of them, with the reason; the rows of other stacks are played all the same."""
    scenes = [Scene(ROWS[:2], broken), Scene(ROWS[2:3], broken, lambda: "it takes root")]
    said: list[str] = []
    played = list(play.run(scenes, seed=1, kills=0, say=said.append))
    assert [one.name for one in played] == [row.name for row in ROWS[:3]]
    assert [one.lost for one in played] == [("the stack broke off: no PostgreSQL",)] * 2 + [()]
    assert [one.verdict for one in played] == ["LOST", "LOST", "not run"]


@pytest.mark.parametrize("seed", range(5))
def test_every_process_is_among_those_that_are_killed(seed: int) -> None:
    """The agent's, too, by which it is seen: with chances alone, one short run in four left it out."""
    names = ["agent", "pager", "prometheus"]
    with ExitStack() as stack:
        sleepers = {name: stack.enter_context(subprocess.Popen(["sleep", "60"])) for name in names}
        stage = SimpleNamespace(
            rng=random.Random(seed),  # noqa: S311 - a simulation, not a secret
            kills=len(names),
            pids=lambda: {name: sleeper.pid for name, sleeper in sleepers.items()},
            pass_time=lambda _seconds, _what: None,
            note=lambda _line: None,
        )
        stack.enter_context(killing.killed_at_random(cast("Stage", stage)))
        assert {sleeper.wait(timeout=60) for sleeper in sleepers.values()} == {-signal.SIGKILL}


def test_refusals_are_counted_by_what_they_say_whatever_action_they_name() -> None:
    """Ids are nothing for the docs, and two people who were refused alike are two."""
    said = [f"{action} was approved before, by a colleague" for action in ("190f229935d9", "04b1c2d3e4f5")]
    deeds = [Deed("u", "n", refused=(409, one)) for one in said]
    assert play.in_words(deeds) == '2 people, 0 got through, 2 read "an action was approved before, by a colleague"'


def test_rows_are_chosen_by_a_word_of_their_name() -> None:
    """The short form has some of them; each name is there once."""
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert [row.name for scene in chosen("pager") for row in scene.rows] == ["pager down"]
    assert chosen("no such row") == []
    short = [row.name for scene in chosen(short=True) for row in scene.rows]
    assert 0 < len(short) < len(names)
