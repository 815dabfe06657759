"""Every file that the project reads, handed anything at all: one error that says where, or it is read."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgauge import app_loading, own_prices, web_config
from agentgauge.agent_app import AppError
from agentgauge.autonomy import policy
from agentgauge.autonomy.edits import FieldError
from agentgauge.autonomy.people import FILE_NAME, OWNER_FILE_NAME, People, TokenError
from agentgauge.cli import editing
from agentgauge.cli.common import secret_in
from agentgauge.cost import budgets, cache, tiers
from agentgauge.evals import calibration, scenario
from agentgauge.files.data_file import read_json
from agentgauge.files.yaml_file import MAX_BYTES, YamlFileError
from agentgauge.incident import runbook
from agentgauge.incident.runbook import RunbookError
from agentgauge.prompts.library import PromptLibrary
from agentgauge.starting import pyproject, source
from agentgauge.starting.pyproject import PyprojectError
from agentgauge.starting.source import SourceError
from alerts import thresholds
from sample_agent.faults import FaultFile
from tests.exporter.autonomy.policies import TEXT as POLICY
from tests.exporter.autonomy.policies import TOOLS

TOOL_NAMES = [tool.name for tool in TOOLS]
EXAMPLES = int(os.environ.get("EXAMPLES", "40"))
"""Of each kind of file; `make test-fuzz-files` takes many more."""
CORPUS = Path(__file__).parent / "corpus"
"""What once made a reader fail in another way: KIND-WHAT, as it was."""

MODELS = """\
tiers:
  large: {model: big, fallback: small}
  small: {model: little}
steps: {planning: large, tool_arguments: small, synthesis: large, classification: small}
rest_seconds: 30
arguments_apart: [write]
"""
CACHE = """\
most: 50
tools:
  find: {seconds: 300, scope: tenant, about: accounts.name}
  tidy: {seconds: 0, scope: user}
invalidates:
  write: {tools: [find], about: account}
"""
BUDGETS = """\
session: {warn: 0.50, stop: 2.00}
user_day:
  warn: 5.00
  throttle: 10
  stop: 20.00
seconds_between_requests: 60
contact: the team
"""
PRICES = "models:\n  claude-opus-5-5: {factor: 0.85}\n  ours: {input: 0.2, output: 0.6, cache_read: 0.02}\n"
SCENARIOS = """\
- name: look-up
  input: Tell me about Globex
  expected_tools: [find]
  expected_arguments: {find: {name: Globex, most: 3}}
  expected_output_contains: [Globex]
  max_turns: 4
  max_cost: 0.10
  approvals: [approve, {decision: edit, arguments: {to: jane}}]
  tags: [smoke]
"""
DESCRIPTIONS = "".join(f"{name}: What {name} does.\n" for name in TOOL_NAMES)
THRESHOLDS = """\
alerts:
  AgentTaskCompletionLow:
    severity: critical
    threshold: {value: 0.9, unit: ratio, why: it was agreed}
    window: 5m
    for: 1h
agents:
  billing_bot:
    AgentTaskCompletionLow: {threshold: {value: 0.8}}
"""


WEB_CONFIG = """\
basic_auth_users:
  prometheus: $2b$04$abcdefghijklmnopqrstuuhZdU1pGqFeU7hIvOnM5OxRkzGVIA3bS
http_server_config: {http2: false}
"""
PEOPLE = """\
people:
  ann: {roles: [lead], token_sha256: HASH}
  bob: {roles: [], token_sha256: HASH}
""".replace("HASH", "a" * 64)
OWNER = "ann abcdefghijklmnopqrstuvwxyz0123456789\n"
FAULTS = '{"faults": [{"name": "slow-tool", "tool": "get_deal_history"}, {"name": "crm-outage", "tool": null}]}\n'
LABELS = (
    '{"criterion": "polite", "passed": true, "transcript": {"steps": [{"by": "user", "text": "Hi"}, {"tool": "find", '
    '"arguments": {}, "ok": true, "result": "{}"}], "turns": 1, "cost_usd": 0.1}}\n'
)
PYPROJECT = '[project]\nname = "bot"\n\n[tool.agentgauge]\nother = {a = [1, 2.5]}\n\n[tool.ruff]\nline-length = 120\n'
PYTHON = "# -*- coding: utf-8 -*-\nimport os\n\n\ndef answer(text: str) -> str:\n    return f'{text}'\n"
EDITED = "to: jane@example.com\nbody: |\n  Dear Jane,\n  hello.\nsubject: 'Renewal'\n"
RUNBOOK = """\
# AgentLost

It is gone.

## Diagnosis

1. **Is it up?** One row for each.

    ```promql
    up
    ```

    * One: Mitigation 1. <!-- when one row == 1 -->
    * No rows: see [AgentGone](AgentGone.md), step 3. <!-- when otherwise -->

## Mitigation

1. **Start it,** and wait.

    ```sh
    agentgauge ops tools
    ```
"""


def _load_prompts(path: Path) -> object:
    folder = path.parent / "prompts"
    (folder / "v1").mkdir(parents=True, exist_ok=True)
    path.replace(folder / "v1" / "tools.yml")
    return PromptLibrary(folder, [], TOOL_NAMES).load()


def _load_people(path: Path) -> object:
    people = path.with_name(FILE_NAME)
    path.replace(people)
    people.chmod(0o600)
    return People(people).all()


def _load_owner(path: Path) -> object:
    owner = path.with_name(OWNER_FILE_NAME)
    path.replace(owner)
    owner.chmod(0o600)
    return People(path.with_name(FILE_NAME), owner).all()


def _load_faults(path: Path) -> object:
    path.replace(path.with_name("faults.json"))
    return FaultFile(path.parent).active()


def _load_app(path: Path) -> object:
    path.replace(path.with_name("pyproject.toml"))
    return app_loading._project(path.parent)


@dataclass(frozen=True)
class Kind:
    """A kind of file: one that is good, what reads it, and the errors that may come of another.

    Files that people edit and that decide something name file, line and field; ``says_where`` is off for the others.
    """

    text: str
    load: Callable[[Path], object]
    errors: tuple[type[Exception], ...] = (YamlFileError,)
    says_where: bool = True


KINDS: dict[str, Kind] = {
    "policy": Kind(POLICY, lambda path: policy.load(path, TOOLS)),
    "models": Kind(MODELS, lambda path: tiers.load(path, TOOL_NAMES)),
    "cache": Kind(CACHE, lambda path: cache.load(path, TOOL_NAMES)),
    "budgets": Kind(BUDGETS, budgets.load),
    "prices": Kind(PRICES, lambda path: own_prices.read(path, lambda name: name if "claude" in name else None)),
    "scenarios": Kind(SCENARIOS, lambda path: scenario.load(path.parent, TOOL_NAMES, ["outage"])),
    "tools": Kind(DESCRIPTIONS, _load_prompts),
    "thresholds": Kind(THRESHOLDS, thresholds.load),
    "web_config": Kind(WEB_CONFIG, web_config.read),
    "people": Kind(PEOPLE, _load_people, (TokenError,)),
    "owner": Kind(OWNER, _load_owner, (TokenError,), says_where=False),
    "secret": Kind(OWNER, secret_in, (typer.Exit,), says_where=False),
    "faults": Kind(FAULTS, _load_faults, ()),
    "json": Kind(FAULTS, read_json, (ValueError,)),
    "labels": Kind(LABELS, calibration.read_labels, says_where=False),
    "app": Kind(PYPROJECT, _load_app, (AppError,), says_where=False),
    "pyproject": Kind(
        PYPROJECT, lambda path: pyproject.with_app(path.read_bytes(), "bot:app"), (PyprojectError,), says_where=False
    ),
    "python": Kind(
        PYTHON, lambda path: source.parse(PurePosixPath("a.py"), path.read_bytes()), (SourceError,), says_where=False
    ),
    "edited": Kind(
        EDITED,
        lambda path: editing._texts_in(path.read_text(encoding="utf-8", errors="replace")),
        (FieldError,),
        says_where=False,
    ),
    "runbook": Kind(
        RUNBOOK,
        lambda path: runbook.read(path.read_text(encoding="utf-8", errors="replace"), "AgentLost.md"),
        (RunbookError,),
        says_where=False,
    ),
}

PIECES = [
    *(
        b"\xff",
        b"\x00",
        b"\x1b",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\xed\xa0\x80",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b": ",
        b"- ",
        b", ",
        b"? ",
        b"'",
        b'"',
        b"|\n",
        b">-\n",
        b"#",
        b"=",
        b"~",
        b"[" * 60,
        b"{a: " * 60,
        b"[" * 100_000,
        b'{"a":' * 5_000,
    ),
    *(b"&a ", b"*a", b"<<: ", b"%YAML 9.9\n", b"---\n", b"...\n", b"! ", b"!<x> "),
    *(b"!!python/name:os.system ", b"!!float ", b"!!set ", b"!!null ", b"!!bool ", b"!!timestamp "),
    *(b".nan", b".inf", b"-.inf", b"NaN", b"1e999", b"1.0e+400", b"-1", b"0", b"0x_", b"1__0", b"9" * 400, b"yes"),
    *(b"2026-02-30", b"1:99:99", b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\x00"', "\N{BELL}é".encode()),
    *(b"(((", b"a{99999999999999999999}", b"(?P<n>", b"[[:alpha:]--x]"),
]

EDITS = st.lists(
    st.tuples(
        st.integers(0, 7), st.integers(0, 10_000), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=8)
    ),
    min_size=1,
    max_size=4,
)
"""What goes wrong with a file: a slip, a bad merge, an attacker."""


def edited(text: bytes, edits: list[tuple[int, int, int, bytes]]) -> bytes:
    """The text with these things wrong with it."""
    for how, place, length, piece in edits:
        at = place % (len(text) + 1)
        lines = text.split(b"\n")
        line = place % len(lines)
        match how:
            case 0 | 1:
                text = text[:at] + piece + text[at:]
            case 2:
                text = text[:at] + piece + text[at + length :]
            case 3:
                text = text[:at] + text[at + length :]
            case 4:
                text = b"\n".join([*lines[: line + 1], *lines[line:]])
            case 5:
                text = b"\n".join([*lines[:line], *lines[line + 1 :]])
            case 6:
                text = b"\n".join([*lines[:line], b" " * (1 + length % 3) + lines[line], *lines[line + 1 :]])
            case 7:
                # A value in place of another, so that it stays what it is and reaches the checks behind the parser.
                values = list(re.finditer(rb"(?<=[:=] )[^\n,}]+", text))
                if values:
                    value = values[place % len(values)]
                    text = text[: value.start()] + piece + text[value.end() :]
    return text


def check(kind: Kind, folder: Path, data: bytes) -> bool:
    """Whether a file that holds this is refused; fails unless that is by one error on one line that says where."""
    for left in folder.iterdir():
        if left.is_file():
            left.unlink()
    path = folder / "a.yml"
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a regular expression that another Python will read otherwise
            kind.load(path)
    except kind.errors as error:
        message = str(error)
        assert len(message.splitlines()) <= 1, message
        if kind.says_where:
            assert re.match(r"[^\n]+\.(yml|json):\d+: [^\n]+: [^\n]+\Z", message), message
        return True
    return False


@pytest.mark.parametrize("name", KINDS)
def test_a_good_file_is_read(name: str, tmp_path: Path) -> None:
    """Or the others would be refused for another reason."""
    assert not check(KINDS[name], tmp_path, KINDS[name].text.encode())


@pytest.mark.parametrize("name", KINDS)
def test_no_input_makes_a_file_fail_in_another_way(name: str, tmp_path: Path) -> None:
    """A traceback from a file that people edit is a defect, whatever the file holds."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES <= 100,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(EDITS)
    def holds(edits: list[tuple[int, int, int, bytes]]) -> None:
        check(KINDS[name], tmp_path, edited(KINDS[name].text.encode(), edits))

    holds()


@pytest.mark.parametrize("case", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_once_failed_does_not_again(case: Path, tmp_path: Path) -> None:
    """Each was a traceback, or a command that did not end."""
    check(KINDS[case.name.partition("-")[0]], tmp_path, case.read_bytes())


@pytest.mark.parametrize(
    "name", [name for name, kind in KINDS.items() if kind.errors == (YamlFileError,) and kind.says_where]
)
def test_a_file_of_ten_megabytes_is_refused_unread(name: str, tmp_path: Path) -> None:
    """A log that was saved over a configuration."""
    assert check(KINDS[name], tmp_path, KINDS[name].text.encode() + b"#" * 10 * MAX_BYTES)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_nothing_is_no_traceback(name: str, tmp_path: Path) -> None:
    """Nor is one of zeros, which a full disk leaves."""
    check(KINDS[name], tmp_path, b"")
    check(KINDS[name], tmp_path, b"\0" * 4096)
