"""An agent with a ledger: usage reaches it off the request path, feedback at once, and users are shown unnamed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agentgauge import AgentGauge, SessionLimits
from agentgauge.ledger import Ledger, Usage
from agentgauge.ledger import recorder as recorder_module
from agentgauge.ledger.recorder import Recorder, UsageDroppedError
from agentgauge.ledger.store import UserDay
from tests.clock import Clock
from tests.exporter.conftest import sql

BREAK = "ALTER TABLE agentgauge_usage RENAME TO gone"
MEND = "ALTER TABLE gone RENAME TO agentgauge_usage"


@pytest.fixture
def gauge(registry: CollectorRegistry, ledger: Ledger) -> Iterator[AgentGauge]:
    """An agent that keeps its usage in the ledger."""
    with closing(AgentGauge("a", tools=["t"], registry=registry, ledger=ledger)) as made:
        yield made


@pytest.fixture
def faults() -> list[str]:
    """The faults of `recorder`, by class, as they come."""
    return []


@pytest.fixture
def recorder(ledger: Ledger, faults: list[str]) -> Iterator[Recorder]:
    """A recorder whose thread sleeps: the test says when to write."""
    made = Recorder(ledger, "a", [], lambda fault: faults.append(type(fault).__name__), flush_seconds=3600)
    with closing(made):
        yield made


def chat(gauge: AgentGauge, user_id: str | None, cost_usd: float = 0.0) -> None:
    """A session of one turn with one tool call."""
    with gauge.session(user_id) as session, session.task() as task, task.turn(), gauge.tool_call("t") as call:
        call.add_cost(cost_usd)


def shown(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Value by user or window of one metric of agent ``a``."""
    samples = [sample for metric in registry.collect() for sample in metric.samples if sample.name == name]
    return {sample.labels.get("user") or sample.labels.get("window", ""): sample.value for sample in samples}


def errors(registry: CollectorRegistry) -> float | None:
    """Ledger faults of agent ``a`` so far."""
    return registry.get_sample_value("agent_exporter_errors_total", {"agent": "a", "site": "ledger"})


def usage_rows(url: str) -> list[tuple[str, int, int, float]]:
    """Everything that is in the ledger: user, sessions, turns, USD."""
    rows = sql(url, "SELECT user_id, sessions, turns, cost_usd FROM agentgauge_usage ORDER BY user_id")
    return [tuple(row) for row in rows]


def run(script: str, *arguments: str, **env: str) -> str:
    """Run a script in a fresh interpreter, where a warning is an error; returns its output."""
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    return subprocess.run(
        command, env=os.environ | env, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout


def test_a_session_reaches_the_ledger_by_user(gauge: AgentGauge, url: str) -> None:
    """Sessions, turns and LLM or tool cost; a session of nobody in particular is not recorded."""
    chat(gauge, "rep-1", 0.25)
    chat(gauge, "rep-1", 0.5)
    chat(gauge, None, 9.0)
    with gauge.session("rep-2"):
        pass
    gauge.refresh_from_ledger()
    assert usage_rows(url) == [("rep-1", 2, 2, 0.75), ("rep-2", 1, 0, 0.0)]


def test_usage_counts_for_the_day_it_happened_on(gauge: AgentGauge, url: str, clock: Clock) -> None:
    """A session that goes on past midnight is use on both days, whenever it is written."""
    with gauge.session("rep-1") as session:
        for _ in range(2):
            with session.task() as task, task.turn():
                pass
            clock.forward(days=1)
    gauge.refresh_from_ledger()
    rows = sql(url, "SELECT day, turns FROM agentgauge_usage ORDER BY day")
    assert [tuple(row) for row in rows] == [("2026-03-18", 1), ("2026-03-19", 1)]


def test_users_of_the_last_hour_are_shown_by_whether_a_request_failed(
    gauge: AgentGauge, registry: CollectorRegistry, clock: Clock
) -> None:
    """One who met a failure is among these, whatever went well besides; after an hour no more."""

    def users() -> dict[str, float | None]:
        gauge.refresh_from_ledger()
        name = "agent_users_last_hour"
        return {one: registry.get_sample_value(name, {"agent": "a", "failed": one}) for one in ("yes", "no")}

    for user, fails in (("rep-1", True), ("rep-1", False), ("rep-2", False), (None, True)):
        with gauge.session(user) as session, session.task() as task, task.turn():
            if fails:
                task.failed()
    assert users() == {"yes": 1, "no": 1}
    clock.forward(hours=0.5)
    chat(gauge, "rep-1")
    clock.forward(hours=0.75)
    assert users() == {"yes": 0, "no": 1}
    clock.forward(days=1)
    assert users() == {"yes": 0, "no": 0}


def test_users_are_shown_as_gauges(gauge: AgentGauge, registry: CollectorRegistry, ledger: Ledger) -> None:
    """Active users by window, and today's spend by pseudonym."""
    chat(gauge, "rep-1", 0.25)
    chat(gauge, "rep-2")
    gauge.refresh_from_ledger()
    assert shown(registry, "agent_active_users") == {"1d": 2, "7d": 2, "28d": 2}
    assert shown(registry, "agent_user_cost_usd") == {ledger.pseudonym("rep-1"): 0.25}
    assert shown(registry, "agent_user_retention_cohort_users") == {"": 0}


def test_adoption_by_cohort_is_a_triangle_read_once_an_hour(
    gauge: AgentGauge, registry: CollectorRegistry, clock: Clock
) -> None:
    """Who came two weeks ago has three weeks to be active in; who comes now is seen within the hour."""

    def cells() -> list[float | None]:
        name = "agent_user_cohort_active_users"
        of = (("0", "0"), ("2", "0"), ("2", "1"), ("2", "2"), ("2", "3"))
        return [registry.get_sample_value(name, {"agent": "a", "weeks_ago": ago, "week": week}) for ago, week in of]

    chat(gauge, "rep-1")
    assert gauge.recorder is not None
    gauge.recorder.wait_for_first_refresh()  # which else may read the cohorts for an hour, before the turns
    clock.at += timedelta(days=14)
    chat(gauge, "rep-1")
    gauge.refresh_from_ledger()
    assert cells() == [0, 1, 0, 1, None]
    chat(gauge, "rep-2")
    gauge.recorder.flush()
    gauge.recorder.refresh()
    assert cells()[0] == 0
    clock.at += timedelta(hours=1)
    gauge.recorder.refresh()
    assert cells()[0] == 1


def test_whole_days_of_use_are_those_of_the_agents_time_zone(
    registry: CollectorRegistry, ledger: Ledger, clock: Clock
) -> None:
    """An evening in New York is the next day in UTC."""
    gauge = AgentGauge("a", registry=registry, ledger=ledger, time_zone="America/New_York")
    clock.at = datetime(2026, 3, 18, 2, tzinfo=UTC)
    chat(gauge, "rep-1")
    clock.at = datetime(2026, 3, 18, 5, tzinfo=UTC)
    gauge.refresh_from_ledger()
    assert shown(registry, "agent_user_days") == {"last_7d": 1, "previous_7d": 0}


@pytest.mark.parametrize("name", ["Europe/Berln", "", "../etc/passwd", "Europe"])
def test_a_time_zone_that_nobody_knows_is_said_at_start_up(registry: CollectorRegistry, name: str) -> None:
    """With how to write it."""
    with pytest.raises(ValueError, match="is not a known time zone; write it as Europe/Berlin"):
        AgentGauge("a", registry=registry, time_zone=name)


def test_retention_is_shown_only_while_there_is_a_cohort(
    gauge: AgentGauge, registry: CollectorRegistry, clock: Clock
) -> None:
    """A ratio of nobody would read as 0 and page somebody."""
    chat(gauge, "rep-1")
    chat(gauge, "rep-2")
    seen = []
    for user_id in ("rep-1", None, None):
        gauge.refresh_from_ledger()
        seen.append(shown(registry, "agent_user_retention_ratio"))
        clock.forward(days=7, minutes=6)
        chat(gauge, user_id)
    gauge.refresh_from_ledger()
    seen.append(shown(registry, "agent_user_retention_ratio"))
    assert seen == [{}, {"": 0.5}, {"": 0.0}, {}]


def test_who_is_no_longer_among_the_ten_costliest_is_no_longer_shown(
    gauge: AgentGauge, registry: CollectorRegistry, ledger: Ledger, clock: Clock
) -> None:
    """Day after day: never more than ten series, and no name is folded into other."""
    for day in range(3):
        for number in range(12):
            chat(gauge, f"rep-{day}-{number}", 1.0 + number)
            gauge.refresh_from_ledger()
        costliest = {ledger.pseudonym(f"rep-{day}-{number}") for number in range(2, 12)}
        assert shown(registry, "agent_user_cost_usd").keys() == costliest
        clock.forward(days=1)
        gauge.refresh_from_ledger()
        assert shown(registry, "agent_user_cost_usd") == {}
    overflow = {"agent": "a", "metric": "agent_user_cost_usd", "label": "user"}
    assert registry.get_sample_value("agent_exporter_label_overflow_total", overflow) == 0


def test_users_above_their_limit_of_a_day_are_counted_however_many(
    registry: CollectorRegistry, ledger: Ledger, clock: Clock
) -> None:
    """Not only the ten that are listed; at exactly the limit nobody is above it, and a new day begins with nobody."""
    limits = SessionLimits(user_day_cost_usd=2)
    gauge = AgentGauge("a", tools=["t"], registry=registry, ledger=ledger, limits=limits)
    for number in range(12):
        chat(gauge, f"dear-{number}", 2.25)
    chat(gauge, "at the limit", 2.0)
    gauge.refresh_from_ledger()
    assert shown(registry, "agent_users_over_daily_cost") == {"": 12}
    assert shown(registry, "agent_user_daily_cost_limit_usd") == {"": 2}
    clock.forward(days=1)
    gauge.refresh_from_ledger()
    assert shown(registry, "agent_users_over_daily_cost") == {"": 0}
    gauge.close()


def test_a_users_day_may_cost_ten_sessions_at_their_limit_unless_it_is_said() -> None:
    """So that one number moves both, and each can be moved alone."""
    assert SessionLimits(cost_usd=1).of_a_user_day == 10
    assert SessionLimits(cost_usd=1, user_day_cost_usd=3).of_a_user_day == 3


def test_processes_that_share_a_metrics_folder_show_yesterdays_users_no_more(url: str, tmp_path: Path) -> None:
    """A worker's file would keep the series for as long as the worker lives, and longer."""
    script = """
import sys
from datetime import UTC, datetime, timedelta
from prometheus_client import CollectorRegistry
from agentgauge import AgentGauge
from agentgauge.endpoint import metrics_app
from agentgauge.ledger import Ledger
now = datetime.now(UTC)
ledger = Ledger.open(sys.argv[1], now=lambda: now)
gauge = AgentGauge("a", tools=["t"], registry=CollectorRegistry(), ledger=ledger)
with gauge.session("rep-1"), gauge.tool_call("t", cost_usd=1):
    pass
gauge.refresh_from_ledger()
now += timedelta(days=1)
gauge.refresh_from_ledger()
gauge.close()
scrape = metrics_app(gauge.registry)({"REQUEST_METHOD": "GET", "QUERY_STRING": "", "PATH_INFO": "/"}, lambda *_: None)
print(b"".join(scrape).decode())
"""
    said = run(script, url, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert "agent_active_users{" in said
    assert "agent_user_cost_usd{" not in said


def test_replicas_on_one_ledger_show_the_same(url: str, clock: Clock) -> None:
    """So that queries take max: a sum would count everybody twice."""
    registries = [CollectorRegistry(), CollectorRegistry()]
    gauges = [AgentGauge("a", tools=["t"], registry=it, ledger=Ledger.open(url, now=clock)) for it in registries]
    chat(gauges[0], "rep-1", 0.25)
    chat(gauges[1], "rep-1", 0.5)
    chat(gauges[1], "rep-2", 0.5)
    for replica in (*gauges, *gauges):
        replica.refresh_from_ledger()
    for name in ("agent_active_users", "agent_user_cost_usd", "agent_user_retention_cohort_users"):
        assert shown(registries[0], name) == shown(registries[1], name)
    assert sorted(shown(registries[0], "agent_user_cost_usd").values()) == [0.5, 0.75]
    for replica in gauges:
        replica.close()


def test_no_raw_id_is_in_the_metrics_or_the_log(
    gauge: AgentGauge, registry: CollectorRegistry, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not of users, not of sessions, not when the ledger breaks: pseudonyms of the costliest only."""
    caplog.set_level(logging.DEBUG)
    users = ["jane@globex.example", "rep-4711", "line\nbreak-of-users"]
    for user_id in users:
        with gauge.session(user_id, session_id=f"session-{user_id}") as session, session.task() as task, task.turn():
            with gauge.tool_call("t", cost_usd=1):
                pass
            session.feedback("down", "wrong_answer")
    gauge.refresh_from_ledger()
    sql(url, BREAK)
    chat(gauge, users[0])
    gauge.refresh_from_ledger()
    said = generate_latest(registry).decode() + caplog.text
    assert len(shown(registry, "agent_user_cost_usd")) == 2
    for secret in ("jane", "rep-4711", "break-of-users", "session-"):
        assert secret not in said


def test_feedback_is_committed_before_the_call_returns(
    gauge: AgentGauge, registry: CollectorRegistry, url: str
) -> None:
    """Who said it, what, when; a user's own words are stored as other."""
    with gauge.session("rep-1") as session:
        assert session.feedback("down", "tone")
        assert session.feedback("down", "your answer was rude")  # type: ignore[arg-type]  # what untyped callers do
    with gauge.session() as session:
        assert session.feedback("up")
    rows = sql(url, "SELECT user_id, rating, reason, at FROM agentgauge_feedback ORDER BY reason DESC")
    noon = 1773835200.0
    assert [tuple(row) for row in rows] == [
        ("rep-1", "down", "tone", noon),
        ("rep-1", "down", "other", noon),
        (None, "up", "none", noon),
    ]
    labels = {"agent": "a", "rating": "down", "reason": "tone"}
    assert registry.get_sample_value("agent_feedback_total", labels) == 1


def test_feedback_that_cannot_be_stored_is_said_and_not_counted(
    gauge: AgentGauge, registry: CollectorRegistry, url: str
) -> None:
    """False, never an exception; a user who tries again is counted once."""
    sql(url, "ALTER TABLE agentgauge_feedback RENAME TO gone")
    with gauge.session("rep-1") as session:
        assert not session.feedback("down", "tone")
        assert errors(registry) == 1
        sql(url, "ALTER TABLE gone RENAME TO agentgauge_feedback")
        assert session.feedback("down", "tone")
    labels = {"agent": "a", "rating": "down", "reason": "tone"}
    assert registry.get_sample_value("agent_feedback_total", labels) == 1


def test_feedback_of_a_user_whose_id_cannot_be_stored_is_kept_without_it(gauge: AgentGauge, url: str) -> None:
    """The thumb is worth having."""
    with gauge.session("with\0null") as session:
        assert session.feedback("up")
    assert [row.user_id for row in sql(url, "SELECT user_id FROM agentgauge_feedback")] == [None]


def test_without_a_ledger_feedback_is_counted_and_there_are_no_user_gauges(registry: CollectorRegistry) -> None:
    """Everything else works as it did, SQLAlchemy is not even imported."""
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    with gauge.session("rep-1") as session:
        assert session.feedback("up")
    gauge.refresh_from_ledger()
    gauge.close()
    assert shown(registry, "agent_active_users") == {}
    script = "import sys; from agentgauge import AgentGauge; AgentGauge('a'); print('sqlalchemy' in sys.modules)"
    assert run(script) == "False\n"


def test_a_ledger_is_opened_by_url(registry: CollectorRegistry, url: str) -> None:
    """The way most agents do it."""
    with closing(AgentGauge("a", tools=["t"], registry=registry, ledger=url)) as gauge:
        chat(gauge, "rep-1", 0.25)
    assert usage_rows(url) == [("rep-1", 1, 1, 0.25)]


def test_a_missing_library_is_said_at_start_up(url: str) -> None:
    """With the command that installs it."""
    script = """
import sys
sys.modules["sqlalchemy"] = None
from agentgauge import AgentGauge
try:
    AgentGauge("a", ledger=sys.argv[1])
except ImportError as error:
    print(error)
"""
    said = run(script, url)
    assert said == 'a ledger needs sqlalchemy, which is not installed: pip install "agentgauge[ledger]"\n'


class Gate(Ledger):
    """A real ledger whose usage writes can be held up, and that tells when one begins and ends."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]  # the arguments of Ledger
        self.asked, self.open_gate, self.written = threading.Event(), threading.Event(), threading.Event()

    def add_usage(self, agent: str, usage: Mapping[UserDay, Usage]) -> None:
        """Wait for the gate, then write."""
        if usage:
            self.asked.set()
            assert self.open_gate.wait(timeout=30)
        super().add_usage(agent, usage)
        if usage:
            self.written.set()


def test_a_thread_writes_by_itself_and_nobody_waits_for_it(registry: CollectorRegistry, url: str) -> None:
    """While the database hangs, requests go on; what they used is written when it answers."""
    gate = Gate.open(url)
    with closing(AgentGauge("a", tools=["t"], registry=registry, ledger=gate)) as gauge:
        chat(gauge, "rep-1", 0.25)
        assert gate.asked.wait(timeout=30)
        chat(gauge, "rep-1", 0.25)
        assert not gate.written.is_set()
        gate.open_gate.set()
        assert gate.written.wait(timeout=30)
        assert usage_rows(url)[0][0] == "rep-1"
    assert usage_rows(url) == [("rep-1", 2, 2, 0.5)]


def test_a_ledger_that_is_slow_to_say_what_people_did_is_asked_less_often() -> None:
    """Every two seconds usually, so that each process follows within five; at most 1/20 of the time goes there."""
    pauses = [recorder_module.pause_after(seconds) for seconds in (0.001, 0.1, 0.2, 5.0)]
    assert pauses == [2.0, 2.0, 4.0, 10.0]


def test_followers_are_called_by_the_thread_and_one_that_fails_keeps_nobody_from_their_turn(
    ledger: Ledger, faults: list[str]
) -> None:
    """Faults are reported as those of the refreshers are."""
    called = threading.Event()

    def fail() -> None:
        raise RuntimeError("the database is gone")

    made = Recorder(ledger, "a", [], lambda fault: faults.append(type(fault).__name__), flush_seconds=0.01)
    made.add_follower(fail)
    made.add_follower(called.set)
    with closing(made):
        assert called.wait(timeout=30)
    assert faults[0] == "RuntimeError"


def test_an_outage_of_the_database_costs_no_usage(
    recorder: Recorder, faults: list[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written waits, added up, and is written once; only an outage that lasts is a fault."""
    recorder.add("rep-1", turns=1)
    sql(url, BREAK)
    recorder.flush()
    assert faults == []
    recorder.add("rep-1", turns=1, cost_usd=0.5)
    recorder.flush()
    sql(url, MEND)
    recorder.flush()
    recorder.flush()
    assert usage_rows(url) == [("rep-1", 0, 2, 0.5)]
    assert len(faults) == 1
    sql(url, BREAK)
    recorder.add("rep-1", turns=1)
    recorder.flush()
    sql(url, MEND)
    recorder.flush()
    assert len(faults) == 1


def test_what_the_ledger_does_not_take_at_the_end_is_lost_and_counted(
    recorder: Recorder, faults: list[str], url: str
) -> None:
    """There is no next time."""
    recorder.add("rep-1", turns=1)
    sql(url, BREAK)
    recorder.close()
    assert faults[0] == UsageDroppedError.__name__
    assert len(faults) == 2


def test_in_a_long_outage_memory_stays_bounded_and_the_loss_is_counted(
    recorder: Recorder, faults: list[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users who wait already go on adding up; new ones beyond the bound are dropped, one fault each."""
    monkeypatch.setattr(recorder_module, "MOST_WAITING", 3)
    for number in range(5):
        recorder.add(f"rep-{number}", turns=1)
    recorder.add("rep-0", turns=1)
    assert faults == ["UsageDroppedError"] * 2
    recorder.flush()
    assert usage_rows(url) == [("rep-0", 0, 2, 0.0), ("rep-1", 0, 1, 0.0), ("rep-2", 0, 1, 0.0)]


def test_usage_that_came_during_a_failed_write_keeps_its_place(
    recorder: Recorder, faults: list[str], url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit beside it any more is dropped and counted."""
    monkeypatch.setattr(recorder_module, "MOST_WAITING", 2)
    recorder.add("rep-1", turns=1)
    recorder.add("rep-2", turns=1)

    def fail(agent: str, usage: Mapping[UserDay, Usage]) -> None:
        recorder.add("rep-3", turns=1)
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "add_usage", fail)
        recorder.flush()
    recorder.flush()
    assert faults == ["UsageDroppedError"]
    assert [row[0] for row in usage_rows(url)] == ["rep-1", "rep-3"]


@pytest.mark.parametrize(
    ("user_id", "cost_usd"), [("with\0null", 1.0), ("x" * 201, 1.0), ("rep-2", float("nan")), ("rep-2", float("inf"))]
)
def test_usage_that_no_database_takes_holds_up_nobody(
    recorder: Recorder, faults: list[str], url: str, user_id: str, cost_usd: float
) -> None:
    """It is dropped and counted at the door, everybody else's is written."""
    recorder.add(user_id, cost_usd=cost_usd)
    recorder.add("rep-1", turns=1)
    recorder.flush()
    assert faults == [UsageDroppedError.__name__]
    assert usage_rows(url) == [("rep-1", 0, 1, 0.0)]


def test_usage_after_the_close_is_counted_as_dropped(recorder: Recorder, faults: list[str], url: str) -> None:
    """Closing writes what waits; closing again does nothing."""
    recorder.add("rep-1", turns=1)
    recorder.close()
    recorder.close()
    recorder.add("rep-1", turns=1)
    assert faults == [UsageDroppedError.__name__]
    assert usage_rows(url) == [("rep-1", 0, 1, 0.0)]


def test_what_waits_is_written_when_the_interpreter_exits(url: str) -> None:
    """Nobody has to remember to call close."""
    script = """
import sys
from agentgauge import AgentGauge
gauge = AgentGauge("a", ledger=sys.argv[1])
with gauge.session("rep-1") as session, session.task() as task, task.turn():
    pass
"""
    run(script, url)
    assert usage_rows(url) == [("rep-1", 1, 1, 0.0)]


def test_a_forked_worker_writes_its_own_usage_and_not_its_parents_again(url: str) -> None:
    """It gets locks, connections and a thread of its own, even if its parent was writing when it forked."""
    script = """
import os, sys, threading, warnings
from agentgauge import AgentGauge
from agentgauge.ledger import Ledger

class Gate(Ledger):
    asked, opened = threading.Event(), threading.Event()
    def add_usage(self, agent, usage):
        if usage and os.getpid() == parent:
            self.asked.set()
            self.opened.wait()
        super().add_usage(agent, usage)

def chat():
    with gauge.session("rep-1") as session, session.task() as task, task.turn():
        pass

parent = os.getpid()
warnings.simplefilter("ignore")  # newer Pythons warn of what is tested here
gauge = AgentGauge("a", ledger=Gate.open(sys.argv[1]))
chat()
Gate.asked.wait()  # the parent's thread is in the middle of a write, with its locks held
chat()
child = os.fork()
if child == 0:
    chat()
    gauge.refresh_from_ledger()
    with gauge.session("rep-1") as session:
        safe = session.feedback("up")
    gauge.close()
    os._exit(0 if safe else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
Gate.opened.set()
gauge.close()
sys.exit(status)
"""
    run(script, url)
    assert usage_rows(url) == [("rep-1", 4, 3, 0.0)]


def test_a_forked_worker_does_not_talk_on_its_parents_connection(postgresql_url: str) -> None:
    """Two processes on one socket would read each other's answers."""
    script = """
import os, sys
import psycopg
from agentgauge.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
child = os.fork()
if child == 0:
    ledger.users("a")
    with psycopg.connect(sys.argv[1].replace("+psycopg", "")) as other:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        os._exit(other.execute(count).fetchone()[0])
print("connections:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ledger.close()
"""
    assert run(script, postgresql_url) == "connections: 2\n"


COLLECTED = """
import gc, sys
from agentgauge import AgentGauge, TokenUsage
from prometheus_client import CollectorRegistry

class Dropped:
    def __init__(self):
        self.itself, self.call = self, gauge.llm_call("claude-opus-5")
    def __del__(self):
        self.call.finish(TokenUsage(input=1000))

gauge = AgentGauge("a", registry=CollectorRegistry(), ledger=sys.argv[1])
with gauge.session("rep-1") as session:
    gauge.llm_call("claude-opus-5").finish(TokenUsage(input=1000))
    apiece = session.cost_usd
    gc.set_threshold(1)
    for _ in range(300):
        Dropped()
        session.add_cost(apiece)
    gc.set_threshold(700)
    gauge.close()  # and with it its thread, which may be collecting: nobody else can then
    gc.collect()
    print(session.cost_usd / apiece)
"""


def test_what_is_collected_as_garbage_counts_while_others_do(tmp_path: Path) -> None:
    """A stream that its reader dropped is counted wherever Python happens to collect it, also inside of our locks."""
    command = [sys.executable, "-c", COLLECTED, f"sqlite:///{tmp_path / 'ledger.sqlite'}"]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert float(result.stdout) == pytest.approx(601)
