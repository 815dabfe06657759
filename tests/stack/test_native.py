"""Starting and stopping for real: Ctrl-C at any moment leaves nothing, errors are one clear line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundle import pages
from stack import config, native
from stack.errors import StackError
from stack.layout import ROOT, Layout, Ports

pytestmark = pytest.mark.e2e


def up(folder: Path, ports: Ports, **env: str) -> subprocess.Popen[str]:
    """A stack as a person starts it."""
    command = [sys.executable, "-m", "stack", "up", "--native", "--folder", str(folder)]
    command += ["--ports", json.dumps(vars(ports))]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_as_in_a_terminal,
    )


def test_a_stack_of_its_own_ends_with_the_program_that_started_it(tmp_path: Path, programs: dict[str, Path]) -> None:
    """However that ends: killed, it can end nothing itself."""
    ports = json.dumps(vars(Ports.free()))
    code = (
        "import json, os, signal, sys, pathlib; from stack import native; from stack.layout import Layout, Ports\n"
        f"with native.temporary(Layout(Ports(**json.loads('{ports}')), pathlib.Path('{tmp_path}')), print):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, timeout=120)
    deadline = time.monotonic() + 30
    while processes_of(tmp_path):
        assert time.monotonic() < deadline, "something is left running"
        time.sleep(0.1)


def _as_in_a_terminal() -> None:
    # A test run under nohup, or put into the background, would hand down that a closed terminal or Ctrl-C is ignored.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def processes_of(folder: Path) -> list[int]:
    """Pids whose command line or environment names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in text:
                found.append(int(entry.name))
    return found


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output up to the line that holds the text; fails with the output if it ends before."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"{text!r} never came:\n{said}")


@pytest.mark.parametrize("moment", ["looking for", "building the runbook site", "starting", "ready: pager", "Ctrl-C"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "closed terminal"])
def test_an_interrupt_at_any_moment_leaves_no_process(
    tmp_path: Path, programs: dict[str, Path], moment: str, number: signal.Signals
) -> None:
    """Before, during and after the start: everything that was started ends."""
    process = up(tmp_path, Ports.free())
    read_until(process, moment)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output
    deadline = time.monotonic() + 10
    while left := processes_of(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_port_in_use_is_one_clear_line_and_nothing_starts(tmp_path: Path, programs: dict[str, Path]) -> None:
    """The message names port, service and what to do."""
    ports = Ports.free()
    with socket.create_server(("127.0.0.1", ports.pager)):
        process = up(tmp_path, ports)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"error: port {ports.pager} (pager) is in use" in output.splitlines()[-1]
    assert not processes_of(tmp_path)


def test_a_service_that_dies_at_start_stops_the_rest_and_shows_why(
    tmp_path: Path, programs: dict[str, Path], fake_api: str
) -> None:
    """A refused API key ends the agent; the others end with it, and its reason is on the terminal."""
    process = up(tmp_path / "home", Ports.free(), ANTHROPIC_API_KEY="broken", ANTHROPIC_BASE_URL=fake_api)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "agent ended with status 2, so everything was stopped" in output
    assert "error: the model provider refused the API key (401); check ANTHROPIC_API_KEY" in output
    assert not processes_of(tmp_path / "home")


SLOW_START = """
import sys
from pathlib import Path
from stack import native
from stack.layout import Layout, Ports
from stack.services import StackService
native.READY_SECONDS = 0.5
folder = Path(sys.argv[1])
(folder / "logs").mkdir()
never = StackService("never", ["sleep", "60"], None, "http://127.0.0.1:9/")
sys.exit(native.run(Layout(Ports.free(), folder), [never], print, lambda: None))
"""


def test_a_service_that_never_answers_is_named_and_is_a_failure(tmp_path: Path) -> None:
    """Giving up is no Ctrl-C: the exit status says so."""
    command = [sys.executable, "-c", SLOW_START, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert result.returncode != 0
    assert "never did not answer within" in result.stdout
    assert not processes_of(tmp_path)


def test_an_error_of_the_stack_itself_leaves_no_process(tmp_path: Path, programs: dict[str, Path]) -> None:
    """A full disk or a folder that is gone ends the supervisor; the services end with it."""
    process = up(tmp_path / "home", Ports.free())
    read_until(process, "ready: pager")
    (tmp_path / "home" / "logs").rename(tmp_path / "home" / "logs-gone")
    (tmp_path / "home" / "logs").write_text("no folder any more")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while left := processes_of(tmp_path / "home"):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_the_default_layout_runs_the_committed_configuration(tmp_path: Path) -> None:
    """What was tested is what is committed: on the default ports, only names of containers become those of here."""
    layout = Layout(Ports(), tmp_path)
    config.write(layout)
    rules = [f"rules/{path.name}" for path in (ROOT / "alerts/rules").iterdir()]
    for name in ("prometheus.yml", "alertmanager.yml", *rules):
        committed = (ROOT / "alerts" / name).read_text().replace("http://pager:", "http://127.0.0.1:")
        committed = committed.replace("/etc/alertmanager/secrets", str(ROOT / "alerts" / "secrets"))
        assert (layout.etc / name).read_text() == committed
    for board in (ROOT / "dashboards" / "generated").iterdir():
        assert (layout.etc / "dashboards" / board.name).read_text() == board.read_text()


def test_on_other_ports_pages_and_panels_lead_to_the_site_there(tmp_path: Path) -> None:
    """A second stack beside the first must not send its reader to the first one's runbooks."""
    layout = Layout(Ports().shifted(1000), tmp_path)
    config.write(layout)
    for name, here in {"dashboards": "dashboards/generated", "rules": "alerts/rules"}.items():
        for path in (layout.etc / name).iterdir():
            text, committed = path.read_text(), (ROOT / here / path.name).read_text()
            assert "127.0.0.1:8020" not in text
            assert text.count("127.0.0.1:9020/") == committed.count("127.0.0.1:8020/")


@pytest.mark.parametrize("speed", [1, 10])
def test_the_written_configuration_is_valid(tmp_path: Path, programs: dict[str, Path], speed: float) -> None:
    """promtool and amtool read it."""
    layout = Layout(Ports.free(), tmp_path, speed)
    config.write(layout)
    for command in (
        [str(programs["promtool"]), "check", "config", str(layout.etc / "prometheus.yml")],
        [str(programs["amtool"]), "check-config", str(layout.etc / "alertmanager.yml")],
    ):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_broken_runbook_stops_the_start_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead link in a page is found before the first process starts."""
    for path in pages.TEMPLATES.glob("*.md"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "index.md").write_text("[gone](gone.md)\n")
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path)
    with pytest.raises(StackError, match=r"does not build: WARNING .*gone\.md"):
        native.build_site(Layout(Ports(), tmp_path / "stack"))
