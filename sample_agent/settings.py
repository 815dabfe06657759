"""The Sales Companion's name, version and files, and where its state and its ledger are."""

from __future__ import annotations

import os
from pathlib import Path

AGENT = "sales_companion"
VERSION = "0.1.0"
TENANT = "meridian"
SALES = Path(__file__).with_name("sales")
PROMPTS = SALES / "prompts"
POLICY = SALES / "policy.yml"
MODELS = SALES / "models.yml"
CACHE = SALES / "cache.yml"
BUDGETS = SALES / "budgets.yml"
SCENARIOS = SALES / "scenarios"


def state_directory() -> Path:
    """The folder that the processes of the demo share: AGENTGAUGE_STATE, or ``.stack/state`` here."""
    return Path(os.environ.get("AGENTGAUGE_STATE") or Path(".stack", "state"))


def ledger_url(state: Path) -> str:
    """Where usage by user and feedback are kept: AGENTGAUGE_LEDGER, or a SQLite file in the state folder."""
    return os.environ.get("AGENTGAUGE_LEDGER") or f"sqlite:///{state.absolute() / 'ledger.sqlite'}"
