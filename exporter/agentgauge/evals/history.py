"""Evaluation runs and their trials: what each version of an agent passed, and what the version before it passed.

Each trial is committed as it ends, so an interrupted run loses none and can go on later.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, select, update

from agentgauge import metrics
from agentgauge.ledger.outbox import Measurement, put
from agentgauge.ledger.schema import EVAL_RUNS, EVAL_TRIALS
from agentgauge.ledger.store import Ledger

RunResult = Literal["passed", "failed"]
ScenarioStatus = Literal["passed", "flaky", "broken"]


PLAYED = "played:"


def played(model: str) -> str:
    """The name of a model in whose place something else answered: a script, a server of one's own for tests."""
    return PLAYED + model.removeprefix(PLAYED)


RECORDED = "recorded:"


def recorded(model: str) -> str:
    """The name of a model whose recorded answers were replayed."""
    return RECORDED + model.removeprefix(RECORDED)


@dataclass(frozen=True)
class Version:
    """What was evaluated: the agent's own version, that of its prompts, and the model that plans.

    Each of the three changes what an agent does, so a change of any of them is a new version: a model upgrade is
    compared with the model before, and so is a model that answered with one that was ``played``. ``str()`` is the
    value of the label ``version``.
    """

    agent: str
    prompt: str
    model: str

    def __str__(self) -> str:
        return f"{self.agent}+{self.prompt}+{self.model}"

    @property
    def is_played(self) -> bool:
        """Whether something answered in place of the model: what passed says nothing about the prompts then."""
        return self.model.removeprefix(RECORDED).startswith(PLAYED)

    @property
    def is_recorded(self) -> bool:
        """Whether recorded answers were replayed: how long they took says nothing then."""
        return self.model.startswith(RECORDED)

    def is_called(self, name: str) -> bool:
        """Whether a person may mean this one by ``name``: all of it, or one of its three parts."""
        model = self.model.removeprefix(RECORDED)
        return name in (str(self), self.agent, self.prompt, self.model, model, model.removeprefix(PLAYED))


@dataclass(frozen=True)
class Run:
    """One evaluation run. ``partial`` says that it ran only some scenarios of the suite; times are UTC.

    ``live`` says that the version in production was evaluated; other runs are candidates, which no gauge shows.
    ``finished_at`` and ``result`` are None while it runs, and if it was interrupted.
    """

    id: str
    suite: str
    version: Version
    commit: str
    partial: bool
    started_at: datetime
    finished_at: datetime | None = None
    result: RunResult | None = None
    live: bool = False


@dataclass(frozen=True)
class Trial:
    """One attempt at one scenario, numbered from 1.

    ``score`` is 0 to 1; ``failures`` say what was wrong; ``turns`` and ``cost_usd`` are the agent's, ``judge_cost_usd``
    that of a model that judged it; ``transcript`` can be written as JSON.
    """

    scenario: str
    number: int
    score: float
    passed: bool
    turns: int
    cost_usd: float
    judge_cost_usd: float
    seconds: float
    failures: tuple[str, ...]
    transcript: Mapping[str, Any]


@dataclass(frozen=True)
class ScenarioResult:
    """The trials of one scenario in one run, summed up; score, turns, cost and seconds are means."""

    trials: int
    passed: int
    score: float
    turns: float
    cost_usd: float
    seconds: float

    @property
    def status(self) -> ScenarioStatus:
        """``broken`` if most of the trials failed, ``flaky`` if fewer did: one bad trial does not break a scenario."""
        failed = self.trials - self.passed
        if not failed:
            return "passed"
        return "broken" if 2 * failed > self.trials else "flaky"


@dataclass(frozen=True)
class VersionStanding:
    """The latest result of each scenario of a suite for one version; ``at`` is when its last run ended.

    ``runs`` are those that it comes from, newest first.
    """

    version: Version
    at: datetime
    results: Mapping[str, ScenarioResult]
    runs: tuple[Run, ...] = ()

    @property
    def pass_ratio(self) -> float:
        """The share of scenarios that are not broken."""
        return sum(one.status != "broken" for one in self.results.values()) / len(self.results)


class EvalHistory:
    """The evaluation runs of one agent. Methods commit before they return, or raise SQLAlchemyError."""

    def __init__(self, ledger: Ledger, agent: str) -> None:
        self._ledger = ledger
        self._agent = agent

    def start(self, suite: str, version: Version, commit: str, *, partial: bool = False, live: bool = False) -> Run:
        """Begin a run, of the version in production if ``live``, else of a candidate."""
        run = Run(uuid.uuid4().hex[:12], suite, version, commit, partial, self._ledger.now(), live=live)
        row = {
            "id": run.id,
            "agent": self._agent,
            "suite": suite,
            "version": version.agent,
            "prompt_version": version.prompt,
            "model": version.model,
            "source_commit": commit,
            "partial": int(partial),
            "started_at": run.started_at.timestamp(),
            "live": int(live),
        }
        with self._ledger.writing() as connection:
            connection.execute(EVAL_RUNS.insert(), row)
        return run

    def broken_off(
        self, suite: str, version: Version, commit: str, *, partial: bool = False, live: bool = False
    ) -> Run | None:
        """The run to resume: the suite's last one, if it has the same version and commit and did not finish."""
        wanted = (version, commit, partial, live)
        runs = self.runs(suite, limit=1)
        alike = [one for one in runs if (one.version, one.commit, one.partial, one.live) == wanted]
        return next((one for one in alike if one.result is None), None)

    def add(self, run: Run, trial: Trial) -> None:
        """Commit one trial; when this returns, it survives a crash."""
        row = {
            "run_id": run.id,
            "scenario": trial.scenario,
            "trial": trial.number,
            "score": trial.score,
            "passed": int(trial.passed),
            "turns": trial.turns,
            "cost_usd": trial.cost_usd,
            "judge_cost_usd": trial.judge_cost_usd,
            "seconds": trial.seconds,
            "failures": json.dumps(trial.failures),
            "transcript": json.dumps(trial.transcript),
        }
        with self._ledger.writing() as connection:
            connection.execute(EVAL_TRIALS.insert(), row)

    def finish(self, run: Run, result: RunResult) -> Run:
        """Commit how the run ended, and count it if it was live; ValueError if it has no trial."""
        with self._ledger.writing() as connection:
            if connection.execute(select(EVAL_TRIALS.c.run_id).where(EVAL_TRIALS.c.run_id == run.id)).first() is None:
                raise ValueError(f"run {run.id} of suite {run.suite} has no trial, so it has no result")
            values = {"finished_at": self._ledger.now().timestamp(), "result": result}
            connection.execute(update(EVAL_RUNS).where(EVAL_RUNS.c.id == run.id).values(values))
            if run.live:
                put(connection, self._agent, Measurement(metrics.EVAL_RUNS, (run.suite, result)))
            return _run(connection.execute(select(EVAL_RUNS).where(EVAL_RUNS.c.id == run.id)).one())

    def count_error(self, run: Run) -> None:
        """Count a run that could not be finished, if it was live."""
        if run.live:
            with self._ledger.writing() as connection:
                put(connection, self._agent, Measurement(metrics.EVAL_RUNS, (run.suite, "error")))

    def suites(self) -> list[str]:
        """The suites that were ever run, by name."""
        names = select(EVAL_RUNS.c.suite).where(EVAL_RUNS.c.agent == self._agent).distinct().order_by(EVAL_RUNS.c.suite)
        with self._ledger.reading() as connection:
            return list(connection.execute(names).scalars())

    def runs(self, suite: str, limit: int | None = None) -> list[Run]:
        """The runs of a suite, newest first."""
        own = select(EVAL_RUNS).where(EVAL_RUNS.c.agent == self._agent, EVAL_RUNS.c.suite == suite)
        newest_first = own.order_by(EVAL_RUNS.c.started_at.desc(), EVAL_RUNS.c.id).limit(limit)
        with self._ledger.reading() as connection:
            return [_run(row) for row in connection.execute(newest_first)]

    def run(self, run_id: str) -> Run | None:
        """One run; None if there is none of this id."""
        own = select(EVAL_RUNS).where(EVAL_RUNS.c.agent == self._agent, EVAL_RUNS.c.id == run_id)
        with self._ledger.reading() as connection:
            row = connection.execute(own).one_or_none()
        return None if row is None else _run(row)

    def trials(self, run: Run) -> list[Trial]:
        """The trials of a run by scenario and number, transcripts included."""
        own = select(EVAL_TRIALS).where(EVAL_TRIALS.c.run_id == run.id)
        with self._ledger.reading() as connection:
            rows = connection.execute(own.order_by(EVAL_TRIALS.c.scenario, EVAL_TRIALS.c.trial)).all()
        return [_trial(row) for row in rows]

    def trials_behind(self, standing: VersionStanding) -> list[Trial]:
        """The trials that a standing comes from: of each scenario, those of the last run that held it."""
        by_scenario: dict[str, list[Trial]] = {}
        for run in reversed(standing.runs):
            trials = self.trials(run)
            by_scenario |= {
                name: [one for one in trials if one.scenario == name] for name in {t.scenario for t in trials}
            }
        return [trial for name in sorted(by_scenario) for trial in by_scenario[name]]

    def results(self, run: Run) -> dict[str, ScenarioResult]:
        """The result of each scenario in a run."""
        with self._ledger.reading() as connection:
            return _results(connection, [run.id]).get(run.id, {})

    def standing(self, suite: str) -> VersionStanding | None:
        """The standing of the live version, from its runs as such; None before the first."""
        live = _live(self._finished(suite))
        return self._standing(live, live[0].version) if live else None

    def baseline(self, suite: str, version: Version) -> VersionStanding | None:
        """What ``version`` is compared with: the live version, or the one before it if that is ``version`` itself.

        Where none was ever evaluated as live, the last other version that ran; None without one. Played answers are
        compared with played ones alone, and those of a model with those of a model.
        """
        finished = [run for run in self._finished(suite) if run.version.is_played == version.is_played]
        pool = _live(finished) or finished
        before = next((run.version for run in pool if run.version != version), None)
        return None if before is None else self._standing(pool, before)

    def standing_of(self, suite: str, name: str, other_than: Version) -> VersionStanding | None:
        """The standing of the last other version that ``name`` means, by ``Version.is_called``; None without one."""
        finished = self._finished(suite)
        others = (run.version for run in finished if run.version != other_than)
        meant = next((version for version in others if version.is_called(name)), None)
        return None if meant is None else self._standing(finished, meant)

    def forget(self, suite: str) -> int:
        """Delete all runs of a suite, and with them its gauges; returns how many there were."""
        own = (EVAL_RUNS.c.agent == self._agent, EVAL_RUNS.c.suite == suite)
        with self._ledger.writing() as connection:
            connection.execute(delete(EVAL_TRIALS).where(EVAL_TRIALS.c.run_id.in_(select(EVAL_RUNS.c.id).where(*own))))
            return connection.execute(delete(EVAL_RUNS).where(*own)).rowcount

    def _finished(self, suite: str) -> list[Run]:
        """Newest first, without versions of which only parts ran: a part cannot be compared with anything."""
        runs = sorted((run for run in self.runs(suite) if run.finished_at), key=_end, reverse=True)
        whole = {run.version for run in runs if not run.partial}
        return [run for run in runs if run.version in whole]

    def _standing(self, finished: list[Run], version: Version) -> VersionStanding:
        """From the version's last whole run, updated by the partial runs after it."""
        runs: list[Run] = []
        for run in finished:
            if run.version == version:
                runs.append(run)
                if not run.partial:
                    break
        with self._ledger.reading() as connection:
            by_run = _results(connection, [run.id for run in runs])
        results: dict[str, ScenarioResult] = {}
        for run in reversed(runs):
            results |= by_run.get(run.id, {})
        return VersionStanding(version, _end(runs[0]), results, tuple(runs))


def _results(connection: Connection, run_ids: Iterable[str]) -> dict[str, dict[str, ScenarioResult]]:
    each = (
        select(
            EVAL_TRIALS.c.run_id,
            EVAL_TRIALS.c.scenario,
            func.count().label("trials"),
            func.sum(EVAL_TRIALS.c.passed).label("passed"),
            func.avg(EVAL_TRIALS.c.score).label("score"),
            func.avg(EVAL_TRIALS.c.turns).label("turns"),
            func.avg(EVAL_TRIALS.c.cost_usd).label("cost_usd"),
            func.avg(EVAL_TRIALS.c.seconds).label("seconds"),
        )
        .where(EVAL_TRIALS.c.run_id.in_(run_ids))
        .group_by(EVAL_TRIALS.c.run_id, EVAL_TRIALS.c.scenario)
        .order_by(EVAL_TRIALS.c.scenario)
    )
    by_run: dict[str, dict[str, ScenarioResult]] = {}
    for row in connection.execute(each):
        passed, turns = int(row.passed), float(row.turns)  # PostgreSQL answers with decimals
        result = ScenarioResult(row.trials, passed, row.score, turns, row.cost_usd, row.seconds)
        by_run.setdefault(row.run_id, {})[row.scenario] = result
    return by_run


def _live(runs: list[Run]) -> list[Run]:
    """The runs of versions that were live then, without parts of versions of which no whole one is among them."""
    live = [run for run in runs if run.live]
    whole = {run.version for run in live if not run.partial}
    return [run for run in live if run.version in whole]


def _end(run: Run) -> datetime:
    return run.finished_at or run.started_at


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        suite=row.suite,
        version=Version(row.version, row.prompt_version, row.model),
        commit=row.source_commit,
        partial=bool(row.partial),
        started_at=_utc(row.started_at),
        finished_at=None if row.finished_at is None else _utc(row.finished_at),
        result=row.result,
        live=bool(row.live),
    )


def _trial(row: Row[Any]) -> Trial:
    return Trial(
        scenario=row.scenario,
        number=row.trial,
        score=row.score,
        passed=bool(row.passed),
        turns=row.turns,
        cost_usd=row.cost_usd,
        judge_cost_usd=row.judge_cost_usd,
        seconds=row.seconds,
        failures=tuple(json.loads(row.failures)),
        transcript=json.loads(row.transcript),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
