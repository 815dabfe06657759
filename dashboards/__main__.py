"""``python -m dashboards generate | preview``."""

from __future__ import annotations

from typing import Annotated

import typer
import uvicorn

from alerts.promql import PromqlError
from alerts.thresholds import ThresholdError
from dashboards import generate as generator
from dashboards.model import PanelError
from dashboards.preview.app import LibraryError, create_app
from dashboards.preview.prometheus import Prometheus

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Grafana dashboards and their preview.")


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


@app.command()
def preview(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    prometheus: Annotated[str, typer.Option(help="Base URL of Prometheus.")] = "http://127.0.0.1:9090",
) -> None:
    """Serve the generated dashboards where there is no Grafana, drawn with live data, at the same URLs."""
    try:
        application = create_app(generator.GENERATED, Prometheus(prometheus))
    except LibraryError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    uvicorn.run(application, host=host, port=port, log_level="warning")


if __name__ == "__main__":
    app()
