"""Ledgers to test on: every such test runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from agentgauge.ledger import Ledger
from stack import postgresql
from stack.layout import HOME
from tests.clock import Clock


def sql(url: str, statement: str) -> Sequence[Any]:
    """Run a statement beside the ledger; returns its rows, if it has any."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        result = connection.execute(text(statement))
        return result.all() if result.returns_rows else []


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server; append a database's name to its URL. Without one the tests fail: nothing is skipped."""
    with postgresql.running(HOME) as url:
        yield url


@pytest.fixture
def postgresql_url(server: str) -> Iterator[str]:
    """A PostgreSQL database of its own."""
    name = f"test_{uuid.uuid4().hex}"
    sql(f"{server}postgres", f"CREATE DATABASE {name}")
    yield f"{server}{name}"
    sql(f"{server}postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    found: str = request.getfixturevalue("postgresql_url")
    return found


@pytest.fixture
def clock() -> Clock:
    """It shows noon of 18 March 2026, UTC."""
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    """A new ledger that lives by the test's clock."""
    opened = Ledger.open(url, now=clock)
    yield opened
    opened.close()
