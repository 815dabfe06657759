"""``--format grafana``: the rules of Prometheus as Grafana's own, told to the receivers of alertmanager.yml."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from alerts import thresholds
from alerts.deployment import Deployment
from alerts.promql import Duration
from alerts.thresholds import Thresholds
from bundle.__main__ import app
from bundle.files import bundle_files
from bundle.grafana import DATASOURCE, LONGEST_UID, NEVER, STATES_RULE, grafana_files
from tests.runbooks.pages import STRANGERS

BASE_INTERVAL_SECONDS = 10
"""Grafana evaluates at multiples of this."""


def documents(deployment: Deployment, numbers: Thresholds) -> dict[str, Any]:
    """Path → what the YAML says."""
    files = grafana_files(deployment, numbers)
    return {name: yaml.safe_load(text) for name, text in files.items() if not name.endswith(".json")}


MADE = documents(STRANGERS, thresholds.load())
GROUPS: list[dict[str, Any]] = MADE["alerting/rules.yaml"]["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
FILES = {
    name: yaml.safe_load(text)
    for name, text in bundle_files(STRANGERS, thresholds.load()).items()
    if name.endswith(".yml")
}
OF_PROMETHEUS: list[dict[str, Any]] = [
    rule for name, content in FILES.items() if name.startswith("rules/")
    for rule in content["groups"][0]["rules"]
]  # fmt: skip
ALERTMANAGER = FILES["alertmanager.yml"]


def in_words_of_prometheus(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of Grafana's as a rule file has it."""
    kept = {"keep_firing_for": rule["keepFiringFor"]} if "keepFiringFor" in rule else {}
    return {
        "alert": rule["title"],
        "expr": rule["data"][0]["model"]["expr"],
        **({} if rule["for"] == "0s" else {"for": rule["for"]}),
        **kept,
        "labels": rule["labels"],
        "annotations": {name: text.replace("$values.A.Value", "$value") for name, text in rule["annotations"].items()},
    }


def test_every_rule_is_that_of_prometheus() -> None:
    """Expression, durations, labels and texts with their links, in the same order."""
    assert [in_words_of_prometheus(rule) for rule in RULES] == [rule for rule in OF_PROMETHEUS if "alert" in rule]


def test_texts_name_the_number_as_grafana_does() -> None:
    """``$value`` would be a sentence about all queries, which no function can make a percentage of."""
    texts = [text for rule in RULES for text in rule["annotations"].values()]
    assert any("$values.A.Value | humanizePercentage" in text for text in texts)
    assert not any(re.search(r"\$value\b", text) for text in texts)


def test_a_series_fires_if_there_is_one_whatever_its_value() -> None:
    """``up == 0`` is 0 where it is true: what counts is that it is a number, as in Grafana's import of such rules."""
    for rule in RULES:
        query, is_there, condition = rule["data"]
        assert (query["datasourceUid"], query["model"]["instant"]) == (DATASOURCE, True)
        assert is_there["model"]["expression"] == "is_number($A) || is_nan($A) || is_inf($A)"
        assert condition["model"]["expression"] == is_there["refId"]
        assert condition["model"]["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]
        assert rule["condition"] == condition["refId"]
        assert is_there["datasourceUid"] == condition["datasourceUid"] == "__expr__"


def test_without_series_nothing_fires_and_without_prometheus_the_heartbeat_stops() -> None:
    """A rule that cannot be judged is told to people; the dead-man switch must hear nothing then."""
    assert {rule["noDataState"] for rule in RULES} == {"OK"}
    assert {rule["title"] for rule in RULES if rule["execErrState"] == "OK"} == {"AgentGaugeWatchdog"}
    assert {rule["execErrState"] for rule in RULES} == {"OK", "Error"}


def test_rules_keep_to_what_grafana_takes() -> None:
    """Short ids, one of each; a title once in a folder; evaluations at multiples of its own interval."""
    uids = [rule["uid"] for rule in RULES]
    assert len(set(uids)) == len(uids)
    for uid in uids:
        assert re.fullmatch(rf"[A-Za-z0-9_-]{{1,{LONGEST_UID}}}", uid)
    for group in GROUPS:
        assert Duration.parse(group["interval"]).seconds % BASE_INTERVAL_SECONDS == 0
        assert group["folder"]
    titles = [(group["folder"], rule["title"]) for group in GROUPS for rule in group["rules"]]
    assert len(set(titles)) == len(titles)


def test_an_agent_with_numbers_of_its_own_has_its_rules_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Under the same title, which is the name of the alert, and with a uid of their own."""
    agent = STRANGERS.agents[0]
    own = tmp_path / "own.yml"
    number = "{threshold: {value: 20, unit: seconds, why: it writes long answers}}"
    own.write_text(f"agents:\n  {agent}:\n    AgentLatencySpike: {number}\n", encoding="utf-8")
    groups = documents(STRANGERS, thresholds.load(overrides=own))["alerting/rules.yaml"]["groups"]
    spikes = {
        group["folder"]: rule for group in groups for rule in group["rules"] if rule["title"] == "AgentLatencySpike"
    }
    assert list(spikes) == ["AgentGauge", f"AgentGauge {agent}"]
    common, of_agent = spikes.values()
    assert of_agent["labels"]["agent"] == agent
    assert of_agent["uid"] != common["uid"]
    assert f'agent!~"{agent}"' in common["data"][0]["model"]["expr"]


def test_a_long_name_has_a_short_uid() -> None:
    """Of the longest alert there is, and of two agents."""
    from bundle.grafana import _uid

    long = "Alert" * 10
    uids = {_uid(long, ""), _uid(long, "a"), _uid(long, "b"), _uid("Short", ""), _uid("Short", "a")}
    assert len(uids) == 5
    assert max(map(len, uids)) <= LONGEST_UID


def test_contact_points_are_the_receivers_that_tell_somebody() -> None:
    """With the same addresses, and whether they hear of the end."""
    points = {
        point["name"]: [(one["settings"]["url"], not one["disableResolveMessage"]) for one in point["receivers"]]
        for point in MADE["alerting/contact-points.yaml"]["contactPoints"]
    }
    assert points == {
        receiver["name"]: [(hook["url"], hook["send_resolved"]) for hook in receiver["webhook_configs"]]
        for receiver in ALERTMANAGER["receivers"]
        if "webhook_configs" in receiver
    }


def test_policies_are_the_routes() -> None:
    """Same order, matchers and times; what goes to nobody is muted, because Grafana has nobody to send it to."""
    (policy,) = MADE["alerting/policies.yaml"]["policies"]
    route = ALERTMANAGER["route"]
    times = ("group_by", "group_wait", "group_interval", "repeat_interval")
    assert {name: policy[name] for name in times} == {name: route[name] for name in times}
    points = {point["name"] for point in MADE["alerting/contact-points.yaml"]["contactPoints"]}
    for ours, theirs in zip(policy["routes"], route["routes"], strict=True):
        assert ["".join([name, how, json.dumps(value)]) for name, how, value in ours["object_matchers"]] == (
            theirs["matchers"]
        )
        assert ours.get("repeat_interval") == theirs.get("repeat_interval")
        assert ours.get("active_time_intervals") == theirs.get("active_time_intervals")
        assert ours["receiver"] in points
        if theirs["receiver"] in points:
            assert (ours["receiver"], "mute_time_intervals" in ours) == (theirs["receiver"], False)
        else:
            assert (theirs["receiver"], ours["mute_time_intervals"]) == ("nobody", [NEVER])


def test_every_time_that_a_policy_names_is_there() -> None:
    """Those of alertmanager.yml, and the one at which nobody is told."""
    times = {one["name"] for one in MADE["alerting/mute-timings.yaml"]["muteTimes"]}
    assert times == {NEVER, *(one["name"] for one in ALERTMANAGER["time_intervals"])}


def test_recording_rules_stay_in_prometheus(tmp_path: Path, programs: dict[str, Path]) -> None:
    """All of them, and one that lets rules and panels ask for the states of alerts by the name that they know."""
    groups = MADE["rules/records.yml"]["groups"]
    records = [rule for group in groups for rule in group["rules"]]
    assert records == [*(rule for rule in OF_PROMETHEUS if "record" in rule), STATES_RULE]
    path = tmp_path / "records.yml"
    path.write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    result = subprocess.run([programs["promtool"], "check", "rules", path], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_rule_leads_to_its_panel() -> None:
    """The one that the link of the page shows."""
    for rule in RULES:
        assert f"/d/{rule['dashboardUid']}?viewPanel=panel-{rule['panelId']}" in rule["annotations"]["dashboard_url"]


def test_the_command_writes_them(tmp_path: Path) -> None:
    """With the runbooks, and without what only Alertmanager reads."""
    result = CliRunner().invoke(app, [str(tmp_path), "--agent", "a", "--format", "grafana", "--no-site"])
    assert result.exit_code == 0, result.output
    for name in ("alerting/rules.yaml", "rules/records.yml", "dashboards/overview.json", "runbooks/AgentGone.md"):
        assert (tmp_path / name).exists()
    assert not (tmp_path / "alertmanager.yml").exists()
