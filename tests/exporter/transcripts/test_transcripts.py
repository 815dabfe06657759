"""Transcripts of what went wrong: when they are kept, what they hold, and what bounds them."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text as statement

from agentgauge import AgentGauge
from agentgauge.ledger import Ledger
from agentgauge.transcripts import LookUp, TranscriptPolicy, Transcripts, UnknownTranscriptError
from agentgauge.transcripts.keeper import MOST_WAITING
from tests.clock import Clock

SAID: list[dict[str, Any]] = [
    {"role": "user", "content": "What does jane@globex.example pay?"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "get_deals", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "$66,000"}]},
    {"role": "assistant", "content": "$66,000 a year."},
]


def agent(ledger: Ledger, **policy: Any) -> AgentGauge:
    """An agent with a ledger of the test."""
    return AgentGauge("a", registry=CollectorRegistry(), ledger=ledger, transcripts=TranscriptPolicy(**policy))


@pytest.fixture
def gauge(ledger: Ledger) -> Iterator[AgentGauge]:
    """One that keeps what it keeps by default."""
    with closing(agent(ledger)) as made:
        yield made


@pytest.fixture
def kept(ledger: Ledger) -> Transcripts:
    """What is in the ledger."""
    return Transcripts(ledger, "a")


def fails(gauge: AgentGauge, session_id: str, said: list[Any] = SAID) -> None:
    """A session whose one task fails."""
    with gauge.session("rep-7", session_id=session_id) as session, session.task() as task:
        session.record_messages(said)
        task.failed()
    gauge.refresh_from_ledger()


def test_a_thumb_down_names_its_session_and_keeps_the_answer_with_the_age_of_its_data(
    gauge: AgentGauge, kept: Transcripts, ledger: Ledger
) -> None:
    """What was asked, what was answered, and what it rests on, without the user's id or the customer's address."""
    gauge.set_build_info("1.7", "v2")
    with gauge.session("rep-7", session_id="s-1") as session:
        gauge.cache_lookup("get_deals", "hit", 840.0)
        session.record_messages(SAID)
        assert session.feedback("down", "wrong_answer")
    gauge.refresh_from_ledger()
    one = kept.get("s-1")
    assert (one.user, one.version, one.prompt_version) == (ledger.pseudonym("rep-7"), "1.7", "v2")
    (occasion,) = one.occasions
    assert (occasion.cause, occasion.detail) == ("thumbs_down", "wrong_answer")
    assert occasion.question == "What does [e-mail] pay?"
    assert occasion.answer == "$66,000 a year."
    assert occasion.look_ups == (LookUp("get_deals", 840.0),)
    assert "jane" not in json.dumps(one.messages)
    with ledger.reading() as connection:
        thumbs = connection.execute(statement("SELECT session_id FROM agentgauge_feedback")).scalars().all()
    assert thumbs == ["s-1"]


def test_a_session_that_went_well_leaves_nothing(gauge: AgentGauge, kept: Transcripts) -> None:
    """A thumb up, a finished task, and no text of it anywhere."""
    with gauge.session("rep-7", session_id="s-1") as session:
        with session.task() as task, task.turn():
            session.record_messages(SAID)
        session.feedback("up")
    gauge.refresh_from_ledger()
    assert kept.newest() == []


def test_a_failed_task_a_slow_turn_and_a_loop_are_kept(ledger: Ledger, kept: Transcripts) -> None:
    """Each says why; an exception says its class, and never its message."""
    with closing(agent(ledger, slow_seconds=1e-9)) as gauge:
        with gauge.session(session_id="s-1") as session:
            with contextlib.suppress(TimeoutError), session.task() as task, task.turn():
                session.record_messages(SAID)
                raise TimeoutError("jane@globex.example did not answer")
            for _ in range(gauge.limits.tool_calls + 1):
                session.add_tool_call()
        gauge.refresh_from_ledger()
    one = kept.get("s-1")
    assert one.causes == ["slow", "failed", "looping"]
    assert [occasion.detail for occasion in one.occasions] == ["0 s", "TimeoutError", ""]


def test_a_loop_is_kept_while_it_still_goes_on(gauge: AgentGauge, kept: Transcripts) -> None:
    """The on-call is paged then; what is said later replaces what was kept."""
    with gauge.session(session_id="s-1") as session:
        for _ in range(gauge.limits.tool_calls + 1):
            session.add_tool_call()
        session.record_messages(SAID[:1])
        gauge.refresh_from_ledger()
        assert len(kept.get("s-1").messages or ()) == 1
        session.record_messages(SAID)
        gauge.refresh_from_ledger()
        assert len(kept.get("s-1").messages or ()) == len(SAID)


def test_two_replicas_of_one_session_are_one_transcript(ledger: Ledger, kept: Transcripts) -> None:
    """Whichever of them served the request; what one knew is not lost to the other."""
    with closing(agent(ledger)) as one, closing(agent(ledger)) as other:
        fails(one, "s-1")
        with other.session("rep-7", session_id="s-1") as session:
            session.feedback("down", "tone")
        other.refresh_from_ledger()
    transcript = kept.get("s-1")
    assert transcript.causes == ["failed", "thumbs_down"]
    assert transcript.messages


@pytest.mark.parametrize(
    ("text", "question"),
    [("ids", ""), ("redacted", "What does [e-mail] pay?"), ("full", "What does jane@globex.example pay?")],
)
def test_the_policy_says_how_much_of_the_text_is_kept(
    ledger: Ledger, kept: Transcripts, text: Any, question: str
) -> None:
    """With ids, the tools are known and nothing that anybody wrote."""
    with closing(agent(ledger, text=text)) as gauge:
        fails(gauge, "s-1")
    (one,) = kept.newest()
    assert one.occasions[0].question == question
    assert bool(kept.get("s-1").messages) == (text != "ids")
    assert one.occasions[0].look_ups == (LookUp("get_deals"),)


def test_with_none_no_session_is_kept_and_what_was_is_deleted(ledger: Ledger, kept: Transcripts) -> None:
    """Who decides that later is not left with what was stored before."""
    with closing(agent(ledger, text="full")) as gauge:
        fails(gauge, "before")
    with closing(agent(ledger, text="none")) as gauge:
        fails(gauge, "after")
    assert kept.newest() == []


def test_a_stricter_policy_takes_the_text_of_what_was_stored_before(ledger: Ledger, kept: Transcripts) -> None:
    """Full text cannot be redacted afterwards by a redactor that is not known here, so it goes."""
    with closing(agent(ledger, text="full")) as gauge:
        fails(gauge, "s-1")
    with closing(agent(ledger, text="redacted")) as gauge:
        fails(gauge, "s-2")
    assert kept.get("s-1").messages is None
    assert kept.get("s-1").occasions[0].question == ""
    assert kept.get("s-2").messages


def test_a_redactor_of_your_own_sees_what_is_left_and_a_broken_one_leaves_no_text(
    ledger: Ledger, kept: Transcripts, caplog: pytest.LogCaptureFixture
) -> None:
    """Names, say, which no pattern finds. A fault of it is counted, and quotes nobody."""
    with closing(agent(ledger, redact=lambda text: text.replace("$66,000", "[price]"))) as gauge:
        fails(gauge, "s-1")
    assert kept.newest()[0].occasions[0].answer == "[price] a year."

    def broken(text: str) -> str:
        raise RuntimeError(text)

    with caplog.at_level(logging.DEBUG), closing(agent(ledger, redact=broken)) as gauge:
        fails(gauge, "s-2")
        assert b'agent_exporter_errors_total{agent="a",site="transcript"}' in generate_latest(gauge.registry)
    assert "66,000" not in json.dumps(kept.get("s-2").messages)
    assert "66,000" not in caplog.text


def test_the_newest_of_each_cause_are_kept_for_so_many_days(ledger: Ledger, kept: Transcripts, clock: Clock) -> None:
    """Many slow turns do not push out the thumb of yesterday; age ends all of them."""
    policy = TranscriptPolicy(most=3, days=7)
    with closing(agent(ledger)) as gauge:
        with gauge.session(session_id="thumb") as session:
            session.feedback("down", "tone")
        gauge.refresh_from_ledger()
        for number in range(5):
            clock.at += timedelta(minutes=1)
            fails(gauge, f"failed-{number}")
    kept.bound(policy)
    assert [one.session for one in kept.newest()] == ["failed-4", "failed-3", "failed-2", "thumb"]
    clock.at += timedelta(days=7, seconds=1)
    kept.bound(policy)
    assert kept.newest() == []


def test_what_is_beyond_the_limits_goes_by_itself(ledger: Ledger, kept: Transcripts, clock: Clock) -> None:
    """At the start of an agent, and every minute from then on."""
    with closing(agent(ledger, days=7)) as gauge:
        fails(gauge, "s-1")
    clock.at += timedelta(days=8)
    with closing(agent(ledger, days=7)) as gauge:
        gauge.refresh_from_ledger()
    assert kept.newest() == []


def test_a_ledger_that_is_away_costs_a_bounded_number_of_transcripts_and_no_exception(
    ledger: Ledger, kept: Transcripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is counted; what waited is written once the ledger is back."""
    with closing(agent(ledger)) as gauge:
        store = gauge.transcripts._store if gauge.transcripts else None
        assert store is not None
        with monkeypatch.context() as patched:
            patched.setattr(store, "put", lambda _transcript: (_ for _ in ()).throw(OSError("away")))
            for number in range(MOST_WAITING + 5):
                with gauge.session(session_id=f"s-{number}") as session, session.task() as task:
                    task.failed()
            before = gauge.registry.get_sample_value(
                "agent_exporter_errors_total", {"agent": "a", "site": "transcript"}
            )
            assert before == 5
        gauge.refresh_from_ledger()
    assert len(kept.newest(limit=1000)) == MOST_WAITING


def test_a_session_that_is_noted_while_another_is_does_not_wait_for_itself(
    gauge: AgentGauge, kept: Transcripts
) -> None:
    """A stream that is collected as garbage at that moment counts its cost, which may be too much."""
    assert gauge.transcripts is not None
    with gauge.transcripts._lock, gauge.session(session_id="s") as session:
        session.keep_transcript("looping")
    gauge.refresh_from_ledger()
    assert [one.session for one in kept.newest()] == ["s"]


def test_no_text_of_anybody_is_in_metrics_or_logs(
    gauge: AgentGauge, kept: Transcripts, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the session's id."""
    with caplog.at_level(logging.DEBUG):
        fails(gauge, "session-of-rep-7", [{"role": "user", "content": "confidential"}])
    assert kept.newest()
    shown = generate_latest(gauge.registry).decode() + caplog.text
    assert "confidential" not in shown
    assert "session-of-rep-7" not in shown


def test_one_can_be_deleted_and_an_unknown_one_is_said(gauge: AgentGauge, kept: Transcripts) -> None:
    """A user asks for it, say."""
    fails(gauge, "s-1")
    kept.delete("s-1")
    for asked in (kept.get, kept.delete):
        with pytest.raises(UnknownTranscriptError, match="no transcript of 's-1'"):
            asked("s-1")


def test_a_policy_that_makes_no_sense_is_refused_at_the_start() -> None:
    """With what was given, and what is expected."""
    with pytest.raises(ValueError, match=r"text='some'.*none, ids, redacted, full"):
        TranscriptPolicy(text="some")  # type: ignore[arg-type]  # what a caller without types writes
    with pytest.raises(ValueError, match="most=0"):
        TranscriptPolicy(most=0)
