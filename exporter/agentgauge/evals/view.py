"""The page of `agentgauge eval view`: runs, scenarios, trials word for word, two runs beside each other, the trend.

It only reads. Whoever opens it brings the token that the command printed: a transcript is not for every user of the
machine.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from agentgauge.autonomy.access import SecureHeaders
from agentgauge.evals.checks import usd
from agentgauge.evals.comparison import DEFAULT_LIMITS
from agentgauge.evals.history import EvalHistory, Run, ScenarioResult, Trial
from agentgauge.evals.intervals import Share, mean_share
from agentgauge.evals.report import points, report, times
from agentgauge.evals.scenario import Scenario
from agentgauge.evals.transcript import TrialTranscript
from agentgauge.http_guard import RequestGuard

HERE = Path(__file__).parent
COOKIE = "agentgauge_eval_view"
MOST_RUNS = 50
"""Of a suite, the newest, that the first page lists."""
BAR_WIDTH, BAR_GAP, BAR_HEIGHT = 10, 4, 48

Expected = Callable[[str, str], Scenario | None]
"""(suite, scenario) → what the suite demands now; None if it does not have it any more."""

templates = Jinja2Templates(directory=HERE / "templates")
templates.env.globals.update(usd=usd, points=points, times=times)


def view_app(history: EvalHistory, agent: str, token: str, expected: Expected) -> Starlette:
    """The page as an ASGI app for loopback."""
    page = _Page(history, agent, expected)
    routes = {"/": page.suites, "/run": page.run, "/trial": page.trial, "/diff": page.diff}
    return Starlette(
        routes=[
            *(Route(path, _for_bearer(show, token), methods=["GET"]) for path, show in routes.items()),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(SecureHeaders), Middleware(RequestGuard)],
        exception_handlers={HTTPException: page.refused},
    )


def _for_bearer(show: Callable[[Request], Response], token: str) -> Any:
    """For those who bring the token: once in the address, after that in a cookie, so that no history keeps it."""

    def is_right(brought: str) -> bool:
        return hmac.compare_digest(brought.encode(), token.encode())

    async def answer(request: Request) -> Response:
        if is_right(request.query_params.get("token", "")):
            rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
            entered = RedirectResponse(f"{request.url.path}?{urlencode(rest)}" if rest else request.url.path, 303)
            entered.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return entered
        if not is_right(request.cookies.get(COOKIE, "")):
            raise HTTPException(
                403, "Open the address that the command agentgauge eval view printed: the token in it lets you in."
            )
        return await asyncio.to_thread(show, request)

    return answer


class _Page:
    """The endpoints and what they read."""

    def __init__(self, history: EvalHistory, agent: str, expected: Expected) -> None:
        self._history = history
        self._agent = agent
        self._expected = expected

    def suites(self, request: Request) -> Response:
        """All suites, each with its trend and its runs."""
        suites = []
        for name in self._history.suites():
            runs = [(one, self._history.results(one)) for one in self._history.runs(name, MOST_RUNS)]
            rows = [_row(run, results) for run, results in runs if results]
            bars = _bars([row for row in rows if not row["run"].partial])
            suites.append({"name": name, "runs": rows, "bars": bars})
        return self._render(request, "runs.html", suites=suites, bar_height=BAR_HEIGHT)

    def run(self, request: Request) -> Response:
        """One run, by scenario, beside what it was compared with."""
        run = self._run(request, "id")
        trials = self._history.trials(run)
        if not trials:
            raise HTTPException(404, "This run broke off before its first trial had a result.")
        return self._render(request, "run.html", run=run, report=report(run, trials, None), others=self._others(run))

    def trial(self, request: Request) -> Response:
        """The trials of a scenario in a run, each word for word, beside what the scenario demands."""
        run, name = self._run(request, "id"), request.query_params.get("scenario", "")
        trials = [one for one in self._history.trials(run) if one.scenario == name]
        if not trials:
            raise HTTPException(404, "This run has no trial of such a scenario.")
        expected = self._expected(run.suite, name)
        demands = None
        if expected is not None:
            fields = expected.model_dump(exclude_defaults=True, exclude={"name"})
            demands = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=60)
        shown = [(one, _steps(one)) for one in sorted(trials, key=lambda one: (one.passed, one.number))]
        return self._render(request, "trial.html", run=run, scenario=name, demands=demands, trials=shown)

    def diff(self, request: Request) -> Response:
        """Two runs beside each other, as the gate compares versions."""
        before, after = self._run(request, "before"), self._run(request, "after")
        limits = replace(DEFAULT_LIMITS, latency=inf) if before.version.is_recorded else DEFAULT_LIMITS
        trials = self._history.trials(after)
        made = report(after, trials, None, self._history.trials(before), limits) if trials else None
        if made is None or made.comparison is None:
            raise HTTPException(404, "These two runs have no scenario in common.")
        whys = {one.name: one.why for one in made.scenarios}
        return self._render(
            request, "diff.html", before=before, after=after, comparison=made.comparison, whys=whys, share=_share
        )

    def refused(self, request: Request, error: Exception) -> Response:
        """What cannot be shown, and why."""
        status = getattr(error, "status_code", 500)
        return self._render(request, "message.html", status, problem=getattr(error, "detail", str(error)))

    def _run(self, request: Request, field: str) -> Run:
        run = self._history.run(request.query_params.get(field, ""))
        if run is None:
            raise HTTPException(404, "There is no such run; it may have been forgotten.")
        return run

    def _others(self, run: Run) -> list[Run]:
        return [one for one in self._history.runs(run.suite, MOST_RUNS) if one.id != run.id]

    def _render(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        return templates.TemplateResponse(request, template, {"agent": self._agent, **context}, status)


def _row(run: Run, results: Mapping[str, ScenarioResult]) -> dict[str, Any]:
    """A run as the list shows it."""
    shares = [Share(one.passed, one.trials) for one in results.values()]
    return {
        "run": run,
        "scenarios": len(results),
        "broken": sum(one.status == "broken" for one in results.values()),
        "passing": mean_share(shares),
        "cost": sum(one.cost_usd * one.trials for one in results.values()),
    }


def _bars(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The trend, oldest first: a bar a run, as high as the share of trials that passed."""
    step = BAR_WIDTH + BAR_GAP
    bars = []
    for place, row in enumerate(reversed(rows)):
        height = max(1.0, BAR_HEIGHT * row["passing"].estimate)
        bars.append({"row": row, "x": place * step, "y": BAR_HEIGHT - height, "height": height, "width": BAR_WIDTH})
    return bars


def _steps(trial: Trial) -> Sequence[Any]:
    return TrialTranscript.from_json(trial.transcript).steps


def _share(one: Share) -> str:
    return f"{one.passed:g}/{one.trials:g}"
