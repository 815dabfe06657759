"""Versions of prompts: read with clear errors, followed by every replica while it runs, changed by commands."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from agentgauge import AgentGauge, metrics
from agentgauge.autonomy.action import Action
from agentgauge.cli.root import app as agentgauge
from agentgauge.ledger import Ledger
from agentgauge.prompts.activations import PromptActivations
from agentgauge.prompts.library import ActivePrompts, PromptError, PromptLibrary, Prompts
from sample_agent.app import app
from sample_agent.sales.companion import Conversation, SalesCompanion
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import VERSION

DRAFT = "Draft a renewal proposal email to Jane at Globex"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prompts v1, v2 and v10 of an agent with one text and two tools."""
    for version in ("v1", "v2", "v10"):
        made = tmp_path / "prompts" / version
        made.mkdir(parents=True)
        (made / "system.md").write_text(f"You are {version}.\n", encoding="utf-8")
        (made / "tools.yml").write_text("look: Look it up.\nact: Do it.\n", encoding="utf-8")
    return tmp_path / "prompts"


@pytest.fixture
def library(folder: Path) -> PromptLibrary:
    """The library of that folder."""
    return PromptLibrary(folder, ["system"], ["look", "act"])


@pytest.fixture
def activations(ledger: Ledger) -> PromptActivations:
    """The activations of agent ``a``; none yet."""
    return PromptActivations(ledger, "a")


def test_a_version_is_its_texts_and_tool_descriptions(library: PromptLibrary) -> None:
    """Versions are counted, not spelled: v10 comes after v2."""
    assert library.versions() == ["v1", "v2", "v10"]
    newest = library.load()
    assert newest.version == "v10"
    assert newest.texts == {"system": "You are v10.\n"}
    assert newest.tool_descriptions == {"look": "Look it up.", "act": "Do it."}


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        (
            "look: Look it up.\nact: Do it.\nfly: Away.\n",
            "tools.yml:3: fly: there is no such tool; the tools are look, act",
        ),
        ("look: Look it up.\n", "tools.yml:1: the file: describe act as well"),
        ("look: Look it up.\nact: ''\n", "tools.yml:2: act: expected a text"),
        ("look: Look it up.\nact: [Do it.]\n", "tools.yml:2: act: expected a text"),
        ("look: a\nact: b\nlook: c\n", "tools.yml:3: look: is given twice"),
        ("- look\n", "tools.yml:1: the file: expected fields"),
        ("", "tools.yml:1: the file: expected fields"),
        ("look: [\n", "tools.yml:2: the file: is not valid YAML"),
    ],
)
def test_a_wrong_tools_file_is_refused_with_file_and_line(
    folder: Path, library: PromptLibrary, tools: str, says: str
) -> None:
    """A description of a tool that is not there would be lost without a word."""
    (folder / "v2" / "tools.yml").write_text(tools, encoding="utf-8")
    with pytest.raises(PromptError) as refused:
        library.load("v2")
    assert says in str(refused.value)


@pytest.mark.parametrize("file", ["system.md", "tools.yml"])
def test_a_version_without_one_of_its_files_is_refused(folder: Path, library: PromptLibrary, file: str) -> None:
    """The message names the file."""
    (folder / "v2" / file).unlink()
    with pytest.raises(PromptError, match=f"v2/{file} cannot be read: No such file"):
        library.load("v2")


@pytest.mark.parametrize("version", ["v3", "../prompts/v1", ""])
def test_an_unknown_version_is_refused_with_those_that_there_are(library: PromptLibrary, version: str) -> None:
    """A version is a name, never a path."""
    with pytest.raises(PromptError, match="the versions are v1, v2, v10"):
        library.load(version)


def test_a_folder_without_versions_is_refused(tmp_path: Path) -> None:
    """An agent without prompts does not start."""
    (tmp_path / "draft").mkdir()
    with pytest.raises(PromptError, match="holds no prompts; create a folder v1"):
        PromptLibrary(tmp_path, ["system"], ["look"]).load()
    with pytest.raises(PromptError, match="nowhere holds no prompts"):
        PromptLibrary(tmp_path / "nowhere", ["system"], ["look"]).load()


def test_a_text_that_is_not_utf_8_is_refused_with_its_line(folder: Path, library: PromptLibrary) -> None:
    """As saved by an editor with another encoding."""
    (folder / "v2" / "system.md").write_bytes(b"Be kind.\nMeet at the caf\xe9.\n")
    with pytest.raises(PromptError, match=r"v2/system\.md:2: the file: is not UTF-8 text"):
        library.load("v2")


def test_a_request_that_waited_goes_on_with_the_version_it_began_with(
    library: PromptLibrary, activations: PromptActivations
) -> None:
    """Whatever is in force by then, and in whichever process; a version that is gone is replaced by that in force."""
    active = ActivePrompts(library, activations, lambda version: None)
    assert active("v1").texts == {"system": "You are v1.\n"}
    assert active("v3").version == active().version == "v10"


def test_an_agent_starts_with_the_newest_and_then_follows_the_ledger(
    library: PromptLibrary, activations: PromptActivations
) -> None:
    """Two replicas, no restart; each change is told once."""
    told: list[str] = []
    one = ActivePrompts(library, activations, told.append)
    other = ActivePrompts(library, activations, told.append)
    assert told == ["v10", "v10"]
    activations.activate("v1", "ann", "")
    for replica in (one, other):
        assert replica().version == "v10"
        replica.refresh()
        replica.refresh()
        assert replica().texts["system"] == "You are v1.\n"
    assert told == ["v10", "v10", "v1", "v1"]
    assert ActivePrompts(library, activations, told.append)().version == "v1"


def test_a_version_that_this_replica_lacks_changes_nothing_and_is_said_once(
    library: PromptLibrary, activations: PromptActivations, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been deployed elsewhere first; the agent goes on with what it has."""
    usable: list[bool] = []
    active = ActivePrompts(library, activations, lambda version: None, usable.append)
    activations.activate("v11", "ann", "")
    active.refresh()
    active.refresh()
    assert active().version == "v10"
    assert usable == [True, False, False]
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "prompts v10 stay in force, the new ones cannot be loaded: there are no prompts 'v11'" in said
    activations.rollback("ann", "")
    active.refresh()
    assert usable[3:] == [True]


async def test_the_metrics_say_which_file_cannot_be_used(companion: SalesCompanion, gauge: AgentGauge) -> None:
    """From the start, at 0, and again after a restart; the agent goes on with what it had."""
    assert shown_files(gauge) == {"policy.yml": 0, "prompts": 0}
    assert gauge.ledger is not None
    PromptActivations(gauge.ledger, gauge.agent).activate("v99", "ann", "")
    gauge.refresh_from_ledger()
    assert shown_files(gauge) == {"policy.yml": 0, "prompts": 1}
    assert companion.prompts().version == "v2"
    with closing(AgentGauge(gauge.agent, registry=CollectorRegistry(), ledger=gauge.ledger)) as restarted:
        assert app().prompts_in_force(restarted)().version == "v2"
        assert shown_files(restarted) == {"prompts": 1}
    run("rollback")
    gauge.refresh_from_ledger()
    assert shown_files(gauge) == {"policy.yml": 0, "prompts": 0}


def shown_files(gauge: AgentGauge) -> dict[str, float]:
    """What the metrics say of each file that the agent follows."""
    (metric,) = [metric for metric in gauge.registry.collect() if metric.name == str(metrics.CONFIG_ERRORS)]
    return {sample.labels["file"]: sample.value for sample in metric.samples}


def test_every_shipped_version_is_complete() -> None:
    """All tools described, all texts there."""
    versions = app().prompt_library().versions()
    assert versions[:2] == ["v1", "v2"]
    for version in versions:
        assert list(app().prompt_library().load(version).tool_descriptions) == list(TOOLS_BY_NAME)


async def draft(companion: SalesCompanion, conversation: Conversation) -> Action:
    """Have the agent draft an e-mail, which waits for approval."""
    answer = await companion.answer(conversation, DRAFT)
    return companion.supervisor.autonomy.approvals.get(answer.waiting[0])


async def test_a_request_that_waits_keeps_the_version_that_it_began_with(
    companion: SalesCompanion, gauge: AgentGauge
) -> None:
    """Another version, activated while people decide, counts from the next request on."""
    asked: list[str | None] = []
    in_force = ["v1"]

    def prompts(version: str | None = None) -> Prompts:
        asked.append(version)
        return app().prompt_library().load(version or in_force[0])

    companion.prompts = prompts
    conversation = Conversation(gauge.session())
    action = await draft(companion, conversation)
    assert action.proposal.prompt_version == "v1"
    in_force[0] = "v2"
    companion.supervisor.autonomy.approvals.approve(action.id, "ann")
    assert await companion.resume(conversation) is not None
    assert (await draft(companion, conversation)).proposal.prompt_version == "v2"
    assert asked == [None, "v1", None]


def run(*arguments: str) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(agentgauge, ["prompts", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str, status: int) -> str:
    """What a command says that fails with this status."""
    result = CliRunner().invoke(agentgauge, ["prompts", *arguments])
    assert result.exit_code == status
    return result.stderr


async def test_a_command_changes_the_running_agent_and_its_build_info(
    companion: SalesCompanion, gauge: AgentGauge, caplog: pytest.LogCaptureFixture
) -> None:
    """Forth and back, without a restart: in what it proposes, on /metrics and in the log."""
    caplog.set_level(logging.INFO)

    def shown() -> list[tuple[str, str]]:
        samples = [sample for metric in gauge.registry.collect() for sample in metric.samples]
        return [
            (sample.labels["version"], sample.labels["prompt_version"])
            for sample in samples
            if sample.name == "agent_build_info"
        ]

    assert shown() == [(VERSION, "v2")]
    for command, version, greeting in ((["activate", "v1"], "v1", "Dear Jane"), (["rollback"], "v2", "Hi Jane")):
        assert f"prompts {version} are in force" in run(*command)
        gauge.refresh_from_ledger()
        assert shown() == [(VERSION, version)]
        proposal = (await draft(companion, Conversation(gauge.session()))).proposal
        assert proposal.prompt_version == version
        assert proposal.arguments["body"].startswith(greeting)
    said = [record.getMessage() for record in caplog.records if record.name == "agentgauge.prompts.library"]
    assert said == [
        "prompts v1 are in force now, in place of v2",
        "prompts v2 are in force now, in place of v1",
    ]


def test_the_list_says_which_is_in_force_since_when_by_whom_and_why(state: Path) -> None:
    """One line a version, also for one that was never activated."""
    run("activate", "v1", "--reason", "too casual")
    one, two = [line for line in run("list").splitlines() if line.startswith(("v1 ", "v2 "))]
    assert one.startswith("v1       in force  ")
    assert " ann " in one
    assert "too casual" in one
    assert "never" in two


def test_a_version_is_shown_and_compared_as_its_files(state: Path) -> None:
    """What the on-call reads before rolling back."""
    shown = run("show", "v1")
    assert "v1/system.md" in shown
    assert "draft_email: Write an e-mail to a contact" in shown
    assert "v2/tools.yml" in run("show")
    assert "+Tone: warm" in run("diff", "v1", "v2").splitlines()
    assert "say the same" in run("diff", "v2", "v2")


def test_wrong_commands_are_one_clear_line_and_change_nothing(state: Path) -> None:
    """What was wrong, and what to do."""
    assert "there are no prompts 'v9'" in refused("activate", "v9", status=2)
    assert "no prompt version was ever activated; `agentgauge prompts activate` takes" in refused("rollback", status=1)
    assert "in force" not in run("list")
