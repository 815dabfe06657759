"""What is written to Prometheus is what it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentgauge.ops.prometheus import PrometheusError
from sample_agent.simulator import recording
from truth import remote_write
from truth.remote_write import PROMETHEUS_FLAGS, Samples, write

START = 1767679200
DAY = 86400


def series(name: str, at: list[int], values: list[float]) -> Samples:
    """A series of an agent with a name that has to be escaped in text."""
    return Samples(name, {"agent": 'the "first"\n', "a": "ü"}, np.array(at, dtype=np.int64), np.array(values))


def test_every_sample_arrives(programs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several requests, weeks apart, series by series, and a series in several stretches."""
    monkeypatch.setattr(remote_write, "BYTES_AT_ONCE", 1000)
    at = [START + n * DAY for n in range(25)]
    numbers = [0.1, -1e300, 5e-324, float("inf"), *map(float, range(21))]
    with recording.serving(programs["prometheus"], tmp_path, [], 300, PROMETHEUS_FLAGS) as prometheus:
        write(prometheus, (series(name, at[:20], numbers[:20]) for name in ("one", "two")))
        write(prometheus, [series("one", at[20:], numbers[20:]), series("three", [], [])])
        (one,) = prometheus.range("one", at[0], at[-1], DAY)
        (two,) = prometheus.range("two", at[0], at[-1], DAY)
        assert not prometheus.range("three", at[0], at[-1], DAY)
    assert one.labels == {"__name__": "one", "agent": 'the "first"\n', "a": "ü"}
    assert one.points == tuple(zip(map(float, at), numbers, strict=True))
    assert two.points == one.points[:20]


def test_what_prometheus_refuses_is_an_error(programs: dict[str, Path], tmp_path: Path) -> None:
    """Samples before those that are there."""
    with recording.serving(programs["prometheus"], tmp_path, [], 300, PROMETHEUS_FLAGS) as prometheus:
        write(prometheus, [series("one", [START], [1.0])])
        with pytest.raises(PrometheusError, match=r"did not take the samples: .*out of order"):
            write(prometheus, [series("one", [START - 60], [1.0])])
    with pytest.raises(PrometheusError, match="did not take the samples"):
        write(prometheus, [series("one", [START], [1.0])])
