"""Datasets of other tools as scenarios: Inspect AI's samples (JSON, JSON Lines, CSV) and promptfoo's tests (YAML).

What a scenario cannot demand is refused with its place, and never left out in silence.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from agentgauge.evals.scenario import Dataset, Scenario, ScenarioError
from agentgauge.files.yaml_file import read_yaml

SUFFIXES = (".jsonl", ".json", ".csv")
"""Of files that hold samples of Inspect AI."""
_NOT_OF_AN_AGENT = {
    "choices": "an agent is not asked to tick one; write the question out in input",
    "sandbox": "an agent runs where its own tools run; leave it out",
    "files": "they would be copied into a sandbox, and there is none here",
    "setup": "it would run in a sandbox, and there is none here",
}
"""Fields of a sample that change what is asked, and that no scenario has; why."""
_OF_A_TEST = frozenset({"description", "vars", "assert", "metadata"})
_OF_AN_ASSERTION = frozenset({"type", "value", "threshold", "metric"})
_FOR_ALL_TESTS = ("defaultTest", "scenarios")
"""Fields of a promptfoo configuration that add to what its tests say."""


def recognised(dataset: Dataset) -> Dataset:
    """A file of another tool as a function that returns its scenarios; anything else as it is."""
    if not isinstance(dataset, Path) or not dataset.is_file():
        return dataset
    if dataset.suffix in SUFFIXES:
        return _named(dataset, lambda: inspect_samples(dataset))
    block = read_yaml(dataset, name=str(dataset), error_class=ScenarioError)
    if not isinstance(block.value, dict) or "tests" not in block.value:
        return dataset
    file = yaml.safe_load(dataset.read_text(encoding="utf-8"))
    return _named(dataset, lambda: promptfoo_tests(file, dataset))


def _named(path: Path, read: Callable[[], list[Scenario]]) -> Callable[[], list[Scenario]]:
    """With the name that errors call it by."""
    read.__qualname__ = path.name
    return read


def inspect_samples(path: Path) -> list[Scenario]:
    """The samples of a file: ``input`` and ``target`` of each, ``id`` and ``metadata`` if there are.

    A target is a phrase that the agent must say; of a list, any one will do there and all are demanded here, so a list
    of more than one is refused. Raises ScenarioError with the place of the first thing wrong.
    """
    scenarios: list[Scenario] = []
    for place, record in _records(path):
        target = record.get("target")
        targets = target if isinstance(target, list) else [target]
        phrases = [str(one) for one in targets if one not in (None, "")]
        if len(phrases) > 1:
            raise ScenarioError(
                f"{place}: target: any of {len(phrases)} phrases would do; a scenario demands all of its own"
            )
        for field, why in _NOT_OF_AN_AGENT.items():
            if record.get(field):
                raise ScenarioError(f"{place}: {field}: {why}")
        first, rest = _turns(record.get("input"), place)
        sample_id = record.get("id")
        name = f"{path.stem}_{len(scenarios) + 1}" if sample_id in (None, "") else str(sample_id)
        scenario = {"name": name, "input": first, "turns": rest, "expected_output_contains": phrases}
        scenarios.append(_scenario(scenario, place))
    return scenarios


def promptfoo_tests(file: Mapping[str, Any], path: Path) -> list[Scenario]:
    """The tests of a promptfoo configuration, whose only variable is what the user says.

    Raises ScenarioError with the place of the first thing wrong, such as an assertion that no scenario can express.
    """
    tests = file.get("tests")
    if not isinstance(tests, list):
        raise ScenarioError(f"{path}: tests: expected a list of tests; files and functions are not read")
    for field in _FOR_ALL_TESTS:
        if file.get(field):
            raise ScenarioError(f"{path}: {field}: it is not read; write what it says into each test")
    scenarios = []
    for number, test in enumerate(tests, start=1):
        place = f"{path}: test {number}"
        if not isinstance(test, dict):
            raise ScenarioError(f"{place}: expected vars and assert")
        _check_fields(test, _OF_A_TEST, place)
        said = list((test.get("vars") or {}).values())
        if len(said) != 1 or not isinstance(said[0], str):
            raise ScenarioError(f"{place}: vars: expected one text, which is what the user says; there are {len(said)}")
        demands: dict[str, Any] = {"expected_output_contains": []}
        for one in test.get("assert") or []:
            _check_fields(one, _OF_AN_ASSERTION, f"{place}: assert")
            _add(demands, one, place)
        _check_plain([said[0], *demands["expected_output_contains"]], place)
        name = str(test.get("description") or f"{path.stem}_{number}")
        scenarios.append(_scenario({"name": name, "input": said[0], **demands}, place))
    return scenarios


def _check_fields(given: Any, known: Collection[str], place: str) -> None:
    """Raise ScenarioError for a field that would change what is demanded, and that no scenario can say."""
    if not isinstance(given, dict):
        raise ScenarioError(f"{place}: expected fields, such as {', '.join(sorted(known))}")
    if others := sorted(given.keys() - known):
        raise ScenarioError(f"{place}: {', '.join(others)}: not read; what is read is {', '.join(sorted(known))}")


def _check_plain(texts: Iterable[Any], place: str) -> None:
    """Raise ScenarioError for a text that promptfoo would replace by another one."""
    for text in texts:
        if isinstance(text, str) and ("{{" in text or text.startswith("file://")):
            raise ScenarioError(f"{place}: {text!r} stands for another text; write that text out")


def _add(demands: dict[str, Any], one: Mapping[str, Any], place: str) -> None:
    """Add an assertion of promptfoo to what a scenario demands."""
    kind, value = one.get("type"), one.get("value")
    match kind:
        case "icontains" | "contains" if isinstance(value, str):
            demands["expected_output_contains"].append(value)
        case "icontains-all" | "contains-all" if isinstance(value, list):
            demands["expected_output_contains"] += value
        case "llm-rubric" if isinstance(value, str) and "judge" not in demands:
            demands["judge"] = value
        case "cost":
            demands["max_cost"] = one.get("threshold")
        case _:
            raise ScenarioError(
                f"{place}: assert: a scenario cannot demand {kind!r} of {value!r}; it can contains, icontains, "
                "contains-all, icontains-all, cost, and one llm-rubric. Make a scorer of the others"
            )


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the records of a file, each with its place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from None
    try:
        if path.suffix == ".csv":
            records = list(csv.DictReader(text.splitlines()))
        elif path.suffix == ".jsonl":
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            records = json.loads(text)
    except ValueError as error:
        raise ScenarioError(f"{path}: is not {path.suffix[1:]}: {error}") from None
    if not isinstance(records, list):
        raise ScenarioError(f"{path}: expected a list of samples")
    for number, record in enumerate(records, start=1):
        place = f"{path}: sample {number}"
        if not isinstance(record, dict):
            raise ScenarioError(f"{place}: expected input and target")
        yield place, record


def _turns(said: Any, place: str) -> tuple[Any, list[Any]]:
    """What the user says first, and after that; of messages, those of the user."""
    if not isinstance(said, list):
        return said, []
    if not all(isinstance(message, dict) for message in said):
        raise ScenarioError(f"{place}: input: expected a text, or messages with role and content")
    if any(message.get("role") not in ("user", "system") for message in said):
        raise ScenarioError(f"{place}: input: the agent gives its own answers; leave only the messages of the user")
    texts = [_text(message.get("content"), place) for message in said if message.get("role") == "user"]
    return (texts[0], texts[1:]) if texts else (None, [])


def _text(content: Any, place: str) -> Any:
    """The text of a message, which Inspect may give in parts."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
    if not all(isinstance(part, str) for part in parts):
        raise ScenarioError(f"{place}: input: a scenario can only say text; there is something else in a message")
    return "".join(map(str, parts))


def _scenario(fields: Mapping[str, Any], place: str) -> Scenario:
    try:
        return Scenario.model_validate({name: value for name, value in fields.items() if value})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ScenarioError(
            f"{place}: {f'{field}: ' if field else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None
