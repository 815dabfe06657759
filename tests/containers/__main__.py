"""``make test-compose``: docker-compose.yml on an engine that answers, or on one brought for it, with stand-ins."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import yaml

from stack import compose
from stack.errors import StackError
from stack.layout import HOME, ROOT
from tests.containers import engine, images, results
from tests.containers.engine import Engine, say

OVERLAY = "overlay.yml"
"""What the stand-ins need beside docker-compose.yml."""


def main() -> int:
    """Run the suite; its exit status. 0, with the reason, where no engine can be had and nobody insists."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers", description=__doc__)
    parser.add_argument("--short", action="store_true", help="clocks ten times as fast, one story; no engine: no test")
    parser.add_argument("--write", action="store_true", help="write docs/containers.md, if all of it passes")
    asked = parser.parse_args()
    junit = HOME / "containers.xml"
    junit.parent.mkdir(exist_ok=True)
    junit.unlink(missing_ok=True)
    tests = [sys.executable, "-m", "pytest", "-m", "compose", "-s", "-v", "tests/containers"]
    tests += [f"--junitxml={junit}", "-o", "junit_family=xunit1"]  # the newer family has no place for properties
    speed = 10 if asked.short else 1
    environment = {"AGENTGAUGE_SPEED": str(speed)}
    answers = compose.engine_answers()
    if answers:
        say("a Docker engine answers: using it, with the pinned images")
        status = subprocess.run(tests, cwd=ROOT, env=os.environ | environment, check=False).returncode
    else:
        status = _run_on_ours(tests, environment, may_fail=asked.short)
    if asked.write and status == 0 and junit.exists():
        results.PAGE.write_text(results.page(list(results.held(junit)), speed, stand_ins=not answers), encoding="utf-8")
    return status


def _run_on_ours(tests: list[str], environment: dict[str, str], *, may_fail: bool) -> int:
    """The tests on an engine brought for them; without one no test, which is an error unless it ``may_fail``."""
    try:
        brought = _prepare()
    except StackError as error:
        say(f"docker-compose.yml was NOT tested: {error}")
        return 0 if may_fail else 1
    environment = (
        environment
        | brought.environment
        | {
            "AGENTGAUGE_ENGINE": str(brought.home),
            "COMPOSE_FILE": os.pathsep.join(["docker-compose.yml", str(brought.home / OVERLAY)]),
            "PIP_CONFIG_FILE": str(brought.home / "pip.conf"),
        }
    )
    return subprocess.run([*engine.ALONE, "--net", *tests], cwd=ROOT, env=environment, check=False).returncode


def _prepare() -> Engine:
    """The engine and its images; StackError if they cannot be had."""
    why = engine.obstacle()
    if why:
        raise StackError(why)
    brought = engine.bring(HOME / "engine")
    build = {"network": "host"}  # where the builds of this engine reach an index
    overlay = {"services": {"runbooks": {"build": build}, "dashboards": {"image": images.GRAFANA}}}
    (brought.home / OVERLAY).write_text(yaml.safe_dump(overlay), encoding="utf-8")
    with brought.running(*engine.BUILD_ONLY, before=engine.ALONE):
        images.make(brought)
        say("building the image of ours (some minutes the first time)")
        config = images.pip_config(brought.home / "pip.conf")
        files = ["docker-compose.yml", str(brought.home / OVERLAY)]
        command = ["docker", "compose", *(f"--file={name}" for name in files), "--profile=demo", "build"]
        settings = brought.environment | {"PIP_CONFIG_FILE": str(config)}
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"the image cannot be built:\n{done.stderr.strip()[-3000:]}")
        images.make_grafana(brought)
    return brought


if __name__ == "__main__":
    sys.exit(main())
