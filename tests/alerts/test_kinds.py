"""Every alert is judged on five kinds of scenario; what a scenario calls itself is checked on its series."""

from __future__ import annotations

import pytest

from alerts import thresholds
from tests.alerts import kinds
from tests.alerts.promtool import Scenario, scenarios

ONE_IS_ENOUGH = "a single event is a finding, however it came: nothing is weighed that chance could move"
TWO_TIMES = "a time stamp is compared with the clock: chance moves neither"
RELOADED = "the last reload worked or it did not: chance has no part in it"

EXCEPTIONS = {
    ("AgentGaugeWatchdog", "silent"): "nothing the agents do may silence it",
    ("AgentGaugeWatchdog", "noise"): "it reads no series",
    ("AgentGaugeWatchdog", "reset"): "it reads no series",
    ("AgentGaugeWatchdog", "absent"): "it reads no series",
    ("AgentSessionLooping", "noise"): ONE_IS_ENOUGH,
    ("AgentSessionCostRunaway", "noise"): ONE_IS_ENOUGH,
    ("AgentSessionCostOverLimit", "noise"): ONE_IS_ENOUGH,
    ("AgentUserDailyCostHigh", "noise"): ONE_IS_ENOUGH,
    ("AgentUnpricedModel", "noise"): ONE_IS_ENOUGH,
    ("AgentUsageUnknown", "noise"): ONE_IS_ENOUGH,
    ("AgentTelemetryErrors", "noise"): ONE_IS_ENOUGH,
    ("AgentLabelOverflow", "noise"): ONE_IS_ENOUGH,
    ("AgentEvalRegression", "noise"): "one run is compared with one other: any loss is what a deploy is stopped for",
    ("AgentEvalStale", "noise"): TWO_TIMES,
    ("AgentPricesStale", "noise"): TWO_TIMES,
    ("PrometheusBadConfig", "noise"): RELOADED,
    ("AlertmanagerFailedReload", "noise"): RELOADED,
}
"""The kinds that an alert cannot have, and why."""


def test_every_alert_has_scenarios_of_all_five_kinds() -> None:
    """Add those that lack, or an exception with its reason; an exception that is not needed goes."""
    covered = {(one.alert, kind) for one in scenarios() for kind in kinds.kinds_of(one)}
    wanted = {(alert, kind) for alert in thresholds.load().alerts for kind in kinds.KINDS}
    assert wanted - covered == EXCEPTIONS.keys()


def test_what_a_scenario_calls_itself_is_what_its_series_are() -> None:
    """Noise moves in irregular steps and is silent, a reset restarts a process, and something absent is not there."""
    for scenario in scenarios():
        assert set(scenario.kinds) <= set(kinds.SAID), scenario
        for kind in scenario.kinds:
            assert kinds.proves(scenario, kind), f"{scenario}: its series show no {kind}"


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        ({"agent_sessions_opened_total": "0 1 1 3 3 3 4 6 6 6 7 7 7 7 9 9 9 9 9 13 14 15"}, "noise"),
        ({"agent_sessions_opened_total": "900+1x10 0+1x10"}, "reset"),
        (
            {
                'agent_sessions_opened_total{instance="1"}': "1x10",
                'agent_sessions_opened_total{instance="2"}': "_x10 0x10",
            },
            "reset",
        ),
        ({"agent_sessions_opened_total": "1x10 _x2 1x10"}, "reset"),
        ({"agent_sessions_opened_total": "_x10 900x10"}, "absent"),
        ({"agent_build_info": "1x20"}, "absent"),
        ({}, "absent"),
    ],
)
def test_smooth_series_that_are_all_there_prove_nothing(series: dict[str, str], kind: str) -> None:
    """What proves a kind does so; a straight line that is there from the beginning to the end proves none."""
    scenario = Scenario("AgentNoTraffic", "", series, [{"at": "8m", "silent": True}], "30s")
    assert kinds.proves(scenario, kind)
    smooth = Scenario("AgentNoTraffic", "", {"agent_sessions_opened_total": "0+1x20"}, scenario.verdicts, "30s")
    assert not kinds.proves(smooth, kind)
