"""Users who ask or spend too much: slow them down, see who is, and let go."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agentgauge.cli.asking import Why
from agentgauge.cli.common import AsJson, By, agent, opened_ledger, refuse, say, stop
from agentgauge.cli.tables import Column, print_rows, shown

if TYPE_CHECKING:
    from agentgauge.ledger import Ledger

UNITS = {"m": "minutes", "h": "hours", "d": "days"}

User = Annotated[str, typer.Argument(help="Pseudonym, as pages and `ops spend` show it, or user id.")]
Reason = Annotated[str, typer.Option("--reason", "--why", help="Why: for your colleagues, the user does not see it.")]
Duration = Annotated[str, typer.Option("--for", help="So many minutes, hours or days: 30m, 2h, 1d.")]


NOBODY = "nobody is throttled or stopped; `agentgauge ops spend` shows who spends most"


def throttle(user: User, why: Reason, duration: Duration = "1d", by: By = "unknown") -> None:
    """Take few requests from a user (budgets.yml says how few), within seconds, on all replicas."""
    from agentgauge.cost.throttles import Throttles

    lasting = _lasting(duration)
    app = agent()
    with opened_ledger(app) as ledger:
        user_id = _user_id(ledger, user)
        until = ledger.now() + lasting
        Throttles(ledger, app.name).put(user_id, "throttle", until, by, why)
        done = f"user {ledger.pseudonym(user_id)} is throttled until {shown(until)} UTC"
    say(done)


def throttles(as_json: AsJson = False) -> None:
    """List who is throttled or stopped, by people or by the budget of a day, and who was let go today."""
    from agentgauge.cost.throttles import Throttles

    app = agent()
    with opened_ledger(app) as ledger:
        rows = [
            {
                "user": ledger.pseudonym(one.user_id),
                "state": "throttled" if one.level == "throttle" else "stopped",
                "since": one.since,
                "until": one.until,
                "set_by": one.set_by,
                "lifted_by": one.lifted_by,
                "reason": one.reason,
            }
            for one in Throttles(ledger, app.name).current()
        ]
    columns = [
        Column("user", "user"),
        Column("state", "state"),
        Column("since", "since (UTC)"),
        Column("until", "until (UTC)", lambda until: "somebody lifts it" if until is None else shown(until)),
        Column("set_by", "by"),
        Column("lifted_by", "let go by"),
        Column("reason", "reason", wraps=True),
    ]
    print_rows(columns, rows, as_json=as_json, nothing=NOBODY)


def unthrottle(user: User, why: Why = "", by: By = "unknown") -> None:
    """Let a user go; a budget that did it does not do it again before 00:00 UTC."""
    from agentgauge.cost.throttles import Throttles

    app = agent()
    with opened_ledger(app) as ledger:
        user_id = _user_id(ledger, user)
        pseudonym = ledger.pseudonym(user_id)
        if not Throttles(ledger, app.name).lift(user_id, by, why):
            refuse(f"user {pseudonym} is neither throttled nor stopped; `agentgauge ops throttles` lists who is")
    say(f"user {pseudonym} is let go")


def _user_id(ledger: Ledger, user: str) -> str:
    """The id of a user whom the ledger knows, so that a typing error throttles nobody."""
    user_id = ledger.user_behind(user) or ledger.user_behind(ledger.pseudonym(user))
    if user_id is None:
        refuse(f"the ledger knows no user {user!r}; `agentgauge ops spend` shows the pseudonyms of today")
    return user_id


def _lasting(written: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,3})([mhd])", written)
    if match is None:
        stop(f"--for {written}: expected minutes, hours or days: 30m, 2h, 1d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})
