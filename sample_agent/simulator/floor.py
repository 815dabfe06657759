"""Simulated reps: when they come, what they ask, how long they think, how they leave."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from agentgauge.ledger import LedgerError
from sample_agent.faults import FaultFile
from sample_agent.simulator import decisions
from sample_agent.simulator.memory import accounts, has_a_wrong_renewal
from sample_agent.simulator.workload import DEMO_SESSIONS_AN_HOUR, TASKS_A_SESSION

SECONDS_BETWEEN_SESSIONS = 3600 / DEMO_SESSIONS_AN_HOUR
"""From the beginning of a rep's conversation to that of the next one, on average; they begin as a Poisson process."""

SECONDS_OF_THOUGHT = 6.0
"""Mean pause between an answer and the rep's next message."""

SECONDS_OF_REVIEW = 8.0
"""Mean time that a rep takes to decide on an action."""

NO_NEWS = 204
NOT_PERMITTED = 403

SECONDS_LEFT_WAITING = 20.0
"""After so long a colleague decides what a rep left waiting."""

DOES_IT_BY_HAND = 0.85
"""How often a rep then does what the agent did not do."""

LEAVES_WITHOUT_ASKING = 0.03
LEAVES_BEFORE_ANSWER = 0.02
RATES_THE_ANSWER = 0.1
IS_HAPPY = 0.94
IS_HAPPY_WHEN_UNHAPPY = 0.2
"""With the fault ``unhappy-reps`` in force."""

LOOK_UPS = (
    "Tell me about the {account} account",
    "When does {account} renew?",
    "Who is our contact at {account}?",
    "What did {account} write to us last?",
    "Compare {account} and {other}",
)
FOLLOW_UPS = (
    "Draft a renewal proposal email to our contact at {account}",
    "Log a note in the CRM for {account}: call back next week",
    "What does the Analytics add-on cost?",
    "Thanks, that helps!",
)
OUT_OF_SCOPE = ("What will the weather be tomorrow?", "Write me a poem about quarterly targets")
SHARE_OUT_OF_SCOPE = 0.04
COMPLAINTS = {"too_slow": 10, "incomplete": 6, "tone": 5}
"""Reason → how often it is given, relative to the others. ``wrong_answer`` is given when an answer is wrong."""


@dataclass
class Tally:
    """What happened so far, for the progress line and the summary."""

    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        names = (
            "sessions",
            "messages",
            "answers",
            "decisions",
            "left waiting",
            "left early",
            "thumbs up",
            "thumbs down",
            "errors",
        )
        return "  ".join(f"{name} {self.counts[name]}" for name in names)


def questions(rng: random.Random) -> list[str]:
    """What a rep asks in one conversation: TASKS_A_SESSION things on average, one more or less in half of them."""
    account, other = rng.sample(accounts(), 2)
    follow_ups = TASKS_A_SESSION - 1 + rng.choice((-1, 0, 0, 1))
    texts = [rng.choice(LOOK_UPS), *rng.sample(FOLLOW_UPS, follow_ups)]
    if rng.random() < SHARE_OUT_OF_SCOPE * len(texts):
        texts[-1] = rng.choice(OUT_OF_SCOPE)
    return [text.format(account=account, other=other) for text in texts]


@dataclass(frozen=True)
class Floor:
    """A floor of ``reps`` people on the agent at ``url``; ``pace`` 2 is twice as busy as the demo usually is.

    ``take_over`` decides what reps left waiting for SECONDS_LEFT_WAITING; without it that expires. ``do_by_hand`` is
    given a rep and a question: what the agent only watches, the rep does. ``token`` is that of the front end through
    which they talk to the agent.
    """

    url: str
    reps: int
    pace: float
    rng: random.Random
    tally: Tally
    faults: FaultFile
    take_over: Callable[[], None] | None = None
    do_by_hand: Callable[[str, str], None] | None = None
    token: str = ""

    def by_rep(self) -> dict[str, Floor]:
        """User id → the floor as that rep lives it: their chances are their own, whoever is answered sooner."""
        numbers = range(1, self.reps + 1)
        return {f"rep-{number}": replace(self, rng=random.Random(self.rng.random())) for number in numbers}  # noqa: S311 - a simulation, not a secret

    async def run(self, seconds: float | None) -> None:
        """Work for so many seconds, or until cancelled."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            httpx2.AsyncClient(base_url=self.url, timeout=120, headers=headers) as client,
            asyncio.TaskGroup() as group,
        ):
            people = [group.create_task(floor._rep(client, user_id)) for user_id, floor in self.by_rep().items()]
            if self.take_over is not None:
                people.append(group.create_task(self._colleague(self.take_over)))
            if seconds is not None:
                await asyncio.sleep(seconds)
                for person in people:
                    person.cancel()

    async def _rep(self, client: httpx2.AsyncClient, user_id: str) -> None:
        now = asyncio.get_running_loop().time
        began = now()
        while True:
            await asyncio.sleep(began + self._seconds(SECONDS_BETWEEN_SESSIONS) - now())
            began = now()
            try:
                await self._conversation(client, user_id)
            except httpx2.HTTPError:
                # The agent is down or restarting; a rep comes back later.
                self.tally.counts["errors"] += 1

    async def _colleague(self, take_over: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(SECONDS_LEFT_WAITING / 2)
            if not self.faults.in_force("absent-reviewers"):
                try:
                    await asyncio.to_thread(take_over)
                except (LedgerError, SQLAlchemyError):  # it is locked, say; there is another time
                    self.tally.counts["errors"] += 1

    async def _conversation(self, client: httpx2.AsyncClient, user_id: str) -> None:
        opened = await client.post("/sessions", json={"user_id": user_id})
        opened.raise_for_status()
        session = f"/sessions/{opened.json()['session_id']}"
        self.tally.counts["sessions"] += 1
        try:
            leaves = 1.0 if self.faults.in_force("impatient-reps") else LEAVES_WITHOUT_ASKING
            if self.rng.random() >= leaves:
                for text in questions(self.rng):
                    if not await self._ask(client, session, user_id, text):
                        break
                    await self._pause(SECONDS_OF_THOUGHT)
        finally:
            await client.delete(session)

    async def _ask(self, client: httpx2.AsyncClient, session: str, user_id: str, text: str) -> bool:
        """Ask one thing, and decide what the agent wants to do; whether the conversation can go on."""
        self.tally.counts["messages"] += 1
        asking = client.post(f"{session}/messages", json={"text": text})
        if self.rng.random() < LEAVES_BEFORE_ANSWER:
            self.tally.counts["left early"] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asking, timeout=0.3)
            return False
        answer = (await asking).raise_for_status().json()
        while answer["approvals"]:
            if not await self._decide(client, session, answer["approvals"]):
                return False
            going_on = (await client.get(f"{session}/answer", params={"wait": 60})).raise_for_status()
            if going_on.status_code == NO_NEWS:
                return False
            answer = going_on.json()
        self.tally.counts["answers"] += 1
        if answer["suggestions"] and self.do_by_hand and self.rng.random() < DOES_IT_BY_HAND:
            await asyncio.to_thread(self.do_by_hand, user_id, text)
        if reason := self._opinion(answer["text"]):
            rating = "up" if reason == "none" else "down"
            self.tally.counts[f"thumbs {rating}"] += 1
            await client.post(f"{session}/feedback", json={"rating": rating, "reason": reason})
        return True

    async def _decide(self, client: httpx2.AsyncClient, session: str, actions: list[dict[str, Any]]) -> bool:
        """Decide on what waits; whether all of it was decided."""
        for action in actions:
            await self._pause(SECONDS_OF_REVIEW)
            decision = decisions.decision(action, self.rng, decisions.shares(self.faults))
            if decision is None:
                self.tally.counts["left waiting"] += 1
                return False
            decided = await client.post(f"{session}/approvals/{action['id']}", json=decision)
            if decided.status_code == NOT_PERMITTED:
                self.tally.counts["left waiting"] += 1  # of high risk: that is a colleague's to decide
                return False
            decided.raise_for_status()
            self.tally.counts["decisions"] += 1
        return True

    def _opinion(self, answer: str) -> str | None:
        """What the rep says of an answer: nothing, ``none`` with a thumb up, or a complaint."""
        if has_a_wrong_renewal(answer):
            return "wrong_answer"
        unhappy = self.faults.in_force("unhappy-reps")
        if not unhappy and self.rng.random() >= RATES_THE_ANSWER:
            return None
        if self.rng.random() < (IS_HAPPY_WHEN_UNHAPPY if unhappy else IS_HAPPY):
            return "none"
        return self.rng.choices(list(COMPLAINTS), weights=list(COMPLAINTS.values()))[0]

    async def _pause(self, mean_seconds: float) -> None:
        await asyncio.sleep(self._seconds(mean_seconds))

    def _seconds(self, mean: float) -> float:
        return self.rng.expovariate(self.pace / mean)
