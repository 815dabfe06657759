"""Prometheus's HTTP API, as far as a dashboard asks it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT_SECONDS = 20.0


class PrometheusError(Exception):
    """Prometheus did not answer, or not with data; the message is for the reader of the panel."""


@dataclass(frozen=True)
class Series:
    """One time series: its labels, and points of (Unix seconds, value) without NaN and infinities."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server by its base URL. Every method raises PrometheusError when there is no usable answer."""

    url: str

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """The query's series from start to end (Unix seconds), a point every ``step`` seconds."""
        data = self._ask("query_range", {"query": expr, "start": start, "end": end, "step": step})
        return [Series(item["metric"], _points(item["values"])) for item in data["result"]]

    def instant(self, expr: str, time: float) -> list[Series]:
        """The query's value at a time (Unix seconds): series of one point."""
        data = self._ask("query", {"query": expr, "time": time})
        found = [Series(item["metric"], _points([item["value"]])) for item in data["result"]]
        return [series for series in found if series.points]

    def label_values(self, label: str, selector: str, start: float, end: float) -> list[str]:
        """The values of a label on the series that match a selector and existed between start and end."""
        return list(self._ask(f"label/{label}/values", {"match[]": selector, "start": start, "end": end}))

    def _ask(self, path: str, parameters: dict[str, str | float]) -> Any:
        try:
            response = requests.get(f"{self.url.rstrip('/')}/api/v1/{path}", params=parameters, timeout=TIMEOUT_SECONDS)
        except requests.Timeout:
            raise PrometheusError(f"Prometheus at {self.url} took more than {TIMEOUT_SECONDS:.0f} s.") from None
        except requests.RequestException:
            raise PrometheusError(f"Prometheus does not answer at {self.url}.") from None
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            raise PrometheusError(f"{self.url} answered {response.status_code} without JSON: not Prometheus?") from None
        if answer.get("status") != "success":
            raise PrometheusError(f"Prometheus refused the query: {answer.get('error', response.status_code)}")
        return answer["data"]


def _points(values: list[Any]) -> tuple[tuple[float, float], ...]:
    points = ((float(time), float(value)) for time, value in values)
    return tuple((time, value) for time, value in points if math.isfinite(value))
