"""What a history is worth: who pages, when, and what is muted."""

from __future__ import annotations

from alerts.catalog import ALERTS
from truth import limits
from truth.incidents import ALL, HOURS, Incident
from truth.measure import Case, batches, cases, outcome, short
from truth.paging import pages
from truth.replay import Firing
from truth.traffic import usual

ROW = Incident("a tool fails", ("AgentToolSuccessRateLow",), {"crm_failed": 1.0}, brings=("AgentTaskCompletionLow",))
CASE = Case(ROW, 1, 15, 0)
AGENT = CASE.agent(seed=1)
BEGINS, ENDS = AGENT.start + AGENT.begins, AGENT.start + AGENT.ends


def firing(alert: str, begins: int, ends: int | None, severity: str = "critical", **labels: str) -> Firing:
    """An alert of the agent, in Unix seconds."""
    return Firing(alert, severity, tuple(sorted({"agent": AGENT.name, **labels}.items())), begins, ends)


def tool(begins: int, ends: int | None) -> Firing:
    """The alert that is expected."""
    return firing("AgentToolSuccessRateLow", begins, ends, tool="crm")


def test_what_is_found_and_ends_with_the_incident_is_right() -> None:
    """Nobody else paged, nothing resolved too early."""
    said = outcome(CASE, AGENT, [tool(BEGINS + 180, ENDS + 300)])
    assert (said.found, said.ended, said.resolved) == (3, 5, 0)
    assert (said.others, said.first, said.after, said.before) == ((), False, (), ())


def test_an_end_while_it_lasts_is_a_false_resolve_and_a_begin_after_it_a_new_page() -> None:
    """Both wake somebody for nothing."""
    said = outcome(
        CASE, AGENT, [tool(BEGINS + 180, BEGINS + 600), tool(BEGINS + 900, ENDS), tool(ENDS + 60, ENDS + 90)]
    )
    assert (said.found, said.resolved, said.after) == (3, 1, ("AgentToolSuccessRateLow",))


def test_other_alerts_count_unless_the_incident_brings_them() -> None:
    """A symptom before its root is told apart."""
    firings = [
        firing("AgentTaskCompletionLow", BEGINS + 60, ENDS),
        firing("AgentLatencySpike", BEGINS + 120, ENDS),
        tool(BEGINS + 180, ENDS),
    ]
    said = outcome(CASE, AGENT, firings)
    assert said.others == ("AgentLatencySpike",)
    assert said.first


def test_what_is_muted_pages_once_its_cause_ends() -> None:
    """As Alertmanager inhibits: by agent, and only while the cause fires."""
    root = firing("AgentAllToolCallsFailing", BEGINS, BEGINS + 600)
    goes_on, ends = tool(BEGINS + 60, BEGINS + 900), firing("AgentTaskCompletionLow", BEGINS + 60, BEGINS + 500)
    paged = {(page.firing.alert, page.at) for page in pages([root, goes_on, ends])}
    assert paged == {("AgentAllToolCallsFailing", BEGINS), ("AgentToolSuccessRateLow", BEGINS + 600)}


def test_rows_change_what_there_is_and_have_names_of_their_own() -> None:
    """A mistyped number would change nothing, and the incident would never be found."""
    assert len({row.name for row in ALL}) == len(ALL)
    for row in ALL:
        assert set(row.during) | set(row.always) <= set(usual(row.level)), row.name
    assert sum(row.kind == "incident" for row in ALL) >= 40


def test_every_alert_has_an_incident_that_it_is_there_for_or_the_page_says_why_not() -> None:
    """Never both."""
    expected = {alert for row in ALL for alert in row.expects}
    assert expected | set(limits.UNMEASURED) == {alert.name for alert in ALERTS}
    assert not expected & set(limits.UNMEASURED)


def test_what_is_accepted_is_accepted_of_a_row_that_is_measured_and_is_more_than_what_is_asked() -> None:
    """A limit of a renamed row would be forgotten; one that is kept anyway is none."""
    rows = {row.name: row for row in ALL}
    for (name, volume), accepted in limits.FOUND.items():
        assert accepted.minutes > rows[name].found_within[volume], name
    for name, accepted in limits.ENDED.items():
        assert accepted.minutes > rows[name].ends_within, name


def test_a_batch_is_of_one_length_and_one_scrape_interval() -> None:
    """One Prometheus is asked about all of it at the same moments."""
    for batch in batches(cases(ALL)):
        assert len({(case.incident.span, case.scrape) for case in batch}) == 1


def test_the_short_form_is_part_of_the_long_one() -> None:
    """And it has the healthy weeks, and every incident of a few hours at the agent's own volume."""
    few = short(cases(ALL))
    assert set(map(name, few)) <= set(map(name, cases(ALL)))
    assert {case.incident.name for case in few} >= {row.name for row in ALL if row.span == HOURS and 1 in row.volumes}
    assert {case.incident.kind for case in few} == {"healthy", "edge", "silent", "incident"}


def name(case: Case) -> str:
    """By which a case is known."""
    return case.agent(seed=1).name
