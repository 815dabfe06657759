"""Made-up history: it is what the running agent would have left, labelled as made up, and it is not written twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from agentgauge import AgentGauge, metrics
from agentgauge.ledger import Ledger, Usage
from agentgauge.metrics import MetricSpec
from agentgauge.ops.prometheus import PrometheusError
from sample_agent.cli import app
from sample_agent.sales.tools import TOOLS_BY_NAME
from sample_agent.settings import AGENT, ledger_url
from sample_agent.simulator import history, rates, recording
from sample_agent.simulator.attendance import arrivals
from sample_agent.simulator.history import History, tell
from sample_agent.simulator.rates import SeriesId, series_id
from sample_agent.simulator.recording import LoadedRule
from sample_agent.simulator.stories import STORIES
from stack.layout import ROOT

RULES = ROOT / "alerts" / "rules"

MONDAY = datetime(2026, 11, 23, 13, 7, tzinfo=UTC)
JUST_AFTER_MIDNIGHT = datetime(2026, 11, 22, 0, 3, tzinfo=UTC)
LATE_ON_FRIDAY = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)


def told(story: str = "healthy", days: int = 2, until: datetime = MONDAY) -> History:
    """A story in which people go by their ids."""
    return tell(STORIES[story], days, until, pseudonym=lambda user: user)


def lines(story: str = "healthy", days: int = 2) -> dict[SeriesId, list[float | None]]:
    """Every series of a story with its values."""
    return {one: list(values) for one, values in history.series(told(story, days), STORIES[story])}


def last(told: History, spec: MetricSpec, *labels: str) -> float | None:
    """What a gauge shows at the end."""
    return told.gauges.get(series_id(spec, *labels), [None])[-1]


# What the samples are


@pytest.mark.parametrize("story", STORIES)
def test_every_series_is_a_declared_metric_with_its_labels(story: str) -> None:
    """A label that the contract does not know, or a value out of its bounds, would be a series that nobody looks at."""
    for one in lines(story):
        spec = metrics.by_name(one.name)
        bucket = ["le"] if spec.kind == "histogram" and one.name == spec.bucket else []
        assert [name for name, _ in one.labels] == [*spec.label_names[1:], *bucket]
        for label, (_, value) in zip(spec.labels, one.labels, strict=False):
            known = {"closed": label.values, "tools": tuple(TOOLS_BY_NAME)}.get(label.bound)
            assert known is None or value in known, one


def test_the_running_agent_has_the_same_series(registry: CollectorRegistry) -> None:
    """Those known in advance: counters and buckets go on where the history ends, under the very same labels."""
    models = [rates.PLANNING_MODEL, rates.CLASSIFYING_MODEL]
    AgentGauge("agent", tools=list(TOOLS_BY_NAME), models=models, registry=registry)
    exposed = {
        (sample.name, frozenset(sample.labels.items() - {("agent", "agent")}))
        for metric in registry.collect()
        for sample in metric.samples
    }
    for one in lines():
        spec = metrics.by_name(one.name)
        if spec.born_at_zero and all(label.bound != "first" for label in spec.labels):
            assert (one.name, frozenset(one.labels)) in exposed


@pytest.mark.parametrize("story", STORIES)
def test_counters_never_fall_and_buckets_hold_what_smaller_ones_hold(story: str) -> None:
    """Prometheus takes a fall for a restart; a bucket below a smaller one makes no quantile."""
    found = lines(story)
    for one, values in found.items():
        if metrics.by_name(one.name).kind != "gauge":
            present = [value for value in values if value is not None]
            assert present == sorted(present), one
    for spec in (spec for spec in metrics.ALL if spec.kind == "histogram"):
        by_labels: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for one, values in found.items():
            if one.name == spec.bucket:
                by_labels.setdefault(one.labels[:-1], []).append((float(dict(one.labels)["le"]), values[-1] or 0))
        for labels, buckets in by_labels.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts)
            assert counts[-1] == found[SeriesId(spec.count, labels)][-1]


def test_weekdays_are_busier_than_weekends_and_afternoons_than_nights() -> None:
    """Or no alert would have to tell a quiet Sunday from a fault."""
    week = told(days=7)
    so_far = {at: sum(counts) for at, counts in zip(week.times, week.sessions, strict=True)}

    def sessions(day: date, first_hour: int, hours: int) -> int:
        start = int(datetime(day.year, day.month, day.day, first_hour, tzinfo=UTC).timestamp())
        return so_far[start + hours * 3600] - so_far[start]

    saturday, wednesday = date(2026, 11, 21), date(2026, 11, 18)
    assert sessions(wednesday, 0, 24) > 1.5 * sessions(saturday, 0, 24)
    assert sessions(wednesday, 12, 4) > 1.5 * sessions(wednesday, 0, 4)


def test_nobody_leaves_at_once_at_a_midnight() -> None:
    """Or every night looked like an end of the traffic, and no alert could tell one."""
    week = told(days=7)
    so_far = {at: sum(counts) for at, counts in zip(week.times, week.sessions, strict=True)}
    midnights = [at for at in week.times if at % 86400 == 0][2:]
    for midnight in midnights:
        hour_before = so_far[midnight] - so_far[midnight - 3600]
        hour_after = so_far[midnight + 3600] - so_far[midnight]
        assert hour_after > 0.75 * hour_before


def test_the_same_seed_tells_the_same_story() -> None:
    """A figure that somebody saw can be seen again."""
    assert told() == told()


def test_the_whole_span_is_labelled_as_generated() -> None:
    """Nobody shall take it for measured."""
    made_up = told()
    assert made_up.gauges[series_id(metrics.BUILD_INFO, "generated-history", "generated-history")] == [1] * len(
        made_up.times
    )


# The ledger and Prometheus agree


@pytest.mark.parametrize(
    ("story", "until"),
    [
        ("healthy", MONDAY),
        ("healthy", JUST_AFTER_MIDNIGHT),
        ("adoption-declines", JUST_AFTER_MIDNIGHT),
        ("retention-low", LATE_ON_FRIDAY),
    ],
)
def test_the_ledger_counts_the_users_that_prometheus_shows_at_the_end(
    story: str, until: datetime, tmp_path: Path
) -> None:
    """The agent that starts now shows the ledger's figures: they go on where the history ends."""
    made_up = told(story, 21, until)
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", now=lambda: until)) as ledger:
        ledger.add_usage("agent", made_up.usage)
        users, user_days = ledger.users("agent"), ledger.user_days("agent")
    assert users.active == {
        window: last(made_up, metrics.ACTIVE_USERS, window) for window in metrics.ACTIVE_USERS.labels[0].values
    }
    assert user_days == {
        window: last(made_up, metrics.USER_DAYS, window) for window in metrics.USER_DAYS.labels[0].values
    }
    assert users.cohort == last(made_up, metrics.USER_RETENTION_COHORT)
    assert users.returned / users.cohort == last(made_up, metrics.USER_RETENTION)
    shown = sorted(value for one, (*_, value) in made_up.gauges.items() if one.name == metrics.USER_COST.name and value)
    assert [spender.cost_usd for spender in users.top_spenders] == pytest.approx(shown[::-1])


def test_the_ledger_holds_the_spend_that_prometheus_shows() -> None:
    """Shared out among people, to the cent."""
    story = STORIES["cost-spike"]
    made_up = told("cost-spike")
    paid = (metrics.LLM_COST.name, metrics.TOOL_COST.name)
    shown = sum(list(values)[-1] or 0 for one, values in history.series(made_up, story) if one.name in paid)
    assert sum(usage.cost_usd for usage in made_up.usage.values()) == pytest.approx(shown, abs=0.01)


@pytest.mark.parametrize("story", ["healthy", "adoption-declines", "retention-low"])
def test_users_decline_in_that_story_alone_whenever_it_is_told(story: str) -> None:
    """On any day of the week, and beyond what chance explains."""

    def people(day: date, today: date) -> int:
        return len(arrivals(STORIES[story].crowd, day, today, random.Random(1)))  # noqa: S311 - a test

    for today in (MONDAY.date() + timedelta(days=number) for number in range(7)):
        counts = [people(today - timedelta(days=ago), today) for ago in range(1, 15)]
        last_week, week_before = sum(counts[:7]), sum(counts[7:])
        declines = week_before - last_week > 3 * sqrt(week_before + last_week)
        assert declines == (story == "adoption-declines"), today
        assert declines or last_week >= week_before


# What the rules would have recorded


def rule(name: str, query: str) -> LoadedRule:
    """A recording rule."""
    return LoadedRule(name, query, labels={}, is_alert=False, hold_seconds=0)


def test_a_rule_is_evaluated_after_those_that_it_reads() -> None:
    """Whatever their order, and however long the chain."""
    hour, day, usual = rule("hour", "raw"), rule("day", "sum_over_time(hour[1d])"), rule("usual", "avg(day) > hour")
    assert list(recording.rounds([usual, day, hour])) == [[hour], [day], [usual]]


def test_what_a_rule_asks_for_days_is_recorded_from_the_first_day() -> None:
    """Windows of hours are full without it."""
    week, before, now = rule("weekly", "hour[7d:1h]"), rule("before", "day[2h] offset 167h"), rule("now", "lately[30m]")
    assert recording.looked_back_on([rule("hour", "x"), rule("day", "x"), rule("lately", "x"), week, before, now]) == {
        "hour",
        "day",
    }


def test_rules_that_read_each_other_are_named() -> None:
    """They would wait for each other for ever."""
    with pytest.raises(PrometheusError, match="hen, egg"):
        list(recording.rounds([rule("hen", "egg"), rule("egg", "hen")]))


def test_a_condition_that_did_not_hold_for_a_while_begins_anew() -> None:
    """Its `for` does not go on from before the gap."""
    assert recording.active_since([300, 600, 1500, 1800]) == [(300, 300), (600, 300), (1500, 1500), (1800, 1500)]


# The command


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with nothing in it."""
    monkeypatch.setenv("AGENTGAUGE_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("AGENTGAUGE_LEDGER", raising=False)
    return tmp_path / "state"


@pytest.fixture
def run(state: Path, tmp_path: Path, programs: dict[str, Path]) -> Callable[..., Result]:
    """Runs `python -m sample_agent backfill` for two days of history."""
    where = [f"--prometheus-data={tmp_path / 'prometheus'}", f"--programs={programs['promtool'].parent}"]

    def backfill(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["backfill", "--days=2", f"--rules={RULES}", *where, *arguments])

    return backfill


def test_prometheus_and_the_ledger_get_the_history(
    run: Callable[..., Result], state: Path, tmp_path: Path, programs: dict[str, Path]
) -> None:
    """Raw and recorded series up to now, and users; nothing else is left behind."""
    done = run()
    assert done.exit_code == 0, done.output
    data, now = tmp_path / "prometheus", int(time.time())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prometheus", "state"]
    assert all((path / "meta.json").exists() for path in data.iterdir())
    with closing(Ledger.open(ledger_url(state))) as ledger:
        assert ledger.users(AGENT).active["28d"] > 20
    with recording.serving(programs["prometheus"], data, []) as prometheus:
        for series in (
            f'{metrics.BUILD_INFO}{{job="agents", version="generated-history"}}',
            "agent:agent_spend_usd:last24h",
        ):
            (found,) = recording.over(prometheus, series, now - 2 * 86400, now)
            assert found.labels["agent"] == AGENT
            # One less where a mark of five minutes passed between the making and the reading.
            assert len(found.points) >= 2 * 288 - 1


def test_a_second_history_is_refused(run: Callable[..., Result], state: Path, tmp_path: Path) -> None:
    """It would double every figure; what is there stays as it is."""
    (tmp_path / "prometheus" / "wal").mkdir(parents=True)
    refused = run()
    assert refused.exit_code == 2
    assert "holds data already" in " ".join(refused.output.split())
    (tmp_path / "prometheus" / "wal").rmdir()
    with closing(Ledger.open(ledger_url(state))) as ledger:
        ledger.add_usage(AGENT, {(ledger.today(), "jane"): Usage(1, 1, 0.1)})
        refused = run()
        assert refused.exit_code == 2
        assert "knows 1 users" in " ".join(refused.output.split())
        assert ledger.users(AGENT).active["28d"] == 1
    assert not list((tmp_path / "prometheus").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--story=utopia"], "there is no story 'utopia'; the stories are healthy,"),
        (["--rules=nowhere"], "there are no rules in nowhere"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    run: Callable[..., Result], tmp_path: Path, arguments: list[str], said: str
) -> None:
    """With what to say instead."""
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())
    assert not (tmp_path / "prometheus").exists()


def test_a_rule_that_prometheus_refuses_leaves_nothing_behind(
    run: Callable[..., Result], state: Path, tmp_path: Path
) -> None:
    """Neither half a history nor users that no dashboard knows."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "bad.yml").write_text("groups: [{name: bad, rules: [{record: a, expr: 'sum('}]}]", encoding="utf-8")
    refused = run(f"--rules={rules}")
    assert refused.exit_code == 2
    assert "Prometheus did not start" in refused.output
    assert not (tmp_path / "prometheus").exists()
    with closing(Ledger.open(ledger_url(state))) as ledger:
        assert ledger.users(AGENT).active["28d"] == 0
