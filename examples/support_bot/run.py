"""Run the bot: ``python run.py`` reads tickets, one a line as ``customer: text``, and prints the answers.

Metrics are at http://127.0.0.1:9464/metrics (``--port``). What was approved meanwhile is done, and answered, here.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import closing

from app import app
from bot import SupportBot
from local_model import NAME, PRICES, local_model
from openai import AsyncOpenAI

from agentgauge import AgentGauge, Session
from agentgauge.autonomy import Resumed, ToolRequests


async def main(port: int) -> None:
    """Answer until the input ends."""
    gauge = AgentGauge(
        app.name,
        tools=app.tool_names,
        models=[NAME],
        version=app.version,
        ledger=app.ledger,
        prices=PRICES,
    )
    requests = ToolRequests(app.supervisor(gauge))
    with closing(gauge), closing(gauge.serve(port)) as server, local_model() as url:
        client = AsyncOpenAI(base_url=url, api_key="not needed")
        bot = SupportBot(app, gauge, client, NAME, requests, app.prompts_in_force(gauge))

        async def go_on(resumed: Resumed) -> str:
            answer = await bot.go_on(resumed)
            print(f"{resumed.task.session.user_id}: {answer}", flush=True)
            return answer

        sessions: dict[str, Session] = {}
        async with requests.resuming(go_on):
            print(f"metrics at {server.url}; write customer: ticket", flush=True)
            while line := await asyncio.to_thread(sys.stdin.readline):
                customer, _, ticket = line.strip().partition(": ")
                session = sessions.get(customer) or sessions.setdefault(customer, gauge.session(customer))
                if session.ended_by_operator:
                    del sessions[customer]
                    print(f"{customer}: this conversation was ended; write again to begin a new one", flush=True)
                else:
                    print(f"{customer}: {await bot.answer(session, ticket)}", flush=True)
        for session in sessions.values():
            session.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9464)
    asyncio.run(main(parser.parse_args().port))
