"""The gauges of evaluations: what the last runs of the live version say, the same on every replica.

Candidates are not shown: an experiment on a shared ledger must not look like what is in production.
"""

from __future__ import annotations

from agentgauge import metrics
from agentgauge.evals.history import EvalHistory
from agentgauge.instruments import Instruments
from agentgauge.ledger.store import Ledger
from agentgauge.metrics import MetricSpec

Series = tuple[MetricSpec, tuple[str, ...]]


class EvalGauges:
    """Shows one agent's suites as gauges, each with its live version alone."""

    def __init__(self, ledger: Ledger, agent: str, instruments: Instruments) -> None:
        self._history = EvalHistory(ledger, agent)
        self._instruments = instruments
        self._shown: set[Series] = set()

    def refresh(self) -> None:
        """Read the ledger and set the gauges; raises what the database raises, and then all stay as they were."""
        values: dict[Series, float] = {}
        for suite in self._history.suites():
            values |= self._of(suite)
        for spec, labels in self._shown - values.keys():
            self._instruments.remove(spec, *labels)
        for (spec, labels), value in values.items():
            self._instruments.gauge(spec, *labels).set(value)
        self._shown = set(values)

    def _of(self, suite: str) -> dict[Series, float]:
        standing = self._history.standing(suite)
        if standing is None:
            return {}
        version = str(standing.version)
        values: dict[Series, float] = {
            (metrics.EVAL_PASS_RATIO, (suite, version)): standing.pass_ratio,
            (metrics.EVAL_LAST_RUN, (suite,)): standing.at.timestamp(),
        }
        for scenario, result in standing.results.items():
            values[metrics.EVAL_SCORE, (suite, scenario, version)] = result.score
        baseline = self._history.baseline(suite, standing.version)
        if baseline is not None:
            values[metrics.EVAL_BASELINE_PASS_RATIO, (suite,)] = baseline.pass_ratio
        return values
