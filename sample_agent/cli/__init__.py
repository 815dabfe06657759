"""The Sales Companion's command line: run it, talk to it, break it, operate it."""

from __future__ import annotations

import typer

from sample_agent.cli import ops, run

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The Sales Companion: run, talk, break, operate.")

app.command()(run.serve)
app.command("fake-api")(run.fake_api)
app.command()(run.chat)
app.command()(run.simulate)
app.command()(run.fault)
app.add_typer(ops.app, name="ops")
