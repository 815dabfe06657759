"""Prometheus and Alertmanager: from PATH, or unpacked from packages into a folder of the project."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from stack.debian import one_at_a_time, unpack, unpack_newer
from stack.errors import StackError

PROGRAMS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""Program → package of the distribution that brings it."""

NEWER_PACKAGES = {
    **PROGRAMS,
    "promtool": "promtool",
    **dict.fromkeys(("victoria-metrics", "vmalert", "vmalert-tool"), "victoria-metrics"),
}
"""Program → package of Debian's newer suites that brings it."""

DEBIAN_NAMES = {"alertmanager": "prometheus-alertmanager"}
"""Programs that Debian installs under another name."""

DATA_IN_BINARY = b"/usr/share/prometheus"
DATA_BESIDE_BINARY = b"../share/./prometheus"
"""Debian's builds read templates and web pages from a fixed path. In the unpacked copies that constant is replaced by
one of the same length, relative to the program's folder, so that nothing has to be put there."""

Say = Callable[[str], None]


def ensure(home: Path, say: Say = lambda _text: None) -> dict[str, Path]:
    """Program → path of its link in ``home/bin``; fetches what is missing, telling ``say`` what it waits for.

    What is on PATH comes first, then what was unpacked before. What is missing comes from Debian's newer suites or,
    where those cannot be had, from the distribution itself. Raises StackError when a program is to be had nowhere.
    """
    with one_at_a_time(home):
        found = {name: _find(name, home) for name in PROGRAMS}
        missing = [name for name, path in found.items() if path is None]
        if missing:
            found |= _fetch(missing, home, say)
        return {name: _link(home / "bin" / name, path) for name, path in found.items() if path is not None}


def newer(program: str, home: Path, say: Say) -> Path:
    """The program as Debian's newer suites have it, whatever is on PATH; StackError when it cannot be had."""
    with one_at_a_time(home):
        unpacked = _unpacked_newer(program, home)
        if not unpacked.exists():
            _fetch_newer([program], home, say)
        return unpacked


def distributions(program: str, home: Path, say: Say) -> Path:
    """The program as the distribution itself has it, whatever is on PATH; StackError when it cannot be had."""
    with one_at_a_time(home):
        unpacked = _unpacked(program, home)
        if not unpacked.exists():
            _fetch_distributions([program], home, say)
        return unpacked


def _find(program: str, home: Path) -> Path | None:
    on_path = shutil.which(program) or shutil.which(DEBIAN_NAMES.get(program, program))
    if on_path:
        return Path(on_path)
    places = (_unpacked_newer(program, home), _unpacked(program, home))
    return next((path for path in places if path.exists()), None)


def _unpacked(program: str, home: Path) -> Path:
    return home / "debian" / "usr" / "bin" / DEBIAN_NAMES.get(program, program)


def _unpacked_newer(program: str, home: Path) -> Path:
    return home / "newer" / NEWER_PACKAGES[program] / "usr" / "bin" / DEBIAN_NAMES.get(program, program)


def _fetch(programs: list[str], home: Path, say: Say) -> dict[str, Path | None]:
    try:
        _fetch_newer(programs, home, say)
    except StackError as error:
        say(f"taking the distribution's own: {error}")
        _fetch_distributions(programs, home, say)
    return {name: _find(name, home) for name in programs}


def _fetch_newer(programs: list[str], home: Path, say: Say) -> None:
    packages = sorted({NEWER_PACKAGES[name] for name in programs})
    unpack_newer(packages, home, say)
    for name in programs:
        program = _unpacked_newer(name, home)
        _make_relocatable(program)
        if not _starts(program):
            for package in packages:
                shutil.rmtree(home / "newer" / package)
            raise StackError(f"{name} of Debian's newer suites does not start on this machine")


def _fetch_distributions(programs: list[str], home: Path, say: Say) -> None:
    packages = sorted({PROGRAMS[name] for name in programs})
    unpack(packages, home, say, instead="install Prometheus and Alertmanager, or start a Docker engine")
    for name in programs:
        _make_relocatable(_unpacked(name, home))


def _starts(program: Path) -> bool:
    try:
        return subprocess.run([program, "--help"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


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
    if program.exists() and DATA_IN_BINARY in program.read_bytes():
        program.write_bytes(program.read_bytes().replace(DATA_IN_BINARY, DATA_BESIDE_BINARY))
