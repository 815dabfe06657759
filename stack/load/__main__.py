"""``python -m stack.load``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from stack import binaries
from stack.errors import StackError
from stack.layout import HOME
from stack.load import results
from stack.load.run import run


def main(
    replicas: Annotated[list[int] | None, typer.Option(min=1, help="So many; once for each run.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Sessions a second, of all replicas together.")] = 100,
    seconds: Annotated[float, typer.Option(min=25, help="How long each run works.")] = 90,
    write: Annotated[bool, typer.Option("--write", help="Keep the results: the docs show them.")] = False,
) -> None:
    """Measure what many replicas cost, and print what the docs would say."""

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    measured = []
    try:
        programs = binaries.ensure(HOME, say)
        for number in replicas or (20, 200):
            with tempfile.TemporaryDirectory(prefix="agentgauge-load-") as folder:
                measured.append(run(number, rate, seconds, Path(folder), programs, say))
            if write:
                results.keep(measured[-1])
    except StackError as error:
        sys.exit(f"error: {error}")
    say(results.page(measured))


if __name__ == "__main__":
    typer.run(main)
