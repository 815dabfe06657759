"""The text of the files that a project gets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

APP = '''\
"""What AgentGauge knows of this agent: its metrics and the command `agentgauge` both start from here."""

import functools
import logging
import os
import threading
from pathlib import Path

from agentgauge import AgentApp, AgentGauge{tool_import}

HERE = Path(__file__).resolve().parent

app = AgentApp(
    "{name}",
    # Who was active, what users spent, what waits for approval. Replicas share one: postgresql+psycopg://…
    ledger=os.environ.get("AGENTGAUGE_LEDGER") or f"sqlite:///{{HERE / '{name}.sqlite'}}",
    # Set it where you deploy, so that a page can say which deploy broke the agent.
    version=os.environ.get("AGENTGAUGE_VERSION") or "unknown",
{tools})

_making = threading.Lock()


def gauge() -> AgentGauge:
    """The gauge of this process. It is made, and its metrics are served, when it is first asked for."""
    with _making:
        return _made()


@functools.cache
def _made() -> AgentGauge:
    made = AgentGauge(app.name, tools=app.tool_names, version=app.version, ledger=app.ledger)
    try:
        made.serve(int(os.environ.get("AGENTGAUGE_PORT") or "{port}"))
    except OSError as error:
        text = "the metrics of this process are not served; AGENTGAUGE_PORT gives it a port of its own: %s"
        logging.getLogger(__name__).warning(text, error)
    return made
'''

PORT = 9464
WIDTH = 110

THRESHOLDS = """\
# Numbers of the alerts that differ for your agents, laid over those of AgentGauge when the bundle is rendered with
# --thresholds. The runbook of each alert shows its numbers; only what differs is written here, as in
#
#   alerts:
#     AgentCostSpike:
#       severity: warning
#
# `alerts` is for all agents, `agents` for one.
agents:
  {name}: {{}}
"""


def app_module(name: str, tools: Mapping[str, Mapping[str, object] | None]) -> str:
    """``agentgauge_app.py`` of an agent; ``tools`` is name → JSON schema of its arguments, None if it is not known."""
    lines = ["    tools=[", *_tools(tools), "    ],"] if tools else []
    text = "".join(f"{line}\n" for line in lines)
    return APP.format(name=name, tools=text, tool_import=", Tool" if tools else "", port=PORT)


def thresholds(name: str) -> str:
    """The file of an agent's own numbers, which says nothing yet."""
    return THRESHOLDS.format(name=name)


def _tools(tools: Mapping[str, Mapping[str, object] | None]) -> Iterable[str]:
    for name, schema in tools.items():
        if schema is None:
            yield f"        Tool({_literal(name)}),  # its arguments: the JSON schema that the model is given"
        elif len(line := f"        Tool({_literal(name)}, {_literal(schema)}),") <= WIDTH:
            yield line
        else:
            yield "        Tool("
            yield f"            {_literal(name)},"
            yield f"            {_literal(schema, ' ' * 12)},"
            yield "        ),"


def _literal(value: object, indent: str | None = None) -> str:
    """A value as Python writes it; ``indent`` breaks what is too long, and is what its lines begin with."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value:
        return repr(value)
    begin, end = "{}" if isinstance(value, dict) else "[]"
    deeper = None if indent is None else f"{indent}    "
    if isinstance(value, dict):
        parts = [f"{_literal(key)}: {_literal(one, deeper)}" for key, one in value.items()]
    else:
        parts = [_literal(one, deeper) for one in value]
    line = f"{begin}{', '.join(parts)}{end}"
    if indent is None or ("\n" not in line and len(indent) + len(line) <= WIDTH - 20):
        return line
    return f"{begin}\n" + "".join(f"{deeper}{part},\n" for part in parts) + f"{indent}{end}"
