"""Sessions of one user in a process of its own, for the tests: ``python spender.py LEDGER SESSIONS`` or ``… hold``.

With a number, so many sessions at once call the model until the user's day is spent; then it says what they spent. With
``hold``, it reserves for one call of session ``s``, says so, and waits to be killed.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from agentgauge import AgentGauge
from agentgauge.cost.budgets import Budget, BudgetPolicy, BudgetReachedError, Budgets
from agentgauge.ledger import databases, recorder
from agentgauge.pricing import TokenUsage

MODEL = "claude-opus-5-5"
USER = "rep-1"
STOP = 20.0
MAX_TOKENS = 40_000
POLICY = BudgetPolicy(
    session=Budget(stop=STOP), user_day=Budget(stop=STOP), seconds_between_requests=1, contact="the team"
)


def say(*words: object) -> None:
    """One line that the test waits for."""
    print(*words, flush=True)  # noqa: T201 - this is how it talks to the test


def spend_all(gauge: AgentGauge, budgets: Budgets) -> float:
    """Call the model in a new session until the day is spent; returns what that cost."""
    with gauge.session(USER) as session:
        while True:
            try:
                with budgets.reserve(MODEL, max_tokens=MAX_TOKENS, input_tokens=1000):
                    call = gauge.llm_call(MODEL)
                    time.sleep(0.01)  # the model thinks
                    call.finish(TokenUsage(input=1000, output=MAX_TOKENS))
            except BudgetReachedError as reached:
                if "for today. It starts again" in str(reached):
                    return session.cost_usd
                time.sleep(0.1)  # the rest is reserved for calls that run


def main(ledger: str, what: str) -> None:
    """Do what the command line says."""
    # On a busy machine a lock is held for seconds: nothing here is about that.
    databases.WAIT_SECONDS = recorder.CLOSING_SECONDS = 300
    gauge = AgentGauge("a", ledger=ledger)
    budgets = Budgets(POLICY, gauge)
    if what == "hold":
        with gauge.session(session_id="s"), budgets.reserve(MODEL, max_tokens=10**6, input_tokens=0):
            say("held")
            sys.stdin.read()
    say("ready")
    sys.stdin.readline()
    with ThreadPoolExecutor(int(what)) as pool:
        spent = [pool.submit(spend_all, gauge, budgets) for _ in range(int(what))]
    gauge.close()  # before it is said, so that the test finds in the ledger what it hears of
    say(sum(one.result() for one in spent))


if __name__ == "__main__":
    main(*sys.argv[1:])
