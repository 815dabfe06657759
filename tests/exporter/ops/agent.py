"""An agent in a process of its own, for the tests: it says on stdout what reaches it.

Run as ``python agent.py LEDGER``; a line on stdin says what to do: ``session ID``, ``loop ID``, ``look-up`` or
``end``.
"""

from __future__ import annotations

import asyncio
import sys

from agentgauge import AgentGauge
from agentgauge.cost.cache import CachePolicy, ToolCache
from agentgauge.cost.store import MemoryStore
from agentgauge.ops.switches import FollowedSwitches

POLICY = CachePolicy.model_validate({"most": 10, "tools": {"get_deals": {"seconds": 900, "scope": "tenant"}}})


def say(*words: object) -> None:
    """One line that the test waits for."""
    print(*words, flush=True)  # noqa: T201 - this is how it talks to the test


async def main(ledger: str) -> None:
    """Start, and do what the lines say."""
    gauge = AgentGauge("a", tools=["get_deals"], version="1.7", ledger=ledger)
    switches = FollowedSwitches(gauge)
    gauge.on_operation("switches", lambda _operation: say("switched:", switches()))
    gauge.on_session_ended(lambda session: say("ended:", session.id, session.ended_by_operator))
    cache = ToolCache(POLICY, MemoryStore(10), gauge, "tenant")
    cache.operated_through(gauge)
    gauge.on_operation("cache_drop", lambda operation: say("dropped:", operation.detail["tool"]))
    server = gauge.serve(port=0)
    sessions = {}
    say("ready", switches())
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        match line:
            case ["session", session_id]:
                sessions[session_id] = gauge.session(session_id=session_id)
                say("opened", session_id)
            case ["loop", session_id]:
                for _ in range(gauge.limits.tool_calls + 1):
                    sessions[session_id].add_tool_call()
                sessions[session_id].record_messages([{"role": "user", "content": "hello"}])
                gauge.refresh_from_ledger()
                say("kept", session_id)
            case ["look-up"]:
                executed = False

                async def fetch() -> str:
                    nonlocal executed
                    executed = True
                    return "deals"

                await cache.look_up("get_deals", {}, None, fetch)
                say("executed" if executed else "from the cache")
            case ["end"]:
                break
    server.close()
    gauge.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
