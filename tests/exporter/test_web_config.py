"""``gauge.serve(web_config=…)``: the file of Prometheus's exporters, read as they do; the scraper is the real one."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import closing
from pathlib import Path

import bcrypt
import pytest
import requests
from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge
from agentgauge.web_config import Users, WebConfigError, read
from tests.ports import free_port

PASSWORD = "a password of the test"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates of the server and of a client, each signed by itself: NAME.pem and NAME.key."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("server", "client", "stranger"):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*command, *files], cwd=folder, check=True, capture_output=True)
    return folder


MUTUAL = f"""\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  min_version: TLS13
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: client.pem
http_server_config: {{http2: false}}
basic_auth_users:
  prometheus: {HASH}
"""


def served(folder: Path, text: str) -> AgentGauge:
    """An agent, and the file that it is to be served with, as web.yml in the folder."""
    (folder / "web.yml").write_text(text, encoding="utf-8")
    return AgentGauge("a", tools=["t"], registry=CollectorRegistry())


def test_prometheus_scrapes_with_a_client_certificate_and_a_password(
    keys: Path, programs: dict[str, Path], tmp_path: Path
) -> None:
    """And Prometheus takes the same file for its own port, so nothing in it means something else here."""
    gauge = served(keys, MUTUAL)
    with closing(gauge.serve(port=0, web_config=keys / "web.yml")) as server:
        scrape = {
            "job_name": "agent",
            "scheme": "https",
            "scrape_interval": "3s",
            "basic_auth": {"username": "prometheus", "password": PASSWORD},
            "tls_config": {
                "ca_file": str(keys / "server.pem"),
                "cert_file": str(keys / "client.pem"),
                "key_file": str(keys / "client.key"),
            },
            "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}), encoding="utf-8")
        port = free_port()
        command = [
            str(programs["prometheus"]),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.config.file={keys / 'web.yml'}",
        ]
        asking = requests.Session()
        asking.auth = ("prometheus", PASSWORD)
        asking.cert = (str(keys / "client.pem"), str(keys / "client.key"))
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as prometheus:
            try:
                url = f"https://127.0.0.1:{port}/api/v1/targets"
                assert _health(asking, url, str(keys / "server.pem")) == ("up", "")
            finally:
                prometheus.terminate()


def _health(asking: requests.Session, url: str, verify: str) -> tuple[str, str]:
    """Health and last error of the only target, once there is any; Prometheus cannot be waited for but by asking."""
    end = time.monotonic() + 60  # some seconds where nothing else runs: it looks for targets every five
    while time.monotonic() < end:
        try:
            targets = asking.get(url, verify=verify, timeout=5).json()["data"]["activeTargets"]
        except (requests.ConnectionError, OSError):
            targets = []
        if targets and targets[0]["health"] != "unknown":
            return targets[0]["health"], targets[0]["lastError"]
        time.sleep(0.1)
    pytest.fail("Prometheus has not scraped in 60 s")


def test_who_lacks_the_certificate_or_the_password_gets_nothing(keys: Path) -> None:
    """No certificate, a stranger's, no password, a wrong one, an unknown name."""
    gauge = served(keys, MUTUAL)
    with closing(gauge.serve(port=0, web_config=keys / "web.yml")) as server:

        def scrape(name: str | None, auth: tuple[str, str] | None) -> int:
            cert = (str(keys / f"{name}.pem"), str(keys / f"{name}.key")) if name else None
            return requests.get(
                server.url, verify=str(keys / "server.pem"), cert=cert, auth=auth, timeout=5
            ).status_code

        assert scrape("client", ("prometheus", PASSWORD)) == 200
        assert scrape("client", ("prometheus", PASSWORD)) == 200  # remembered
        assert scrape("client", None) == 401
        assert scrape("client", ("prometheus", f"{PASSWORD}!")) == 401
        assert scrape("client", ("nobody", PASSWORD)) == 401
        for name in (None, "stranger"):
            with pytest.raises(requests.ConnectionError):
                scrape(name, ("prometheus", PASSWORD))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("basic_auth_users: {p: secret}", "web.yml:1: basic_auth_users.p: is not a bcrypt hash"),
        ("basic_auth_user: {}", "web.yml:1: basic_auth_user: unknown field"),
        ("tls_server_config: {key_file: server.key}", "web.yml:1: tls_server_config.cert_file: is missing"),
        (
            "tls_server_config: {cert_file: none.pem, key_file: server.key}",
            "web.yml:1: tls_server_config.cert_file: certificate or key cannot be used: No such file",
        ),
        (
            "tls_server_config: {cert_file: client.pem, key_file: server.key}",
            "web.yml:1: tls_server_config.cert_file: certificate or key cannot be used",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
            "  client_auth_type: RequireAnyClientCert",
            "web.yml:4: tls_server_config.client_auth_type: RequireAnyClientCert cannot be had here",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: client.pem",
            "web.yml:4: tls_server_config.client_ca_file: is not used unless",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  min_version: TLS10",
            "web.yml:4: tls_server_config.min_version: TLS10 cannot be had here; the known ones are TLS12, TLS13",
        ),
        ("- x", "web.yml:1: the file: expected fields"),
    ],
)
def test_a_mistake_is_one_line_with_file_line_and_field(keys: Path, text: str, says: str) -> None:
    """It stops the start: an endpoint that is open by mistake is worse than none."""
    (keys / "web.yml").write_text(text, encoding="utf-8")
    with pytest.raises(WebConfigError) as raised:
        read(keys / "web.yml")
    assert str(raised.value).startswith(says)
    assert "\n" not in str(raised.value)


def test_an_empty_file_asks_for_nothing(keys: Path) -> None:
    """As with Prometheus."""
    (keys / "web.yml").write_text("", encoding="utf-8")
    config = read(keys / "web.yml")
    assert (config.tls, config.users, config.certificate) == (None, None, None)


def test_a_file_and_a_password_do_not_go_together(keys: Path) -> None:
    """Nobody could say which of them holds."""
    gauge = served(keys, MUTUAL)
    with pytest.raises(ValueError, match="either web_config or password"):
        gauge.serve(port=0, web_config=keys / "web.yml", password="x")


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic cHJvbWV0aGV1cw==", "Bearer x", "Basic /zpw", "B\u00e4"]
)
def test_what_is_no_password_is_none(header: str) -> None:
    """And no error."""
    assert not Users({"prometheus": HASH.encode()}).admit(header)
