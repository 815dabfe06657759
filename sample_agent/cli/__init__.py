"""The Sales Companion's own commands: run it, talk to it, break it. `agentgauge` operates it, as any other agent."""

from __future__ import annotations

import typer

from sample_agent.cli import chat, cost, crm, fault, history, run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The Sales Companion: run it, talk to it, break it; `agentgauge` operates it.",
)

app.command()(run.serve)
app.command("fake-api")(run.fake_api)
app.command()(chat.chat)
app.command()(run.simulate)
app.add_typer(fault.app, name="fault")
app.add_typer(crm.app, name="crm")
app.command()(history.backfill)
app.add_typer(cost.app, name="cost")
