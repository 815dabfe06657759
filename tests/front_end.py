"""Tests that talk to the Sales Companion do so as a front end that has logged its users in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from agentgauge.autonomy.people import People


def bearer(state: Path) -> dict[str, str]:
    """The header of the owner of this state folder, who may speak for any user."""
    return {"Authorization": f"Bearer {People.of(state).owner()[1]}"}


def opened(url: str, state: Path, user: str = "rep-1") -> str:
    """A new session's id."""
    answer = requests.post(f"{url}/sessions", json={"user_id": user}, headers=bearer(state), timeout=20)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return str(body["session_id"])
