"""How often the gate of the evaluations errs on the noise of the real model: prints a table.

    python error_rates.py

The model triages tickets at a temperature at which it does not always say the same. Three prompts: the good one (v2), a
rewording of it, and the bad one (v1), which never finds a refund. Each is tried --pool times on each ticket. From these
trials, 20 repetitions of two runs are drawn with replacement, and the gate compares the two runs of each.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

from bot import CHOICE
from local_model import NAME, local_model
from openai import OpenAI

from agentgauge.evals import Trial, compare

HERE = Path(__file__).parent
TICKETS = {
    "Where is my order A-1001?": "search_help",
    "How do I reset my password?": "search_help",
    "Please refund $25 for order A-1003.": "refund_order",
    "My order A-1001 never came, refund me $400.": "refund_order",
    "Has A-1002 been shipped?": "search_help",
    "I want my $30 back for A-1004.": "refund_order",
}
REPETITIONS = 20
Passed = Mapping[str, Sequence[bool]]
"""Ticket → whether each trial found the right tool."""


def prompts() -> dict[str, str]:
    """The three prompts: the rewording asks for the same in other words, with the same examples."""
    good = (HERE / "prompts" / "v2" / "triage.md").read_text(encoding="utf-8")
    first, rest = good.split("\n", 1)
    return {
        "good": good,
        "reworded": f"{first.replace('Say which tool', 'Name the tool that')}\n{rest}",
        "bad": (HERE / "prompts" / "v1" / "triage.md").read_text(encoding="utf-8"),
    }


def tried(client: OpenAI, prompt: str, pool: int, temperature: float, until: float) -> dict[str, list[bool]]:
    """So many trials of each ticket, or fewer if the time is over."""
    instructions, *examples = prompt.strip().split("\n\n")
    messages: list[Any] = [{"role": "system", "content": instructions}]
    messages += [{"role": role, "content": one} for role, one in zip(cycle(["user", "assistant"]), examples)]
    passed: dict[str, list[bool]] = {ticket: [] for ticket in TICKETS}
    for number in range(pool):
        for ticket, right in TICKETS.items():
            if monotonic() > until:
                return passed
            reply = client.chat.completions.create(
                model=NAME,
                messages=[*messages, {"role": "user", "content": ticket}],
                temperature=temperature,
                max_tokens=48,
                seed=number,
                response_format=CHOICE,
            )
            passed[ticket].append(_tool(reply.choices[0].message.content or "") == right)
    return passed


def _tool(said: str) -> str:
    """The tool that the model named; empty if it ran out of tokens before that."""
    try:
        return str(json.loads(said)["tool"])
    except (ValueError, KeyError):
        return ""


def drawn(passed: Passed, trials: int, chance: random.Random) -> list[Trial]:
    """A run: so many trials of each ticket, drawn with replacement from those that there were."""
    return [
        Trial(ticket, number, float(good), good, 1, 0.01, 0.0, 1.0, (), {})
        for ticket, results in passed.items()
        for number, good in enumerate(chance.choices(results, k=trials))
    ]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pool", type=int, default=40, help="trials of each ticket under each prompt")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, default=15.0, help="after which no more trials begin")
    options = parser.parse_args()
    begun = monotonic()
    pools = {}
    with local_model() as url:
        client = OpenAI(base_url=url, api_key="not needed", timeout=600)
        for place, (name, prompt) in enumerate(prompts().items(), start=1):
            until = begun + 60 * options.minutes * place / 3
            pools[name] = tried(client, prompt, options.pool, options.temperature, until)
    for name, pool in pools.items():
        shares = ", ".join(f"{sum(results)}/{len(results)}" for results in pool.values())
        print(f"{name}: right by ticket {shares}")
    print("\n| before | after | trials of a ticket | worse | better | as good | no evidence |")
    print("|---|---|---|---|---|---|---|")
    for before, after in (("good", "bad"), ("bad", "good"), ("good", "reworded"), ("good", "good")):
        for trials in (5, 10, 20):
            chance = random.Random(f"{before} {after} {trials}")  # noqa: S311 - draws trials, hides nothing
            verdicts = Counter(
                compare(drawn(pools[before], trials, chance), drawn(pools[after], trials, chance)).passing
                for _ in range(REPETITIONS)
            )
            counts = " | ".join(str(verdicts[word]) for word in ("worse", "better", "as good", "no evidence"))
            print(f"| {before} | {after} | {trials} | {counts} |")


if __name__ == "__main__":
    main()
