"""A PostgreSQL that keeps its connections and answers nothing."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from agentgauge.ledger import Ledger, answering
from stack import postgresql
from stack.layout import HOME


@pytest.mark.e2e  # it waits for connections that get no answer
def test_a_frozen_server_is_a_fault_and_a_slow_statement_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it ends with an error that says so; once it goes on, the ledger does."""
    monkeypatch.setattr(answering, "LOOK_SECONDS", 0.2)
    with postgresql.started(HOME) as server, closing(Ledger.open(f"{server.url}postgres")) as ledger:
        with ledger.reading() as connection:
            assert connection.execute(text("SELECT 7 FROM pg_sleep(1)")).scalar_one() == 7
        server.freeze()
        try:
            with pytest.raises(OperationalError):
                ledger.add_feedback("a", "rep-1", "up", "")
        finally:
            server.freeze(thaw=True)
        ledger.add_feedback("a", "rep-1", "up", "")
