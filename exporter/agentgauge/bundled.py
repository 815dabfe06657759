"""The rooms `alerts`, `bundle`, … that the wheel carries along: the library itself does not know them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
IN_WHEEL = PACKAGE / "_bundle"
IN_CHECKOUT = PACKAGE.parents[1]


class NotBundledError(Exception):
    """The rooms are not there; the message is one line for people."""


def bundled_module(name: str) -> Any:
    """A module of one of the rooms; raises NotBundledError."""
    folder = bundled_folder()
    if folder is None:
        raise NotBundledError(
            "the alerts are not installed beside agentgauge; install it from its wheel, or run this in a checkout"
        )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return import_module(name)


def bundled_folder() -> Path | None:
    """The folder that holds the rooms `bundle` and `alerts`: in the wheel, or in a checkout; None if there is none."""
    for folder in (IN_WHEEL, IN_CHECKOUT):
        if (folder / "bundle" / "__main__.py").is_file():
            return folder
    return None
