"""Where Prometheus and Alertmanager come from: the newest there is, and one line about what cannot be had."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stack import binaries, debian
from stack.errors import StackError

APT = """#!/bin/sh
echo "$@" >>{folder}/asked
case "$*" in
*--print-uris*)
    echo "'http://elsewhere.example/debian/dists/$CODENAME-pgdg/InRelease' a 0"
    echo "'http://mirror.example/debian/dists/$CODENAME/InRelease' b 0";;
*newer.sources*update*) cat {folder}/home/apt-newer/newer.sources >{folder}/sources; {newer};;
*newer.sources*download*) cp {folder}/newer/*.deb .;;
*download*) cp {folder}/own/*.deb .;;
esac
"""
"""An apt-get that knows one mirror of Debian; the packages beside it are real."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with packages of both suites and the PATH of a Debian machine that has neither program."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dpkg-deb", "sh", "cat", "cp", "tar", "rm"):
        found = shutil.which(name)
        if found is None:
            pytest.skip("needs Debian's dpkg-deb")
        (tools / name).symlink_to(found)
    monkeypatch.setattr(debian, "_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    monkeypatch.setenv("CODENAME", "bookworm")
    for package, programs in {"prometheus": ("prometheus", "promtool"), "prometheus-alertmanager": ("amtool",)}.items():
        build(tmp_path / "own", package, *programs, *([package] if package not in programs else []))
    for package, program in {"prometheus": "prometheus", "promtool": "promtool"}.items():
        build(tmp_path / "newer", package, program)
    build(tmp_path / "newer", "prometheus-alertmanager", "prometheus-alertmanager", "amtool")
    monkeypatch.setenv("PATH", str(tools))
    apt(tmp_path)
    return tmp_path


def apt(machine: Path, newer: str = "true") -> None:
    """Put an apt-get on the PATH; ``newer`` is what happens when it reads the lists of the newer suites."""
    program = machine / "tools" / "apt-get"
    program.write_text(APT.format(folder=machine, newer=newer))
    program.chmod(0o755)


def build(folder: Path, package: str, *programs: str, script: str = "exit 0") -> None:
    """A package that installs shell scripts."""
    root = folder / package
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.example>\nDescription: a test\n"
    )
    for name in programs:
        (root / "usr" / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (root / "usr" / "bin" / name).chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", root, folder / f"{package}_1_all.deb"], check=True, capture_output=True)


def test_the_newer_suites_of_the_machines_own_mirror_are_preferred(machine: Path) -> None:
    """Nothing but that mirror is asked, and nothing of the lists is left behind."""
    programs = binaries.ensure(machine / "home")
    assert sorted(programs) == ["alertmanager", "amtool", "prometheus", "promtool"]
    assert {path.resolve().parts[-5] for path in programs.values()} == {"newer"}
    sources = (machine / "sources").read_text()
    assert "URIs: http://mirror.example/debian\n" in sources
    assert "elsewhere" not in sources
    assert not (machine / "home" / "apt-newer").exists()


def test_what_was_unpacked_is_not_fetched_again(machine: Path) -> None:
    """The second start asks apt nothing."""
    binaries.ensure(machine / "home")
    (machine / "asked").unlink()
    binaries.ensure(machine / "home")
    assert not (machine / "asked").exists()


def test_without_the_newer_suites_the_distributions_own_are_taken(machine: Path) -> None:
    """One line says why."""
    apt(machine, newer="echo 'E: Failed to fetch' >&2; exit 100")
    said: list[str] = []
    programs = binaries.ensure(machine / "home", said.append)
    assert {path.resolve().parts[-4] for path in programs.values()} == {"debian"}
    assert (
        "taking the distribution's own: apt-get update failed: E: Failed to fetch; is the package mirror reachable?"
        in said
    )


def test_a_newer_program_that_does_not_start_here_is_not_taken(machine: Path) -> None:
    """It may want a newer libc than the machine has."""
    shutil.rmtree(machine / "newer" / "promtool")
    build(machine / "newer", "promtool", "promtool", script="exit 1")
    said: list[str] = []
    programs = binaries.ensure(machine / "home", said.append)
    assert {path.resolve().parts[-4] for path in programs.values()} == {"debian"}
    assert "taking the distribution's own: promtool of Debian's newer suites does not start on this machine" in said


def test_both_can_be_had_side_by_side(machine: Path) -> None:
    """To judge the same rules by both."""
    newer = binaries.newer("promtool", machine / "home", print)
    own = binaries.distributions("promtool", machine / "home", print)
    assert newer != own
    assert newer.exists()
    assert own.exists()


def test_a_machine_that_is_no_debian_has_no_newer_suites(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of another distribution are not mixed in."""
    monkeypatch.setattr(debian, "_os_release", lambda: {"ID": "ubuntu", "VERSION_CODENAME": "bookworm"})
    with pytest.raises(StackError, match="Debian's newer suites are for Debian, and this is something else"):
        binaries.newer("promtool", machine / "home", print)
    assert not (machine / "asked").exists()


def test_missing_programs_on_a_system_without_apt_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which programs, and the two ways to get on."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"prometheus and prometheus-alertmanager not found on PATH.*start a Docker"):
        binaries.ensure(tmp_path)


def test_an_unreachable_mirror_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt's last line, and the question to ask."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("apt-get", "dpkg-deb"):
        (fake / name).write_text("#!/bin/sh\necho 'E: Failed to fetch' >&2\nexit 100\n")
        (fake / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(fake))
    with pytest.raises(
        StackError, match=r"apt-get update failed: E: Failed to fetch; is the package mirror reachable\?"
    ):
        binaries.ensure(tmp_path / "home")
