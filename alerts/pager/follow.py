"""An incident as a page: the walk that `agentgauge incident` does in a terminal, its command as a button, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from agentgauge.agent_app import AgentApp
from agentgauge.bundled import NotBundledError
from agentgauge.incident import acting, mending, postmortem, words
from agentgauge.incident.conversations import OF_ALERTS
from agentgauge.incident.looking import look
from agentgauge.incident.place import Place
from agentgauge.incident.runbook import RunbookError
from agentgauge.incident.seen import Seen
from agentgauge.incident.terminal import printable
from agentgauge.ops.prometheus import PrometheusError
from alerts.pager import html, login
from alerts.pager.forms import form_of
from alerts.pager.incidents import LABELS, Alarm, Mending
from alerts.pager.notification import in_iso, moment
from alerts.pager.store import Store

PREFIX = "word."
"""Before a word in capitals, it is the name of its field."""
INTO_THE_ALARM = timedelta(seconds=5)
"""When an alarm that nobody mended is looked at for its post-mortem."""

NOT_SEEN = (PrometheusError, RunbookError, NotBundledError)


@dataclass(frozen=True)
class View:
    """What the page shows. ``cannot_run`` says why there is no button, where there could be one."""

    seen: Seen
    mending: Mending | None
    alarm: Alarm | None
    now: datetime
    cannot_run: str
    may_run: bool
    csrf: str
    plan: str
    query: str

    @property
    def state(self) -> str:
        """running, failed, watching or mended; over or open where nobody ran anything."""
        if self.mending is None:
            return "over" if self.seen.firing is None else "open"
        if not self.mending.done_at:
            return "running"
        if self.seen.firing is None:
            return "mended"
        return "failed" if self.mending.problem else "watching"

    @property
    def said(self) -> str:
        """The state in words that change with it alone: a screen reader says them."""
        who = self.mending.who if self.mending else ""
        return {
            "open": "It fires. Nobody has run anything here yet.",
            "running": f"{who} is running the commands.",
            "failed": f"What {who} ran did not work.",
            "watching": f"{who} ran the commands. Watching until it is over.",
            "mended": f"Mended: {who} ran the commands, and it no longer fires.",
            "over": "It does not fire.",
        }[self.state]

    @property
    def mended_after(self) -> str:
        """How long it took from the button to the end; empty before."""
        done = self.mending
        return html.age(done.began_at, done.mended_at) if done and done.mended_at else ""

    @property
    def conversations(self) -> str:
        """The command that prints the conversations behind the alert; empty where none tells more than a figure."""
        sought, app = OF_ALERTS.get(self.seen.alert), self.seen.place.app
        if sought is None:
            return ""
        return f"agentgauge {f'--app {app} ' if app else ''}{sought.arguments}"

    @property
    def typed(self) -> list[str]:
        """The words in capitals that somebody has to say."""
        return [word for word in self.seen.plan.missing if word not in mending.LISTS]

    @property
    def from_lists(self) -> list[tuple[str, str]]:
        """Those that a list says, and the list."""
        return [(word, mending.LISTS[word][0]) for word in self.seen.plan.missing if word in mending.LISTS]


class Incidents:
    """The handlers of the page."""

    def __init__(self, place: Place, app: AgentApp | None, store: Store, show: Callable[[str], None]) -> None:
        self._place = place
        self._app = app
        self._store = store
        self._show = show
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def routes(self) -> list[BaseRoute]:
        """Where they are reached."""
        return [
            Route("/incident/{alert}/", self.page),
            Route("/incident/{alert}/now", self.now),
            Route("/incident/{alert}/mend", self.mend, methods=["POST"]),
            Route("/incident/{alert}/post-mortem.md", self.post_mortem),
        ]

    async def page(self, request: Request) -> Response:
        """The whole page; what it shows comes at once after it, because Prometheus may be slow."""
        alert = request.path_params["alert"]
        if alert not in LABELS:
            return html.message("No such alert", f"There is no alert {printable(alert)}.", 404)
        text = html.render("incident.html", alert=alert, query=_query(_labels(request)), who=login.by(request))
        return HTMLResponse(text, headers=html.HEADERS)

    async def now(self, request: Request) -> Response:
        """What is known now, for the script that renews it; 304 while it is what the reader has."""
        alert = request.path_params["alert"]
        if alert not in LABELS:
            return html.message("No such alert", f"There is no alert {printable(alert)}.", 404)
        try:
            view = await self._view(request)
        except NOT_SEEN as error:
            fragment = html.render("unseen.html", problem=printable(str(error)))
        else:
            fragment = html.render("incident_now.html", view=view, words=words, alert=alert)
        return html.renewed(request, fragment)

    async def mend(self, request: Request) -> Response:
        """Run what the page showed, if that is still what the runbook leads to."""
        form = await form_of(request)
        if isinstance(form, Response):
            return form
        if problem := login.refusal(request, form):
            return html.message("Nothing was run", problem, 403)
        alert, labels, who = request.path_params["alert"], _labels(request), login.by(request)
        if alert not in LABELS or not who:
            return html.message("Nothing was run", "log in first", 403)
        try:
            view = await self._view(request)
        except NOT_SEEN as error:
            return html.message("Nothing was run", printable(str(error)), 502)
        if problem := _why_not(view, form):
            return html.message("Nothing was run", problem, 409)
        typed = {word: form.get(PREFIX + word, "").strip() for word in view.typed}
        if unsaid := [word for word, value in typed.items() if not value or value.startswith("-")]:
            return html.message("Nothing was run", f"say what {', '.join(unsaid)} stands for", 422)
        commands = tuple(mending.filled(command, typed) for command in view.seen.plan.commands)
        seen = replace(view.seen, plan=replace(view.seen.plan, commands=commands))
        began = self._store.begin_mending(alert, labels, who, in_iso(datetime.now(UTC)))
        self._store.acknowledge([alarm.id for alarm in self._alarms(alert, labels)], who, in_iso(view.now))
        self._show(f"MENDING by {who}: {alert} of {printable(seen.agent)}: {'; '.join(map(printable, commands))}")
        task = asyncio.create_task(self._run(began, seen, who))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return RedirectResponse(f"./?{_query(labels)}", 303)

    async def post_mortem(self, request: Request) -> Response:
        """The draft, as a file: the alert as it was when somebody mended it, or began to look."""
        alert, labels, who = request.path_params["alert"], _labels(request), login.by(request)
        if alert not in LABELS or not who:
            return html.message("Log in first", "the draft holds what people did to the agent", 403)
        done, alarm = self._store.last_mending(alert, labels), next(iter(self._alarms(alert, labels)), None)
        looked = moment(done.began_at) if done else moment(alarm.began_at) + INTO_THE_ALARM if alarm else None
        try:
            seen = await asyncio.to_thread(self._look, alert, labels, looked)
        except NOT_SEEN as error:
            return html.message("There is no draft", printable(str(error)), 502)
        ended = (done.mended_at if done else "") or (alarm.ended_at if alarm else "")
        incident = postmortem.Incident(
            seen,
            done.who if done else who,
            seen.at,
            [(moment(at), line) for at, line in done.commands] if done else [],
            (moment(ended) - seen.at).total_seconds() if ended else None,
        )
        app = self._app
        log = await asyncio.to_thread(acting.log_around, app, seen) if app and self._is_ours(seen) else []
        name = postmortem.file_name(seen)
        return Response(
            postmortem.draft(incident, log),
            media_type="text/markdown",
            headers=html.HEADERS | {"content-disposition": f'attachment; filename="{name}"'},
        )

    async def _view(self, request: Request) -> View:
        alert, labels = request.path_params["alert"], _labels(request)
        seen = await asyncio.to_thread(self._look, alert, labels, None)
        now = datetime.now(UTC)
        alarm = next(iter(self._alarms(alert, labels)), None)
        done = self._store.last_mending(alert, labels)
        if done and seen.firing and seen.firing.since and moment(done.began_at) < seen.firing.since:
            done = None  # it was about the time before
        if done and done.done_at and not done.mended_at and seen.firing is None:
            self._store.note_mended(done.id, alarm.ended_at if alarm and alarm.ended_at else in_iso(now))
            done = self._store.last_mending(alert, labels)
        return View(
            seen=seen,
            mending=done,
            alarm=alarm,
            now=now,
            cannot_run=self._cannot_run(seen),
            may_run=bool(login.by(request)),
            csrf=login.csrf(request) if login.by(request) else "",
            plan=html.tag_of("\n".join(seen.plan.commands)).strip('"'),
            query=_query(labels),
        )

    def _look(self, alert: str, labels: dict[str, str], at: datetime | None) -> Seen:
        return look(alert, labels, self._place, at, lambda _needed: self._app.name if self._app else "unknown")

    def _alarms(self, alert: str, labels: dict[str, str]) -> list[Alarm]:
        """The alarms that are meant, the latest first."""
        fitting = [
            alarm
            for alarm in self._store.alarms()
            if alarm.page.alert == alert and labels.items() <= alarm.page.labels.items()
        ]
        return fitting[::-1]

    def _is_ours(self, seen: Seen) -> bool:
        return self._app is not None and seen.agent in (self._app.name, "unknown")

    def _cannot_run(self, seen: Seen) -> str:
        if self._app is None:
            return "This pager knows no agent: start it with AGENTGAUGE_APP set."
        if not self._is_ours(seen):
            return f"This pager runs commands for {self._app.name} only."
        return ""

    async def _run(self, began: int, seen: Seen, who: str) -> None:
        ran: list[tuple[str, str]] = []
        try:
            await asyncio.to_thread(self._run_all, seen, who, ran)
            problem = ""
        except Exception as error:  # or the page would say for ever that it runs
            problem = printable(str(error)) or type(error).__name__
        self._store.end_mending(began, ran, problem, in_iso(datetime.now(UTC)))
        self._show(f"NOT MENDED: {problem}" if problem else f"RAN {seen.alert}: watching until it is over")

    def _run_all(self, seen: Seen, who: str, ran: list[tuple[str, str]]) -> None:
        """Run the commands; ``ran`` gets those that were begun, as the page shows them. Raises MendingError."""
        assert self._app is not None  # noqa: S101  # or there would be no button
        filled: list[str] = []
        try:
            given = {word: acting.listed(seen, word) or word for word in mending.missing_in(seen.plan.commands)}
            for command in seen.plan.commands:
                ran.append((in_iso(datetime.now(UTC)), command))
                filled.append(mending.filled(command, given))
                mending.output_of(mending.argv(filled[-1]), who)
        finally:
            if problem := acting.record(self._app, seen, filled, who):
                self._show(f"warning: {problem}")


def _why_not(view: View, form: dict[str, str]) -> str:
    """Why nothing is run; empty if something is."""
    if view.cannot_run:
        return view.cannot_run
    if view.state == "running":
        return f"{view.mending.who if view.mending else 'somebody'} runs it already"
    if view.seen.firing is None:
        return "it no longer fires"
    if view.seen.plan.by_hand:
        return "this is done by hand"
    if form.get("plan") != view.plan:
        return "the runbook leads elsewhere by now: go back and look again"
    return ""


def _labels(request: Request) -> dict[str, str]:
    """The labels of the link that the alert has; nothing else that a link may hold reaches a query or a command."""
    known = LABELS.get(request.path_params["alert"], frozenset())
    return {name: printable(value) for name, value in sorted(request.query_params.items()) if name in known and value}


def _query(labels: dict[str, str]) -> str:
    return urlencode(labels)
