"""What is installed and what builds it: every package by its hash, every action by its commit, no right too many."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = [ROOT / "requirements.lock", ROOT / "frameworks.lock", *sorted((ROOT / "tests/bench/peers").glob("*.lock"))]


def jobs(path: Path) -> dict[str, Any]:
    """The jobs of a workflow."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"])


def commands() -> Iterator[tuple[str, str]]:
    """File and line of everything that installs from a lock."""
    for name in ("Makefile", "stack/setup.sh", "stack/install.sh", "stack/Dockerfile"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if re.search(r"pip install .*-r \S+\.lock", line):
                yield name, line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.name))
def test_every_locked_package_has_its_hashes(lock: Path) -> None:
    """A package that somebody exchanged on an index is refused."""
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip())
    without = [entry.split()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)]
    assert entries
    assert without == []


def test_every_installation_from_a_lock_asks_for_the_hashes() -> None:
    """pip asks by itself where there is one; uv, and a lock that lost them, would not."""
    installing = list(commands())
    assert {name for name, _ in installing} == {"Makefile", "stack/install.sh"}
    assert [line for _, line in installing if "--require-hashes" not in line] == []


def test_a_package_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    """By the very option that the set-up uses; the package is our own."""
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", str(ROOT), "--out-dir", "wheels"]
    subprocess.run([*build, "--no-build-isolation", "--python", sys.executable], cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    name, version, *_ = wheel.name.split("-")
    (tmp_path / "requirements.lock").write_text(f"{name}=={version} --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", "wheels", "--no-deps"]
    command += ["--target", "here", "--require-hashes", "-r", "requirements.lock"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "DO NOT MATCH THE HASHES" in result.stderr


def test_every_action_is_named_by_its_commit_and_says_its_version() -> None:
    """A tag can be moved; one action is one commit everywhere."""
    commits: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line:
                used = re.fullmatch(r"\s*(?:- )?uses: ([\w/-]+)@([0-9a-f]{40}) # v\d+(\.\d+)+", line)
                assert used, f"{path.name}: {line.strip()}"
                owner, repository, *_ = used[1].split("/")
                commits.setdefault(f"{owner}/{repository}", set()).add(used[2])
    assert commits
    assert {name: found for name, found in commits.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_a_workflow_may_read_and_only_publishing_may_sign(path: Path) -> None:
    """What a change of somebody else runs cannot write anywhere."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in document["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"id-token": "write"}} if path.name == "release.yml" else {})
    assert all("timeout-minutes" in job for job in document["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_every_target_that_a_workflow_makes_exists(path: Path) -> None:
    """And is one that people run, too."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    steps = [step for job in jobs(path).values() for step in job["steps"]]
    made = {
        word
        for step in steps
        for words in re.findall(r"^make ([^\n]*)", step.get("run", ""), re.MULTILINE)
        for word in re.findall(r"(?<!\S)[a-z0-9-]+(?!\S)", words.partition('"')[0])
    }
    assert made <= targets


def test_every_suite_that_make_test_leaves_out_has_a_target() -> None:
    """And none is left out that no marker names: it would be tested by nobody."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    left_out = re.search(r'-m "not \((.*)\)"', makefile)
    assert left_out
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    by_marker = dict(marker.split(": ", 1) for marker in options["markers"])
    assert left_out[1].split(" or ") == sorted(by_marker)
    for text in by_marker.values():
        (target,) = re.findall(r"by `make ([a-z0-9-]+)`", text)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_changes_are_tested_on_every_python_that_is_supported() -> None:
    """From the oldest that pyproject.toml allows."""
    versions = jobs(ROOT / ".github" / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]["python"]
    oldest = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert oldest
    assert versions[0] == oldest[1]
    minors = [int(version.partition(".")[2]) for version in versions]
    assert minors == list(range(minors[0], minors[0] + len(minors)))
    setup = (ROOT / "stack" / "setup.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"python(3\.\d+)", setup)) == set(versions)
