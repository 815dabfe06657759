"""`make test-engines` finds what it is there for: the comparison itself takes minutes and is not run here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alerts.catalog import ALERTS, RECORDS
from alerts.model import Alert
from stack import binaries
from stack.errors import StackError
from stack.layout import HOME
from tests.alerts.engines import Engine, in_layers, judge
from tests.alerts.promtool import RENDERED, Scenario, names, rules_of, scenarios


@pytest.fixture(params=["promtool", "vmalert-tool"])
def engine(request: pytest.FixtureRequest, programs: dict[str, Path]) -> Engine:
    """One that reads PromQL and one that reads MetricsQL."""
    if request.param == "promtool":
        return Engine("promtool", programs["promtool"])
    try:
        return Engine("vmalert-tool", binaries.newer("vmalert-tool", HOME, print), metricsql=True)
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture
def scenario() -> Scenario:
    """A short one in which an alert fires with a sentence."""
    return next(one for one in scenarios() if one.alert == "AgentExporterDown" and "firing" in one.verdicts[-1])


def test_an_engine_that_agrees_has_nothing_to_say(engine: Engine, scenario: Scenario) -> None:
    """In its own words for a test."""
    assert judge(engine, scenario).wrong == ""


@pytest.mark.parametrize(
    "other",
    [
        {"firing": [{"job": "agents", "instance": "other:9464"}]},
        {"silent": True},
        {"firing": [{"job": "agents", "instance": "host:9464"}], "says": "something else."},
    ],
    ids=["other labels", "silence", "another sentence"],
)
def test_an_engine_that_disagrees_is_quoted(engine: Engine, scenario: Scenario, other: dict[str, object]) -> None:
    """Whether it fires, for what, and with which words."""
    verdicts = [{"at": scenario.verdicts[-1]["at"], **other}]
    assert "AgentExporterDown" in judge(engine, replace(scenario, verdicts=verdicts)).wrong


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert.name))
def test_an_alert_is_judged_with_the_records_below_it_and_nothing_else(alert: Alert) -> None:
    """The committed rules: what it needs, in their order, so that thousands of evaluations take seconds."""
    *records, alone = rules_of(alert.name)["rules"]
    assert alone["alert"] == alert.name
    assert alone["expr"].strip() == RENDERED[alert.name].expr.strip()
    needed = alert.expr + alert.description
    for record in reversed(RECORDS):
        if names(needed, record.name):
            needed += "\n" + record.expr
    assert [rule["record"] for rule in records] == [one.name for one in RECORDS if names(needed, one.name)]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert.name))
def test_victoriametrics_evaluates_every_record_after_those_that_it_reads(alert: Alert) -> None:
    """In a group of its own, whose results are there when the next one begins; nothing is lost, the alert is last."""
    group = rules_of(alert.name)
    layers = [one["rules"] for one in in_layers(group)]
    assert [rule["record"] for layer in layers[:-1] for rule in layer] != [] or len(group["rules"]) == 1
    assert sorted(map(str, (rule for layer in layers for rule in layer))) == sorted(map(str, group["rules"]))
    for place, layer in enumerate(layers):
        later = [rule["record"] for others in layers[place:-1] for rule in others]
        assert not [name for rule in layer for name in later if names(rule["expr"], name)]
    assert layers[-1] == [group["rules"][-1]]
