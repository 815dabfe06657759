"""The Sales Companion's command line: run it, talk to it, break it, operate it."""

from __future__ import annotations

import typer

from agentgauge.cli import approvals, autonomy, evals, feedback, ops, prompts
from sample_agent.cli import chat, cost, history, run

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The Sales Companion: run, talk, break, operate.")

app.command()(run.serve)
app.command("fake-api")(run.fake_api)
app.command()(chat.chat)
app.command()(run.simulate)
app.command()(run.fault)
app.command()(history.backfill)
app.command()(ops.users)
app.add_typer(ops.app, name="ops")
app.add_typer(approvals.app, name="approvals")
app.add_typer(autonomy.app, name="autonomy")
app.add_typer(prompts.app, name="prompts")
app.add_typer(feedback.app, name="feedback")
app.add_typer(evals.app, name="eval")
app.add_typer(cost.app, name="cost")
