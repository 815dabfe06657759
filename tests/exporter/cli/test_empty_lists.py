"""A list that is empty at 3 a.m.: each says what to do next, by commands that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from agentgauge.cli.root import app as agentgauge

ROOT: Any = typer.main.get_command(agentgauge)

MODULE = """
from pathlib import Path
from agentgauge import AgentApp
from agentgauge.agent_app import PromptFolder

here = Path(__file__).parent
app = AgentApp(
    "idle_bot",
    ledger=f"sqlite:///{here / 'idle_bot.sqlite'}",
    state=here / "state",
    prompts=PromptFolder(here / "prompts"),
)
"""


def commands(command: Any = ROOT, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command there is, by the words that call it."""
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = typer.Context(command, info_name=name)
    for word in command.list_commands(context):
        yield from commands(command.resolve_command(context, [word])[1], f"{name} {word}".strip())


ALL = dict(commands())
LISTS = [
    name
    for name, command in ALL.items()
    if any(one.name == "as_json" for one in command.params)
    and not any(one.required for one in command.params)
    and name != "eval run"  # it makes what it lists
]


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that has no tools, and that nothing ever happened to."""
    (tmp_path / "idle_bot_app.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "prompts").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTGAUGE_APP", "idle_bot_app:app")
    monkeypatch.syspath_prepend(tmp_path)


def run(name: str, *options: str) -> Result:
    """Run `agentgauge …` in this process."""
    return CliRunner().invoke(agentgauge, [*name.split(), *options])


def is_empty(name: str) -> bool:
    """Whether the command answers, and with an empty list."""
    result = run(name, "--json")
    return result.exit_code == 0 and json.loads(result.stdout) == []


def test_every_empty_list_says_what_to_do(idle: None) -> None:
    """All that the parser knows are tried; most are empty for an agent that never ran."""
    empty = {name for name in LISTS if is_empty(name)}
    assert empty >= {"approvals list", "autonomy audits", "ops log", "ops spend", "ops throttles", "transcripts list"}
    said = {name: " ".join(run(name).stdout.split()) for name in empty}
    advice = re.compile(r"`agentgauge [a-z]+|AgentApp\(|create a folder")
    assert {name: text for name, text in said.items() if not advice.search(text)} == {}


def test_what_an_empty_list_advises_is_a_command(idle: None) -> None:
    """Not one that was renamed since."""
    said = " ".join(run(name).output for name in LISTS)
    advised = re.findall(r"`agentgauge ([^`]+)`", " ".join(said.split()))
    assert advised
    assert [line for line in advised if not any(f"{line} ".startswith(f"{name} ") for name in ALL)] == []
