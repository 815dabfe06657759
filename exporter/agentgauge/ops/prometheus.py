"""Prometheus's HTTP API, as far as dashboards, commands and tests ask it; needs nothing but the standard library."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from agentgauge.ops.fetching import NoAnswerError, fetch, shown


class PrometheusError(Exception):
    """Prometheus did not answer, or not with data; the message is one line for people."""


@dataclass(frozen=True)
class Series:
    """One time series: its labels, and points of (Unix seconds, value), which may be NaN or infinite."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    def finite(self) -> Series:
        """The same without NaN and infinities, which no graph can show."""
        return Series(self.labels, tuple((time, value) for time, value in self.points if math.isfinite(value)))


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server by its base URL, which may hold a user and password.

    Every method raises PrometheusError when there is no usable answer within ``timeout_seconds``.
    """

    url: str
    timeout_seconds: float = 20.0

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """The query's series from start to end (Unix seconds), a point every ``step`` seconds."""
        data = self.get("query_range", {"query": expr, "start": start, "end": end, "step": step})
        return [_series(one["metric"], one["values"]) for one in data["result"]]

    def instant(self, expr: str, time: float | None = None) -> list[Series]:
        """The query's value at a time (Unix seconds; now by default): series of one point."""
        data = self.get("query", {"query": expr} if time is None else {"query": expr, "time": time})
        return [_series(one["metric"], [one["value"]]) for one in data["result"]]

    def label_values(self, label: str, selector: str, start: float, end: float) -> list[str]:
        """The values of a label on the series that match a selector and existed between start and end."""
        return list(self.get(f"label/{quote(label)}/values", {"match[]": selector, "start": start, "end": end}))

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing: ``labels``, ``annotations``, ``state``, ``activeAt``, ``value``."""
        return list(self.get("alerts")["alerts"])

    def rules(self) -> list[dict[str, Any]]:
        """The rules of all groups, in their order, as the API describes them."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Whether it is up and has read its data."""
        try:
            return self._fetch("/-/ready")[0] == 200
        except PrometheusError:
            return False

    def get(self, path: str, parameters: Mapping[str, str | float] | None = None) -> Any:
        """The data of an answer of the API at ``/api/v1/<path>``."""
        status, body = self._fetch(f"/api/v1/{path}" + (f"?{urlencode(parameters)}" if parameters else ""))
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, Mapping):
            raise PrometheusError(f"{shown(self.url)} answered {status} without JSON: not Prometheus?")
        if answer.get("status") != "success":
            raise PrometheusError(f"Prometheus refused the query: {answer.get('error', status)}")
        return answer["data"]

    def _fetch(self, path: str) -> tuple[int, bytes]:
        try:
            return fetch(self.url, path, self.timeout_seconds)
        except NoAnswerError as error:
            raise PrometheusError(f"Prometheus at {error}.") from None


def _series(labels: dict[str, str], values: list[Any]) -> Series:
    return Series(labels, tuple((float(time), float(value)) for time, value in values))
