"""``python -m alerts pager``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
import uvicorn

from alerts import pager as pager_app

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The bundle's pager.")


@app.callback()
def main() -> None:
    """The bundle's pager."""


@app.command()
def pager(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8010,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[
        list[str] | None, typer.Option(help="A host name by which Alertmanager or people ask it; repeatable.")
    ] = None,
) -> None:
    """Receive Alertmanager's webhooks, print each page and keep it at /pages."""
    uvicorn.run(
        pager_app.create_app(_show, [*pager_app.HOSTS, *(name or [])]), host=host, port=port, log_level="warning"
    )


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    app()
