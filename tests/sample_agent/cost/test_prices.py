"""Prices of one's own for the Sales Companion."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sample_agent.cli import app


def test_a_price_file_with_a_slip_keeps_the_service_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one line that says where it is: nobody runs for weeks on prices that are not theirs."""
    prices = tmp_path / "prices.yml"
    prices.write_text("models:\n  claude-opus-5-5: {discount: 0.85}\n", encoding="utf-8")
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTGAUGE_PRICES", str(prices))
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--metrics-port", "0"])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: prices.yml:2: models.claude-opus-5-5.discount: unknown field; the known ones are input, cache_read,"
    )
