"""`agentgauge transcripts`: what the on-call reads, and what a terminal never obeys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from agentgauge import AgentGauge
from agentgauge.cli import conversations
from agentgauge.cli.root import app as agentgauge
from agentgauge.incident.conversations import OF_ALERTS
from alerts import catalog

MODULE = """
from pathlib import Path
from agentgauge import AgentApp

app = AgentApp("support_bot", ledger=f"sqlite:///{Path(__file__).parent / 'support_bot.sqlite'}")
"""
ESCAPE = "\x1b[31mred\x1b[0m\x07"


@pytest.fixture
def gauge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentGauge]:
    """The agent whose module the commands find."""
    (tmp_path / "transcribed_app.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTGAUGE_APP", "transcribed_app:app")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "transcribed_app", raising=False)
    ledger = f"sqlite:///{tmp_path / 'support_bot.sqlite'}"
    with closing(AgentGauge("support_bot", registry=CollectorRegistry(), ledger=ledger)) as made:
        yield made


def rate(gauge: AgentGauge, session_id: str, question: str, answer: str, reason: str = "wrong_answer") -> None:
    """A conversation whose answer came from the cache, and was rated down."""
    with gauge.session("rep-7", session_id=session_id) as session:
        gauge.cache_lookup("get_deals", "hit", 51_000.0)
        session.record_messages([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
        session.feedback("down", reason)  # type: ignore[arg-type]  # one of the reasons
    gauge.refresh_from_ledger()


def run(*arguments: str) -> Result:
    """Run `agentgauge transcripts …`."""
    return CliRunner().invoke(agentgauge, ["transcripts", *arguments], env={"COLUMNS": None})


def test_the_newest_answers_rated_down_are_shown_with_the_age_of_the_data(gauge: AgentGauge) -> None:
    """What the page of AgentWrongAnswersReported opens with: three of them, of that reason."""
    for number in range(4):
        rate(gauge, f"s-{number}", f"What does account {number} pay?", f"${number}00")
    rate(gauge, "rude", "Hello?", "What.", reason="tone")
    shown = run("answers", "--reason", "wrong_answer").stdout
    assert [line for line in shown.splitlines() if line.startswith("  user")] == [
        f"  user: What does account {number} pay?" for number in (3, 2, 1)
    ]
    assert "  agent: $300" in shown
    assert "  data: get_deals from the cache, 14 h 10 min old" in shown
    assert "Hello?" not in shown
    assert [one["session"] for one in json.loads(run("answers", "--json", "--newest", "1").stdout)] == ["rude"]


def test_a_list_leads_to_what_was_said(gauge: AgentGauge) -> None:
    """By the session's id, which is never cut."""
    rate(gauge, "s-1", "What does Globex pay?", "$66,000")
    assert "s-1" in run("list").stdout
    assert "thumbs down (wrong_answer)" in run("list", "--cause", "thumbs_down").stdout
    assert "no conversation is kept" in run("list", "--cause", "looping").stdout
    shown = run("show", "s-1").stdout
    assert "user: What does Globex pay?\nassistant: $66,000" in shown


def test_what_people_wrote_never_moves_a_terminal(gauge: AgentGauge) -> None:
    """Colours, titles of windows and bells of others end as visible marks, in lists too."""
    rate(gauge, "s-1", f"Globex? {ESCAPE}", f"{ESCAPE} and\nmore")
    for arguments in (["show", "s-1"], ["answers"], ["list"]):
        shown = run(*arguments).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown


def test_one_session_is_deleted(gauge: AgentGauge) -> None:
    """And then it is unknown, which is said with what to do."""
    rate(gauge, "s-1", "Globex?", "$66,000")
    assert run("delete", "s-1").exit_code == 0
    for command in ("show", "delete"):
        result = run(command, "s-1")
        assert (result.exit_code, "`agentgauge transcripts list`" in result.stderr) == (1, True)


@pytest.mark.parametrize(("command", "option"), [("list", "--cause"), ("answers", "--reason")])
def test_a_word_that_does_not_exist_is_refused_with_those_that_do(gauge: AgentGauge, command: str, option: str) -> None:
    """Not an empty list, which would look like good news."""
    result = run(command, option, "grumpy")
    assert result.exit_code == 2
    assert "grumpy" in result.stderr


def behind(alert: str, agent: str = "support_bot") -> list[str]:
    """What `agentgauge incident` shows of the conversations behind an alert."""
    seen: Any = SimpleNamespace(alert=alert, agent=agent)
    return conversations.lines(seen, conversations.behind(seen))


def test_an_incident_of_wrong_answers_opens_with_them_and_the_age_of_their_data(gauge: AgentGauge) -> None:
    """Those that were reported as wrong, and no others."""
    rate(gauge, "s-1", "What does Globex pay?", "$66,000")
    rate(gauge, "rude", "Hello?", "What.", reason="tone")
    shown = behind("AgentWrongAnswersReported")
    assert shown[1:] == [
        "  user: What does Globex pay?",
        "  agent: $66,000",
        "  data: get_deals from the cache, 14 h 10 min old",
    ]


def test_an_incident_of_failures_names_their_sessions_and_the_command(gauge: AgentGauge) -> None:
    """The text is one command away; another agent's, or that of an alert without conversations, is not shown."""
    with gauge.session(session_id="s-1") as session, session.task() as task:
        task.failed()
    gauge.refresh_from_ledger()
    (line,) = behind("AgentTaskCompletionLow")
    assert line == "conversations: s-1 (failed); `agentgauge transcripts show SESSION` prints one"
    assert behind("AgentTaskCompletionLow", agent="sales_companion") == []
    assert behind("AgentExporterDown") == []


def test_every_alert_with_conversations_exists() -> None:
    """A renamed alert would lose them without a word."""
    assert set(OF_ALERTS) <= {alert.name for alert in catalog.ALERTS}
