"""Is everything in place, from the agent's first call to the page? /metrics, Prometheus and Alertmanager are asked.

Each question is answered by a ``Finding``. Nothing is changed, and no text of users is read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from agentgauge import metrics
from agentgauge.endpoint import SCRAPE_USER
from agentgauge.metrics import MetricSpec
from agentgauge.ops.fetching import NoAnswerError, fetch, shown
from agentgauge.ops.prometheus import Prometheus, PrometheusError
from agentgauge.tool import Tool

Verdict = Literal["ok", "missing", "not_yet"]
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """What was looked at, and, where it is not in place, what to do.

    ``not_yet`` cannot be told before the agent has worked more; ``agent`` is None for what is nobody's in particular.
    """

    verdict: Verdict
    about: str
    to_do: str = ""
    agent: str | None = None


@dataclass(frozen=True)
class Scrape:
    """The series of one ``/metrics``, by name."""

    samples: Mapping[str, list[tuple[dict[str, str], float]]]

    def agents(self) -> list[str]:
        """The agents that it is the endpoint of."""
        return sorted({labels["agent"] for labels, _ in self.samples.get(metrics.BUILD_INFO.name, [])})

    def total(self, spec: MetricSpec, agent: str, **where: str) -> float:
        """The sum over the agent's series with these label values; of a histogram, of its counts."""
        name = f"{spec.name}_count" if spec.kind == "histogram" else spec.name
        return sum(
            value
            for labels, value in self.samples.get(name, [])
            if labels.get("agent") == agent and where.items() <= labels.items()
        )

    def above_zero(self, spec: MetricSpec, agent: str, label: str) -> list[str]:
        """The values of a label for which the agent's counter is not 0."""
        counted = {
            labels[label]
            for labels, value in self.samples.get(spec.name, [])
            if labels.get("agent") == agent and value > 0
        }
        return sorted(counted)


def read_scrape(url: str, password: str | None = None) -> Scrape:
    """What ``/metrics`` says now to whoever has that password; raises NoAnswerError if it cannot be read."""
    asked = url
    if password is not None:
        split = urlsplit(url)
        host = split.netloc.rpartition("@")[2]
        asked = split._replace(netloc=f"{SCRAPE_USER}:{quote(password, safe='')}@{host}").geturl()
    status, body = fetch(asked, timeout_seconds=TIMEOUT_SECONDS)
    if status == 401:
        raise NoAnswerError(f"{shown(url)} wants a password, or another one; give it with --password-file")
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    try:
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                samples[sample.name].append((dict(sample.labels), sample.value))
    except ValueError:
        raise NoAnswerError(f"{shown(url)} answers {status} and no metrics, so another program has the port") from None
    return Scrape(samples)


def has_worked(scrape: Scrape, agent: str) -> bool:
    """Whether the agent has done anything that is counted."""
    return any(scrape.total(spec, agent) for spec in (metrics.LLM_CALLS, metrics.TOOL_CALLS, metrics.SESSIONS_OPENED))


def check_agent(scrape: Scrape, agent: str) -> list[Finding]:
    """What the agent's own metrics show to be in place, and what not."""
    sessions = scrape.total(metrics.SESSIONS_OPENED, agent)
    worked = has_worked(scrape, agent)

    return [
        _one(
            scrape.total(metrics.LLM_CALLS, agent) > 0,
            "model calls are counted",
            "send the agent a request; if it called a model, its client is not instrumented: see docs/frameworks.md",
            agent,
            known=worked,
        ),
        _one(
            sessions > 0,
            "calls belong to sessions",
            "open one for each conversation, `with gauge.session(user_id=…):`, or no loop and no cost of one is seen",
            agent,
            known=worked,
        ),
        _one(
            scrape.total(metrics.TASKS, agent) > 0,
            "requests of users have an end",
            "say it with `with session.task() as task, task.turn():`, or no alert on completion or latency can fire",
            agent,
            known=worked,
        ),
        _one(
            scrape.total(metrics.TOOL_CALLS, agent) > 0,
            "tool calls are counted",
            "decorate the tools with @gauge.tool(); an agent without tools can leave it so",
            agent,
            known=False,
        ),
        *_users(scrape, agent, sessions),
        *_nothing_lost(scrape, agent),
        _one(
            all(labels["version"] != "unknown" for labels in _of(scrape, metrics.BUILD_INFO, agent)),
            "the version is known",
            "give it: AgentGauge(…, version=…), or no page can say which deploy broke it",
            agent,
        ),
    ]


def _of(scrape: Scrape, spec: MetricSpec, agent: str) -> list[dict[str, str]]:
    return [labels for labels, _ in scrape.samples.get(spec.name, []) if labels["agent"] == agent]


def _users(scrape: Scrape, agent: str, sessions: float) -> Iterable[Finding]:
    about = "users are told apart"
    if not _of(scrape, metrics.ACTIVE_USERS, agent):
        to_do = (
            "give it a ledger: AgentGauge(…, ledger='sqlite:///ledger.sqlite'), or users and their spend are unknown"
        )
        yield Finding("missing", about, to_do, agent)
    elif scrape.total(metrics.ACTIVE_USERS, agent, window="28d"):
        yield Finding("ok", about, agent=agent)
    else:
        to_do = "name the user of a session: gauge.session(user_id=…)"
        yield Finding("missing" if sessions else "not_yet", about, to_do, agent)


def _nothing_lost(scrape: Scrape, agent: str) -> Iterable[Finding]:
    """What was seen and could not be counted as it should."""
    lost: tuple[tuple[str, MetricSpec, str, str], ...] = (
        (
            "every model has a price",
            metrics.LLM_UNPRICED_TOKENS,
            "model",
            "no price is known for {}: give it in a file, AgentGauge(…, prices='prices.yml')",
        ),
        (
            "every call says what it used",
            metrics.LLM_USAGE_UNKNOWN,
            "model",
            "calls of {} did not say their tokens: a stream of OpenAI needs stream_options={{'include_usage': True}}",
        ),
        (
            "every label value is known",
            metrics.LABEL_OVERFLOW,
            "label",
            "values of {} were folded into `other`; the log says which: register tools, name models=[…]",
        ),
        (
            "nothing fails in the instrumentation",
            metrics.EXPORTER_ERRORS,
            "site",
            "faults were swallowed at {}; the log of the agent has the traceback",
        ),
    )
    for about, spec, label, to_do in lost:
        values = scrape.above_zero(spec, agent, label)
        yield _one(not values, about, to_do.format(", ".join(values)), agent)


def check_declared(scrape: Scrape, agent: str, tools: Sequence[Tool]) -> list[Finding]:
    """Whether it is this agent's endpoint, and whether what it says of its tools is what it does."""
    if agent not in scrape.agents():
        to_do = (
            f"it is that of {', '.join(scrape.agents())}, and {agent} cannot have the port: stop the other one, "
            "or give the agent another port and this command its URL"
        )
        return [Finding("missing", "the endpoint is the agent's own", to_do, agent)]
    called = set(scrape.above_zero(metrics.TOOL_CALLS, agent, "tool")) - {"other"}
    undeclared = sorted(called - {tool.name for tool in tools})
    without = [tool.name for tool in tools if not tool.arguments]
    return [
        _one(
            not without,
            "every tool has a schema",
            f"{', '.join(without)}: say what the arguments are, Tool(name, {{'type': 'object', 'properties': …}}), or "
            "nobody can check them before a call",
            agent,
        ),
        _one(
            not undeclared,
            "every tool that is called is declared",
            f"{', '.join(undeclared)}: add them to AgentApp(tools=[…]), or no policy and no command knows them",
            agent,
        ),
    ]


def check_prometheus(prometheus: Prometheus, agents: Collection[str], alerts: Collection[str]) -> list[Finding]:
    """Whether Prometheus scrapes these agents, has these alerts loaded, and hands them on; one line if it is silent."""
    try:
        seen = {one.labels.get("agent") for one in prometheus.instant(f"count by (agent) ({metrics.BUILD_INFO.name})")}
        targets = prometheus.get("targets", {"state": "active"})["activeTargets"]
        rules = [rule for rule in prometheus.rules() if rule["type"] == "alerting"]
        managers = prometheus.get("alertmanagers")["activeAlertmanagers"]
    except (PrometheusError, KeyError, TypeError) as error:
        return [Finding("missing", "Prometheus answers", str(error))]
    down = [f"{target['scrapeUrl']}: {target['lastError']}" for target in targets if target["health"] == "down"]
    loaded, broken = {rule["name"] for rule in rules}, [rule["name"] for rule in rules if rule["health"] == "err"]
    absent = sorted(set(alerts) - loaded)
    findings = [
        _one(
            agent in seen,
            "Prometheus scrapes the agent",
            "; ".join(down) or "no target shows it: put its address under scrape_configs in prometheus.yml",
            agent,
        )
        for agent in agents
    ]
    return [
        *findings,
        _one(not down, "every target answers", "; ".join(down)),
        _one(
            not absent,
            "every alert is loaded",
            f"{', '.join(absent)}: run `agentgauge bundle DIR`, and name DIR/rules/*.yml under rule_files",
        ),
        _one(
            not broken,
            "every rule can be evaluated",
            f"{', '.join(sorted(broken))}: see lastError at /api/v1/rules of Prometheus",
        ),
        _one(bool(managers), "Prometheus has an Alertmanager", "name it under alerting in prometheus.yml"),
    ]


def check_alertmanager(url: str, watchdog: str) -> list[Finding]:
    """Whether Alertmanager gets the alerts, of which the ``watchdog`` always fires, and reaches whom it should page."""
    try:
        alerts = json.loads(fetch(url, "/api/v2/alerts", TIMEOUT_SECONDS)[1])
        text = fetch(url, "/metrics", TIMEOUT_SECONDS)[1].decode()
        names = {alert["labels"]["alertname"] for alert in alerts}
        notified = _by_integration(text)
    except NoAnswerError as error:
        return [Finding("missing", "Alertmanager answers", f"{error}; say where it is with --alertmanager")]
    except (ValueError, KeyError, TypeError):
        return [
            Finding("missing", "Alertmanager answers", f"{shown(url)} is not an Alertmanager of version 0.20 or newer")
        ]
    failing = sorted(name for name, one in notified.items() if one.is_failing)
    about = "pages reach their receivers"
    if failing:
        reached = Finding("missing", about, f"{', '.join(failing)} failed: the log of Alertmanager says why")
    elif not any(one.sent for one in notified.values()):
        reached = Finding("not_yet", about, "none was sent so far; the watchdog's first one comes within a minute")
    else:
        reached = Finding("ok", about)
    to_do = f"{watchdog} always fires and is not there: look in Prometheus under Status, Alertmanagers"
    return [_one(watchdog in names, "alerts reach Alertmanager", to_do), reached]


@dataclass(frozen=True)
class _Notified:
    """What an integration of Alertmanager has done: notifications, and the requests that it took for them."""

    sent: float
    failed: float
    requests: float
    failed_requests: float

    @property
    def is_failing(self) -> bool:
        """Whether one was given up, or no request has succeeded: Alertmanager tries for minutes before it gives up."""
        return self.failed > 0 or 0 < self.requests == self.failed_requests


def _by_integration(text: str) -> dict[str, _Notified]:
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("alertmanager_notification") and "integration" in sample.labels:
                totals[sample.labels["integration"]][sample.name] += sample.value
    return {
        integration: _Notified(
            total["alertmanager_notifications_total"],
            total["alertmanager_notifications_failed_total"],
            total["alertmanager_notification_requests_total"],
            total["alertmanager_notification_requests_failed_total"],
        )
        for integration, total in totals.items()
    }


def _one(holds: bool, about: str, to_do: str, agent: str | None = None, *, known: bool = True) -> Finding:
    """``known`` is False where what is not there may still come."""
    return Finding("ok" if holds else "missing" if known else "not_yet", about, "" if holds else to_do, agent)
