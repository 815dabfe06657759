"""What fires, since when, and what users and the bill have of it: a handful of queries, each of which may be empty."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from agentgauge import metrics
from agentgauge.incident.conditions import Row
from agentgauge.incident.diagnosis import Ask, quoted

NOT_OF_THE_ALERT = frozenset({"__name__", "alertname", "alertstate"})
AT_ONCE = 8


@dataclass(frozen=True)
class Firing:
    """One alert that fires: its labels, severity among them, and since when (UTC); None if Prometheus forgot."""

    labels: Mapping[str, str]
    since: datetime | None


@dataclass(frozen=True)
class Impact:
    """How bad it is. None: the metrics do not say.

    ``failed_per_minute`` and ``requests_per_minute`` are of the last ten minutes, as is ``usd_per_minute``. Of the last
    hour are ``users`` and, among them, ``users_failed``, of whom a request failed; ``sessions``, those in which one
    failed (``sessions_failed``), and those that passed a limit (``sessions_over_limit``). ``versions`` are those that
    run, ``errors`` the most frequent of tools and models: (where, error, how often).
    """

    failed_per_minute: float | None
    requests_per_minute: float | None
    usd_per_minute: float | None
    users: float | None
    users_failed: float | None
    sessions: float | None
    sessions_failed: float | None
    sessions_over_limit: float | None
    sessions_open: float | None
    versions: tuple[str, ...]
    errors: tuple[tuple[str, str, float], ...]

    @property
    def failed_share(self) -> float | None:
        """The part of the requests that failed."""
        return _share(self.failed_per_minute, self.requests_per_minute)

    @property
    def users_share(self) -> float | None:
        """The part of the users of whom a request failed."""
        return _share(self.users_failed, self.users)

    @property
    def sessions_share(self) -> float | None:
        """The part of the conversations in which a request failed."""
        return _share(self.sessions_failed, self.sessions)


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else min(part / whole, 1.0)


def firing(alert: str, labels: Mapping[str, str], ask: Ask) -> list[Firing]:
    """The alerts of this name with these labels that fire, the oldest first."""
    matchers = "".join(f", {name}={quoted(value)}" for name, value in sorted(labels.items()))
    began = {_key(row.labels): row.value for row in ask(f"ALERTS_FOR_STATE{{alertname={quoted(alert)}{matchers}}}")}
    found = [
        Firing(
            {name: value for name, value in row.labels.items() if name not in NOT_OF_THE_ALERT},
            datetime.fromtimestamp(began[_key(row.labels)], UTC) if _key(row.labels) in began else None,
        )
        for row in ask(f'ALERTS{{alertname={quoted(alert)}, alertstate="firing"{matchers}}}')
    ]
    return sorted(found, key=lambda one: (one.since is None, one.since, sorted(one.labels.items())))


def _key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name not in NOT_OF_THE_ALERT)


def impact(agent: str, ask: Ask, at_speed: Callable[[str], str] = lambda query: query) -> Impact:
    """Ask what it does to the users of an agent; ``at_speed`` shortens the windows where clocks run fast."""
    of = f"agent={quoted(agent)}"
    cost = " + ".join(
        f"(sum(rate({spent}{{{of}}}[10m])) or vector(0))" for spent in (metrics.LLM_COST, metrics.TOOL_COST)
    )
    queries = {
        "failed": f'60 * sum(rate({metrics.TASKS}{{{of}, outcome="failed"}}[10m]))',
        "requests": f"60 * sum(rate({metrics.TASKS}{{{of}}}[10m]))",
        "usd": f"60 * ({cost}) and on () count({metrics.BUILD_INFO}{{{of}}})",
        "open": f"sum({metrics.SESSIONS_ACTIVE}{{{of}}})",
        "over": f"sum(increase({metrics.SESSIONS_OVER_LIMIT}{{{of}}}[1h]))",
        # Those that were opened before and went on are among those of the hour as well.
        "sessions": f"sum(increase({metrics.SESSIONS_OPENED}{{{of}}}[1h]))"
        f" + (sum({metrics.SESSIONS_ACTIVE}{{{of}}} offset 1h) or vector(0))",
        "sessions_failed": f"sum(increase({metrics.SESSIONS_FAILING}{{{of}}}[1h]))",
        "users": f"sum(max by (failed) ({metrics.USERS_LAST_HOUR}{{{of}}}))",
        "users_failed": f'max({metrics.USERS_LAST_HOUR}{{{of}, failed="yes"}})',
        "versions": f"count by (version, prompt_version) ({metrics.BUILD_INFO}{{{of}}})",
        "tool_errors": f"topk(1, sum by (tool, error_type) (increase({metrics.TOOL_ERRORS}{{{of}}}[10m])) > 0)",
        "model_errors": f"topk(1, sum by (model, error_type) (increase({metrics.LLM_ERRORS}{{{of}}}[10m])) > 0)",
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(queries, pool.map(lambda query: ask(at_speed(query)), queries.values()), strict=True))
    return Impact(
        failed_per_minute=_one(answers["failed"]),
        requests_per_minute=_one(answers["requests"]),
        usd_per_minute=_one(answers["usd"]),
        users=_one(answers["users"]),
        users_failed=_one(answers["users_failed"]),
        sessions=_one(answers["sessions"]),
        sessions_failed=_one(answers["sessions_failed"]),
        sessions_over_limit=_one(answers["over"]),
        sessions_open=_one(answers["open"]),
        versions=tuple(sorted(_version(row) for row in answers["versions"])),
        errors=tuple(
            (row.labels.get("tool") or row.labels.get("model", ""), row.labels.get("error_type", ""), row.value)
            for name in ("tool_errors", "model_errors")
            for row in answers[name]
        ),
    )


def _one(rows: tuple[Row, ...]) -> float | None:
    return rows[0].value if rows and math.isfinite(rows[0].value) else None


def _version(row: Row) -> str:
    prompts = row.labels.get("prompt_version")
    return row.labels.get("version", "unknown") + (f" with prompts {prompts}" if prompts else "")
