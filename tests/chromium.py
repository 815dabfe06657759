"""Chromium for the tests: from PATH, or unpacked from the distribution's packages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from stack import debian
from stack.errors import StackError
from stack.layout import HOME
from stack.preview import pictures
from stack.preview.pictures import PROGRAMS

PACKAGES = ["chromium", "fonts-liberation"]
"""Without the fonts, texts are wider than on the machines of people."""

PATIENCE_MS = 120_000
"""How long a page may take to show something or to react, on a machine that is busy with other things."""

expect.set_options(timeout=PATIENCE_MS)


def program(home: Path) -> tuple[str, dict[str, str]]:
    """The program, and the environment in which it finds what it needs; StackError if there is none to be had."""
    on_path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if on_path:
        return on_path, {}
    unpacked = home.absolute() / "debian"
    binary = unpacked / "usr" / "lib" / "chromium" / "chromium"
    fonts = unpacked / "usr" / "share" / "fonts" / "truetype" / "liberation"
    with debian.one_at_a_time(home):
        if not (binary.exists() and fonts.exists()):
            instead = "install Chromium"
            debian.unpack(PACKAGES, home, lambda _text: None, instead=instead, with_dependencies=True)
    if not binary.exists():
        raise StackError("the package chromium holds no browser; install Chromium")
    folders = [path for lib in ("lib", "usr/lib") for path in (unpacked / lib).glob("*-linux-gnu*")]
    # PulseAudio keeps a library in a folder of its package, which it expects below /usr.
    libraries = [str(path) for folder in folders for path in (folder, folder / "pulseaudio")]
    return str(binary), {"LD_LIBRARY_PATH": ":".join(libraries), "XDG_DATA_HOME": str(unpacked / "usr" / "share")}


@contextmanager
def page_without_errors() -> Iterator[Page]:
    """A page of a headless Chromium; an error of a script, or against the page's own policy, fails the test."""
    with pictures.browser(*program(HOME)) as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
        yield page
        assert wrong == []
