"""Packages whose public names are loaded at first use; if something is missing for that, it says what to install."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def on_demand(package: str, extra: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package: it imports a public name from its module when the name is first used.

    ``modules`` is module → public names; ``extra`` is the extra of ``agentgauge`` that brings what they need. The
    function that is returned raises ModuleNotFoundError, saying what to install, if something is missing.
    """

    def public_name(name: str) -> Any:
        for module, names in modules.items():
            if name in names:
                return getattr(_loaded(package, extra, module), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return public_name


def _loaded(package: str, extra: str, module: str) -> Any:
    try:
        return import_module(f"{package}.{module}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "agentgauge"):
            raise
        raise ModuleNotFoundError(
            f'{package} needs {missing}, which is not installed: pip install "agentgauge[{extra}]"', name=missing
        ) from None
