"""The policy file: read, checked so that a slip names file, line and field, and read again while the agent runs."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentApp, AgentGauge, metrics
from agentgauge.autonomy.policy import default_policy, load, policy_source
from agentgauge.files.yaml_file import YamlFileError
from tests.exporter.autonomy.policies import TEXT, TOOLS, policy, written


def test_what_a_policy_leaves_out_is_as_the_specification_says(tmp_path: Path) -> None:
    """A short file is a good one."""
    rule = policy(tmp_path).promotion
    assert (rule.days, rule.decisions, rule.approved, rule.rejected) == (30, 100, 0.97, 0)
    assert policy(tmp_path).autonomous.run_up_to == "medium"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("stage: approval_required", "stage: careful", "policy.yml:4: stage: Input should be 'shadow', 'approval_"),
        ("reason: a test\n", "", "policy.yml:1: reason: is missing"),
        ("tidy: {}", "tidy: { risk: medum }", "policy.yml:7: tools.tidy.risk: Input should be 'low', 'medium' or"),
        ("tidy: {}", "tidy: { side_effect: false }", "policy.yml:7: tools.tidy.side_effect: there is no such field"),
        ("send: {", "sned: {", "policy.yml:16: tools.sned: there is no such tool; the tools are find, tidy, write,"),
        (
            "send: {",
            "send: { risk: low, ",
            "policy.yml:16: tools.send.risk: send declares high risk; to lower it to low",
        ),
        ("send: {", "send: { mode: auto, ", "policy.yml:16: tools.send.mode: a high-risk tool cannot be set to auto"),
        (
            "then: high",
            "then: medium",
            "policy.yml:11: tools.write.rules.0.then: a rule can only raise the risk, and me",
        ),
        ("[subject, body]", "[subject, text]", "policy.yml:10: tools.write.rules.0.when.arguments: write has no arg"),
        (
            ", above: 50",
            "",
            "policy.yml:13: tools.write.rules.1.when: say what to look for: matches, above",
        ),
        (r"(\d+(?:[.,]\d+)?)", r"\d+", "policy.yml:10: tools.write.rules.0.when: above needs a group in matches"),
        (r"'(\d+(", "'(((", "policy.yml:10: tools.write.rules.0.when.matches: is not a valid regular expression"),
        ("share: 0.5", "share: 50", "policy.yml:5: audit.share: Input should be less than or equal to 1"),
        ("audit:", "audits:", "policy.yml:5: audits: there is no such field"),
        ("tools:", "tools: {}\ntools:", "policy.yml:7: tools: is given twice; remove one"),
        ("  tidy: {}", "  tidy: [", "policy.yml:9: the file: is not valid YAML"),
    ],
)
def test_a_slip_is_named_with_file_line_and_field(tmp_path: Path, before: str, after: str, says: str) -> None:
    """What an engineer who edits it by hand gets wrong."""
    with pytest.raises(YamlFileError) as raised:
        policy(tmp_path, (before, after))
    assert str(raised.value).startswith(says)


def test_a_file_with_nothing_in_it_is_a_slip(tmp_path: Path) -> None:
    """It must not read as a policy that allows everything."""
    with pytest.raises(YamlFileError, match=r"policy\.yml:1: the file: Input should be"):
        load(written(tmp_path, ""), TOOLS)


@pytest.mark.parametrize(
    ("arguments", "risk"),
    [
        ({"body": "Dear Jane, 20 % off."}, "medium"),
        ({"body": "Dear Jane, 20.5 % off."}, "high"),
        ({"body": "Dear Jane, 20,5% off."}, "high"),
        ({"body": "5 % now, and 30 percent for three years"}, "high"),
        ({"subject": "30 PER CENT!"}, "high"),
        ({"body": "1,000 % off"}, "high"),
        ({"body": "\uff13\uff10 \uff05 off"}, "high"),  # full-width
        ({"body": "3\u200b0 % off"}, "high"),  # a zero-width space between the digits
        ({"body": "30\u00a0% off"}, "high"),  # a no-break space
        ({"body": ["fine", {"more": "30 % off"}]}, "high"),
        ({"body": "room 30, 10 % off"}, "medium"),
        ({"body": None}, "medium"),
        ({"discount": 50}, "medium"),
        ({"discount": 50.1}, "denied"),
        ({"discount": "60"}, "denied"),
        ({"discount": "a lot"}, "denied"),  # what cannot be read is not below the bound
        ({"discount": float("nan")}, "denied"),
        ({"discount": 60, "body": "30 %"}, "denied"),
        ({}, "medium"),
    ],
)
def test_the_arguments_of_a_call_can_raise_its_risk(tmp_path: Path, arguments: dict[str, Any], risk: str) -> None:
    """However the number is written."""
    assert policy(tmp_path).assess("write", arguments)[0] == risk


@pytest.mark.parametrize(
    ("text", "risk"),
    [
        ("Three years at up to 10 % less, with the price fixed.", "low"),
        ("Could we take half an hour next week?", "low"),
        ("You would have it at half price.", "high"),
        ("That is a third off.", "high"),
        ("\uff12\uff15\uff05 less", "high"),  # full-width
        ("That is $66,000 less.", "high"),
        ("I can give you a discount.", "high"),
        ("plain words, " * 1000, "high"),
    ],
)
def test_a_price_change_in_words_can_raise_the_risk_too(tmp_path: Path, text: str, risk: str) -> None:
    """One whose size cannot be read is above every bound, and so is what is too long to be read."""
    rule = "{ when: { arguments: [folder], price_change_above: 20 }, then: high, why: it may change a price }"
    written(tmp_path, TEXT.replace("  tidy: {}\n", f"  tidy: {{ rules: [{rule}] }}\n"))
    assert load(tmp_path / "policy.yml", TOOLS).assess("tidy", {"folder": text})[0] == (
        "low" if risk == "medium" else risk
    )


def test_a_tool_that_the_agent_does_not_declare_is_denied(tmp_path: Path) -> None:
    """What nobody judged must not run."""
    assert policy(tmp_path).assess("format_disk", {}) == ("denied", "the agent has no such tool")


def test_a_tool_is_of_the_risk_that_it_declares_unless_the_policy_says_otherwise(tmp_path: Path) -> None:
    """Also one that the file does not mention; raising it takes no reason, lowering it does."""
    assert {name: tool.risk for name, tool in policy(tmp_path).tools.items()} == {
        "find": "low",
        "tidy": "low",
        "write": "medium",
        "send": "high",
    }
    raised = policy(tmp_path, ("tidy: {}", "tidy: { risk: high }"))
    assert raised.tools["tidy"].risk == "high"
    lowered = policy(tmp_path, ("send: {", "send: { risk: medium, lowered_because: it only sends to ourselves, "))
    assert lowered.tools["send"].risk == "medium"


def test_what_a_call_changes_is_declared_by_the_tool(tmp_path: Path) -> None:
    """The gate and the audits go by it."""
    assert [name for name, tool in policy(tmp_path).tools.items() if not tool.side_effect] == ["find"]


def test_an_agent_without_a_policy_file_asks_for_all_but_low_risk() -> None:
    """The stage approval_required, with the numbers that a file need not repeat."""
    policy = default_policy(TOOLS)
    assert policy == policy_source(None, TOOLS)()
    assert policy.stage == "approval_required"
    assert (policy.promotion.days, policy.promotion.decisions, policy.audit.share) == (30, 100, 0.1)
    assert [tool.risk for tool in policy.tools.values()] == [tool.risk for tool in TOOLS]


def test_a_running_agent_sees_a_new_version_and_keeps_the_last_good_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An editor that saves half a file takes no freedom away and gives none."""
    path = written(tmp_path)
    usable: list[bool] = []
    current = policy_source(path, TOOLS, usable.append)
    assert current().stage == "approval_required"
    written(tmp_path, TEXT.replace("approval_required", "semi_autonomous"))
    assert current().stage == "semi_autonomous"
    with caplog.at_level(logging.WARNING):
        for broken in ("stage: autonomous", "{"):
            written(tmp_path, broken)
            assert current().stage == "semi_autonomous"
            assert current().stage == "semi_autonomous"
        path.unlink()
        assert current().stage == "semi_autonomous"
    assert len(caplog.records) == 3
    assert "changed_by: is missing" in caplog.text
    written(tmp_path)
    assert current().stage == "approval_required"
    assert usable == [True, True, False, False, False, True]


def test_the_log_and_the_metrics_say_that_the_policy_file_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the start at 0, once for each bad version, without a request; a start on one says where it is wrong."""
    path = written(tmp_path)
    app = AgentApp("a", ledger=f"sqlite:///{tmp_path / 'ledger.sqlite'}", tools=TOOLS, policy=path)
    registry = CollectorRegistry()

    def shown() -> dict[str, float]:
        (metric,) = [metric for metric in registry.collect() if metric.name == str(metrics.CONFIG_ERRORS)]
        return {sample.labels["file"]: sample.value for sample in metric.samples}

    with closing(AgentGauge("a", registry=registry, ledger=app.ledger)) as gauge:
        current = app.policy_source(gauge)
        assert shown() == {"policy.yml": 0}
        written(tmp_path, TEXT.replace("stage: approval_required", "stage: whatever"))
        assert gauge.recorder is not None
        gauge.recorder.follow()
        assert shown() == {"policy.yml": 1}
        assert (current().stage, current().stage) == ("approval_required", "approval_required")
        (said,) = [record.getMessage() for record in caplog.records if str(path) in record.getMessage()]
        assert "its last good version stays in force: policy.yml:4: stage:" in said
        with pytest.raises(YamlFileError, match=r"policy\.yml:4: stage:"):
            app.policy_source(gauge)
        written(tmp_path)
        assert current().stage == "approval_required"
        assert shown() == {"policy.yml": 0}


def test_an_agent_does_not_start_on_a_broken_policy(tmp_path: Path) -> None:
    """There is no good version to go on with."""
    with pytest.raises(YamlFileError):
        policy_source(written(tmp_path, "stage: shadow"), TOOLS)
    with pytest.raises(YamlFileError, match=r"no_policy\.yml cannot be read"):
        policy_source(tmp_path / "no_policy.yml", TOOLS)
