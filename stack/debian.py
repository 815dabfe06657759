"""The distribution's packages, unpacked into a folder of the project.

Unpacking needs no root, starts no service and changes nothing on the host: apt gets its own state folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from stack.errors import StackError


@contextlib.contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Wait until no other process unpacks into this folder, and keep others waiting as long as the block runs."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "unpacking.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack(
    packages: list[str], home: Path, say: Callable[[str], None], *, instead: str, with_dependencies: bool = False
) -> None:
    """Unpack the distribution's packages into ``home/debian``; with dependencies, those too that the host lacks.

    To be called within ``one_at_a_time``: apt locks its folders, and archives are shared.
    Raises StackError when they cannot be had, saying what to do ``instead`` where there is no apt.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise StackError(
            f"{' and '.join(packages)} not found on PATH, and this is no Debian or Ubuntu to take them from; {instead}"
        )
    archives = home / "apt" / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    for folder in ("lists/partial", "archives/partial"):
        (home / "apt" / folder).mkdir(parents=True, exist_ok=True)
    say("reading the distribution's package lists (about 10 s, once)")
    _apt(home, "update", "-qq")
    say(f"fetching {' and '.join(packages)} (about 40 MB, once)")
    if with_dependencies:
        wanted = ("--download-only", "--yes", "--no-install-recommends")
        _apt(home, "install", "-qq", "-oDebug::NoLocking=1", *wanted, *packages)
    else:
        _apt(home, "download", "-qq", *packages, folder=archives)
    for archive in sorted(archives.glob("*.deb")):
        say(f"unpacking {archive.name.partition('_')[0]}")
        _run(["dpkg-deb", "-x", str(archive), str(home / "debian")], "unpack", None)
        archive.unlink()


def _apt(home: Path, *arguments: str, folder: Path | None = None) -> None:
    own = home.absolute() / "apt"
    options = [
        f"-oDir::State::Lists={own / 'lists'}",
        f"-oDir::Cache::archives={own / 'archives'}",
        "-oDir::Cache::pkgcache=",  # no index files in the host's cache
        "-oDir::Cache::srcpkgcache=",
        "-oAPT::Sandbox::User=",  # as root, apt would drop to a user who may not read this folder
    ]
    _run(["apt-get", *options, *arguments], f"apt-get {arguments[0]}", folder)


def _run(command: list[str], what: str, folder: Path | None) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise StackError(f"{what} failed: {said[-1] if said else 'no message'}; is the package mirror reachable?")
