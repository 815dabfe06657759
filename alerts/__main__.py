"""``python -m alerts generate | pager``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
import uvicorn

from alerts import generate as generator
from alerts import pager as pager_app
from alerts.docs import MissingBlockError
from alerts.promql import PromqlError
from alerts.thresholds import ThresholdError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Rules, thresholds and the pager.")


@app.command()
def generate() -> None:
    """Write rules, inhibition, fact boxes and tables from the catalog and thresholds.yml."""
    try:
        changed = generator.generate()
    except (ThresholdError, PromqlError, MissingBlockError, FileNotFoundError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for path in changed:
        typer.echo(f"wrote {path.relative_to(generator.ROOT)}")
    typer.echo(f"alerts: {len(changed)} file(s) changed")


@app.command()
def pager(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Receive Alertmanager's webhooks, print each page and keep it at /pages."""
    uvicorn.run(pager_app.create_app(_show), host=host, port=port, log_level="warning")


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    app()
