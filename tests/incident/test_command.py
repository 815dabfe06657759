"""`agentgauge incident` as somebody on call types it: what it shows, what it runs, and how it ends."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentgauge.ledger import Ledger
from agentgauge.ops import log, switches
from tests.incident import firing
from tests.incident.firing import Firing


@pytest.fixture(scope="module")
def prometheus(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firing]:
    """The real one: one of support_bot's tools fails, and four alerts fire."""
    with firing.running(programs, tmp_path_factory.mktemp("incident")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the agent's module lies; the command is run there."""
    (tmp_path / "support.py").write_text(firing.MODULE, encoding="utf-8")
    return tmp_path


def _run(folder: Path, prometheus: Firing, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    with _started(folder, prometheus, *arguments) as process:
        try:
            out, err = process.communicate(typed, timeout=60)
        finally:
            process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _started(folder: Path, prometheus: Firing, *arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "AGENTGAUGE_PROMETHEUS": prometheus.url, "USER": "ann"}
    command = [sys.executable, "-m", "agentgauge", "--app", "support:app", "incident", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_it_shows_what_fires_whom_it_hits_and_which_branch_applies(folder: Path, prometheus: Firing) -> None:
    """All on less than a screen; nothing is run."""
    done = _run(folder, prometheus, "AgentToolSuccessRateLow", "--label", "tool=search", "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.match(
        r"AgentToolSuccessRateLow \(critical\) fires since .* UTC \(.*\): agent support_bot, tool search$",
        lines[0],
    )
    # What was scraped ends when the tests begin, so rates sink while they run; shares do not.
    assert [re.sub(r"\b[\d.]+ of [\d.]+ requests|\b[\d.]+ in 10 min", "N", line) for line in lines[2:5]] == [
        "  N a minute fail (25%); users: unknown",
        "  conversations: unknown; $0.00 a minute",
        "  version 1.4.0 with prompts v1; large: rate_limit_error, N",
    ]
    assert "  1 Is it this tool only? fetch 1, search 0.75" in lines
    assert "    → SchemaMismatch: the API changed its answer. Mitigation 2." in lines
    assert lines[-2:] == [
        "    agentgauge --app support:app ops disable-tool search",
        "    agentgauge --app support:app ops tools",
    ]
    assert len(lines) <= 24


def test_the_link_of_the_page_is_as_good_as_the_name(folder: Path, prometheus: Firing) -> None:
    """Alert and labels are in it; JSON has what the lines have."""
    link = "https://runbooks.example.com/AgentLLMErrorsHigh/?agent=support_bot&model=large"
    done = _run(folder, prometheus, link, "--dry-run", "--json")
    document = json.loads(done.stdout)
    assert (document["alert"], document["firing"], document["labels"]["model"]) == ("AgentLLMErrorsHigh", True, "large")
    assert document["impact"]["failed_share"] == pytest.approx(0.25, rel=0.01)  # rates sink while it is asked
    assert [(one["step"], one["because"]) for one in document["diagnosis"]] == [
        (1, "max > 0.02"),
        (2, "top error_type in (rate_limit_error)"),
        (3, "otherwise"),
    ]
    assert document["mitigation"]["commands"] == ["agentgauge --app support:app ops use-model CHEAPER_MODEL"]


def test_what_does_not_fire_is_diagnosed_and_not_mended(folder: Path, prometheus: Firing) -> None:
    """The page may be over before its reader is awake."""
    done = _run(folder, prometheus, "AgentToolSuccessRateLow", "--label", "tool=other", "--label", "agent=support_bot")
    assert done.returncode == 0
    assert done.stdout.startswith("AgentToolSuccessRateLow does not fire\n")
    assert "Run it?" not in done.stdout
    assert not switches.in_force(_ledger(folder), "support_bot").disabled_tools


def test_nothing_is_run_without_a_yes(folder: Path, prometheus: Firing) -> None:
    """Neither a no nor the end of the input is one."""
    for typed in ("n\n", ""):
        done = _run(folder, prometheus, "AgentToolSuccessRateLow", "--label", "tool=search", typed=typed)
        assert done.returncode == 1
        assert "Run it? [y/N]" in done.stdout
    assert not switches.in_force(_ledger(folder), "support_bot").disabled_tools
    assert log.entries(_ledger(folder), "support_bot") == []


def test_a_yes_runs_the_command_and_it_is_recorded_by_whom(folder: Path, prometheus: Firing) -> None:
    """In the log of operations, and in the draft of the post-mortem; while it still fires it is not mended."""
    file = folder / "drafts" / "one.md"
    arguments = ("AgentToolSuccessRateLow", "--label", "tool=search", "--patience", "0", "--post-mortem", str(file))
    done = _run(folder, prometheus, *arguments, typed="y\n")
    assert done.returncode == 1
    assert "not mended: it still fires" in done.stdout
    assert switches.in_force(_ledger(folder), "support_bot").disabled_tools == ("search",)
    ran = "AgentToolSuccessRateLow: ran agentgauge --app support:app ops disable-tool search"
    entries = [(one.by, one.what, one.why) for one in log.entries(_ledger(folder), "support_bot")]
    assert ("ann", ran, "runbook of AgentToolSuccessRateLow, mitigation 2") in entries
    draft = file.read_text(encoding="utf-8")
    assert draft.startswith(f"# AgentToolSuccessRateLow on {datetime.now(UTC):%Y-%m-%d}\n")
    assert "ann ran agentgauge --app support:app ops disable-tool search" in draft
    assert "requests a minute fail (25%)" in draft
    assert "Still to be filled in" in draft


def test_it_waits_until_it_is_over_and_says_how_long_that_took(folder: Path, prometheus: Firing) -> None:
    """It is over when the alert no longer fires; the draft is in the agent's folder of state unless a file is named."""
    with _started(folder, prometheus, "AgentToolLatencyHigh", "--yes", "--patience", "1") as process:
        assert process.stdout is not None
        lines = list(itertools.takewhile(lambda line: not line.startswith("watching"), process.stdout))
        prometheus.end("AgentToolLatencyHigh")
        lines += process.stdout.readlines()
        assert process.wait(60) == 0, lines
    assert re.fullmatch(r"mended after \d+ s\n", lines[-2])
    (draft,) = (folder / "state" / "incidents").glob("*-AgentToolLatencyHigh.md")
    assert lines[-1].startswith("post-mortem: ")
    assert "mended after" in draft.read_text(encoding="utf-8")


def test_a_word_that_nobody_knows_is_asked_for(folder: Path, prometheus: Firing) -> None:
    """Or else `--yes` ends with what to say; a model's name is not a label of the alert."""
    refused = _run(folder, prometheus, "AgentLLMErrorsHigh", "--yes")
    assert refused.returncode == 1
    assert "what is CHEAPER_MODEL in" in refused.stderr
    assert "Give --label cheaper_model=VALUE" in refused.stderr
    asked = _run(folder, prometheus, "AgentLLMErrorsHigh", "--patience", "0", typed="tiny model\ny\n")
    assert "$ agentgauge --app support:app ops use-model 'tiny model'" in asked.stdout
    assert switches.in_force(_ledger(folder), "support_bot").model == "tiny model"


def test_what_only_a_command_needs_can_be_given_as_well(folder: Path, prometheus: Firing) -> None:
    """As the errors say; it does not narrow what fires, and is never an option of the command."""
    arguments = ("AgentLLMErrorsHigh", "--dry-run", "--label", "cheaper_model=")
    given = _run(folder, prometheus, *arguments[:-1], f"{arguments[-1]}tiny")
    assert given.stdout.splitlines()[-1].endswith("ops use-model tiny")
    assert "fires since" in given.stdout
    option = _run(folder, prometheus, *arguments[:-1], f"{arguments[-1]}--default")
    assert option.stdout.splitlines()[-1].endswith("ops use-model CHEAPER_MODEL")


def test_label_values_reach_neither_terminal_nor_shell_as_they_are(folder: Path, prometheus: Firing) -> None:
    """Whoever writes to Prometheus does not write on the on-call's screen, and runs nothing."""
    done = _run(folder, prometheus, "AgentToolNewErrorType", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert "tool sea\N{REPLACEMENT CHARACTER}[31mrch ; rm -rf /" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["AgentToolSucessRateLow"], "did you mean AgentToolSuccessRateLow"),
        (["AgentHung", "--json"], "--json shows what is found out and runs nothing; give --dry-run with it"),
        (["AgentHung", "--at", "yesterday"], "expected a time such as 2026-03-01T02:14"),
        (["AgentHung", "--label", "tool"], "expected NAME=VALUE, such as tool=search"),
        (["AgentHung", "--label", "agent=other_bot", "--prometheus", "http://127.0.0.1:1"], "does not answer"),
    ],
)
def test_what_cannot_run_says_why(arguments: list[str], message: str, folder: Path, prometheus: Firing) -> None:
    """Status 2, and one line that says what to do."""
    done = _run(folder, prometheus, *arguments)
    assert done.returncode == 2
    assert message in " ".join(re.sub(r"[│\n]", " ", done.stderr).split())


def test_the_agent_of_the_alert_has_to_be_the_one_that_the_command_reaches(folder: Path, prometheus: Firing) -> None:
    """Switching off a tool of another agent would mend nothing."""
    module = folder / "support.py"
    module.write_text(module.read_text(encoding="utf-8").replace("support_bot", "billing_bot"), encoding="utf-8")
    done = _run(folder, prometheus, "AgentToolSuccessRateLow", "--label", "tool=search", "--yes")
    assert done.returncode == 2
    assert "the alert is about support_bot, and the commands would reach billing_bot; say --app" in done.stderr


def _ledger(folder: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
