"""Metrics that an agent declares itself obey the rules of all others."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter

from agentgauge import AgentGauge, metrics

KINDS = {"kind": ("renewal", "intro")}


@pytest.fixture
def gauge(registry: CollectorRegistry) -> AgentGauge:
    """An agent of which nothing is known before."""
    return AgentGauge("a", registry=registry)


def sent(gauge: AgentGauge, kind: str, agent: str = "a") -> float | None:
    """What was counted of this kind."""
    return gauge.registry.get_sample_value("emails_sent_total", {"agent": agent, "kind": kind})


def overflow(gauge: AgentGauge) -> float | None:
    """How many values of own metrics were folded."""
    labels = {"agent": "a", "metric": "own", "label": "own"}
    return gauge.registry.get_sample_value(metrics.LABEL_OVERFLOW.name, labels)


def test_it_counts_by_declared_values_and_begins_at_zero(gauge: AgentGauge) -> None:
    """So that the first one is an increase."""
    counter = gauge.counter("emails_sent", labels=KINDS)
    assert [sent(gauge, kind) for kind in ("renewal", "intro", "other")] == [0, 0, 0]
    counter.inc(kind="renewal")
    counter.inc(2.5, kind="intro")
    assert [sent(gauge, kind) for kind in ("renewal", "intro", "other")] == [1, 2.5, 0]


def test_values_that_are_not_declared_are_other_and_counted(gauge: AgentGauge) -> None:
    """However many a model makes up."""
    counter = gauge.counter("emails_sent", labels=KINDS)
    assert overflow(gauge) == 0
    for number in range(50):
        counter.inc(kind=f"made-up-{number}")
    assert sent(gauge, "other") == 50
    assert overflow(gauge) == 50


def test_one_without_labels(gauge: AgentGauge) -> None:
    """But the agent."""
    gauge.counter("reports").inc()
    assert gauge.registry.get_sample_value("reports_total", {"agent": "a"}) == 1


def test_agents_of_one_registry_share_it(gauge: AgentGauge) -> None:
    """And differ in the agent; declaring it again is fine."""
    other = AgentGauge("b", registry=gauge.registry)
    for one in (gauge, other, gauge):
        one.counter("emails_sent", labels=KINDS).inc(kind="intro")
    assert (sent(gauge, "intro"), sent(gauge, "intro", agent="b")) == (2, 1)


@pytest.mark.parametrize("labels", [{}, {"sort": "renewal"}, {"kind": "renewal", "sort": "x"}])
def test_wrong_labels_are_a_fault_of_telemetry_and_raise_nothing(gauge: AgentGauge, labels: dict[str, str]) -> None:
    """The agent goes on; AgentTelemetryErrors says so."""
    gauge.counter("emails_sent", labels=KINDS).inc(**labels)
    faults = {"agent": "a", "site": "other"}
    assert gauge.registry.get_sample_value(metrics.EXPORTER_ERRORS.name, faults) == 1


@pytest.mark.parametrize("name", ["agent_emails", "emails_total", "Emails", "e-mails", "", "7_emails"])
def test_a_name_that_cannot_be_used_is_refused(gauge: AgentGauge, name: str) -> None:
    """At start-up, with what it should look like."""
    with pytest.raises(ValueError, match=r"is not a name for a counter: small letters, .* as in emails_sent"):
        gauge.counter(name)


@pytest.mark.parametrize("label", ["agent", "job", "instance", "le", "Kind", ""])
def test_a_label_that_cannot_be_used_is_refused(gauge: AgentGauge, label: str) -> None:
    """Those of the scrape above all."""
    with pytest.raises(ValueError, match=r"emails_sent: .* is not a name for a label"):
        gauge.counter("emails_sent", labels={label: ("a",)})


def test_more_series_than_are_fine_are_refused(gauge: AgentGauge) -> None:
    """Two labels multiply; ``other`` is a value of each."""
    gauge.counter("fits", labels={"a": map(str, range(19)), "b": map(str, range(9))})
    with pytest.raises(ValueError, match="too_many would have 210 series, and at most 200 are fine"):
        gauge.counter("too_many", labels={"a": map(str, range(20)), "b": map(str, range(9))})


def test_one_string_is_not_a_list_of_values(gauge: AgentGauge) -> None:
    """It would be a value for each letter."""
    with pytest.raises(TypeError, match="kind needs a list of its values, not one string"):
        gauge.counter("emails_sent", labels={"kind": "renewal"})


def test_another_metric_of_that_name_is_an_error(gauge: AgentGauge) -> None:
    """Declared here with other labels, or by somebody else."""
    gauge.counter("emails_sent", labels=KINDS)
    with pytest.raises(ValueError, match="emails_sent_total is declared already, with other labels: agent, kind"):
        gauge.counter("emails_sent", labels={"sort": ("a",)})
    Counter("letters_sent", "Of another library.", registry=gauge.registry)
    with pytest.raises(ValueError, match="letters_sent"):
        gauge.counter("letters_sent")
