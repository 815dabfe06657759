"""What is wrong costs whom: looked up beside the list, which never waits for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from agentgauge.incident.impact import Impact
from agentgauge.incident.place import Place
from agentgauge.ops.prometheus import PrometheusError

FRESH_SECONDS = 15.0


class Impacts:
    """The impact of what is wrong with each agent, as it was FRESH_SECONDS ago at most, once it is known."""

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._known: dict[str, Impact] = {}
        self._asked_at: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, agents: Iterable[str]) -> dict[str, Impact]:
        """What is known of these agents; what is missing or old is looked up meanwhile."""
        names = set(agents)
        for gone in self._known.keys() - names:
            del self._known[gone]
        for name in names:
            if self._clock() - self._asked_at.get(name, -FRESH_SECONDS) >= FRESH_SECONDS:
                self._asked_at[name] = self._clock()
                task = asyncio.create_task(self._look_up(name))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return {name: self._known[name] for name in names if name in self._known}

    async def _look_up(self, agent: str) -> None:
        try:
            self._known[agent] = await asyncio.to_thread(self._place.impact, agent)
        except PrometheusError:
            self._known.pop(agent, None)
