"""``agentgauge bundle``: what it writes is ready to load, and what it cannot use it names."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts import links, thresholds
from alerts.links import PanelRef
from alerts.rules import render
from bundle.__main__ import app
from bundle.files import check_panels
from bundle.generate import ROOT, committed
from dashboards.model import PanelError

COMMAND = [
    *("--agent", "support_bot", "--agent", "billing_bot", "--job", "my-agents"),
    *("--target", "10.0.0.5:9464", "--target", "10.0.0.6:9464"),
    *("--app", "support_bot=support:app", "--app", "billing_bot=billing.agent:app"),
    *("--grafana-url", "https://grafana.example.com/", "--runbooks-url", "https://runbooks.example.com"),
    *("--prometheus-url", "http://prometheus.example.com:9090"),
    *("--alertmanager-url", "https://ops.example.com/alerts", "--pager-url", "https://pager.example.com"),
]


def run(*arguments: str) -> str:
    """What the command prints; it succeeds."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of two agents that have nothing to do with the demo."""
    folder = tmp_path_factory.mktemp("bundle")
    run(str(folder), *COMMAND)
    return folder


def test_prometheus_and_alertmanager_load_it_as_it_is(written: Path, programs: dict[str, Path]) -> None:
    """The real promtool and amtool have nothing to say against rules and configuration."""
    for command in (
        [programs["promtool"], "check", "config", written / "prometheus.yml"],
        [programs["promtool"], "check", "rules", "--lint=all", "--lint-fatal", *(written / "rules").iterdir()],
        [programs["amtool"], "check-config", written / "alertmanager.yml"],
    ):
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_prometheus_that_writes_elsewhere_judges_nothing(tmp_path: Path, programs: dict[str, Path]) -> None:
    """It scrapes the same agents, names the tenant, and knows neither rules nor Alertmanager."""
    there = ["--remote-write-url", "https://mimir.example.com/api/v1/push", "--tenant", "team-a", "--no-site"]
    said = run(str(tmp_path), *COMMAND, *there)
    assert "mimirtool rules load" in said
    result = subprocess.run([programs["promtool"], "check", "config", tmp_path / "prometheus.yml"], check=False)
    assert result.returncode == 0
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text(encoding="utf-8"))
    assert config["remote_write"] == [
        {"url": "https://mimir.example.com/api/v1/push", "headers": {"X-Scope-OrgID": "team-a"}}
    ]
    assert [job["static_configs"] for job in config["scrape_configs"]] == [
        [{"targets": ["10.0.0.5:9464", "10.0.0.6:9464"]}]
    ]
    assert not config.keys() & {"rule_files", "alerting"}
    assert list((tmp_path / "rules").iterdir())


def test_prometheus_scrapes_the_agents_and_finds_its_rules_and_alertmanager(written: Path) -> None:
    """Job, targets, scheme and path are those that were asked for."""
    config = yaml.safe_load((written / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["my-agents"]["static_configs"] == [{"targets": ["10.0.0.5:9464", "10.0.0.6:9464"]}]
    assert jobs["alertmanager"]["metrics_path"] == "/alerts/metrics"
    (alertmanager,) = config["alerting"]["alertmanagers"]
    assert alertmanager == {
        "scheme": "https",
        "path_prefix": "/alerts/",
        "static_configs": [{"targets": ["ops.example.com:443"]}],
    }
    assert [path.name for path in written.glob(config["rule_files"][0])]


def test_rules_watch_the_job_and_link_to_the_pages_of_the_alerts_agent(written: Path) -> None:
    """A page that is opened from an alert knows whose alert it is."""
    rules = yaml.safe_load((written / "rules" / "stack.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    by_name = {rule["alert"]: rule for rule in rules}
    assert by_name["AgentExporterDown"]["expr"] == 'up{job="my-agents"} == 0'
    assert by_name["AgentExporterDown"]["annotations"]["runbook_url"] == (
        "https://runbooks.example.com/AgentExporterDown/"
    )
    annotations = by_name["AgentTelemetryErrors"]["annotations"]
    assert annotations["runbook_url"] == (
        "https://runbooks.example.com/AgentTelemetryErrors/?agent={{ $labels.agent | urlquery }}"
    )
    assert annotations["dashboard_url"].startswith("https://grafana.example.com/d/agentgauge-stack?")


def test_every_alert_goes_to_the_webhook_until_people_are_named(written: Path) -> None:
    """Nothing is lost in a receiver without an address."""
    config = yaml.safe_load((written / "alertmanager.yml").read_text(encoding="utf-8"))
    hooks = {one["name"]: [hook["url"] for hook in one.get("webhook_configs", ())] for one in config["receivers"]}
    assert hooks["page"] == hooks["work-queue"] == ["https://pager.example.com/alerts"]
    assert hooks["dead-man-switch"] == ["https://pager.example.com/heartbeat"]
    for template in config["templates"]:
        assert list(written.glob(template))


def test_dashboards_and_pages_lead_to_each_other(written: Path) -> None:
    """The panel's link opens the runbook site that was asked for."""
    board = json.loads((written / "dashboards" / "tools.json").read_text(encoding="utf-8"))
    urls = [link["url"] for panel in board["panels"] for link in panel.get("links", ())]
    assert "https://runbooks.example.com/AgentToolLatencyHigh/" in urls
    assert not [url for url in urls if "127.0.0.1" in url]


def test_nothing_of_the_demo_is_in_it(written: Path) -> None:
    """No file names the sample agent or this machine's ports, apart from the page's example of a target."""
    for path in written.rglob("*"):
        if path.is_file() and path.suffix in (".yml", ".md", ".json", ".html"):
            text = path.read_text(encoding="utf-8")
            assert "sales_companion" not in text, path
            assert "127.0.0.1" not in text, path


def test_it_says_what_it_wrote_and_the_three_next_steps(tmp_path: Path) -> None:
    """And that nobody is paged yet."""
    output = run(str(tmp_path), "--agent", "support_bot", "--no-site")
    assert "rules/            13 file(s)" in output
    assert [line.strip()[:2] for line in output.splitlines() if line.strip()[:2] in ("1.", "2.", "3.")] == [
        "1.",
        "2.",
        "3.",
    ]
    assert "put receivers that reach people into" in output
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--job", "x"], "name at least one agent"),
        (["--demo", "--agent", "a"], "is for the Sales Companion alone"),
        (["--agent", 'a"b'], "expected letters, digits"),
        (["--agent", "a", "--app", "nonsense"], "expected MODULE:NAME"),
        (["--agent", "a", "--app", "b=m:app"], "'b' is not one of the agents: a"),
        (["--agent", "a", "--app", "m:app", "--app", "n:app"], "say AGENT=MODULE:NAME for each agent"),
        (["--agent", "a", "--target", "localhost"], "expected HOST:PORT"),
        (["--agent", "a", "--grafana-url", "grafana"], "expected a URL such as https://example.com"),
        (["--agent", "a", "--prometheus-url", "https://me:secret@p"], "the URL holds a password"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    """With its name, before anything is written."""
    result = CliRunner().invoke(app, [str(tmp_path / "new"), *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "new").exists()


def test_for_the_demo_it_writes_what_is_committed(tmp_path: Path) -> None:
    """The committed bundle is not a special case."""
    run(str(tmp_path), "--demo", "--no-site")
    written = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert written
    for name, path in written.items():
        assert path.read_text(encoding="utf-8") == (ROOT / committed(name)).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    ("name", "format_"), [("alertmanager.yml", "files"), ("kubernetes/alertmanager-config.yaml", "kubernetes")]
)
def test_receivers_that_somebody_put_in_are_kept(tmp_path: Path, name: str, format_: str) -> None:
    """Writing the bundle again, for another threshold, must not stop the pages from reaching people."""
    again = (str(tmp_path), "--agent", "a", "--no-site", "--format", format_)
    run(*again)
    path = tmp_path / name
    shipped = path.read_text(encoding="utf-8")
    path.write_text("# mine\n" + shipped, encoding="utf-8")
    output = run(*again)
    assert f"kept {path}, which differs; the new text is in {path.name}.new" in output
    assert path.read_text(encoding="utf-8") == "# mine\n" + shipped
    assert path.with_name(f"{path.name}.new").read_text(encoding="utf-8") == shipped
    assert "kept" not in run(*again, "--overwrite")
    assert path.read_text(encoding="utf-8") == shipped


def test_numbers_for_an_agent_that_is_not_there_are_refused(tmp_path: Path) -> None:
    """A misspelt name would leave the agent with the common numbers, and nobody would notice."""
    mine = tmp_path / "my.yml"
    mine.write_text("agents:\n  biling_bot:\n    AgentCostSpike: {severity: info}\n", encoding="utf-8")
    arguments = [str(tmp_path / "new"), "--agent", "support_bot", "--agent", "billing_bot", "--thresholds", str(mine)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.output == (
        "error: my.yml:3: agents.biling_bot: is not one of the agents of this bundle, "
        "which are support_bot, billing_bot\n"
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One sentence, no traceback."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = CliRunner().invoke(app, [str(tmp_path / "file"), "--agent", "a", "--no-site"])
    assert result.exit_code == 1
    assert f"{tmp_path / 'file'} cannot be written: " in result.output


def test_an_alert_that_points_at_no_panel_stops_the_rendering() -> None:
    """Its link would open an empty page at 3 a.m."""
    items = render(thresholds.load())
    for panel, message in (
        (PanelRef(links.TOOLS, 99), "points at panel 99 of agentgauge-tools, which has none"),
        (PanelRef("agentgauge-gone", 1), "points at the dashboard agentgauge-gone, which does not exist"),
    ):
        broken = replace(items[0], alert=replace(items[0].alert, panel=panel))
        with pytest.raises(PanelError, match=message):
            check_panels([*items, broken])


def test_a_slip_in_the_thresholds_is_one_sentence(tmp_path: Path) -> None:
    """File, line and field; no traceback, nothing written."""
    mine = tmp_path / "my.yml"
    mine.write_text("alerts:\n  AgentToolLatencyHigh:\n    threshold: {value: 7}\n", encoding="utf-8")
    result = CliRunner().invoke(app, [str(tmp_path / "new"), "--agent", "a", "--thresholds", str(mine)])
    assert result.exit_code == 1
    assert result.output.startswith("error: my.yml:2: threshold.value: 7 is not a bucket boundary of ")
    assert not (tmp_path / "new").exists()
