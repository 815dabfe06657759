"""What the on-call switches: in force for a running agent from memory, on every process, also without the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict

import pytest
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.ledger import Ledger
from agentgauge.ops import switches
from agentgauge.ops.operations import Operations
from agentgauge.ops.switches import FollowedSwitches, Switches
from tests.exporter.conftest import sql


@pytest.fixture
def gauge(registry: CollectorRegistry, ledger: Ledger) -> Iterator[AgentGauge]:
    """A running agent."""
    with closing(AgentGauge("a", registry=registry, ledger=ledger)) as made:
        yield made


def test_what_is_switched_is_in_force_in_the_running_agent(gauge: AgentGauge, ledger: Ledger) -> None:
    """Each switch leaves the others as they are."""
    followed = FollowedSwitches(gauge)
    assert followed() == Switches()
    switches.change(ledger, "a", lambda now: now.without("send_email").without("get_deals"), "ann", "")
    switches.change(ledger, "a", lambda now: now.with_tool("get_deals").with_fallback("search"), "ann", "")
    switches.change(ledger, "a", lambda now: now.with_model("small").with_tier("planning", "medium"), "bob", "slow")
    gauge.refresh_from_ledger()
    assert followed() == Switches(("send_email",), "small", {"planning": "medium"}, ("search",))
    switches.change(ledger, "a", lambda now: now.with_model(None).with_tier("planning", None), "bob", "fast again")
    gauge.refresh_from_ledger()
    assert followed() == switches.in_force(ledger, "a") == Switches(("send_email",), None, {}, ("search",))


def test_a_process_starts_with_the_switches_in_force(ledger: Ledger) -> None:
    """A restart does not put a broken tool on again."""
    switches.change(ledger, "a", lambda now: now.without("send_email"), "ann", "")
    with closing(AgentGauge("a", registry=CollectorRegistry(), ledger=ledger)) as gauge:
        assert FollowedSwitches(gauge)() == Switches(("send_email",))


def test_the_last_known_switches_stay_in_force_while_the_ledger_is_gone(
    gauge: AgentGauge, ledger: Ledger, url: str
) -> None:
    """The fault is counted once it lasts; what was switched meanwhile comes when it is back."""
    followed = FollowedSwitches(gauge)
    switches.change(ledger, "a", lambda now: now.without("send_email"), "ann", "")
    gauge.refresh_from_ledger()
    sql(url, "ALTER TABLE agentgauge_operation RENAME TO gone")
    for _ in range(2):
        gauge.refresh_from_ledger()
    assert followed() == Switches(("send_email",))
    labels = {"agent": "a", "site": "ledger"}
    assert (gauge.registry.get_sample_value("agent_exporter_errors_total", labels) or 0) >= 1
    sql(url, "ALTER TABLE gone RENAME TO agentgauge_operation")
    switches.change(ledger, "a", lambda now: now.without("get_deals"), "ann", "")
    gauge.refresh_from_ledger()
    assert followed() == Switches(("get_deals", "send_email"))


def test_two_people_who_switch_at_once_undo_nothing_of_each_other(url: str, ledger: Ledger) -> None:
    """Both tools are off in the end."""

    def disable(person: int) -> None:
        with closing(Ledger.open(url)) as own:
            for number in range(5):
                tool = f"tool-{person}-{number}"
                switches.change(own, "a", lambda now, tool=tool: now.without(tool), f"person-{person}", "")  # type: ignore[misc]  # mypy knows no default of a lambda

    with ThreadPoolExecutor(4) as people:
        list(people.map(disable, range(4)))
    assert len(switches.in_force(ledger, "a").disabled_tools) == 20


def test_a_switch_that_changes_nothing_is_not_an_operation(ledger: Ledger) -> None:
    """The log shows what was changed."""
    for _ in range(2):
        switches.change(ledger, "a", lambda now: now.without("send_email"), "ann", "")
    assert len(Operations(ledger, "a").all()) == 1


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        ({"disabled_tools": "send_email"}, "disabled_tools is not a list of names"),
        ({"model": 5}, "model is not a name"),
        ({"tiers": ["small"]}, "tiers is not a name of a tier for each step"),
        ({"dreams": True}, "the switches in the ledger have fields other than disabled_tools, .*; upgrade agentgauge"),
    ],
)
def test_switches_of_a_newer_version_are_not_guessed_at(
    gauge: AgentGauge, ledger: Ledger, detail: dict[str, object], says: str
) -> None:
    """People are told; a running agent keeps those that it knows."""
    followed = FollowedSwitches(gauge)
    switches.change(ledger, "a", lambda now: now.without("send_email"), "ann", "")
    gauge.refresh_from_ledger()
    Operations(ledger, "a").add("switches", asdict(Switches()) | detail, "somebody newer", "")
    gauge.refresh_from_ledger()
    assert followed() == Switches(("send_email",))
    with pytest.raises(ValueError, match=says):
        switches.in_force(ledger, "a")
    with pytest.raises(ValueError, match=says):
        switches.change(ledger, "a", lambda now: now, "ann", "")


def test_without_a_ledger_nothing_is_ever_switched(registry: CollectorRegistry) -> None:
    """The agent runs as configured."""
    assert FollowedSwitches(AgentGauge("a", registry=registry))() == Switches()
