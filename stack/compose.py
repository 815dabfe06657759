"""The stack in containers, where a Docker engine answers: the same services and ports as the native one."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict

from stack import config
from stack.errors import StackError
from stack.layout import ROOT, STATE_FILE, Layout, Ports, check_free

READY_SECONDS = 300.0
ANSWER_SECONDS = 60.0
"""For what a command of Docker's says; on a busy machine it needs more than twenty to load its plugins."""
PROJECT = "agentgauge"
"""The name in docker-compose.yml: Docker labels each container with it."""
OURS = 5000
"""The user of the image, who stands in for root: no container runs as root."""

Say = Callable[[str], None]


def engine_answers() -> bool:
    """Whether a Docker engine answers and Compose is there."""
    return bool(_said("docker", "version", "--format={{.Server.Version}}")) and bool(program())


def run(layout: Layout, reps: int, pace: float, say: Say, when_ready: Callable[[], None]) -> int:
    """Run the containers until Ctrl-C or SIGTERM, then remove them; returns the exit status, 0 after either.

    Must be called from the main thread. StackError, with what Docker said above it, if they do not start.
    """
    if layout.ports != Ports() or layout.speed != 1:
        raise StackError("containers have fixed ports and real clocks; add NATIVE=1 (or --native) to run as processes")
    if not statuses():  # containers of an earlier run may keep their ports
        check_free(asdict(layout.ports))
    for number in (signal.SIGTERM, signal.SIGHUP):  # `down` and a closed terminal end it like Ctrl-C
        signal.signal(number, _interrupt)
    state = layout.folder / STATE_FILE
    try:
        _start(layout, reps, pace, say)
        about = {"pid": os.getpid(), "ports": asdict(layout.ports), "speed": 1, "containers": True}
        state.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        when_ready()
        return _follow_pages(say)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would leave half of them
        down()
        state.unlink(missing_ok=True)


def down() -> None:
    """Stop and remove the containers; their data stays in Docker's volumes."""
    _compose("down", own_session=True)


def statuses() -> dict[str, str]:
    """Service → what Docker says of its container, such as ``Up 5 minutes (healthy)``; empty if there is none."""
    form = '{{.Label "com.docker.compose.service"}}\t{{.Status}}'
    said = _said("docker", "ps", "--all", f"--filter=label=com.docker.compose.project={PROJECT}", f"--format={form}")
    return dict(line.split("\t", 1) for line in sorted(said.splitlines()))


def pause(service: str) -> None:
    """Freeze a service's container; StackError if Docker cannot."""
    _change("pause", service)


def resume(service: str) -> None:
    """Thaw a service's container; StackError if Docker cannot."""
    _change("unpause", service)


def reload() -> None:
    """Let Prometheus and Alertmanager read their files, which are those of the checkout; StackError if they cannot."""
    if _compose("kill", "--signal=SIGHUP", *config.READERS):
        raise StackError("docker compose kill --signal=SIGHUP failed (see above)")


def _start(layout: Layout, reps: int, pace: float, say: Say) -> None:
    layout.state.mkdir(parents=True, exist_ok=True)
    user = _user(layout)
    settings = {
        "AGENTGAUGE_STATE": str(layout.state),
        "AGENTGAUGE_USER": user,
        "AGENTGAUGE_REPS": str(reps),
        "AGENTGAUGE_PACE": str(pace),
        **_key_file(layout, user),
    }
    say("building the image and fetching the others (some minutes the first time)")
    if _compose("build"):
        raise StackError("docker compose could not build the image (see above); NATIVE=1 runs the stack without Docker")
    if _compose("up", "--detach", "--no-build", settings=settings) or not _all_healthy():
        _show_troubled(say)
        raise StackError("not every container is healthy (see above); NATIVE=1 runs the stack without Docker")


def _user(layout: Layout) -> str:
    """uid:gid for the containers that write the state folder: its owner's, so that both sides may write it.

    A folder of root's is given to the image's user first: root may write it all the same.
    """
    if "rootless" in _said("docker", "info", "--format={{.SecurityOptions}}"):
        return "0:0"  # root there is the person here, and nobody on this machine
    owner = layout.state.stat()
    if owner.st_uid:
        return f"{owner.st_uid}:{owner.st_gid}"
    for path in (layout.state, *layout.state.rglob("*")):
        os.chown(path, OURS, OURS, follow_symlinks=False)
    return f"{OURS}:{OURS}"


def _key_file(layout: Layout, user: str) -> dict[str, str]:
    """The variable that names a file with the person's key, which only they and the containers read; none without."""
    key = os.environ.get("ANTHROPIC_API_KEY")
    if not key or os.environ.get("ANTHROPIC_API_KEY_FILE"):
        return {}
    path = layout.folder / "secrets" / "anthropic_api_key"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(key, encoding="utf-8")
    if not os.geteuid():
        os.chown(path, *map(int, user.split(":")))
    return {"ANTHROPIC_API_KEY_FILE": str(path)}


def _all_healthy() -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = statuses().values()
        if any("(unhealthy)" in status for status in found):
            return False
        if all("(healthy)" in status for status in found):
            return True
        time.sleep(0.5)
    return False


def _show_troubled(say: Say) -> None:
    for service, status in statuses().items():
        if "(healthy)" not in status:
            say(f"{service}: {status}; the end of its log:")
            _compose("logs", "--no-log-prefix", "--tail=8", service)


def _follow_pages(say: Say) -> int:
    """Show the pager's output until Ctrl-C: 0; or until somebody removes the containers: 1."""
    try:
        while statuses():  # the log ends when the pager is restarted; the stack does not
            _compose("logs", "--follow", "--no-log-prefix", "--tail=0", "pager")
            time.sleep(1)
    except KeyboardInterrupt:
        return 0
    say("the containers are gone: something else stopped them, or the engine ended")
    return 1


def _change(verb: str, service: str) -> None:
    if service not in (known := statuses()):
        raise StackError(f"there is no service {service!r}; the services are {', '.join(known)}")
    if _compose(verb, service):
        raise StackError(f"docker compose {verb} {service} failed (see above)")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _compose(*arguments: str, settings: dict[str, str] | None = None, own_session: bool = False) -> int:
    """Run Compose on docker-compose.yml, its output on the terminal; returns its exit status."""
    command = [*program(), "--profile=demo", *arguments]
    env = os.environ | (settings or {})
    return subprocess.run(command, cwd=ROOT, env=env, start_new_session=own_session, check=False).returncode


@functools.cache
def program() -> list[str]:
    """Compose 2 or newer, as Docker's plugin or as a program of its own; empty if there is none."""
    for candidate in (["docker", "compose"], ["docker-compose"]):
        version = _said(*candidate, "version", "--short").removeprefix("v")
        if version and not version.startswith("1."):  # Compose 1 cannot read docker-compose.yml: it has a name
            return candidate
    return []


def _said(*command: str) -> str:
    """The output of a command that succeeds; empty if it fails, is not there or takes too long."""
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
