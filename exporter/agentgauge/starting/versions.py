"""Whether the packages that are installed here are new enough for the adapters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata


def too_old(extras: Iterable[str]) -> dict[str, str]:
    """Extra → what is installed and what is needed, for each whose package is there in a version that is too old."""
    needed = metadata.requires("agentgauge") or []
    return {extra: why for extra in extras if (why := _why(extra, needed))}


def _why(extra: str, needed: list[str]) -> str:
    for line in needed:
        requirement, _, marker = line.partition(";")
        wanted = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement.replace(" ", ""))
        if wanted is None or extra not in re.findall(r"[\w-]+", marker):
            continue
        try:
            version = metadata.version(wanted[1])
        except metadata.PackageNotFoundError:
            continue
        if _numbers(version) < _numbers(wanted[2]):
            return f"{wanted[1]} {version} is installed, and its adapter needs {wanted[2]} or newer"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
