"""kill -9 at any moment: no acknowledged feedback is lost, and at most one flush interval of usage."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

from tests.exporter.conftest import sql

pytestmark = pytest.mark.e2e

FEEDBACK_WRITER = """
import os, sys
from agentgauge import AgentGauge
url, writer = sys.argv[1:]
gauge = AgentGauge("a", ledger=url)
for number in range(1_000_000):
    with gauge.session(f"rep-{writer}-{number}") as session:
        if session.feedback("down", "tone"):
            os.write(1, f"{session.user_id}\\n".encode())
"""

USAGE_WRITER = """
import os, sys
from agentgauge import AgentGauge
from agentgauge.ledger import Ledger

class Telling(Ledger):
    def add_usage(self, agent, usage):
        super().add_usage(agent, usage)
        if usage:
            os.write(1, b"written\\n")

gauge = AgentGauge("a", ledger=Telling.open(sys.argv[1]))
for number in range(1, 10_000_000):
    with gauge.session("rep-1") as session, session.task() as task, task.turn():
        pass
    os.write(1, f"{number}\\n".encode())
"""


def told_until_killed(writer: str, *arguments: str, enough: Callable[[list[str]], bool]) -> list[str]:
    """The lines of a writer that was ended by SIGKILL once it had told enough, wherever it then was."""
    told: list[str] = []
    with subprocess.Popen([sys.executable, "-c", writer, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line.strip())
            if enough(told):
                process.kill()  # what is in the pipe was told, too: it is read to its end
    return told


def holds(lines: int, told: list[str]) -> bool:
    """Whether so many lines were told."""
    return len(told) >= lines


def test_a_killed_writer_loses_no_feedback_that_it_acknowledged(url: str) -> None:
    """Four writers, one after the other on the same ledger, each killed at another moment."""
    moments = random.Random(7)  # noqa: S311 - moments, not secrets
    acknowledged: set[str] = set()
    for writer in range(4):
        enough = partial(holds, moments.randint(1, 200))
        acknowledged.update(told_until_killed(FEEDBACK_WRITER, url, str(writer), enough=enough))
    stored = {row.user_id for row in sql(url, "SELECT user_id FROM agentgauge_feedback")}
    assert len(acknowledged) >= 4
    assert acknowledged <= stored


def test_a_killed_writer_loses_only_usage_younger_than_one_write(url: str) -> None:
    """Each write takes all that waits: what was used before one write ended is stored when the next one has."""
    told = told_until_killed(USAGE_WRITER, url, enough=lambda told: told[-1] == "written" and told.count("written") > 1)
    *_, last_but_one, _last = (number for number, line in enumerate(told) if line == "written")
    turns_before = [line for line in told[:last_but_one] if line != "written"]
    stored = sql(url, "SELECT turns FROM agentgauge_usage")[0].turns
    assert stored >= int(turns_before[-1])
