"""Commands as documents show them, read by the very parsers that would run them, without running them."""

from __future__ import annotations

import contextlib
import io
import shlex
from importlib import import_module
from typing import Any
from unittest.mock import patch

import typer

APPS = {
    "agentgauge": "agentgauge.cli.root",
    "alerts": "alerts.__main__",
    "dashboards": "dashboards.__main__",
    "sample_agent": "sample_agent.cli",
    "stack": "stack.__main__",
}


def parse(command: str) -> None:
    """Read ``agentgauge --app X ops tools`` or ``python -m stack status``; raises the parser's error if it is refused.

    An option that would be asked for is answered.
    """
    words = shlex.split(command.partition("#")[0])
    if words[0] == "agentgauge":
        module, *arguments = words
    else:
        module, *arguments = words[2:]
    parser: Any = typer.main.get_command(import_module(APPS[module]).app)
    parent, name = None, module
    with contextlib.redirect_stdout(io.StringIO()), patch("sys.stdin", io.StringIO("because\n" * 9)):
        while True:
            context = parser.make_context(name, list(arguments), parent=parent)
            rest = [*getattr(context, "_protected_args", []), *context.args]
            if not hasattr(parser, "resolve_command") or not rest:
                return
            name, parser, arguments = parser.resolve_command(context, rest)
            parent = context
