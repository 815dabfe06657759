"""The bot's three tools, on the data of a small shop. Nothing here knows of a model or of AgentGauge."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ORDERS = {
    "A-1001": "(desk lamp): shipped, arrives on Tuesday.",
    "A-1002": "(kettle): delivered on Monday.",
    "A-1003": "(blanket): delivered last week.",
}
HELP = {
    "return send back": "Returns: send an item back within 30 days; the label is under My orders.",
    "password login account": "Passwords: choose Forgot password on the login page; the link is valid for an hour.",
    "pay payment card": "Payment: we take cards and bank transfers.",
}
BOT = "support_bot"
REFUNDS = Path(os.environ.get("SUPPORT_BOT_REFUNDS", "refunds.jsonl"))


def look_up_order(order: str) -> str:
    """Where an order is."""
    if order not in ORDERS:
        raise LookupError(f"there is no order {order}")
    return f"Order {order} {ORDERS[order]}"


def search_help(question: str) -> str:
    """The article that shares most words with the question."""
    words = set(re.findall(r"[a-z]+", question.lower()))
    topic, article = max(HELP.items(), key=lambda item: len(words & set(item[0].split())))
    if not words & set(topic.split()):
        raise LookupError("no help article answers this")
    return article


def refund_order(order: str, usd: int) -> str:
    """Pay money back; the file stands for the payment provider."""
    answer = pretend_refund(order, usd)
    pay_back(order, usd, by=BOT)
    return answer


def pay_back(order: str, usd: int, by: str) -> None:
    """Write a refund down, as the payment provider would; people use it as well: ``python tools.py A-1003 25 ana``."""
    refund = {"order": order, "usd": usd, "by": by, "at": time.time()}
    with REFUNDS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(refund) + "\n")


def refunds() -> list[dict[str, Any]]:
    """All refunds that were paid, oldest first; ``at`` is in Unix seconds."""
    return [json.loads(line) for line in REFUNDS.read_text(encoding="utf-8").splitlines()] if REFUNDS.exists() else []


def pretend_refund(order: str, usd: int) -> str:
    """What ``refund_order`` answers, without a payment."""
    if order not in ORDERS:
        raise LookupError(f"there is no order {order}")
    return f"Refunded ${usd} for order {order}."


TOOLS: dict[str, Callable[..., str]] = {
    "look_up_order": look_up_order,
    "search_help": search_help,
    "refund_order": refund_order,
}
PRETENDED: dict[str, Callable[..., str]] = TOOLS | {"refund_order": pretend_refund}


def run_tool(tool: str, arguments: Mapping[str, Any]) -> str:
    """Run a tool by its name."""
    return TOOLS[tool](**arguments)


def pretend_tool(tool: str, arguments: Mapping[str, Any]) -> str:
    """The same without side effects: for evaluations."""
    return PRETENDED[tool](**arguments)


if __name__ == "__main__":
    order, usd, by = sys.argv[1:]
    pay_back(order, int(usd), by)
