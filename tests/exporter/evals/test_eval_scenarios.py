"""Scenario files: what people may write, and what they are told when they slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgauge.evals.scenario import Approval, Scenario, ScenarioError, load

TOOLS = ("look_up", "send")
RIGHT = """\
- name: look-up
  input: Tell me about Globex
  expected_tools: [look_up]
  expected_output_contains: [Globex]
  max_turns: 4
  max_cost: 0.10
"""


def read(folder: Path, *texts: str) -> list[str]:
    """The names of the scenarios in files with these texts."""
    for number, text in enumerate(texts):
        (folder / f"{number}.yml").write_text(text, encoding="utf-8")
    return [scenario.name for scenario in load(folder, TOOLS, ["outage"])]


def test_a_file_holds_one_scenario_or_a_list_of_them(tmp_path: Path) -> None:
    """They come by name, from all files."""
    alone = RIGHT.replace("- name: look-up", "  name: alone")
    assert read(tmp_path, RIGHT + RIGHT.replace("look-up", "another"), alone) == ["alone", "another", "look-up"]


@pytest.mark.parametrize(
    "demand",
    [
        "expected_tools: [look_up]",
        "expected_tool_sequence: [look_up, send]",
        "expected_output_contains: [Globex]",
        "max_turns: 4",
        "max_cost: 0.10",
        "forbidden_tools: [send]",
        "match: subset",
        "judge: Is polite.",
    ],
)
def test_one_demand_is_enough_and_any_may_be_the_one(tmp_path: Path, demand: str) -> None:
    """All others may be left out."""
    assert read(tmp_path, f"name: alone\ninput: hello\n{demand}\n") == ["alone"]


def test_the_scripted_approver_says_a_word_or_more(tmp_path: Path) -> None:
    """An edit says what it changes."""
    script = "  approvals: [approve, {decision: edit, arguments: {to: jane}}, {decision: reject, reason: too long}]\n"
    read(tmp_path, RIGHT + script)
    (scenario,) = load(tmp_path, TOOLS)
    assert scenario.approvals == [
        Approval(decision="approve"),
        Approval(decision="edit", arguments={"to": "jane"}),
        Approval(decision="reject", reason="too long"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RIGHT.replace("  input: Tell me about Globex\n", ""), ":1: 0.input: is missing"),
        ("name: x\ninput: y\nexpected_tools: []\n", ":1: the file: demands nothing, so every answer would pass"),
        (RIGHT.replace("max_turns: 4", "max_turns: four"), ":5: 0.max_turns: Input should be a valid integer"),
        (RIGHT.replace("max_turns: 4", "max_turns: 0"), ":5: 0.max_turns: Input should be greater than or equal to 1"),
        (RIGHT + "  max_cots: 1\n", ":7: 0.max_cots: there is no such field"),
        (RIGHT + "  max_turns: 9\n", ":7: 0.max_turns: is given twice; remove one"),
        (
            RIGHT.replace("[look_up]", "\n  - look_up\n  - sned"),
            ":5: 0.expected_tools.1: there is no tool 'sned'; the tools",
        ),
        (RIGHT + "  forbidden_tools: [look_up]\n", ":7: 0.forbidden_tools.0: look_up is in expected_tools as well"),
        (
            RIGHT.replace("expected_tools", "expected_tool_sequence") + "  forbidden_tools: [look_up]\n",
            ":7: 0.forbidden_tools.0: look_up is in expected_tool_sequence as well",
        ),
        (RIGHT + "  expected_arguments: {fetch: {}}\n", ":7: 0.expected_arguments.fetch: there is no tool 'fetch'"),
        (RIGHT + "  fault: flood\n", ":7: 0.fault: there is no fault 'flood'; the faults are outage"),
        (RIGHT + "  match: exact\n", ":7: 0.match: Input should be 'strict', 'unordered', 'subset' or 'superset'"),
        (RIGHT + "  approvals: [edit]\n", ":7: 0.approvals.0: arguments say what an edit changes"),
        (RIGHT + "  approvals:\n  - approve\n  - maybe\n", ":9: 0.approvals.1.decision: Input should be 'approve'"),
        (RIGHT + RIGHT, ":7: 1.name: another scenario is called 'look-up'"),
        (RIGHT + "- just text\n", ":7: 1: expected a scenario"),
        ("", ":1: the file: expected a scenario"),
        ("- [", ":1: the file: is not valid YAML: "),
    ],
)
def test_a_slip_is_told_with_file_line_and_field(tmp_path: Path, text: str, says: str) -> None:
    """And with what is wrong."""
    with pytest.raises(ScenarioError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / '0.yml'}{says}")


def test_a_folder_without_scenarios_is_an_error(tmp_path: Path) -> None:
    """A suite of nothing would pass."""
    with pytest.raises(ScenarioError, match="holds no scenarios"):
        load(tmp_path, TOOLS)
    with pytest.raises(ScenarioError, match="there is no folder"):
        load(tmp_path / "nowhere", TOOLS)


def test_a_dataset_is_a_folder_a_file_or_a_function(tmp_path: Path) -> None:
    """Checked alike: names, tools and faults that are not there are refused."""
    read(tmp_path, RIGHT)
    from_folder, from_file = load(tmp_path, TOOLS), load(tmp_path / "0.yml", TOOLS)
    made = Scenario(name="look-up", input="Tell me about Initech", expected_tools=["look_up"])
    assert [one.name for one in (*from_folder, *from_file, *load(lambda: [made], TOOLS))] == ["look-up"] * 3
    with pytest.raises(ScenarioError, match="another scenario is called 'look-up'"):
        load(lambda: [made, made], TOOLS)

    def unknown_tool() -> list[Scenario]:
        return [made.model_copy(update={"expected_tools": ["sned"]})]

    with pytest.raises(ScenarioError, match=r"unknown_tool\(\):1: 0.expected_tools.0: there is no tool 'sned'"):
        load(unknown_tool, TOOLS)
