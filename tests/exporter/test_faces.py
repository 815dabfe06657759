"""The public names of the library's packages: written down, light to import, and clear about what they need."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import agentgauge
from tests.imports import ROOT

PUBLIC: dict[str, set[str]] = {
    "autonomy": {
        "Action", "AlreadyDecidedError", "Approvals", "Autonomy", "Call", "CallOutcome", "InvalidEditError",
        "NotPermittedError", "NotShownError", "Person", "Policy", "Resumed", "RiskRaisedError", "Settled", "Supervisor",
        "Suspension", "ToolRequests", "UnknownActionError", "Waiting", "describe_interruption", "RealAction",
        "Simulated", "SimulatedStep",
    },
    "cli": {"main"},
    "cost": {
        "Batcher", "Budget", "BudgetPolicy", "BudgetReachedError", "Budgets", "CachePolicy", "CachedTool",
        "Invalidation", "MemoryStore", "Models", "RedisStore", "Store", "Throttle", "Throttles", "Tier", "TierPolicy",
        "ToolCache",
    },
    "evals": {
        "Approval", "Called", "Comparison", "Drift", "EvalHistory", "EvalReport", "Evaluated", "Judge", "JudgeError",
        "Judgement", "Limits", "Plan", "Run", "Said", "Scenario", "ScenarioChange", "ScenarioError", "ScenarioReport",
        "ScenarioResult", "Trial", "TrialTranscript", "Version", "VersionStanding", "compare", "evaluate", "plan",
    },
    "feedback": {"EditHabit", "FeedbackReport", "scenarios_of", "theme_of", "thumbs_since"},
    "files": {"WatchedFile", "YamlFileError"},
    "incident": set(),
    "ledger": {"Ledger", "LedgerError", "Spend", "Usage", "UserFigures"},
    "ops": {
        "FollowedSwitches", "Operation", "Operations", "Replica", "Replicas", "Switches",
    },
    "otel": {"SpanProcessor"},
    "prompts": {
        "ActivePrompts", "Activation", "NothingBeforeError", "PromptActivations", "PromptError", "PromptLibrary",
        "PromptSource", "Prompts",
    },
    "starting": set(),
    "transcripts": {
        "LookUp", "Occasion", "Transcript", "TranscriptPolicy", "Transcripts", "UnknownTranscriptError", "redact",
    },
}  # fmt: skip  # one list reads better than one name a line


def test_every_package_is_here() -> None:
    """A new one says what is public in it; adapters do so module by module, each of which needs its framework."""
    folders = Path(agentgauge.__file__).parent.iterdir()
    assert {folder.name for folder in folders if (folder / "__init__.py").exists()} == {"adapters", *PUBLIC}


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names_are_the_documented_ones(package: str) -> None:
    """Each is written down here, and can be had."""
    face = importlib.import_module(f"agentgauge.{package}")
    assert set(face.__all__) == PUBLIC[package]
    for name in face.__all__:
        assert getattr(face, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = face.Nothing


def run(code: str) -> str:
    """What code prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_packages_is_light() -> None:
    """Each name loads what it needs at first use: a command that looks something up does not pay for the rest."""
    heavy = (
        "anthropic",
        "cachetools",
        "jinja2",
        "opentelemetry",
        "pydantic",
        "redis",
        "rich",
        "sqlalchemy",
        "starlette",
        "yaml",
    )
    imports = ", ".join(f"agentgauge.{package}" for package in PUBLIC)
    assert run(f"import sys, {imports}; print([one for one in {heavy} if one in sys.modules])") == "[]"


@pytest.mark.parametrize(
    ("package", "name", "missing", "extra"),
    [
        ("autonomy", "ToolRequests", "pydantic", "autonomy"),
        ("cost", "MemoryStore", "cachetools", "cost"),
        ("cost", "RedisStore", "redis", "cost"),
        ("cost", "Budgets", "pydantic", "cost"),
        ("evals", "Scenario", "pydantic", "evals"),
        ("feedback", "FeedbackReport", "sqlalchemy", "feedback"),
        ("ledger", "Ledger", "sqlalchemy", "ledger"),
        ("ops", "Operations", "sqlalchemy", "ledger"),
        ("otel", "SpanProcessor", "opentelemetry", "otel"),
        ("prompts", "PromptActivations", "sqlalchemy", "prompts"),
    ],
)
def test_what_is_not_installed_is_named_with_the_remedy(package: str, name: str, missing: str, extra: str) -> None:
    """One sentence, not a trace into the library."""
    code = f"""
import sys
import tomllib
sys.modules["{missing}"] = None
try:
    from agentgauge.{package} import {name}
except ImportError as error:
    print(error)
"""
    remedy = f'pip install "agentgauge[{extra}]"'
    assert run(code) == f"agentgauge.{package} needs {missing}, which is not installed: {remedy}"


def test_every_other_package_has_an_extra_of_its_name() -> None:
    """So that the remedy can be guessed; ops and transcripts need the ledger, the others the cli or their readers'."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(PUBLIC) - set(project["optional-dependencies"]) == {
        "files",
        "incident",
        "ops",
        "starting",
        "transcripts",
    }
