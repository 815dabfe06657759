"""Users who ask or spend too much: slow them down, see who is, and let go."""

from __future__ import annotations

import getpass
import re
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from agentgauge.cli.common import open_ledger, out, stop
from agentgauge.cost.budgets import STATES
from agentgauge.cost.throttles import Throttles
from agentgauge.files.watched_file import state_directory
from agentgauge.ledger import Ledger
from agentgauge.ops import operations_log
from sample_agent import assembly

UNITS = {"m": "minutes", "h": "hours", "d": "days"}

User = Annotated[str, typer.Argument(help="Pseudonym, as pages and `ops spend` show it, or user id.")]
Reason = Annotated[str, typer.Option(help="Why: for your colleagues, the user does not see it.")]
Duration = Annotated[str, typer.Option("--for", help="So many minutes, hours or days: 30m, 2h, 1d.")]


def throttle(user: User, reason: Reason, duration: Duration = "1d") -> None:
    """Take few requests from a user (budgets.yml says how few), within seconds, on all replicas."""
    lasting = _lasting(duration)
    with open_ledger() as ledger:
        user_id = _user_id(ledger, user)
        until = ledger.now() + lasting
        Throttles(ledger, assembly.AGENT).put(user_id, "throttle", until, getpass.getuser(), reason)
        _say(f"user {ledger.pseudonym(user_id)} is throttled until {_minute(until)}")


def throttles() -> None:
    """List who is throttled or stopped, by people or by the budget of a day, and who was let go today."""
    table = Table("user", "state", "since", "until", "by", "reason")
    with open_ledger() as ledger:
        for one in Throttles(ledger, assembly.AGENT).current():
            state = STATES[one.level] if one.lifted_by is None else f"let go by {one.lifted_by}"
            until = "somebody lifts it" if one.until is None else _minute(one.until)
            table.add_row(ledger.pseudonym(one.user_id), state, _minute(one.since), until, one.set_by, one.reason)
    out.print(table)


def unthrottle(user: User) -> None:
    """Let a user go; a budget that did it does not do it again before 00:00 UTC."""
    with open_ledger() as ledger:
        user_id = _user_id(ledger, user)
        if not Throttles(ledger, assembly.AGENT).lift(user_id, getpass.getuser()):
            stop(f"user {ledger.pseudonym(user_id)} is neither throttled nor stopped; `ops throttles` lists who is")
        _say(f"user {ledger.pseudonym(user_id)} is let go")


def _user_id(ledger: Ledger, user: str) -> str:
    """The id of a user of whom the ledger knows, so that a slip of the pen throttles nobody."""
    found = ledger.user_behind(user) or ledger.user_behind(ledger.pseudonym(user))
    if found is None:
        stop(f"the ledger knows no user {user!r}; `ops spend` shows the pseudonyms of today")
    return found


def _say(done: str) -> None:
    operations_log.record(state_directory(), done)
    out.print(done, highlight=False)


def _lasting(written: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,3})([mhd])", written)
    if match is None:
        stop(f"--for {written}: expected minutes, hours or days: 30m, 2h, 1d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
