"""`agentgauge gateway` as a program of its own: how it starts, answers, ends and refuses to start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import httpx2
import pytest

from tests.otel.test_gateway import EVERYWHERE, JSON_BODY, TOKEN
from tests.ports import free_port

COMMAND = [sys.executable, "-m", "agentgauge", "gateway"]
WITHOUT_TOKEN = {name: value for name, value in os.environ.items() if name != "AGENTGAUGE_GATEWAY_TOKEN"}


def test_it_serves_until_it_is_told_to_end() -> None:
    """With the token from its environment, so that it is in no list of processes."""
    port = free_port()
    with subprocess.Popen(
        [*COMMAND, "--port", str(port), "--agent", "seller=sales_companion"],
        env=WITHOUT_TOKEN | {"AGENTGAUGE_GATEWAY_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().endswith(
            f":{port}/v1/traces, metrics are at http://127.0.0.1:{port}/metrics\n"
        )
        known = {"Authorization": f"Bearer {TOKEN}"}
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", headers=known, transport=httpx2.HTTPTransport(retries=5)
        ) as client:
            answer = client.post("/v1/traces", content=JSON_BODY, headers={"Content-Type": "application/json"})
            assert answer.status_code == 200
            assert 'agent_build_info{agent="sales_companion"' in client.get("/metrics").text
            assert httpx2.get(f"http://127.0.0.1:{port}/metrics").status_code == 401
        program.send_signal(signal.SIGTERM)
        program.wait(20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", EVERYWHERE], "set AGENTGAUGE_GATEWAY_TOKEN to a secret"),
        (["--agent", "seller"], "write it as SERVICE=AGENT"),
        (["--prices", "no-such-file.yml"], "no-such-file.yml"),
    ],
    ids=["others can reach it", "agent", "prices"],
)
def test_it_does_not_start_with_what_cannot_be_right(options: list[str], message: str) -> None:
    """One line, and the status of a command that could not run."""
    result = subprocess.run([*COMMAND, *options], env=WITHOUT_TOKEN, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_not_installed_is_named_with_the_remedy() -> None:
    """One sentence, not a trace into the library."""
    code = (
        "import sys; sys.modules['opentelemetry.proto'] = None; sys.argv = ['agentgauge', 'gateway'];"
        "from agentgauge.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], env=WITHOUT_TOKEN, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.endswith('run: pip install "agentgauge[gateway]"\n')
