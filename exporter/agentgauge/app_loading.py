"""Finds an agent's AgentApp: as the command says, as the environment says, or as the nearest pyproject.toml says."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from agentgauge.agent_app import AgentApp, AppError
from agentgauge.files.data_file import parse_toml, table_of

VARIABLE = "AGENTGAUGE_APP"
WHERE_TO_SAY = (
    "say which agent: with --app my_agent:app, in the environment variable AGENTGAUGE_APP, "
    'or as `app = "my_agent:app"` under [tool.agentgauge] in pyproject.toml'
)


def find_app(given: str | None = None) -> AgentApp:
    """The AgentApp that was ``given`` as ``module:attribute``, or that AGENTGAUGE_APP or pyproject.toml names.

    Raises AppError if none of the three names one, or if what is named cannot be loaded.
    """
    app = named_app(given)
    if app is None:
        raise AppError(WHERE_TO_SAY)
    return app


def named_app(given: str | None = None) -> AgentApp | None:
    """The same, but None if none of the three names one."""
    if spec := given or os.environ.get(VARIABLE):
        return load_app(spec, Path.cwd())
    project = _project(Path.cwd())
    return None if project is None else load_app(*project)


def load_app(spec: str, folder: Path | None = None) -> AgentApp:
    """Load ``module:attribute``, an AgentApp or a function without parameters that returns one.

    ``folder`` and ``src`` in it are put on sys.path, so that an agent need not be installed. Raises AppError if it
    cannot be loaded; what the agent's own module raises passes through.
    """
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise AppError(f"{spec!r} is not of the form module:attribute, for example my_agent:app")
    for place in () if folder is None else (folder / "src", folder):
        if place.is_dir() and str(place) not in sys.path:
            sys.path.insert(0, str(place))
    target: Any = _imported(module_name, spec)
    for name in attribute.split("."):
        if not hasattr(target, name):
            raise AppError(f"{module_name} has no attribute {attribute!r}; check {spec!r}")
        target = getattr(target, name)
    if not isinstance(target, AgentApp) and callable(target):
        target = target()
    if not isinstance(target, AgentApp):
        raise AppError(
            f"{spec!r} is of the type {type(target).__name__}; it must be an AgentApp or a function that returns one"
        )
    return target


def _imported(module_name: str, spec: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise AppError(
                f"{module_name} cannot be imported: it needs {error.name!r}, which is not installed"
            ) from None
        raise AppError(
            f"there is no module {error.name!r}; check {spec!r}, and run this in the folder that holds it, "
            "or install the agent"
        ) from None


def _project(start: Path) -> tuple[str, Path] | None:
    """The app that the nearest pyproject.toml upward names, and the folder of that file; None if there is none."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            table = table_of(parse_toml(path.read_bytes()), "tool", "agentgauge")
        except (OSError, ValueError) as error:
            raise AppError(f"{path} cannot be read: {error}") from None
        spec = table.get("app")
        if spec is None:
            continue
        if not isinstance(spec, str):
            raise AppError(f"{path}: tool.agentgauge.app must be a text like my_agent:app")
        return spec, folder
    return None
