"""An empty Debian of some release, to run programs in as somebody who has just got it.

Its packages are unpacked, not installed: what their scripts would have made, and the tests need, is made here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack import debian
from stack.layout import ROOT
from tests.containers import images
from tests.containers.engine import ALONE, run, say

SLIM = ["apt", "base-files", "bash", "coreutils", "dash", "debian-archive-keyring", "diffutils", "dpkg", "findutils"]
SLIM += ["grep", "gzip", "hostname", "libc-bin", "mawk", "passwd", "sed", "tar", "tzdata", "util-linux"]
"""What the slim image of Debian has, as far as anything here could use it."""
INSTALLED = ["git", "make", "python3-venv"]
"""What README asks a newcomer to install."""

NEWCOMER = 1000
PEOPLE = f"root:x:0:0:root:/root:/bin/sh\nnewcomer:x:{NEWCOMER}:{NEWCOMER}:newcomer:/home/newcomer:/bin/sh\n"
GROUPS = f"root:x:0:\nnewcomer:x:{NEWCOMER}:\n"
MIRRORS = "Types: deb\nURIs: {uri}\nSuites: {release}\nComponents: main\nSigned-By: {keyring}\n\n"
ENTER = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot --userspec={user}:{user} "$0" "$@"'


@dataclass(frozen=True)
class EmptySystem:
    """A root folder; its only person is ``newcomer``."""

    root: Path
    release: str

    @property
    def home(self) -> Path:
        """The newcomer's folder, as seen from here."""
        return self.root / "home" / "newcomer"

    def start(self, script: str, **variables: str) -> subprocess.Popen[str]:
        """Run a shell script in it as the newcomer, with nothing of this machine but its network and these variables.

        Whatever it starts ends with it.
        """
        enter = ENTER.format(user=NEWCOMER)
        shell = ["env", "-i", "-C", "/home/newcomer", *(f"{name}={value}" for name, value in _variables(variables))]
        command = [*ALONE, "sh", "-c", enter, str(self.root), *shell, "sh", "-c", script]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        )


def make(release: str, folder: Path) -> EmptySystem:
    """Unpack it, with a bare clone of this repository in ``/srv``; StackError if its packages cannot be had."""
    root = folder / release
    debian.unpack_system([*SLIM, *INSTALLED], root, folder, say, release=release)
    etc = root / "etc"
    (etc / "passwd").write_text(PEOPLE, encoding="utf-8")
    (etc / "group").write_text(GROUPS, encoding="utf-8")
    (root / "usr" / "bin" / "awk").symlink_to("mawk")
    _connect(etc, release)
    for place in ("dev", "proc", "tmp", "home/newcomer", "srv"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    run("git", "clone", "--quiet", "--bare", "--no-hardlinks", str(ROOT), str(root / "srv" / "agentgauge.git"))
    run("chown", "-R", f"{NEWCOMER}:{NEWCOMER}", str(root / "home" / "newcomer"), str(root / "srv"))
    return EmptySystem(root, release)


def _connect(etc: Path, release: str) -> None:
    """Let it reach what this machine reaches, in the same way: names, certificates, the mirrors of Debian and PyPI."""
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc") / name, etc / name)
    certificates = etc / images.CERTIFICATES.relative_to("/etc")
    certificates.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(images.CERTIFICATES, certificates)
    images.pip_config(etc / "pip.conf").chmod(0o644)
    known = [MIRRORS.format(uri=uri, release=release, keyring=debian.KEYRING) for uri in debian.mirrors()]
    (etc / "apt" / "sources.list.d" / "debian.sources").write_text("".join(known), encoding="utf-8")
    settings = run("apt-config", "dump", "--format", '%F "%v";%n', "Acquire")
    (etc / "apt" / "apt.conf.d" / "network").write_text(settings, encoding="utf-8")


def _variables(given: dict[str, str]) -> list[tuple[str, str]]:
    own = {"HOME": "/home/newcomer", "USER": "newcomer", "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return list({**own, "SSL_CERT_FILE": str(images.CERTIFICATES), **proxies, **given}.items())
