"""Simulated reps: when they come, what they ask, how long they think, how they leave."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from sample_agent.faults import FaultFile
from sample_agent.simulator.memory import has_a_wrong_renewal

SECONDS_BETWEEN_SESSIONS = 240.0
"""Mean pause of a rep between two conversations; arrivals are a Poisson process."""

SECONDS_OF_THOUGHT = 6.0
"""Mean pause between an answer and the rep's next message."""

LEAVES_WITHOUT_ASKING = 0.03
LEAVES_BEFORE_ANSWER = 0.02
RATES_THE_ANSWER = 0.1
IS_HAPPY = 0.94
IS_HAPPY_WHEN_UNHAPPY = 0.2
"""With the fault ``unhappy-reps`` in force."""

ACCOUNTS = ("Globex", "Initech", "Umbrella", "Hooli")
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
        names = ("sessions", "messages", "answers", "left early", "thumbs up", "thumbs down", "errors")
        return "  ".join(f"{name} {self.counts[name]}" for name in names)


@dataclass(frozen=True)
class Floor:
    """A floor of ``reps`` people on the agent at ``url``; ``pace`` 2 means twice as busy."""

    url: str
    reps: int
    pace: float
    rng: random.Random
    tally: Tally
    faults: FaultFile

    async def run(self, seconds: float | None) -> None:
        """Work for so many seconds, or until cancelled."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=120) as client, asyncio.TaskGroup() as group:
            people = [group.create_task(self._rep(client, f"rep-{number}")) for number in range(1, self.reps + 1)]
            if seconds is not None:
                await asyncio.sleep(seconds)
                for person in people:
                    person.cancel()

    async def _rep(self, client: httpx2.AsyncClient, user_id: str) -> None:
        while True:
            await self._pause(SECONDS_BETWEEN_SESSIONS)
            try:
                await self._conversation(client, user_id)
            except httpx2.HTTPError:
                # The agent is down or restarting; a rep comes back later.
                self.tally.counts["errors"] += 1

    async def _conversation(self, client: httpx2.AsyncClient, user_id: str) -> None:
        opened = await client.post("/sessions", json={"user_id": user_id})
        opened.raise_for_status()
        session = f"/sessions/{opened.json()['session_id']}"
        self.tally.counts["sessions"] += 1
        try:
            leaves = 1.0 if self.faults.in_force("impatient-reps") else LEAVES_WITHOUT_ASKING
            if self.rng.random() >= leaves:
                for text in self._questions():
                    await self._ask(client, session, text)
                    await self._pause(SECONDS_OF_THOUGHT)
        finally:
            await client.delete(session)

    async def _ask(self, client: httpx2.AsyncClient, session: str, text: str) -> None:
        self.tally.counts["messages"] += 1
        asking = client.post(f"{session}/messages", json={"text": text})
        if self.rng.random() < LEAVES_BEFORE_ANSWER:
            self.tally.counts["left early"] += 1
            try:
                await asyncio.wait_for(asking, timeout=0.3)
            except TimeoutError:
                return
            return
        answer = (await asking).raise_for_status().json()
        self.tally.counts["answers"] += 1
        if reason := self._opinion(answer["text"]):
            rating = "up" if reason == "none" else "down"
            self.tally.counts[f"thumbs {rating}"] += 1
            await client.post(f"{session}/feedback", json={"rating": rating, "reason": reason})

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

    def _questions(self) -> list[str]:
        account, other = self.rng.sample(ACCOUNTS, 2)
        texts = [self.rng.choice(LOOK_UPS), *self.rng.sample(FOLLOW_UPS, self.rng.choice((0, 1, 1, 2)))]
        if self.rng.random() < SHARE_OUT_OF_SCOPE * len(texts):
            texts[-1] = self.rng.choice(OUT_OF_SCOPE)
        return [text.format(account=account, other=other) for text in texts]

    async def _pause(self, mean_seconds: float) -> None:
        await asyncio.sleep(self.rng.expovariate(self.pace / mean_seconds))
