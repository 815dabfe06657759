"""`agentgauge …` for an agent that is not the demo: how it is found, what is printed, and how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agentgauge import bundled
from agentgauge.agent_app import AgentApp, Tool
from agentgauge.autonomy.action import Action, Proposal
from agentgauge.cli import common
from agentgauge.cli.common import GROUPS
from agentgauge.cli.root import app as agentgauge
from agentgauge.cost.throttles import Throttles
from agentgauge.ledger import Ledger, Usage
from agentgauge.prompts.activations import PromptActivations

TABLES = (
    "approvals list",
    "approvals unresolved",
    "autonomy show",
    "autonomy audits",
    "autonomy suggestions",
    "autonomy comparisons",
    "autonomy explain refund",
    "prompts list",
    "feedback report",
    "feedback export --unproven",
    "transcripts list",
    "transcripts answers",
    "ops looping",
    "ops log",
    "ops tools",
    "ops spend",
    "ops throttles",
)
"""The commands that print a table and need no running agent."""

LONG = "because the customer wrote three times and the parcel never came, as the carrier admitted on the phone"

MODULE = """
from pathlib import Path
from agentgauge import AgentApp, Tool
from agentgauge.agent_app import PromptFolder

here = Path(__file__).parent
app = AgentApp(
    "support_bot",
    ledger=f"sqlite:///{here / 'support_bot.sqlite'}",
    state=here / "state",
    prompts=PromptFolder(here / "prompts"),
    tools=[Tool("refund", {"properties": {"order": {"type": "integer"}, "why": {"type": "string"}}}, risk="medium")],
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an agent that no other test imports."""
    (tmp_path / "support_bot_app.py").write_text(MODULE, encoding="utf-8")
    version = tmp_path / "prompts" / "v1"
    version.mkdir(parents=True)
    (version / "system.md").write_text("You help.\n", encoding="utf-8")
    (version / "tools.yml").write_text("refund: gives money back\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTGAUGE_APP", "support_bot_app:app")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "support_bot_app", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    """The agent's ledger."""
    with closing(Ledger.open(f"sqlite:///{folder / 'support_bot.sqlite'}")) as opened:
        yield opened


@pytest.fixture
def waiting(ledger: Ledger) -> Action:
    """An action that waits for approval, in a ledger with a row for each table; its user spent money today."""
    ledger.add_usage("support_bot", {(ledger.today(), "ann@example.com"): Usage(turns=3, cost_usd=1.25)})
    until = ledger.now() + timedelta(days=1)
    Throttles(ledger, "support_bot").put("ann@example.com", "throttle", until, "bob", LONG)
    PromptActivations(ledger, "support_bot").activate("v1", "bob", LONG)
    actions = AgentApp("support_bot", ledger="sqlite://", tools=[Tool("refund")]).autonomy(ledger).actions
    arguments = {"order": 7, "why": LONG}
    actions.propose(Proposal("refund", "medium", "auto", arguments, {}, sampled=True))
    actions.propose(Proposal("refund", "medium", "suggested", arguments, {}))
    return actions.propose(Proposal("refund", "medium", "approval", arguments, {}))


def run(*arguments: str) -> Result:
    """Run `agentgauge …` in this process."""
    return CliRunner().invoke(agentgauge, arguments)


def separately(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m agentgauge …`."""
    command = [sys.executable, "-m", "agentgauge", *arguments]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", TABLES)
def test_every_table_is_there_as_json(command: str, waiting: Action) -> None:
    """For scripts: one document on stdout and nothing else."""
    result = run(*command.split(), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) is not None


@pytest.mark.parametrize("columns", ["20", "80", None])
@pytest.mark.parametrize("command", ["approvals list", "ops throttles", "ops spend", "autonomy audits"])
def test_an_id_is_never_cut(
    command: str, columns: str | None, waiting: Action, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal a long text gives way; without a terminal no line is broken."""
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    rows = json.loads(run(*command.split(), "--json").stdout)
    printed = run(*command.split()).stdout.splitlines()
    for row in rows:
        (line,) = [line for line in printed if line.startswith(row.get("id") or row["user"])]
        if columns is None and "reason" in row:
            assert row["reason"] in line


def test_json_holds_what_the_table_shortens(waiting: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names an action in one line; JSON has its arguments in full, and points in time with their zone."""
    monkeypatch.setenv("COLUMNS", "80")
    (row,) = json.loads(run("approvals", "list", "--json").stdout)
    assert row["arguments"] == {"order": 7, "why": LONG}
    assert row["proposed_at"].endswith("+00:00")
    assert LONG not in run("approvals", "list").stdout


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("--as-suggested", "aligned"),
        ("--otherwise", "misaligned, in order, why"),
        ('--arguments={"order": 7, "why": "broken"}', "misaligned, in why"),
    ],
)
def test_people_say_what_they_did_where_it_cannot_be_read(said: str, match: str, waiting: Action) -> None:
    """It is compared with the suggestion field by field."""
    (suggested,) = json.loads(run("autonomy", "suggestions", "--json").stdout)
    assert run("autonomy", "did", suggested["id"], said).stdout.strip() == f"refund {suggested['id']}: {match}"


def test_no_user_id_is_printed_but_by_who(waiting: Action, ledger: Ledger) -> None:
    """Neither in a table nor as JSON."""
    for command in TABLES:
        for option in ([], ["--json"]):
            assert "ann@example.com" not in run(*command.split(), *option).output
    assert run("ops", "who", ledger.pseudonym("ann@example.com")).stdout == "ann@example.com\n"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ("ops spend", 0, ""),
        ("approvals show 123", 1, "support_bot has no action '123'; `agentgauge approvals list` shows those that wait"),
        ("autonomy promote refund", 1, "refund has not earned it"),
        ("ops disable-tool fly", 2, "support_bot has no tool 'fly'; the tools are refund"),
        ("ops tiers", 2, "support_bot declares no models; add models=Path('models.yml') to its AgentApp"),
        ("eval run", 2, "support_bot declares no suites"),
        ("prompts show v9", 2, "there are no prompts 'v9'"),
        ("ops fly", 2, "No such command 'fly'"),
        ("--app nowhere:app ops spend", 2, "there is no module 'nowhere'"),
    ],
)
def test_the_exit_status_tells_no_from_could_not_run(arguments: str, status: int, says: str, waiting: Action) -> None:
    """0: done; 1: the answer is no; 2: it could not run. What was wrong is one line on stderr."""
    result = run(*arguments.split())
    assert (result.exit_code, says in result.stderr) == (status, True), result.output
    assert "Traceback" not in result.output


def test_a_ledger_that_cannot_be_used_is_one_line(folder: Path) -> None:
    """Whether it is not a database at all, or its tables are gone."""
    (folder / "support_bot.sqlite").write_text("this is not a database, and longer than its header would be" * 20)
    result = run("ops", "spend")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the ledger")
    assert result.stderr.count("\n") == 1


def test_without_an_agent_the_three_ways_to_name_one_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, status 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTGAUGE_APP", raising=False)
    result = run("ops", "spend")
    assert result.exit_code == 2
    assert re.match(r"error: .*--app.*AGENTGAUGE_APP.*pyproject\.toml.*\n$", result.stderr)


def test_the_help_lists_every_group_and_loads_none_of_them() -> None:
    """So it answers at once, and also where the parts that a group needs are not installed."""
    code = (
        "import sys\nfrom agentgauge.cli.root import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = ['anthropic', 'httpx2', 'pydantic', 'sqlalchemy', 'starlette', 'yaml']\n"
        "loaded = [name for name in sys.modules if name in heavy or name.startswith('agentgauge.cli.')]\n"
        "print(sorted(loaded), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stderr.strip() == "['agentgauge.cli.common', 'agentgauge.cli.root']"
    assert [name for name in GROUPS if f"│ {name} " not in result.stdout] == []


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("ops spend", {"sqlalchemy"}),
        ("ops who 0", {"sqlalchemy"}),
        ("ops tools", {"sqlalchemy"}),
        ("ops sessions", {"sqlalchemy"}),
        ("ops looping", {"sqlalchemy"}),
        ("ops cache show", {"sqlalchemy"}),
        ("ops throttles", {"sqlalchemy"}),
        ("ops log", {"sqlalchemy"}),
        ("transcripts list", {"sqlalchemy"}),
        ("approvals list", {"sqlalchemy", "yaml"}),
        ("approvals people list", {"sqlalchemy", "yaml"}),
        ("autonomy show", {"sqlalchemy", "yaml"}),
        ("prompts list", {"sqlalchemy", "yaml"}),
        ("feedback report", {"sqlalchemy", "yaml"}),
        ("eval history", {"sqlalchemy"}),
        ("ledger backup --help", set()),
        ("gateway --help", set()),
        ("incident --help", set()),
        ("truth --calls-per-hour 100", {"yaml"}),
        ("--version", set()),
        ("init --help", set()),
    ],
)
def test_a_look_up_loads_only_what_it_needs(command: str, allowed: set[str], folder: Path) -> None:
    """The on-call does not wait for the model provider's SDK, a web framework, or what counts for /metrics."""
    heavy = {"anthropic", "genai_prices", "httpx2", "itsdangerous", "jinja2", "mcp", "opentelemetry"}
    heavy |= {"prometheus_client", "redis", "sqlalchemy", "starlette", "yaml"}
    code = (
        "import sys\nfrom agentgauge.cli.root import app\n"
        f"try:\n    app({command.split()!r})\nexcept SystemExit:\n    pass\n"
        f"print(*({heavy!r} & sys.modules.keys()), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(result.stderr.splitlines()[-1].split()) <= allowed, result.stderr


def test_a_command_does_not_look_for_garbage_while_it_loads(folder: Path) -> None:
    """Python's own threshold makes it look hundreds of times, a tenth of the time that a look-up takes."""
    code = (
        "import gc, sys\nfrom agentgauge.cli import main\n"
        "looked = []\ngc.callbacks.append(lambda phase, info: looked.append(phase))\n"
        "sys.argv = ['agentgauge', 'ops', 'spend']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(looked.count('start'), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert int(result.stderr.splitlines()[-1]) < 50


def test_colours_are_for_terminals_that_want_them(waiting: Action) -> None:
    """Piped output holds no escape codes."""
    assert "\x1b" not in run("ops", "spend").stdout


def test_the_version_is_that_of_the_package() -> None:
    """Also as a module."""
    assert re.fullmatch(r"agentgauge \d+\.\d+\.\d+\S*\n", run("--version").stdout)
    assert separately("--version").stdout == run("--version").stdout


def test_the_shell_completes_groups_and_commands(folder: Path) -> None:
    """As `agentgauge --install-completion` sets it up."""

    def completed(words: str, at: int) -> str:
        asked = {"_AGENTGAUGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return separately(**asked).stdout

    assert "approvals" in completed("agentgauge a", 1).split()
    assert "throttles" in completed("agentgauge ops thr", 2).split()


def test_the_bundles_arguments_reach_its_own_program(folder: Path) -> None:
    """Its help is its own, its slips are its own, and so is its exit status."""
    assert "--runbooks-url" in separately("bundle", "--help", COLUMNS="200").stdout
    refused = separately("bundle", "somewhere", COLUMNS="200")
    assert refused.returncode == 2
    assert "name at least one agent" in refused.stderr
    assert not (folder / "somewhere").exists()


def test_a_bundle_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line, status 2."""
    monkeypatch.setattr(bundled, "IN_WHEEL", tmp_path)
    monkeypatch.setattr(bundled, "IN_CHECKOUT", tmp_path)
    result = run("bundle", "somewhere")
    assert result.exit_code == 2
    assert 'pip install "agentgauge[bundle]"' in result.stderr


def test_a_part_that_is_not_installed_says_how_to_get_it(folder: Path) -> None:
    """One line, status 2, also when it is found missing only while the command runs."""
    code = "import sys\nsys.modules['sqlalchemy'] = None\nfrom agentgauge.cli.root import app\napp(['ops', 'spend'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert re.fullmatch(r'error: .*sqlalchemy.*pip install "agentgauge\[\w+\]"\n', result.stderr)


def test_without_the_extra_the_command_says_how_to_get_it() -> None:
    """The script is installed with the library alone, too."""
    code = "import sys\nsys.modules['typer'] = None\nfrom agentgauge.cli import main\nmain()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert result.stderr == 'error: the command line needs typer; run: pip install "agentgauge[cli]"\n'


def test_the_app_option_counts_for_one_command_only(folder: Path) -> None:
    """A later command in the same process is about the agent that the environment names."""
    assert run("--app", "nowhere:app", "ops", "tools").exit_code == 2
    assert run("ops", "tools").exit_code == 0
    assert common.agent().name == "support_bot"


def test_the_demos_own_command_line_doubles_nothing() -> None:
    """What every agent has is in `agentgauge` alone."""
    from sample_agent.cli import app

    own: Any = app
    names = [command.name or command.callback.__name__ for command in own.registered_commands]
    names += [group.name for group in own.registered_groups]
    assert sorted(names) == ["backfill", "chat", "cost", "crm", "fake-api", "fault", "serve", "simulate"]


def test_the_sales_companion_is_declared_without_its_sdk_and_database() -> None:
    """So a look-up for it is as quick as for any other agent."""
    code = (
        "import sys; from sample_agent.app import app; app(); "
        "print([name for name in ('anthropic', 'sqlalchemy', 'starlette', 'httpx2') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


def test_a_ledger_is_backed_up_and_restored_by_one_command_each(waiting: Action, folder: Path) -> None:
    """Whose ledger is not empty any more, or whose file exists, is told why nothing was done."""
    assert run("ledger", "backup", "backup.sqlite").exit_code == 0
    assert "backup.sqlite exists already" in run("ledger", "backup", "backup.sqlite").stderr
    assert "nothing is overwritten" in run("ledger", "restore", "backup.sqlite").stderr
    for file in folder.glob("support_bot.sqlite*"):
        file.unlink()
    restored = run("ledger", "restore", "backup.sqlite")
    assert restored.exit_code == 0, restored.output
    assert waiting.id in run("approvals", "list").stdout
    assert run("approvals", "verify").exit_code == 0


def test_truth_says_what_is_blind_at_a_volume_and_needs_no_agent() -> None:
    """A dead tool is found at twelve calls an hour, a share of bad ratings is not; without a number it asks for one."""
    result = run("truth", "--calls-per-hour", "12", "--json")
    by_alert = {row["alert"]: row for row in json.loads(result.stdout)}
    assert by_alert["AgentToolSuccessRateLow"]["works"]
    assert not by_alert["AgentNegativeFeedbackHigh"]["works"]
    assert "a window of" in by_alert["AgentNegativeFeedbackHigh"]["words"]
    assert not any("e+" in row["words"] for row in by_alert.values()), "84 500 tokens, and not 8.45e+04"
    asked = run("truth")
    assert asked.exit_code == 2
    assert "--calls-per-hour 12" in asked.stderr
