"""The command line: `agentgauge`, the same for every agent."""

from __future__ import annotations

import gc
import os
import sys

__all__ = ["main"]

YOUNG_OBJECTS = 50_000
"""So many new objects make Python look for garbage; loading a command makes many of them, and none is garbage."""


def main() -> None:
    """Run `agentgauge`; exit status 0: done; 1: the answer is no, or something failed; 2: it could not run."""
    gc.set_threshold(YOUNG_OBJECTS)
    # Pydantic looks for its plugins in all that is installed: a tenth of a look-up, and no command has a use for one.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from agentgauge.cli.root import app
    except ModuleNotFoundError as error:
        sys.stderr.write(f'error: the command line needs {error.name}; run: pip install "agentgauge[cli]"\n')
        raise SystemExit(2) from None
    app(prog_name="agentgauge")
