"""What a start says: that it goes on, how long it took, and links and commands that reach this very stack."""

from __future__ import annotations

import re
from dataclasses import asdict

from stack.layout import Ports, default_layout
from stack.welcome import Progress, welcome


def test_whoever_waits_is_told_every_ten_seconds_that_it_goes_on() -> None:
    """With what was said last, and the time so far; not while other lines come."""
    now, said = [100.0], list[str]()
    progress = Progress(said.append, lambda: now[0])
    progress.say("building the runbook site")
    for now[0] in range(101, 126):
        progress.remind()
    assert said[0] == "building the runbook site"
    assert [line.rpartition("; ")[2] for line in said[1:]] == ["10 s so far", "20 s so far"]
    assert "building the runbook site" in said[1]
    progress.say("ready")
    for now[0] in range(126, 135):
        progress.remind()
    assert said[3:] == ["ready"]


def test_the_end_says_how_long_the_start_took() -> None:
    """In seconds."""
    assert "Everything is up, after 42 s." in welcome(default_layout(), "Grafana", 42.4)


def test_an_offset_reaches_every_link_and_command() -> None:
    """No port of the stack without an offset is left, and the commands are told where the agent is."""
    text = welcome(default_layout(offset=1000), "Grafana", 1)
    printed = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}
    assert printed == {port + 1000 for name, port in asdict(Ports()).items() if name != "fake_api"}
    assert "export AGENTGAUGE_AGENT=http://127.0.0.1:9030" in text
    assert "export" not in welcome(default_layout(), "Grafana", 1)
