"""The distribution's packages, unpacked into a folder of the project.

Unpacking needs no root, starts no service and changes nothing on the host: apt gets its own state folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from stack.errors import StackError

NEWER_SUITES = "testing unstable"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


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
            f"{' and '.join(packages)} not found on PATH, and this is not Debian or Ubuntu, which have them; {instead}"
        )
    own, archives = _folders(home / "apt")
    say("reading the distribution's package lists (about 10 s, once)")
    _apt(own, "update", "-qq")
    say(f"fetching {' and '.join(packages)} (about 40 MB, once)")
    if with_dependencies:
        wanted = ("--download-only", "--yes", "--no-install-recommends")
        _apt(own, "install", "-qq", "-oDebug::NoLocking=1", *wanted, *packages)
    else:
        _apt(own, "download", "-qq", *packages, folder=archives)
    for archive in sorted(archives.glob("*.deb")):
        say(f"unpacking {archive.name.partition('_')[0]}")
        _run(["dpkg-deb", "-x", str(archive), str(home / "debian")], "unpack")
        archive.unlink()


def unpack_newer(packages: list[str], home: Path, say: Callable[[str], None]) -> None:
    """Unpack packages of Debian's newer suites, one folder each: ``home/newer/PACKAGE``.

    They come from the machine's own mirror; apt gets a configuration that has nothing of the host's but the network's.
    To be called within ``one_at_a_time``. Raises StackError when they cannot be had.
    """
    own = (home / "apt-newer").absolute()
    shutil.rmtree(own, ignore_errors=True)
    try:
        options, archives = _folders(own)
        options += _only(own / "newer.sources", own)
        say("reading the package lists of Debian's newer suites (about 20 MB, once)")
        _read_lists(options, own / "newer.sources")
        say(f"fetching {' and '.join(packages)} (about 50 MB, once)")
        _apt(options, "download", "-qq", *packages, folder=archives)
        for archive in sorted(archives.glob("*.deb")):
            package = archive.name.partition("_")[0]
            say(f"unpacking {package}")
            _run(["dpkg-deb", "-x", str(archive), str(own / package)], "unpack")
            (home / "newer").mkdir(exist_ok=True)
            shutil.rmtree(home / "newer" / package, ignore_errors=True)
            (own / package).rename(home / "newer" / package)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def unpack_system(
    packages: list[str], root: Path, home: Path, say: Callable[[str], None], *, release: str | None = None
) -> None:
    """Unpack packages of a release of Debian with all that they depend on: a small system of its own in ``root``.

    ``release`` is its code name; None is the machine's own. Nothing is configured and no script of a package runs.
    Raises StackError when they cannot be had.
    """
    release = release or _os_release().get("VERSION_CODENAME", "")
    own = (home / "apt-system").absolute()
    shutil.rmtree(own, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    try:
        options, archives = _folders(own)
        options += _only(own / "system.sources", own)
        say(f"reading the package lists of {release} for an empty system")
        _read_lists(options, own / "system.sources", release)
        say(f"fetching and unpacking {', '.join(packages)} and what they need")
        wanted = ("--yes", "--no-install-recommends", "--download-only", "-oDebug::NoLocking=1")
        _apt(options, "install", "-qq", *wanted, *packages)
        for name in ("bin", "sbin", "lib", "lib64"):  # links before anything is unpacked, as in every Debian today
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for archive in sorted(archives.glob("*.deb")):  # dpkg-deb -x would put folders in the place of these links
            packed = own / "packed.tar"
            with packed.open("wb") as file:
                done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=file, check=False)
            if done.returncode:
                raise StackError(f"{archive.name} cannot be unpacked; is the disk full?")
            _run(["tar", "-C", str(root), "--keep-directory-symlink", "-xf", str(packed)], "unpack")
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _read_lists(options: list[str], sources: Path, suites: str = NEWER_SUITES) -> None:
    """Let apt read the lists of these suites from the first of the machine's own mirrors that has them."""
    refused = None
    for mirror in mirrors():
        text = f"Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
        sources.write_text(text, encoding="utf-8")
        try:
            return _apt(options, "update", "-qq", "-oAPT::Update::Error-Mode=any")
        except StackError as error:
            refused = refused or error
    raise refused or StackError("apt-get on this machine knows no mirror of Debian")


def mirrors() -> list[str]:
    """Where this machine's apt gets its own Debian from: nothing else is ever asked."""
    machine = _os_release()
    if machine.get("ID") != "debian" or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise StackError("Debian's newer suites are for Debian, and this is something else")
    asked = _run(["apt-get", "update", "--print-uris"], "apt-get update --print-uris")
    codename = re.escape(machine.get("VERSION_CODENAME", ""))
    return list(dict.fromkeys(re.findall(rf"^'(\S+)/dists/{codename}/\w+' ", asked, re.MULTILINE)))


def _only(sources: Path, own: Path) -> list[str]:
    """apt's options to know these sources and nothing that is installed, pinned or set up on the host."""
    return [
        f"-oDir::State={own}",
        "-oDir::State::status=/dev/null",
        f"-oDir::Etc::sourcelist={sources}",
        "-oDir::Etc::sourceparts=-",
        "-oDir::Etc::preferences=-",
        "-oDir::Etc::preferencesparts=-",
        "-oAcquire::Languages=none",
        "-oAcquire::Retries=0",  # there is something to fall back to
        "-oAcquire::http::Timeout=15",
        "-oAcquire::https::Timeout=15",
    ]


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _folders(own: Path) -> tuple[list[str], Path]:
    """apt's options to keep its state in a folder, and where in it the archives are."""
    own, archives = own.absolute(), own.absolute() / "archives"
    for folder in (own / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-oDir::State::Lists={own / 'lists'}",
        f"-oDir::Cache::archives={archives}",
        "-oDir::Cache::pkgcache=",  # no index files in the host's cache
        "-oDir::Cache::srcpkgcache=",
        "-oAPT::Sandbox::User=",  # as root, apt would drop to a user who may not read this folder
    ]
    return options, archives


def _apt(options: list[str], *arguments: str, folder: Path | None = None) -> None:
    _run(["apt-get", *options, *arguments], f"apt-get {arguments[0]}", folder)


def _run(command: list[str], what: str, folder: Path | None = None) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise StackError(f"{what} failed: {said[-1] if said else 'no message'}; is the package mirror reachable?")
    return result.stdout
