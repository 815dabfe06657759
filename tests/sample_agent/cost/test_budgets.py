"""Budgets: checked before the model is called, told to the user in plain words, shared, and lifted by people."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentGauge, Session, SessionLimits
from agentgauge.cli.root import app as agentgauge
from agentgauge.cost import budgets
from agentgauge.cost.budgets import SET_BY, Budget, BudgetPolicy, BudgetReachedError, Budgets
from agentgauge.cost.throttles import Throttles
from agentgauge.files.yaml_file import YamlFileError
from agentgauge.ledger import Ledger, Usage
from sample_agent import assembly
from sample_agent.app import app
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import AGENT, BUDGETS, ledger_url
from tests.clock import Clock

POLICY = BudgetPolicy(
    session=Budget(warn=0.5, stop=2),
    user_day=Budget(warn=5, throttle=10, stop=20),
    seconds_between_requests=60,
    contact="Ann",
)
USER = "jane@meridian.example"


@pytest.fixture
def clock() -> Clock:
    """It shows noon of 18 March 2026, UTC."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """The ledger of the state folder, on the test's clock."""
    with closing(Ledger.open(ledger_url(tmp_path), now=clock)) as opened:
        yield opened


@pytest.fixture
def gauge(registry: CollectorRegistry, ledger: Ledger) -> Iterator[AgentGauge]:
    """An agent on the ledger."""
    with closing(AgentGauge(AGENT, tools=list(TOOLS_BY_NAME), registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
def kept(gauge: AgentGauge) -> Budgets:
    """The budgets of POLICY; they follow the ledger when told to."""
    return Budgets(POLICY, gauge)


def look(kept: Budgets, gauge: AgentGauge) -> None:
    """What the recorder's thread does every few seconds."""
    assert gauge.recorder is not None
    gauge.recorder.flush()
    kept.refresh()


def spend(session: Session, usd: float) -> None:
    """Let a session cost so much more."""
    session.add_cost(usd)


def refused(kept: Budgets, session: Session) -> str:
    """What the user is told who wants to begin a request; empty if it may begin."""
    with session.attach():
        try:
            kept.admit()
        except BudgetReachedError as reached:
            return str(reached)
    return ""


def test_a_session_at_its_budget_is_stopped_before_the_next_call(kept: Budgets, gauge: AgentGauge) -> None:
    """The sentence says what happened, how it ends, and whom to ask; a new session starts at zero."""
    session = gauge.session(USER)
    spend(session, 1.99)
    assert refused(kept, session) == ""
    spend(session, 0.01)
    with session.attach(), pytest.raises(BudgetReachedError) as reached:
        kept.check()
    assert str(reached.value) == (
        "I have to stop here: this conversation has reached its budget of $2.00. A new conversation starts at zero. "
        "If you need more, please ask Ann."
    )
    assert refused(kept, gauge.session(USER)) == ""


def test_a_session_without_a_user_has_its_own_budget(kept: Budgets, gauge: AgentGauge) -> None:
    """Nobody's day is counted for it."""
    session = gauge.session()
    spend(session, 2)
    assert "this conversation has reached its budget" in refused(kept, session)


def test_code_that_runs_for_no_session_is_not_limited(kept: Budgets) -> None:
    """A check at start-up, say."""
    kept.admit()
    kept.check()
    assert kept.warning() is None


def test_a_day_over_budget_stops_the_user_in_every_conversation(kept: Budgets, gauge: AgentGauge) -> None:
    """At once, by what this process saw; another user goes on."""
    for _ in range(10):
        session = gauge.session(USER)
        spend(session, 1.99)
        with session.attach():
            kept.warning()
    assert refused(kept, gauge.session(USER)) == ""
    last = gauge.session(USER)
    spend(last, 0.2)
    assert refused(kept, last) == (
        "I have to stop here: you have reached your budget for today. It starts again at 00:00 UTC. "
        "If you need more, please ask Ann."
    )
    assert refused(kept, gauge.session(USER)) != ""
    assert refused(kept, gauge.session("rep-2")) == ""


def test_a_day_is_added_up_over_all_replicas(kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock) -> None:
    """What another replica wrote counts with the next look at the ledger, and together with what is new here."""
    ledger.add_usage(AGENT, {(clock().date(), USER): Usage(cost_usd=19)})
    session = gauge.session(USER)
    assert refused(kept, session) == ""
    look(kept, gauge)
    spend(session, 1.5)
    assert "budget for today" in refused(kept, session)


def test_what_this_process_spent_is_not_counted_twice(kept: Budgets, gauge: AgentGauge) -> None:
    """Once it is in the ledger, it is no longer added."""
    for _ in range(10):
        session = gauge.session(USER)
        spend(session, 1.98)
        with session.attach():
            kept.check()
        look(kept, gauge)
    assert refused(kept, session) == ""
    last = gauge.session(USER)
    spend(last, 0.21)
    assert "budget for today" in refused(kept, last)


def test_what_is_spent_while_the_ledger_is_down_still_counts(
    kept: Budgets, gauge: AgentGauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that fails must not open the purse."""

    def down(*_: object, **__: object) -> dict[str, float]:
        raise ConnectionError

    assert gauge.ledger is not None
    monkeypatch.setattr(gauge.ledger, "spend_today", down)
    sessions = [gauge.session(USER) for _ in range(11)]
    for session in sessions:
        spend(session, 1.9)
        with session.attach():
            kept.warning()
        with pytest.raises(ConnectionError):
            look(kept, gauge)
    assert "budget for today" in refused(kept, gauge.session(USER))


def test_of_the_others_it_reads_only_who_has_reached_a_limit(
    kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock
) -> None:
    """Whoever is here counts with every cent from everywhere; nobody reads a hundred thousand who are not."""
    elsewhere = {"little@meridian.example": 4.99, USER: 4.99, "much@meridian.example": 5.0}
    ledger.add_usage(AGENT, {(clock().date(), user): Usage(cost_usd=usd) for user, usd in elsewhere.items()})
    assert refused(kept, gauge.session(USER)) == ""
    look(kept, gauge)
    assert kept._shared.spent == {USER: 4.99, "much@meridian.example": 5.0}


def test_a_new_day_starts_at_zero(kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock) -> None:
    """UTC, with or without a look at the ledger since."""
    ledger.add_usage(AGENT, {(clock().date(), USER): Usage(cost_usd=20)})
    look(kept, gauge)
    assert refused(kept, gauge.session(USER)) != ""
    clock.forward(hours=12)
    assert refused(kept, gauge.session(USER)) == ""


def test_a_throttled_user_is_told_when_to_ask_again(
    kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock
) -> None:
    """One request in a while, in whatever conversation; a request that runs is not cut off."""
    ledger.add_usage(AGENT, {(clock().date(), USER): Usage(cost_usd=10)})
    look(kept, gauge)
    first, second = gauge.session(USER), gauge.session(USER)
    assert refused(kept, first) == ""
    clock.forward(seconds=20.5)
    assert refused(kept, second) == (
        "I can take one request every 60 seconds from you: you have reached your budget for today. Please ask again in "
        "40 seconds. It starts again at 00:00 UTC. If you need more, please ask Ann."
    )
    with first.attach():
        kept.check()
    clock.forward(seconds=39.5)
    assert refused(kept, second) == ""


def test_a_throttle_set_by_people_is_obeyed_by_every_replica(
    kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock
) -> None:
    """Until it ends; the user hears of people and a time, not of their reasons."""
    Throttles(ledger, AGENT).put(USER, "throttle", clock() + timedelta(hours=2), "bob", "a script, it seems")
    other = Budgets(POLICY, gauge)
    other.refresh()
    kept.refresh()
    for replica in (kept, other):
        assert refused(replica, gauge.session(USER)) == ""
        said = refused(replica, gauge.session(USER))
        assert "the people who run me have set a limit for you. Please ask again in 60 seconds. " in said
        assert "That ends at 14:00 UTC on 18 March." in said
        assert "script" not in said
    clock.forward(hours=2)
    assert refused(kept, gauge.session(USER)) == ""
    assert refused(kept, gauge.session(USER)) == ""


def test_a_day_over_budget_is_visible_once_and_for_all(
    kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """In the ledger, until midnight, and in the log by pseudonym."""
    ledger.add_usage(AGENT, {(clock().date(), USER): Usage(cost_usd=20.1)})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            look(kept, gauge)
    (shown,) = Throttles(ledger, AGENT).current()
    assert (shown.level, shown.set_by, shown.reason) == ("stop", SET_BY, "spent $20.10 today")
    assert shown.until == datetime(2026, 3, 19, tzinfo=UTC)
    said = [record.getMessage() for record in caplog.records if "stopped" in record.getMessage()]
    assert said == [f"user {ledger.pseudonym(USER)} is stopped until 2026-03-19 00:00 UTC, set by the budget"]
    assert USER not in caplog.text


def test_whom_people_let_go_the_budget_leaves_alone_for_the_day(
    kept: Budgets, gauge: AgentGauge, ledger: Ledger, clock: Clock
) -> None:
    """Their word counts more than the file's; the next day the file's counts again, and a higher level at once."""
    ledger.add_usage(AGENT, {(clock().date(), USER): Usage(cost_usd=11)})
    look(kept, gauge)
    Throttles(ledger, AGENT).lift(USER, "bob")
    look(kept, gauge)
    assert [refused(kept, gauge.session(USER)) for _ in range(3)] == ["", "", ""]
    ledger.add_usage(AGENT, {(clock().date(), USER): Usage(cost_usd=9)})
    look(kept, gauge)
    assert refused(kept, gauge.session(USER)).startswith("I have to stop here")


def test_the_user_is_warned_once_of_a_session_and_once_of_a_day(kept: Budgets, gauge: AgentGauge) -> None:
    """At the end of an answer, each time for the first time."""
    session = gauge.session(USER)
    with session.attach():
        spend(session, 0.49)
        assert kept.warning() is None
        spend(session, 0.12)
        assert kept.warning() == (
            "Note: this conversation has cost $0.61 so far, and $0.50 is usual. "
            "For another topic, please start a new one."
        )
        assert kept.warning() is None
        spend(session, 4.5)
        assert kept.warning() == "Note: you have used $5.11 today, and $5.00 is usual."
        assert kept.warning() is None


def test_without_a_ledger_a_day_is_what_this_process_saw(clock: Clock) -> None:
    """Replicas then know nothing of each other."""
    gauge = AgentGauge("a", registry=CollectorRegistry())
    alone = Budgets(POLICY, gauge, clock)
    alone.refresh()
    for _ in range(11):
        session = gauge.session(USER)
        spend(session, 1.9)
        with session.attach():
            alone.warning()
    assert "budget for today" in refused(alone, gauge.session(USER))
    clock.forward(days=1)
    assert refused(alone, gauge.session(USER)) == ""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("stop: 2.00", "{warn: 0.50, stop: 0.20}", "session.stop: 0.2 has to be more than warn, which is 0.5"),
        ("stop: 20.00", "{warn: 5, throttle: 5}", "user_day.throttle: 5 has to be more than warn, which is 5"),
        ("stop: 20.00", "stop: never", "user_day.stop: Input should be a valid number"),
        ("stop: 20.00", "warning: 5.00", "user_day.warning: there is no such field"),
        ("requests: 60", "requests: 0", "seconds_between_requests: Input should be greater than 0"),
    ],
)
def test_a_slip_in_the_file_names_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    """At start-up."""
    path = tmp_path / "budgets.yml"
    text = BUDGETS.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(YamlFileError) as raised:
        budgets.load(path)
    assert str(raised.value).startswith(f"budgets.yml:{line}: {says}")


def test_the_shipped_budgets_leave_room_for_the_alerts() -> None:
    """Users are stopped at four times what alerts somebody, or the alerts could never fire."""
    policy = app().budget_policy()
    assert policy.session.stop == 4 * SessionLimits().cost_usd
    assert policy.user_day.stop == 4 * alerted_usd_of_a_day()


def alerted_usd_of_a_day() -> float:
    """What a user spends on a day when people are alerted."""
    return SessionLimits().of_a_user_day


WITHOUT_WARN = BudgetPolicy(session=Budget(), user_day=Budget(), seconds_between_requests=60, contact="Ann")


def test_users_are_warned_where_people_are_alerted(registry: CollectorRegistry, clock: Clock) -> None:
    """A policy that does not say where to warn follows the agent's limit of a session, and ten times that on a day."""
    gauge = AgentGauge("a", registry=registry)
    in_force = Budgets(WITHOUT_WARN, gauge, clock)
    for _ in range(9):
        with gauge.session(USER) as session:
            spend(session, 0.49)
            assert in_force.warning() is None
            spend(session, 0.01)
            assert str(in_force.warning()).startswith("Note: this conversation has cost $0.50 so far, and $0.50 is")
            assert in_force.warning() is None
    with gauge.session(USER) as session:
        spend(session, 0.49)
        assert in_force.warning() is None
    with gauge.session(USER) as session:
        spend(session, 0.02)
        usual = alerted_usd_of_a_day()
        assert in_force.warning() == f"Note: you have used $5.01 today, and ${usual:.2f} is usual."


def test_a_higher_limit_of_sessions_raises_the_warning(registry: CollectorRegistry, clock: Clock) -> None:
    """One number, in the agent."""
    gauge = AgentGauge("a", registry=registry, limits=SessionLimits(cost_usd=1.0))
    in_force = Budgets(WITHOUT_WARN, gauge, clock)
    with gauge.session(USER) as session:
        spend(session, 0.99)
        assert in_force.warning() is None
        spend(session, 0.01)
        assert str(in_force.warning()).startswith("Note: this conversation has cost $1.00 so far, and $1.00 is usual.")


@pytest.fixture
async def companion(gauge: AgentGauge, fake_api: str, tmp_path: Path) -> AsyncIterator[SalesCompanion]:
    """The Sales Companion with its shipped budgets."""
    client = AsyncAnthropic(api_key="fake-key", base_url=fake_api, max_retries=0, middleware=[gauge.anthropic()])
    async with client:
        yield assembly.build_companion(gauge, client, tmp_path)


def outcome(gauge: AgentGauge, which: str) -> float | None:
    """How many tasks ended so."""
    return gauge.registry.get_sample_value("agent_tasks_total", {"agent": AGENT, "outcome": which})


async def test_a_stopped_conversation_calls_no_model_and_is_a_failed_task(
    companion: SalesCompanion, gauge: AgentGauge
) -> None:
    """Not a completed one, and not a fallback either; the conversation keeps nothing of it."""
    conversation = Conversation(gauge.session(USER))
    spend(conversation.session, 2)
    answer = await companion.answer(conversation, "Tell me about Globex")
    assert answer.text.startswith("I have to stop here: this conversation has reached its budget of $2.00.")
    assert "the team that runs the Sales Companion" in answer.text
    assert (outcome(gauge, "failed"), outcome(gauge, "completed"), outcome(gauge, "fallback")) == (1, 0, 0)
    labels = {"agent": AGENT, "model": "claude-opus-5-5", "outcome": "success"}
    assert gauge.registry.get_sample_value("agent_llm_calls_total", labels) in (None, 0)
    assert conversation.messages == []


async def test_a_request_that_runs_away_is_stopped_in_the_middle(
    companion: SalesCompanion, gauge: AgentGauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked before each turn of the model, not only at the start."""
    conversation = Conversation(gauge.session(USER))
    begin = companion.supervisor.begin

    async def costly(*arguments: object) -> object:
        spend(conversation.session, 2)
        return await begin(*arguments)  # type: ignore[arg-type]  # passed on as they come

    monkeypatch.setattr(companion.supervisor, "begin", costly)
    answer = await companion.answer(conversation, "Tell me about Globex")
    assert answer.text.startswith("I have to stop here")
    assert answer.tools != ()
    assert outcome(gauge, "failed") == 1


async def test_an_expensive_conversation_gets_its_answer_with_a_note(
    companion: SalesCompanion, gauge: AgentGauge
) -> None:
    """The note is for the user, so the model does not read it later."""
    conversation = Conversation(gauge.session(USER))
    spend(conversation.session, 0.6)
    answer = await companion.answer(conversation, "Tell me about Globex")
    assert "\n\nNote: this conversation has cost $0.6" in answer.text
    assert "Note:" not in str(conversation.messages)
    assert outcome(gauge, "completed") == 1


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state folder for commands, and a terminal as wide as the tables."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    monkeypatch.setattr("agentgauge.cli.common.out.width", 160)


def run(*arguments: str, status: int = 0) -> str:
    """What `ops …` prints."""
    result = CliRunner().invoke(agentgauge, ["ops", *arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.usefixtures("ops")
async def test_a_user_is_throttled_and_let_go_by_pseudonym(
    companion: SalesCompanion, gauge: AgentGauge, clock: Clock
) -> None:
    """From the page's label to the running agent and back; no screen shows the user's id."""
    clock.at = datetime.now(UTC)  # the commands live by the real one
    conversation = Conversation(gauge.session(USER))
    await companion.answer(conversation, "Tell me about Globex")
    gauge.refresh_from_ledger()
    assert gauge.ledger is not None
    pseudonym = gauge.ledger.pseudonym(USER)
    said = run("throttle", pseudonym, "--for", "2h", "--reason", "asks in a loop")
    assert said.startswith(f"user {pseudonym} is throttled until 20")
    gauge.refresh_from_ledger()
    answers = [(await companion.answer(conversation, "Tell me about Globex")).text for _ in range(2)]
    assert [text.startswith("I can take one request every 60 seconds from you") for text in answers] == [False, True]
    shown = run("throttles")
    assert "asks in a loop" in shown
    assert "throttled" in shown
    assert run("unthrottle", pseudonym) == f"user {pseudonym} is let go\n"
    gauge.refresh_from_ledger()
    assert "ARR" in (await companion.answer(conversation, "Tell me about Globex")).text
    assert "let go by" in (shown_after := run("throttles"))
    assert USER not in said + shown + shown_after + run("log")


@pytest.mark.usefixtures("ops")
def test_a_user_can_be_named_by_id_too(gauge: AgentGauge, ledger: Ledger, clock: Clock) -> None:
    """A ticket may name one; what is printed is the pseudonym."""
    clock.at = datetime.now(UTC)
    gauge.session(USER)
    gauge.refresh_from_ledger()
    said = run("throttle", USER, "--reason", "ticket 7")
    assert ledger.pseudonym(USER) in said
    assert USER not in said


@pytest.mark.usefixtures("ops")
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["throttle", "0123456789ab", "--reason", "x"], 1, "error: the ledger knows no user '0123456789ab'; `agentg"),
        (
            ["throttle", USER, "--reason", "x", "--for", "2 weeks"],
            2,
            "error: --for 2 weeks: expected minutes, ",
        ),
        (["unthrottle", USER], 1, "is neither throttled nor stopped; `agentgauge ops throttles` lists who is"),
    ],
)
def test_a_wrong_command_is_one_clear_line(gauge: AgentGauge, arguments: list[str], status: int, says: str) -> None:
    """What was wrong, and where to look."""
    gauge.session(USER)
    gauge.refresh_from_ledger()
    assert says in run(*arguments, status=status)
