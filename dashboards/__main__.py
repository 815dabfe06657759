"""``python -m dashboards generate``."""

from __future__ import annotations

import typer

from alerts.promql import PromqlError
from alerts.thresholds import ThresholdError
from dashboards import generate as generator
from dashboards.model import PanelError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Grafana dashboards as code.")


@app.callback()
def main() -> None:
    """Grafana dashboards as code."""


@app.command()
def generate() -> None:
    """Write dashboards/generated from the dashboards and thresholds.yml."""
    try:
        changed = generator.generate()
    except (ThresholdError, PromqlError, PanelError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for path in changed:
        typer.echo(f"wrote {path.relative_to(generator.ROOT)}")
    typer.echo(f"dashboards: {len(changed)} file(s) changed")


if __name__ == "__main__":
    app()
