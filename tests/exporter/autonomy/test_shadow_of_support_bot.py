"""The stage shadow as an adopter has it: in examples/support_bot, people refund in the payment provider's file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentApp, AgentGauge
from agentgauge.autonomy.supervisor import Call, Origin
from agentgauge.cli.root import app as agentgauge

EXAMPLE = Path(__file__).parents[3] / "examples" / "support_bot"
ORIGIN = Origin("s-1", "ben", "v2", "a-model", [{"role": "user", "content": "Please refund $25 for order A-1003."}])


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's modules, with files of their own; the commands find its app as well."""
    monkeypatch.setenv("SUPPORT_BOT_LEDGER", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    monkeypatch.setenv("SUPPORT_BOT_REFUNDS", str(tmp_path / "refunds.jsonl"))
    monkeypatch.setenv("AGENTGAUGE_APP", "app:app")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), *sys.path])
    monkeypatch.chdir(tmp_path)
    for name in ("app", "tools"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield import_module("app"), import_module("tools")
    for name in ("app", "tools"):
        sys.modules.pop(name, None)


def run(*arguments: str) -> str:
    """Run `agentgauge autonomy …`; returns what it printed, in one line."""
    result = CliRunner().invoke(agentgauge, ["autonomy", *arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


async def test_a_refund_by_a_person_is_compared_with_what_the_bot_kept_to_itself(example: Any) -> None:
    """Nothing is paid, though the bot goes on as if it were; ana refunds less, and that is classed."""
    support_bot: AgentApp = example[0].app
    tools = example[1]
    with closing(
        AgentGauge(
            support_bot.name, tools=support_bot.tool_names, ledger=support_bot.ledger, registry=CollectorRegistry()
        )
    ) as gauge:
        call = Call("1", "refund_order", {"order": "A-1003", "usd": 25})
        begun = await support_bot.supervisor(gauge, stage="shadow").begin([call], ORIGIN)
    assert [(one.status, one.content) for one in begun.outcomes] == [("done", '"Refunded $25 for order A-1003."')]
    assert tools.refunds() == []
    assert "A-1003" not in run("suggestions")
    assert "compared: 0; waiting until somebody has done something about it: 1" in run("compare")
    tools.pay_back("A-1003", 20, by="ana")
    assert "compared: 1;" in run("compare")
    shown = run("comparisons")
    assert "misaligned" in shown
    assert "A-1003 · usd 25 A-1003 · usd 20" in shown
    assert "refund_order: 0 of 1 aligned, 1 × number" in shown
