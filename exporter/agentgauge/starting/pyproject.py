"""The table ``[tool.agentgauge]`` in pyproject.toml: added as text, so that all the rest stays as it is written."""

from __future__ import annotations

import re
from typing import Any

from agentgauge.files.data_file import parse_toml, table_of


class PyprojectError(Exception):
    """The table cannot be added; the message says why."""


def app_in(data: bytes | None) -> str | None:
    """The app that the file names already; raises PyprojectError if the file cannot be read."""
    app = table_of(_parsed(data or b""), "tool", "agentgauge").get("app")
    return app if isinstance(app, str) else None


def with_app(data: bytes | None, app: str) -> bytes:
    """The file with ``app = …`` in it; ``data`` is None without one. Raises PyprojectError if it cannot be added."""
    before = _parsed(data or b"")
    text = (data or b"").decode()
    newline = "\r\n" if "\r\n" in text else "\n"
    line = f'app = "{app}"{newline}'
    header = re.search(r"^[ \t]*\[[ \t]*tool\.agentgauge[ \t]*\][^\r\n]*(?:\r?\n|$)", text, re.MULTILINE)
    if header:
        end = "" if header[0].endswith("\n") else newline
        text = f"{text[: header.end()]}{end}{line}{text[header.end() :]}"
    else:
        if text and not text.endswith("\n"):
            text += newline
        text += f"{newline if text.strip() else ''}[tool.agentgauge]{newline}{line}"
    added = text.encode()
    try:
        after = _parsed(added)
    except PyprojectError:
        after = {}
    if after != _with(before, app):
        raise PyprojectError("it says what is under `tool` in a form that cannot be added to safely")
    return added


def _with(before: dict[str, Any], app: str) -> dict[str, Any]:
    tool, table = table_of(before, "tool"), table_of(before, "tool", "agentgauge")
    return {**before, "tool": {**tool, "agentgauge": {**table, "app": app}}}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        return parse_toml(data)
    except ValueError as error:
        raise PyprojectError(f"it cannot be read: {error}") from None
