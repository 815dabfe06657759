"""The one reader of YAML files: what it takes, what it refuses, and that no input makes it fail in another way."""

from __future__ import annotations

import os
import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from agentgauge import own_prices
from agentgauge.autonomy import policy
from agentgauge.cost import budgets, cache, tiers
from agentgauge.evals import scenario
from agentgauge.files.yaml_file import MAX_BYTES, Block, YamlFileError, read_yaml
from agentgauge.prompts.library import PromptLibrary
from alerts import thresholds
from tests.exporter.autonomy.policies import TEXT as POLICY
from tests.exporter.autonomy.policies import TOOLS

TOOL_NAMES = [tool.name for tool in TOOLS]
MUTATIONS = int(os.environ.get("AGENTGAUGE_MUTATIONS", "40"))
"""Of each kind of file; 3000 gives 24 000 inputs and takes some minutes."""


def read(tmp_path: Path, text: str | bytes) -> Block:
    """The file with this text."""
    path = tmp_path / "a.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def test_values_are_what_people_mean(tmp_path: Path) -> None:
    """Keys are texts; dates, times and numbers with a leading zero stay as they are written."""
    text = "on: yes\n1: 2026-01-31\nat: 1:30\ncode: 010\nn: [1, 1_000, 0.5, -2.5, ~]\nquoted: '7'\n"
    assert read(tmp_path, text).content() == {
        "on": True,
        "1": "2026-01-31",
        "at": "1:30",
        "code": "010",
        "n": [1, 1000, 0.5, -2.5, None],
        "quoted": "7",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a: \xff\n", "a.yml:1: the file: is not UTF-8 text; save it as UTF-8"),
        (b"a: 1\nb: caf\xe9\n", "a.yml:2: the file: is not UTF-8 text"),
        (b"a: 1\nb: \x07\n", "a.yml:2: the file: the character U+0007 is not allowed in YAML; remove it"),
        ("a: 1\nb: 2\n" + "#" * MAX_BYTES, "a.yml:1: the file: is larger than 1 MiB"),
        ("a:\n\tb: 1\n", "a.yml:2: the file: is not valid YAML: a tab where spaces are expected; indent with spaces"),
        ("a: [1\n", "a.yml:2: the file: is not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "a.yml:2: the file: a second document begins here"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "a.yml:4: b.c: is given twice; remove one"),
        ("a: &x [1]\nb: *x\n", "a.yml:2: b: aliases such as *x are not supported; write the value out"),
        ("a:\n  <<: {b: 1}\n", "a.yml:2: a.<<: merge keys are not supported"),
        ("a: !!python/object:os.system [ls]\n", "a.yml:1: a: the tag tag:yaml.org,2002:python/object:os.system is not"),
        ("a: !mine 1\n", "a.yml:1: a: the tag !mine is not supported"),
        ("a: !!binary aGk=\n", "a.yml:1: a: the tag tag:yaml.org,2002:binary is not supported"),
        ("a: !!int twelve\n", "a.yml:1: a: 'twelve' is not a number that can be used"),
        ("a:\n- .nan\n", "a.yml:2: a.0: .nan is not a number that can be used here; write a finite one"),
        ("a: -.inf\n", "a.yml:1: a: -.inf is not a number"),
        ("a: 1.0e+999\n", "a.yml:1: a: 1.0e+999 is not a number"),
        ("a: 99999999999999999999\n", "a.yml:1: a: 99999999999999999999 is not a number"),
        (f"a: {'9' * 5000}\n", "a.yml:1: a: "),
        ('a: "\\x1b[2J"\n', "a.yml:1: a: holds the control character U+001B; remove it"),
        ('a: "\\ud800"\n', "a.yml:1: a: holds the control character U+D800; remove it"),
        ('a: "\\UFFFFFFFF"\n', "a.yml:1: the file: is not valid YAML"),
        ("? [a, b]\n: 1\n", "a.yml:1: the file: expected the name of a field"),
        ("[" * 60 + "]" * 60, "a.yml:1: 0.0.0: is nested more than 50 deep"),
        ("a: " + "[" * 100_000, "a.yml:1: a.0.0: is nested more than 50 deep"),
        ("a: *b\n", "a.yml:1: a: aliases such as *b are not supported"),
    ],
)
def test_what_is_refused_is_one_line_with_file_line_field_and_remedy(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    """Before anything of it is expanded: an alias bomb costs nothing."""
    with pytest.raises(YamlFileError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(says)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "text", "- a\n- b\n", "7"])
def test_a_file_without_fields_is_refused_where_fields_are_expected(tmp_path: Path, text: str) -> None:
    """An empty file must not read as one that allows everything."""
    with pytest.raises(YamlFileError, match=r"a\.yml:1: the file: expected fields"):
        assert read(tmp_path, text).fields


def test_a_field_name_with_line_breaks_stays_on_one_line(tmp_path: Path) -> None:
    """The message goes to logs, where a line of its own could look like another message."""
    with pytest.raises(YamlFileError, match=r"^a\.yml:1: x ERROR all is lost: unknown field"):
        read(tmp_path, '"x\\nERROR all is lost": 1\n').only("a")


def test_a_file_that_is_not_there_is_named_with_its_path(tmp_path: Path) -> None:
    """So that a wrong folder is seen."""
    with pytest.raises(YamlFileError, match=r"/b\.yml cannot be read: No such file"):
        read_yaml(tmp_path / "b.yml")
    with pytest.raises(YamlFileError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


def test_one_file_laid_over_another_keeps_each_fields_file_and_line(tmp_path: Path) -> None:
    """An error in what was taken from below names the file below."""
    (tmp_path / "below.yml").write_text("a: {b: 1, c: x}\nd: 4\n", encoding="utf-8")
    (tmp_path / "above.yml").write_text("# mine\na: {b: 2}\n", encoding="utf-8")
    both = read_yaml(tmp_path / "above.yml").laid_over(read_yaml(tmp_path / "below.yml"))
    assert both.content() == {"a": {"b": 2, "c": "x"}, "d": 4}
    assert str(both.error(["a", "b"], "is wrong")) == "above.yml:2: a.b: is wrong"
    assert str(both.error(["a", "c"], "is wrong")) == "below.yml:1: a.c: is wrong"
    assert str(both.error(["a", "e"], "is missing")) == "above.yml:2: a.e: is missing"


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


def _load_prompts(path: Path) -> object:
    folder = path.parent / "prompts"
    (folder / "v1").mkdir(parents=True, exist_ok=True)
    path.replace(folder / "v1" / "tools.yml")
    return PromptLibrary(folder, [], TOOL_NAMES).load()


KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "policy": (POLICY, lambda path: policy.load(path, TOOLS)),
    "models": (MODELS, lambda path: tiers.load(path, TOOL_NAMES)),
    "cache": (CACHE, lambda path: cache.load(path, TOOL_NAMES)),
    "budgets": (BUDGETS, budgets.load),
    "prices": (PRICES, lambda path: own_prices.read(path, lambda name: name if "claude" in name else None)),
    "scenarios": (SCENARIOS, lambda path: scenario.load(path.parent, TOOL_NAMES, ["outage"])),
    "tools": (DESCRIPTIONS, _load_prompts),
    "thresholds": (THRESHOLDS, thresholds.load),
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
    ),
    *(b"&a ", b"*a", b"<<: ", b"%YAML 9.9\n", b"---\n", b"...\n", b"! ", b"!<x> "),
    *(b"!!python/name:os.system ", b"!!float ", b"!!set ", b"!!null ", b"!!bool ", b"!!timestamp "),
    *(b".nan", b".inf", b"-.inf", b"NaN", b"1e999", b"1.0e+400", b"-1", b"0", b"0x_", b"1__0", b"9" * 400, b"yes"),
    *(b"2026-02-30", b"1:99:99", b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\x00"', "\N{BELL}é".encode()),
    *(b"(((", b"a{99999999999999999999}", b"(?P<n>", b"[[:alpha:]--x]"),
]


def mutated(text: bytes, chance: random.Random) -> bytes:
    """The text with one to four things wrong with it, as a slip, a bad merge or an attacker leaves them."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        lines = text.split(b"\n")
        line = chance.randrange(len(lines))
        match chance.randrange(8):
            case 0 | 1:
                text = text[:at] + chance.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + chance.choice(PIECES) + text[at + chance.randint(1, 8) :]
            case 3:
                text = text[:at] + text[at + chance.randint(1, 12) :]
            case 4:
                text = b"\n".join([*lines[: line + 1], *lines[line:]])
            case 5:
                text = b"\n".join([*lines[:line], *lines[line + 1 :]])
            case 6:
                text = b"\n".join([*lines[:line], b" " * chance.randint(1, 3) + lines[line], *lines[line + 1 :]])
            case 7:
                # A value in place of another, so that the text stays YAML and reaches the checks behind the parser.
                text = re.sub(rb"(?<=: )[^\n,}]+", lambda _: chance.choice(PIECES), text, count=chance.randint(1, 3))
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_no_input_makes_a_file_fail_in_another_way(kind: str, tmp_path: Path) -> None:
    """A traceback from a file that people edit is a defect, whatever the file holds."""
    text, load = KINDS[kind]
    path = tmp_path / f"{kind}.yml"
    path.write_text(text, encoding="utf-8")
    load(path)
    refused = 0
    for seed in range(MUTATIONS):
        broken = mutated(text.encode(), random.Random(f"{kind} {seed}"))  # noqa: S311  # chance, not secrets
        path.write_bytes(broken)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a regular expression that another Python will read otherwise
                load(path)
        except YamlFileError as error:
            refused += 1
            message = str(error)
            assert re.match(r"[^\n]+\.yml:\d+: [^\n]+: [^\n]+\Z", message), (seed, message)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{broken!r}") from error
    assert refused > MUTATIONS / 4
