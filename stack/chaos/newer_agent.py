"""The Sales Companion as a later version would be: its ledger has a table, a column and an index more."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table, Text

from agentgauge.ledger import schema
from sample_agent.cli import app


def main() -> None:
    """Run a command of the Sales Companion on the later schema."""
    schema.VERSION += 1
    Table("agentgauge_later", schema.tables, Column("id", Text, primary_key=True))
    schema.ACTIONS.append_column(Column("later", Integer))
    Index("agentgauge_action_later", schema.ACTIONS.c.later)
    app()


if __name__ == "__main__":
    main()
