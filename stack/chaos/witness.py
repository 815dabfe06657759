"""People who ask, decide and rate while things break, and remember what the agent acknowledged to them."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Any

import requests
from sqlalchemy import select

from agentgauge.autonomy.action import Action, UnknownActionError
from agentgauge.autonomy.people import People
from agentgauge.ledger import Ledger
from agentgauge.ledger.schema import FEEDBACK
from sample_agent.assembly import build_autonomy
from sample_agent.settings import AGENT
from stack.layout import Layout

HUNG_SECONDS = 300.0
"""Who has neither an answer nor a refusal by then has been left hanging."""
READING_SECONDS = 60.0
"""How long to wait for what came of a decision; what comes later is not awaited."""
PEOPLE = 3
PAUSE_SECONDS, PAUSE_SECONDS_AFTER_BREAK = 0.5, 3.0
REJECTED_OF = 5
"""One in so many is rejected."""


@dataclass
class Deed:
    """What one person asked an ``agent`` (URL) for, and what they were told. ``note`` is in the CRM once it was done.

    ``session`` is the conversation, and ``seal`` names what they were shown of the ``action`` that it waits for.
    ``decided`` is the decision that the agent acknowledged; ``rated`` that it acknowledged a rating.
    ``refused`` is the status and error of a refusal, ``broken`` the name of the error of a broken connection; ``hung``
    that neither came. ``began`` and ``ended`` are of the monotonic clock.
    """

    user: str
    note: str
    began: float = field(default_factory=time.monotonic)
    agent: str = ""
    session: str = ""
    action: str = ""
    seal: str = ""
    decided: str = ""
    answered: bool = False
    rated: bool = False
    refused: tuple[int, str] | None = None
    broken: str = ""
    hung: bool = False
    ended: float | None = None


class RefusedError(Exception):
    """The agent answered with an error."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


class Witness:
    """Some people at once, from ``start`` to ``stop``, who talk to the agent at the address that ``agent`` returns."""

    def __init__(self, layout: Layout, name: str, rng: Random) -> None:
        self.agent: Callable[[], str] = lambda: layout.agent
        self._layout = layout
        self._name = name
        self._rng = rng
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self.deeds: list[Deed] = []

    def start(self) -> None:
        """Begin to ask."""
        self._ending.clear()
        self._threads = [threading.Thread(target=self._keep_asking, daemon=True) for _ in range(PEOPLE)]
        for thread in self._threads:
            thread.start()

    def start_afresh(self) -> None:
        """Let everybody finish, and go on with the agent that ``agent`` returns by then."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Ask no more, once everybody has heard what became of their request, or given up."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def ask(self) -> Deed:
        """One person's whole errand: ask, decide, read the answer, rate it."""
        deed, rejects = self._new()
        try:
            self._play(deed, rejects)
        except RefusedError as refusal:
            deed.refused = (refusal.status, refusal.error)
        except requests.Timeout:
            deed.hung = True
        except (requests.RequestException, ValueError) as error:  # the process ended in the middle of a response
            deed.broken = type(error).__name__
        deed.ended = time.monotonic()
        return deed

    def request(self) -> Deed:
        """Ask for something, and leave it waiting for its approval. Raises what keeps it from that."""
        deed, _ = self._new()
        self._request(deed)
        return deed

    def decide(self, deed: Deed, rejects: bool = False) -> None:
        """Approve or reject what waits. Raises what keeps it from that."""
        decision = {"decision": "reject", "reason": "not now"} if rejects else {"decision": "approve"}
        where = f"{deed.agent}/sessions/{deed.session}/approvals/{deed.action}"
        _said(requests.post(where, json=decision | {"seen": deed.seal}, headers=self._me(), timeout=HUNG_SECONDS))
        deed.decided = "rejected" if rejects else "approved"

    def hear(self, deed: Deed) -> None:
        """Read what came of it, if that comes soon. Raises what keeps it from that."""
        where = f"{deed.agent}/sessions/{deed.session}/answer"
        answer = requests.get(where, params={"wait": READING_SECONDS}, timeout=HUNG_SECONDS)
        if answer.status_code != 204:
            _said(answer)
            deed.answered = True

    def since(self, moment: float) -> list[Deed]:
        """Those that were begun after a moment of the monotonic clock, and have ended."""
        with self._lock:
            return [deed for deed in self.deeds if deed.began >= moment and deed.ended is not None]

    def _new(self) -> tuple[Deed, bool]:
        with self._lock:
            name = f"{self._name}-{len(self.deeds)}"
            deed = Deed(name, f"chaos {name}", agent=self.agent())
            self.deeds.append(deed)
            return deed, self._rng.randrange(REJECTED_OF) == 0

    def _keep_asking(self) -> None:
        pause = PAUSE_SECONDS
        while not self._ending.wait(pause):
            pause = PAUSE_SECONDS_AFTER_BREAK if self.ask().broken else PAUSE_SECONDS

    def _play(self, deed: Deed, rejects: bool) -> None:
        self._request(deed)
        self.decide(deed, rejects)
        self.hear(deed)
        session = f"{deed.agent}/sessions/{deed.session}"
        _said(requests.post(f"{session}/feedback", json={"rating": "up"}, timeout=HUNG_SECONDS))
        deed.rated = True
        requests.delete(session, timeout=HUNG_SECONDS)

    def _request(self, deed: Deed) -> None:
        sessions = f"{deed.agent}/sessions"
        who = {"user_id": deed.user}
        opened = _said(requests.post(sessions, json=who, headers=self._me(), timeout=HUNG_SECONDS))
        deed.session = opened["session_id"]
        ask = {"text": f"Log a note in the CRM for Globex: {deed.note}"}
        answer = _said(requests.post(f"{sessions}/{deed.session}/messages", json=ask, timeout=HUNG_SECONDS))
        if not answer["approvals"]:  # the agent says in words that it could not
            raise RefusedError(200, str(answer["text"]))
        deed.action, deed.seal = answer["approvals"][0]["id"], answer["approvals"][0]["seal"]

    def _me(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {People.of(self._layout.state).owner()[1]}"}


def _said(answer: requests.Response) -> dict[str, Any]:
    """The body of a response; RefusedError if it is an error."""
    body = answer.json()
    if not answer.ok:
        raise RefusedError(answer.status_code, str(body.get("error", "")))
    return dict(body)


def losses(deeds: list[Deed], ledger: Ledger, layout: Layout) -> Iterator[str]:
    """A sentence for each decision or rating that was acknowledged and is not kept, and for what was done twice."""
    actions, notes = build_autonomy(ledger, state=layout.state).actions, notes_in(layout)
    for deed in deeds:
        done = notes[deed.note]
        if done > 1:
            yield f"{deed.note} was done {done} times"
        if not deed.decided:
            continue
        try:
            action = actions.get(deed.action)
        except UnknownActionError:
            yield f"the ledger does not know {deed.note}, which was acknowledged as {deed.decided}"
            continue
        if action.decision != deed.decided:
            yield f"{deed.note} was acknowledged as {deed.decided}, and the ledger says {action.decision}"
        if action.decision == "rejected" and done:
            yield f"{deed.note} was rejected, and done"
        if action.result is not None and action.result["status"] == "done" and not done:
            yield f"the ledger says that {deed.note} was done, and it was not"
    rated = {deed.user for deed in deeds if deed.rated}
    with ledger.reading() as connection:
        kept = set(connection.execute(select(FEEDBACK.c.user_id).where(FEEDBACK.c.agent == AGENT)).scalars())
    for user in sorted(rated - kept):
        yield f"the rating of {user} was acknowledged and is not kept"
    yield from build_autonomy(ledger, state=layout.state).decisions.verify().problems


def unfinished(deeds: list[Deed], ledger: Ledger, layout: Layout) -> list[Action]:
    """Those that were approved, and neither have an end nor are shown to people as unresolved."""
    actions = build_autonomy(ledger, state=layout.state).actions
    unresolved = {action.id for action in actions.unresolved()}
    approved = [actions.get(deed.action) for deed in deeds if deed.decided == "approved"]
    return [one for one in approved if one.finished_at is None and one.id not in unresolved]


def notes_in(layout: Layout) -> Counter[str]:
    """How often each note is in the CRM."""
    with closing(sqlite3.connect(layout.state / "crm.sqlite", timeout=30)) as crm:
        return Counter(text for (text,) in crm.execute("SELECT text FROM notes"))
