"""The public names of ``agentgauge.autonomy``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentgauge import autonomy


def test_the_public_names_are_the_documented_ones() -> None:
    """What an agent needs to let calls wait and go on, and people to decide; each can be had."""
    assert set(autonomy.__all__) == {
        "Action", "AlreadyDecidedError", "Approvals", "Autonomy", "Call", "CallOutcome", "InvalidEditError", "Policy",
        "Resumed", "RiskRaisedError", "Settled", "Supervisor", "Suspension", "ToolRequests", "UnknownActionError",
        "Waiting", "describe_interruption",
    }  # fmt: skip  # one list reads better than one name a line
    for name in autonomy.__all__:
        assert getattr(autonomy, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = autonomy.Nothing


def run(code: str) -> str:
    """What code prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_it_is_light() -> None:
    """Each name loads what it needs at first use."""
    heavy = ("sqlalchemy", "pydantic", "starlette", "yaml")
    assert run(f"import sys, agentgauge.autonomy; print([one for one in {heavy} if one in sys.modules])") == "[]"


def test_what_is_not_installed_is_named_with_the_remedy() -> None:
    """One sentence, not a trace into the library."""
    code = """
import sys
sys.modules["pydantic"] = None
try:
    from agentgauge.autonomy import ToolRequests
except ImportError as error:
    print(error)
"""
    assert run(code) == 'agentgauge.autonomy needs pydantic; install it with: pip install "agentgauge[autonomy]"'
