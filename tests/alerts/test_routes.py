"""Who hears of which alert, and who is muted by what: judged by the real amtool and Alertmanager."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from alerts import catalog
from alerts.model import Alert
from alerts.rules import RenderedAlert
from stack import config
from stack.layout import ROOT, Layout, Ports
from tests.alerts import alertmanager
from tests.alerts.alertmanager import RENDERED, labels_of

CONFIG = ROOT / "alerts" / "alertmanager.yml"
RECEIVERS = {"critical": "page", "warning": "work-queue", "info": "nobody", "none": "dead-man-switch"}

States = dict[frozenset[tuple[str, str]], str]


@dataclass(frozen=True)
class Inhibition:
    """One alert that mutes another, at a place of its own: the labels that must agree, and no other pair has."""

    source: Alert
    target: Alert

    def __str__(self) -> str:
        return f"{self.source.name}-{self.target.name}"

    def here(self) -> dict[str, str]:
        """Where both fire."""
        return dict.fromkeys(self.source.inhibit_equal, f"{self}")

    def elsewhere(self) -> dict[str, str]:
        """Where the target fires alone."""
        return dict.fromkeys(self.source.inhibit_equal, f"not-{self}")

    def state(self, states: States, place: dict[str, str]) -> str | None:
        """What became of the target at that place."""
        return states.get(frozenset(labels_of(RENDERED[self.target.name], place).items()))


INHIBITIONS = [Inhibition(source, catalog.by_name(name)) for source in catalog.ALERTS for name in source.inhibits]


def receiver_of(programs: dict[str, Path], labels: dict[str, str]) -> str:
    """Who is told of an alert with these labels, as amtool says."""
    command = [str(programs["amtool"]), "config", "routes", "test", f"--config.file={CONFIG}"]
    command += [f"{name}={value}" for name, value in labels.items()]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("item", RENDERED.values(), ids=RENDERED.keys())
def test_every_alert_goes_where_its_severity_says(programs: dict[str, Path], item: RenderedAlert) -> None:
    """By its whole label set: a page is never a ticket, and the dead-man switch wakes nobody."""
    assert receiver_of(programs, labels_of(item)) == RECEIVERS[item.numbers.severity]


def test_info_notifies_nobody_alone(programs: dict[str, Path]) -> None:
    """Neither an alert of the bundle nor one that a team adds: it is context, no message."""
    assert receiver_of(programs, {"alertname": "AgentDeployed", "severity": "info", "agent": "a"}) == "nobody"


def test_an_alert_without_a_severity_is_a_ticket(programs: dict[str, Path]) -> None:
    """Somebody else's alert is not lost."""
    assert receiver_of(programs, {"alertname": "DiskFull", "instance": "db1"}) == "work-queue"


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> States:
    """What Alertmanager makes of each pair, where both fire and where the target fires alone."""
    layout = Layout(Ports.free(), tmp_path_factory.mktemp("routes"))
    config.write(layout)
    alerts = []
    for pair in INHIBITIONS:
        alerts.append(alertmanager.alert(RENDERED[pair.source.name], pair.here()))
        alerts += [alertmanager.alert(RENDERED[pair.target.name], place) for place in (pair.here(), pair.elsewhere())]
    with alertmanager.running(layout, programs) as url:
        alertmanager.post(url, alerts)
        deadline = time.monotonic() + 10  # its inhibitor hears of new alerts a moment after its API has them
        while True:
            found = alertmanager.states(url)
            muted = all(pair.state(found, pair.here()) == "suppressed" for pair in INHIBITIONS)
            if muted or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


@pytest.mark.parametrize("pair", INHIBITIONS, ids=str)
def test_a_cause_mutes_its_symptom(states: States, pair: Inhibition) -> None:
    """The generated inhibit_rules, obeyed by the real Alertmanager: one cause is one page."""
    assert pair.state(states, pair.here()) == "suppressed"


@pytest.mark.parametrize("pair", INHIBITIONS, ids=str)
def test_a_symptom_elsewhere_is_not_muted(states: States, pair: Inhibition) -> None:
    """On another agent, tool or job it has a cause of its own."""
    assert pair.state(states, pair.elsewhere()) == "active"


@pytest.mark.parametrize("pair", INHIBITIONS, ids=str)
def test_both_carry_the_labels_that_must_agree(pair: Inhibition) -> None:
    """A label that neither has is equal everywhere: the outage of one agent would mute all agents."""
    assert set(pair.source.inhibit_equal) <= set(pair.source.labels) & set(pair.target.labels)


def test_every_alert_mutes_another_or_is_muted_or_says_why_not() -> None:
    """One cause is one page only if somebody thought of it; a reason that is no longer needed goes."""
    paired = {alert.name for pair in INHIBITIONS for alert in (pair.source, pair.target)}
    assert {alert.name for alert in catalog.ALERTS} - paired == catalog.ALONE.keys()


def test_no_two_alerts_mute_each_other() -> None:
    """Nobody would be told."""
    pairs = {(pair.source.name, pair.target.name) for pair in INHIBITIONS}
    assert [pair for pair in pairs if pair[::-1] in pairs] == []
