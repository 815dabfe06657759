"""AgentApp: an agent declares itself once, is found by name, and opens what commands need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentgauge.agent_app import AgentApp, AppError, Candidate, PromptFolder, Tool
from agentgauge.app_loading import find_app, load_app
from agentgauge.evals.scenario import ScenarioError

REFUND = Tool(
    "refund",
    {
        "type": "object",
        "properties": {
            "order": {"type": "integer", "minimum": 1},
            "reason": {"enum": ["late", "broken"]},
            "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "maxItems": 2},
        },
        "required": ["order"],
        "additionalProperties": False,
        "$defs": {"Item": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}},
    },
    risk="medium",
)

MODULE = """
from agentgauge import AgentApp, Tool

app = AgentApp("support_bot", ledger="sqlite:///support_bot.sqlite", tools=[Tool("refund")])

def make_app():
    return AgentApp("made_bot", ledger="sqlite:///made_bot.sqlite")

number = 7
"""


@pytest.fixture
def write_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a module of an agent into the current folder, under a name that no other test has; returns the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTGAUGE_APP", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(text: str = MODULE) -> str:
        name = f"agent_{abs(hash(tmp_path))}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


def app_with(**declared: Any) -> AgentApp:
    """An agent with one tool, and what a test declares."""
    return AgentApp("support_bot", ledger="sqlite://", tools=[REFUND], **declared)


def test_an_app_is_loaded_by_name(write_agent: Callable[..., str], tmp_path: Path) -> None:
    """The attribute is an AgentApp, or a function that returns one."""
    name = write_agent()
    assert load_app(f"{name}:app", tmp_path).tool_names == ["refund"]
    assert load_app(f"{name}:make_app", tmp_path).name == "made_bot"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "no_such_agent:app",
            "there is no module 'no_such_agent'; check 'no_such_agent:app', and run this in the folder",
        ),
        ("{name}:nothing", "{name} has no attribute 'nothing'; check '{name}:nothing'"),
        ("{name}:number", "'{name}:number' is of the type int; it must be an AgentApp or a function that returns one"),
        ("{name}", "'{name}' is not of the form module:attribute, for example my_agent:app"),
    ],
)
def test_what_cannot_be_loaded_says_what_to_do(
    write_agent: Callable[..., str], tmp_path: Path, spec: str, says: str
) -> None:
    """A slip in the spec costs one look at the message."""
    name = write_agent()
    with pytest.raises(AppError) as raised:
        load_app(spec.format(name=name), tmp_path)
    assert str(raised.value).startswith(says.format(name=name))


def test_a_dependency_of_the_agent_that_is_missing_is_named(write_agent: Callable[..., str], tmp_path: Path) -> None:
    """It is not mistaken for a slip in the spec."""
    name = write_agent("import a_package_that_nobody_has")
    with pytest.raises(AppError, match="it needs 'a_package_that_nobody_has', which is not installed"):
        load_app(f"{name}:app", tmp_path)


def test_the_app_is_found_as_the_command_the_environment_or_pyproject_says(
    write_agent: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order; the nearest pyproject.toml that names one counts, and its folder is where the module lies."""
    name = write_agent()
    (tmp_path / "pyproject.toml").write_text(f'[tool.agentgauge]\napp = "{name}:app"\n', encoding="utf-8")
    inner = tmp_path / "src" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "src" / "pyproject.toml").write_text('[project]\nname = "part"\n', encoding="utf-8")
    monkeypatch.chdir(inner)
    assert find_app().name == "support_bot"
    monkeypatch.setenv("AGENTGAUGE_APP", f"{name}:make_app")
    assert find_app().name == "made_bot"
    assert find_app(f"{name}:app").name == "support_bot"


def test_no_app_anywhere_is_one_sentence_that_names_all_three_ways(write_agent: Callable[..., str]) -> None:
    """Whoever runs a command for the first time reads this."""
    write_agent()
    with pytest.raises(AppError) as raised:
        find_app()
    assert all(way in str(raised.value) for way in ("--app", "AGENTGAUGE_APP", "[tool.agentgauge]"))
    assert "\n" not in str(raised.value)


def test_a_tool_is_high_risk_with_side_effects_unless_it_says_otherwise() -> None:
    """What is not said is not assumed to be harmless."""
    tool = Tool("anything")
    assert (tool.risk, tool.side_effect, tool.has_fallback) == ("high", True, False)


def test_two_tools_of_one_name_are_refused() -> None:
    """Their metrics and their policy could not be told apart."""
    with pytest.raises(ValueError, match="'refund' is declared twice"):
        AgentApp("bot", ledger="sqlite://", tools=[REFUND, REFUND])


@pytest.mark.parametrize(
    "arguments",
    [
        {"order": 1},
        {"order": 7.0, "reason": "late", "note": None, "items": [{"sku": "a"}]},
        {"order": 1, "note": "short"},
    ],
)
def test_arguments_that_fit_the_schema_pass(arguments: Mapping[str, Any]) -> None:
    """The default check is the tool's own JSON schema."""
    app_with().check_arguments("refund", arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "order: is missing"),
        ({"order": "7"}, 'order: expected a whole number, not "7"'),
        ({"order": True}, "order: expected a whole number, not true"),
        ({"order": 1.5}, "order: expected a whole number, not 1.5"),
        ({"order": 0}, "order: expected at least 1, not 0"),
        ({"order": 1, "reason": "bored"}, 'reason: expected "late" or "broken", not "bored"'),
        ({"order": 1, "note": 3}, "note: expected a text, not 3; or note: expected null, not 3"),
        ({"order": 1, "items": [{}]}, "items.0.sku: is missing"),
        ({"order": 1, "items": [{"sku": "a"}] * 3}, "items: expected at most 2 entries, not 3"),
        ({"order": 1, "amount": 9}, "amount: unknown; expected order, reason, note, items"),
    ],
)
def test_arguments_that_do_not_fit_name_the_field(arguments: Mapping[str, Any], says: str) -> None:
    """A model, and a person who edits, learn what to write instead."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        app_with().check_arguments("refund", arguments)
    assert str(raised.value) == says


def test_an_agents_own_check_takes_the_place_of_the_schema() -> None:
    """For what a schema cannot say."""

    def refuse(tool: str, arguments: Mapping[str, Any]) -> None:
        raise ValueError(f"{tool}: not today")

    with pytest.raises(ValueError, match="refund: not today"):
        app_with(check=refuse).check_arguments("refund", {"order": 1})


def test_without_a_policy_every_tool_waits_with_its_declared_risk() -> None:
    """Safe by default."""
    policy = app_with().policy_source()()
    assert policy.stage == "approval_required"
    assert policy.tools["refund"].risk == "medium"


def test_what_an_agent_does_not_declare_is_said_with_the_field_to_add() -> None:
    """One sentence, for each part that a command may need."""
    app = app_with()
    for ask, field in (
        (app.prompt_library, "prompts"),
        (app.tier_policy, "models"),
        (app.budget_policy, "budgets"),
        (lambda: app.on_trial(Candidate("1")), "trials"),
    ):
        with pytest.raises(AppError, match=rf"support_bot declares no {field}; add {field}="):
            ask()
    with pytest.raises(AppError, match="support_bot has no suite 'smoke'; it declares none"):
        app.scenarios("smoke")
    with pytest.raises(AppError, match="support_bot has no tool 'fly'; the tools are refund"):
        app.tool("fly")


def test_prompts_and_suites_are_checked_against_the_declared_tools(tmp_path: Path) -> None:
    """The library and the loader get the names from the app."""
    version = tmp_path / "prompts" / "v1"
    version.mkdir(parents=True)
    (version / "system.md").write_text("You help.", encoding="utf-8")
    (version / "tools.yml").write_text("refund: gives money back\n", encoding="utf-8")
    suite = tmp_path / "smoke"
    suite.mkdir()
    (suite / "one.yml").write_text("{name: a, input: b, expected_tools: [fly]}", encoding="utf-8")
    app = app_with(prompts=PromptFolder(tmp_path / "prompts"), suites={"smoke": suite})
    assert app.prompt_library().load().tool_descriptions == {"refund": "gives money back"}
    with pytest.raises(ScenarioError):
        app.scenarios("smoke")


def test_declaring_an_agent_loads_nothing_heavy() -> None:
    """A command that needs no database must not wait for one to be imported."""
    heavy = ["anthropic", "pydantic", "sqlalchemy", "starlette", "typer", "yaml"]
    code = (
        "import sys; from agentgauge.agent_app import AgentApp, Tool; import agentgauge.app_loading; "
        "AgentApp('bot', ledger='sqlite://', tools=[Tool('refund')]); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_an_app_follows_the_prompts_that_the_ledger_says(tmp_path: Path) -> None:
    """The newest version starts; a version that people activate comes into force with the next refresh."""
    from prometheus_client import CollectorRegistry

    from agentgauge import AgentGauge
    from agentgauge.prompts.activations import PromptActivations

    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "system.md").write_text(f"Be {version}.", encoding="utf-8")
        (tmp_path / version / "tools.yml").write_text("refund: Pays money back.\n", encoding="utf-8")
    ledger = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    app = AgentApp("bot", ledger, [Tool("refund")], version="7", prompts=PromptFolder(tmp_path))
    gauge = AgentGauge(app.name, ledger=app.ledger, registry=CollectorRegistry())
    prompts = app.prompts_in_force(gauge)
    assert prompts().texts["system"] == "Be v2."
    assert gauge.ledger is not None
    PromptActivations(gauge.ledger, app.name).activate("v1", "ana", "v2 is rude")
    gauge.refresh_from_ledger()
    assert prompts().version == "v1"
    labels = {"agent": "bot", "version": "7", "prompt_version": "v1"}
    assert gauge.registry.get_sample_value("agent_build_info", labels) == 1
    gauge.close()


def test_an_app_keeps_sessions_within_its_budgets(tmp_path: Path) -> None:
    """budgets.yml is enforced on the gauge's sessions, and throttles of the ledger are followed."""
    from prometheus_client import CollectorRegistry

    from agentgauge import AgentGauge
    from agentgauge.cost.budgets import BudgetReachedError

    path = tmp_path / "budgets.yml"
    path.write_text(
        "session: {stop: 1.0}\nuser_day: {stop: 3.0}\nseconds_between_requests: 5\ncontact: ana\n", encoding="utf-8"
    )
    app = AgentApp("bot", f"sqlite:///{tmp_path / 'ledger.sqlite'}", budgets=path)
    gauge = AgentGauge(app.name, ledger=app.ledger, registry=CollectorRegistry())
    budgets = app.budgets_in_force(gauge)
    with gauge.session("rep-1") as session:
        budgets.admit()
        session.add_cost(1.5)
        with pytest.raises(BudgetReachedError, match="ask ana"):
            budgets.check()
    with gauge.session("rep-1") as session:
        session.add_cost(1.6)
        gauge.refresh_from_ledger()
        session.cost_usd = 0
        with pytest.raises(BudgetReachedError, match="today"):
            budgets.check()
    gauge.close()
