"""The fault matrix: cause each alert on the real programs, and see who is paged, how soon, and for what else."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from agentgauge.ops.prometheus import Prometheus
from alerts import thresholds
from alerts.areas.stack import WATCHDOG
from stack import causes, drill_results, native, story
from stack.causes import Cause, fault
from stack.drill_results import NOWHERE, DrillResult
from stack.layout import ROOT, Layout, Ports
from stack.services import environment

SPEED = 20.0
"""How much faster than real the clocks run: windows of an hour are three minutes."""
PACE = 8.0
"""How much busier than usual the reps are, so that shortened windows hold evidence enough."""
PAGE_SECONDS = 420.0
"""How long to wait for a page on shortened clocks."""
RESOLVED_SECONDS = 900.0
QUIET_SECONDS = 900.0
HOLD_SECONDS = 30.0
"""How long a cause goes on after its page, to see whether the page is called off too early."""
IN_FORCE_SECONDS = 5.0
"""How long a program takes at most to read its configuration."""
CONTEXT = frozenset(name for name, numbers in thresholds.load().alerts.items() if numbers.severity == "info")
"""Alerts of which nobody is notified: they are looked for in Prometheus."""
WAY_OF_PAGES = frozenset({"AlertmanagerFailedToSendAlerts", "PrometheusNotConnectedToAlertmanagers"})
"""So are those that cannot page through what is broken; people hear of them late, once the way is free again."""
STACKS = 3
"""So many at a time keep two cores busy, and no busier."""
SECOND_TRIES = 2
"""So many rows may be played again: clocks are short, the machine is shared, and one may be late. More are a fault."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Followed:
    """Where `agentgauge incident` came to: the branch of the runbook, and its commands.

    ``seconds`` is how long it took until the alert was over; None if that was not mended or nothing was run.
    """

    mitigation: str
    commands: tuple[str, ...]
    seconds: float | None = None


@dataclass(frozen=True)
class Drill:
    """One row of the matrix: ``cause`` is expected to page for ``alert``, and may page for those in ``also`` too.

    `agentgauge incident` mends it, along its runbook; or ``by_hand`` says why no command can: the runbook is followed
    all the same, up to what it says that people do.
    """

    alert: str
    what: str
    cause: Cause
    also: frozenset[str] = frozenset()
    by_hand: str = ""


@dataclass(frozen=True)
class Scene:
    """Drills that share a stack, one after the other; ``history`` is the past that is made up for it."""

    drills: tuple[Drill, ...]
    speed: float = SPEED
    pace: float = PACE
    history: str | None = None


def _row(alert: str, name: str, *, also: frozenset[str] = frozenset()) -> Drill:
    return Drill(alert, f"fault {name}", fault(name), also)


def _past(alert: str, story: str, pace: float = 1, also: frozenset[str] = frozenset()) -> Scene:
    """An alert that looks back over days, on real clocks and a made-up past that has it coming."""
    drill = Drill(alert, f"history {story}", causes.nothing, also, by_hand=PAST)
    return Scene((drill,), speed=1, pace=pace, history=story)


PAST = "what fires it is days old, and nothing done now changes it"
ALWAYS = "nothing is broken: it fires for ever"
DEPLOY = "something has to be deployed"
JUDGED = "somebody has to judge it"
PROCESS = "a process has to be started, outside of what the agent's commands reach"
"""Why a row cannot be mended from the terminal."""

DEAR = frozenset({"AgentUserDailyCostHigh", "AgentSpendOverBudget"})
"""Reps who are so much busier than usual spend a user's limit and the agent's budget within minutes."""
OVER_LIMIT = frozenset({"AgentSessionCostOverLimit"})
"""A session is over its limit the moment it crosses it; a mean of many sessions, or of their prompts, takes longer."""
RUINOUS = DEAR | {"AgentTaskCompletionLow", "AgentSessionCostHigh"}
"""Budgets end conversations that cost so much: requests fail, and the closed ones are dear on average for a while."""
HALF_FAIL = frozenset({"AgentToolSuccessRateLow"})
"""A new error that half of the calls meet is a low success rate, too, once that has lasted."""
DEARER = frozenset({"AgentCostSpike"})
"""Without its cache an agent spends several times the usual, which is critical, and a lost cache alone is not."""
UNABLE_TO_ASK = frozenset({"AgentTaskCompletionLow"})
"""A request that needs an approval fails while it cannot be written down: by chance those are enough."""
UNHAPPY = frozenset({"AgentNegativeFeedbackHigh"})
"""Who reports a wrong answer gives it a thumb down, and those are judged over hours: they show later."""

# What costs much comes last in its scene: what users have spent today is not forgotten before midnight.
SCENES: tuple[Scene, ...] = (
    Scene(
        (
            _row("AgentLLMErrorsHigh", "overloaded"),
            _row("AgentTaskCompletionLow", "declining"),
            _row("AgentApprovalQueueStalled", "absent-reviewers"),
            _row("AgentLabelOverflow", "hallucinating"),
            _row("AgentSessionCostOverLimit", "pricey-tool", also=DEAR),
            _row("AgentSessionCostHigh", "pricey-tool", also=DEAR | OVER_LIMIT),
        )
    ),
    Scene(
        (
            _row("AgentFallbackRateHigh", "choosy"),
            _row("AgentApprovalRateLow", "picky-reviewers"),
            _row("AgentSessionsAbandoned", "impatient-reps"),
            Drill("AgentUnpricedModel", "ops use-model, one without a price", causes.unpriced_model),
            _row("AgentInputTokensHigh", "bloated-tool", also=DEAR | OVER_LIMIT),
        )
    ),
    Scene(
        (
            Drill(WATCHDOG, "nothing", causes.nothing, by_hand=ALWAYS),
            _row("AgentToolSuccessRateLow", "flaky-tool"),
            _row("AgentSessionLooping", "looping"),
            _row("AgentToolLatencyHigh", "slow-tool"),
            Drill("AgentExporterDown", "the agent hangs", causes.frozen_agent),
            _row("AgentAllToolCallsFailing", "crm-outage"),
            _row("AgentLatencySpike", "slow-model"),
            Drill("AgentGone", "no target shows the agent", causes.lost_agent),
            Drill("AgentCrashLooping", "a replica dies after each start", causes.crash_loop, by_hand=DEPLOY),
            Drill("AgentPricesStale", "a replica has a price file of last year", causes.old_prices, by_hand=DEPLOY),
            Drill("AgentExporterAbsent", "no target to scrape", causes.no_targets),
        )
    ),
    Scene(
        (
            Drill("AgentUserDailyCostHigh", "a user spends $6", causes.costly_user, by_hand=JUDGED),
            _row("AgentModelGone", "model-gone"),
            _row("AgentUsageUnknown", "usage-lost"),
            Drill("AgentActionUnresolved", "an agent is killed while it acts", causes.killed_agent, by_hand=JUDGED),
            Drill(
                "AgentTelemetryErrors",
                "the ledger is locked",
                causes.locked_ledger,
                also=UNABLE_TO_ASK,
                by_hand=PROCESS,
            ),
            Drill("AgentConfigError", "prompts are activated that the agent lacks", causes.missing_prompts),
            Drill("AgentEvalRegression", "a run fails a scenario in two trials of three", causes.disturbed_evaluation),
            Drill("AgentEvalStale", "the job hangs; no evaluation for eight days", causes.forgotten_evaluations),
            _row("AgentSessionCostRunaway", "ruinous-tool", also=RUINOUS),
        )
    ),
    # The thumbs down that it brings are not forgotten for hours.
    Scene((_row("AgentWrongAnswersReported", "stale-data", also=UNHAPPY),)),
    Scene(
        (
            Drill("PrometheusRuleFailures", "a rule that matches many to many", causes.failing_rule),
            Drill("PrometheusBadConfig", "a broken prometheus.yml is loaded", causes.bad_prometheus_config),
            Drill("AlertmanagerFailedReload", "a broken alertmanager.yml is loaded", causes.bad_alertmanager_config),
            Drill("AlertmanagerFailedToSendAlerts", "the pager refuses", causes.refusing_pager),
            Drill("PrometheusNotConnectedToAlertmanagers", "Alertmanager hangs", causes.frozen_alertmanager),
        )
    ),
    Scene(
        (
            Drill(
                "AgentMCPServerDown", "an MCP server goes away (a stand-in)", causes.dead_mcp_server, by_hand=PROCESS
            ),
            Drill(
                "AgentMCPErrorsHigh",
                "an MCP server fails a quarter (a stand-in)",
                causes.failing_mcp_server,
                by_hand=PROCESS,
            ),
        )
    ),
    # Its limit is an age, which no clock shortens.
    Scene((Drill("AgentHung", "a turn does not end", causes.hung_turn, by_hand=PROCESS),), pace=1),
    # It is silent in an agent's first day, so the agent needs a past.
    Scene((_row("AgentToolNewErrorType", "new-error", also=HALF_FAIL),), speed=5, pace=1, history="healthy"),
    _past("AgentSpendOverBudget", "over-budget"),
    _past("AgentNoTraffic", "traffic-stops", pace=0.01),  # next to nobody comes back
    _past("AgentPromptCacheRegression", "cache-lost", also=DEARER),
    _past("AgentCostSpike", "cost-spike"),
    _past("AgentToolSpendAnomaly", "tool-prices"),
    _past("AgentTurnsIncreasing", "more-turns"),
    _past("AgentActiveUsersDeclining", "adoption-declines"),
    _past("AgentRetentionLow", "retention-low"),
    _past("AgentNegativeFeedbackHigh", "thumbs-down"),
    _past("AgentFeedbackSilent", "ratings-stop", pace=0.01),  # next to nobody is there to rate
    _past("AgentApprovalRateHigh", "rubber-stamping"),
    _past("AgentAuditProblems", "audits-fail"),
)


def chosen(only: Sequence[str] = (), sample: int = 1, start: int = 0) -> list[Scene]:
    """The scenes with these alerts alone, or all; of each ``sample`` drills one, counted from ``start``."""
    places = itertools.count()
    return [
        replace(scene, drills=drills)
        for scene in SCENES
        if (
            drills := tuple(
                drill
                for drill in scene.drills
                if (not only or drill.alert in only) and next(places) % sample == start % sample
            )
        )
    ]


def run(scenes: Sequence[Scene], say: Say) -> list[DrillResult]:
    """Drill the alerts of these scenes, some stacks at a time; in their order. A few that go wrong get a second try."""
    last = drill_results.load()
    longest_first = sorted(scenes, key=lambda scene: _expected_seconds(scene, last), reverse=True)
    with ThreadPoolExecutor(STACKS) as pool:
        playing = {scene: pool.submit(_play, scene, say) for scene in longest_first}
        outcomes = [outcome for scene in scenes for outcome in playing[scene].result()]
    wrong = {one.alert: one.wrong for one in outcomes if not one.passed}
    if len(wrong) > SECOND_TRIES:
        return outcomes
    again: dict[str, DrillResult] = {}
    for alert, reason in wrong.items():
        say(f"{alert} went wrong ({reason}): a second try, on a fresh stack")
        scene = next(one for one in scenes if any(drill.alert == alert for drill in one.drills))
        alone = replace(scene, drills=tuple(drill for drill in scene.drills if drill.alert == alert))
        again[alert] = replace(_play(alone, say)[0], first_try=reason)
    return [again.get(one.alert, one) for one in outcomes]


def _expected_seconds(scene: Scene, last: Mapping[str, DrillResult]) -> float:
    """As long as its drills took when they were played last: a long scene that begins late keeps the others waiting."""
    rows = [last[drill.alert] for drill in scene.drills if drill.alert in last]
    return sum((one.seconds_to_page or 0) + (one.seconds_to_resolved or 0) + HOLD_SECONDS for one in rows)


def _play(scene: Scene, say: Say) -> list[DrillResult]:
    """The results of its drills; where the stack breaks, of those before, and the others count as missed."""
    results: list[DrillResult] = []
    try:
        with tempfile.TemporaryDirectory(prefix="agentgauge-drill-", ignore_cleanup_errors=True) as folder:
            layout = Layout(Ports.free(), Path(folder), scene.speed)
            with native.temporary(layout, lambda _line: None, pace=scene.pace, history=scene.history):
                if any(drill.cause is not causes.nothing for drill in scene.drills):
                    story.wait_until_working(layout)
                for drill in scene.drills:
                    results.append(_drill(layout, drill, say))
    except Exception as error:  # the results of the other stacks are not lost for it
        say(f"{scene.drills[-1].alert}'s stack BROKE OFF: {type(error).__name__}: {error}")
    missed = scene.drills[len(results) :]
    return [*results, *(DrillResult(one.alert, one.what, None, by_hand=one.by_hand) for one in missed)]


def _drill(layout: Layout, drill: Drill, say: Say) -> DrillResult:
    happens_by_itself = drill.cause is causes.nothing
    if not happens_by_itself:
        _wait_until_quiet(layout, drill, say)
    say(f"{drill.alert}: {drill.what}")
    began, since = time.monotonic(), "" if happens_by_itself else _now()
    with drill.cause(layout):
        in_force = _now(in_seconds=IN_FORCE_SECONDS)
        page = _page(layout, drill.alert, "firing", since, PAGE_SECONDS)
        paged = time.monotonic() - began
        if page is None:
            say(f"{drill.alert}: NOT PAGED within {PAGE_SECONDS:.0f} s")
            return DrillResult(drill.alert, drill.what, None, _others_since(layout, drill, since) - drill.also)
        runbook_answers = _answers(page["runbook_url"])
        say(f"{drill.alert}: paged after {paged:.0f} s")
        called_off = not happens_by_itself and _is_called_off(layout, drill.alert)
        heartbeat = drill.alert in WAY_OF_PAGES and _heard_since(layout, in_force)
        mended, mended_at = time.monotonic(), _now()
        follow = _followed if drill.by_hand else _mended_by_runbook
        followed = follow(layout, drill.alert, page["runbook_url"], say)
        if followed.seconds is None:
            mended, mended_at = time.monotonic(), _now()
    if not drill.by_hand:
        causes.switch_back(layout)
    noise = _others_since(layout, drill, since, until=mended_at)
    result = DrillResult(
        drill.alert,
        drill.what,
        paged,
        noise - drill.also,
        runbook_answers,
        resolves=not happens_by_itself,
        seconds_to_mended=followed.seconds,
        mitigation=followed.mitigation,
        commands=followed.commands,
        expected=noise & drill.also,
        by_hand=drill.by_hand,
    )
    if happens_by_itself:
        return result
    to_resolved, resolved_at = None, mended_at
    if _page(layout, drill.alert, "resolved", mended_at, RESOLVED_SECONDS) is not None:
        to_resolved, resolved_at = time.monotonic() - mended, _now()
        say(f"{drill.alert}: resolved after {to_resolved:.0f} s")
    _wait_until_quiet(layout, drill, say)
    # Until it ends it may be told again, as part of a group.
    again = _paged_since(layout, resolved_at) & ({drill.alert} - WAY_OF_PAGES)
    late = _paged_since(layout, mended_at) - drill.also - {drill.alert} | again
    return replace(result, seconds_to_resolved=to_resolved, called_off=called_off, late=late, heartbeat=heartbeat)


def _mended_by_runbook(layout: Layout, alert: str, link: str, say: Say) -> Followed:
    """What `agentgauge incident` did with the link of the page, unaided."""
    began = time.monotonic()
    done = _incident(layout, link, "--yes", f"--patience={RESOLVED_SECONDS / 60:g}")
    seconds = time.monotonic() - began
    if done.returncode == 0 and "\nmended after " in done.stdout:
        say(f"{alert}: mended by its runbook after {seconds:.0f} s")
        return Followed(*what_was_run(done.stdout), seconds)
    say(f"{alert}: NOT MENDED by its runbook:\n{_indented(done.stdout + done.stderr)}")
    return Followed(*what_was_run(done.stdout))


def _followed(layout: Layout, alert: str, link: str, say: Say) -> Followed:
    """Where the runbook leads by its own queries; what it says there is left to people."""
    done = _incident(layout, link, "--dry-run", "--json")
    followed = where_it_leads(alert, json.loads(done.stdout)) if done.returncode == 0 else Followed(NOWHERE, ())
    said = f":\n{_indented(done.stdout + done.stderr)}" if followed.mitigation == NOWHERE else ""
    say(f"{alert}: its runbook leads to {followed.mitigation}{said}")
    return followed


def where_it_leads(alert: str, incident: Mapping[str, Any]) -> Followed:
    """The mitigation in the JSON of an incident, or that the last reading asks for none; NOWHERE without a branch."""
    if incident["ended"] == "no branch":
        return Followed(NOWHERE, ())
    of_page = "" if incident["runbook"] == alert else f" of {incident['runbook']}"
    mitigation = incident["mitigation"]
    if mitigation is None:
        return Followed(f"Step {incident['diagnosis'][-1]['step']}{of_page}, which asks for nothing", ())
    return Followed(f"Mitigation {mitigation['number']}{of_page}", tuple(mitigation["commands"]))


def _incident(layout: Layout, link: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`agentgauge incident` with the link of a page, as somebody on call gives it."""
    command = [sys.executable, "-m", "agentgauge", "incident", link, f"--prometheus={layout.prometheus}"]
    command += [f"--speed={layout.speed:g}", *options]
    env = environment(layout) | {"USER": causes.BY, "AGENTGAUGE_HOME": str(layout.folder)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def what_was_run(said: str) -> tuple[str, tuple[str, ...]]:
    """The branch of the runbook and the commands, from what `agentgauge incident` said."""
    branch = re.search(r"^m(itigation \d+(?: of \w+)?): ", said, re.MULTILINE)
    return f"M{branch[1]}" if branch else "", tuple(re.findall(r"^\$ (.*)$", said, re.MULTILINE))


def _is_called_off(layout: Layout, alert: str) -> bool:
    """Whether nobody is told of the alert any more before the cause has gone on for a while.

    One of its series may end: a second model that nobody asks for once the first one is gone.
    """
    deadline, since = time.monotonic() + HOLD_SECONDS, _now()
    while (left := deadline - time.monotonic()) > 0:
        if _page(layout, alert, "resolved", since, left) is not None and alert not in _stirring(layout):
            return True
        since = _now()
    return False


def _page(layout: Layout, alert: str, status: str, since: str, patience: float) -> dict[str, Any] | None:
    deadline = time.monotonic() + patience
    if alert == WATCHDOG:  # it goes to the dead-man switch, which keeps no pages
        return _heartbeat(layout, deadline)
    if alert in CONTEXT | WAY_OF_PAGES:
        return _in_prometheus(layout, alert, status, deadline)
    query = {"alert": alert, "status": status, "since": since, "timeout": "5"}
    while time.monotonic() < deadline:
        answer = requests.get(f"{layout.pager}/pages/wait", params=query, timeout=15)
        if answer.status_code == 200:
            page: dict[str, Any] = answer.json()
            return page
    return None


def _heard_since(layout: Layout, since: str) -> bool:
    heard = requests.get(f"{layout.pager}/health", timeout=10).json()["last_heartbeat"]
    return heard is not None and heard > since


def _heartbeat(layout: Layout, deadline: float) -> dict[str, Any] | None:
    while not requests.get(f"{layout.pager}/health", timeout=10).json()["last_heartbeat"]:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.5)
    return {"runbook_url": f"{layout.runbooks}/{WATCHDOG}/"}


def _in_prometheus(layout: Layout, alert: str, status: str, deadline: float) -> dict[str, Any] | None:
    while time.monotonic() < deadline:
        of_it = [one for one in Prometheus(layout.prometheus).alerts() if one["labels"]["alertname"] == alert]
        firing = [one for one in of_it if one["state"] == "firing"]
        if bool(firing) == (status == "firing"):
            return dict(firing[0]["annotations"]) if firing else {}
        time.sleep(0.5)
    return None


def _others_since(layout: Layout, drill: Drill, since: str, until: str = "9999") -> frozenset[str]:
    """The other alerts that reached the pager; the start of a stack is not part of the watchdog's row."""
    if drill.alert == WATCHDOG:
        return frozenset()
    of_itself = {drill.alert} - CONTEXT  # a page of which would be noise, too
    return _paged_since(layout, since, until) - of_itself


def _paged_since(layout: Layout, since: str, until: str = "9999") -> frozenset[str]:
    """The alerts that reached the pager since then, as firing ones."""
    pages = requests.get(f"{layout.pager}/pages", timeout=10).json()
    return frozenset(
        str(page["alert"]) for page in pages if page["status"] == "firing" and since <= page["received_at"] < until
    )


def _answers(url: str) -> bool:
    return bool(url) and requests.get(url, timeout=10).status_code == 200


def _wait_until_quiet(layout: Layout, drill: Drill, say: Say) -> None:
    """Wait until nothing fires or is about to but what the drill allows, so that what comes has this cause."""
    deadline = time.monotonic() + QUIET_SECONDS
    shown: set[str] = set()
    while left := _stirring(layout) - drill.also:
        if time.monotonic() > deadline:
            say(f"going on, though they did not calm down within {QUIET_SECONDS:.0f} s: {', '.join(sorted(left))}")
            return
        if left != shown:
            say(f"waiting until quiet: {', '.join(sorted(left))}")
            shown = left
        time.sleep(1)


def _stirring(layout: Layout) -> set[str]:
    alerts = Prometheus(layout.prometheus).alerts()
    return {str(alert["labels"]["alertname"]) for alert in alerts} - {WATCHDOG} - CONTEXT


def _now(in_seconds: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=in_seconds)).isoformat(timespec="milliseconds")
