"""Prometheus and Alertmanager: from PATH, or unpacked from Debian's packages into a folder of the project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from stack.debian import one_at_a_time, unpack

PROGRAMS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""Program → Debian package that brings it."""

DEBIAN_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""Programs that Debian installs under another name."""


DATA_IN_BINARY = b"/usr/share/prometheus"
DATA_BESIDE_BINARY = b"../share/./prometheus"
"""Debian's builds read templates and web pages from a fixed path. In the unpacked copies that constant is replaced by
one of the same length, relative to the program's folder, so that nothing has to be put there."""


def ensure(home: Path, say: Callable[[str], None] = lambda _text: None) -> dict[str, Path]:
    """Program → path of its link in ``home/bin``; fetches what is missing, telling ``say`` what it waits for.

    Raises StackError when a program is neither on PATH nor to be had from the distribution's packages.
    """
    with one_at_a_time(home):
        found = {name: _find(name, home) for name in PROGRAMS}
        missing = sorted({PROGRAMS[name] for name, path in found.items() if path is None})
        if missing:
            unpack(missing, home, say, instead="install Prometheus and Alertmanager, or start a Docker engine")
            for program in ("prometheus", "prometheus-alertmanager"):
                _make_relocatable(home / "debian" / "usr" / "bin" / program)
            found = {name: _find(name, home) for name in PROGRAMS}
        return {name: _link(home / "bin" / name, path) for name, path in found.items() if path is not None}


def _find(program: str, home: Path) -> Path | None:
    unpacked = home / "debian" / "usr" / "bin"
    for name in (program, DEBIAN_NAMES.get(program, program)):
        if on_path := shutil.which(name):
            return Path(on_path)
        if (unpacked / name).exists():
            return unpacked / name
    return None


def _link(link: Path, target: Path) -> Path:
    if target.absolute() == link.absolute():  # a PATH that already holds our own links
        return link
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != target.absolute():
        link.unlink(missing_ok=True)
        link.symlink_to(target.absolute())
    return link


def working_folder(program: Path) -> Path:
    """The folder to start a program in: its own, which the paths in an unpacked one are relative to."""
    return program.resolve().parent


def _make_relocatable(program: Path) -> None:
    if program.exists():
        program.write_bytes(program.read_bytes().replace(DATA_IN_BINARY, DATA_BESIDE_BINARY))
