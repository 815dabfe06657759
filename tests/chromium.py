"""Chromium for the tests: from PATH, or unpacked from the distribution's packages."""

from __future__ import annotations

import shutil
from pathlib import Path

from stack import binaries
from stack.errors import StackError
from stack.preview.pictures import PROGRAMS


def program(home: Path) -> tuple[str, str]:
    """The program, and where else its libraries are to be looked for; StackError if there is none to be had."""
    on_path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if on_path:
        return on_path, ""
    unpacked = home.absolute() / "debian"
    found = unpacked / "usr" / "lib" / "chromium" / "chromium"
    with binaries.one_at_a_time(home):
        if not found.exists():
            instead = "install Chromium"
            binaries.unpack(["chromium"], home, lambda _text: None, instead=instead, with_dependencies=True)
    if not found.exists():
        raise StackError("the package chromium holds no browser; install Chromium")
    folders = [path for lib in ("lib", "usr/lib") for path in (unpacked / lib).glob("*-linux-gnu*")]
    # PulseAudio keeps a library in a folder of its package, which it expects below /usr.
    libraries = [str(path) for folder in folders for path in (folder, folder / "pulseaudio")]
    return str(found), ":".join(libraries)
